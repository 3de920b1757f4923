"""``source = "google"``: Google tokens, by Application Default Credentials.

Source: cloud.google.com/docs/authentication/application-default-credentials, "How ADC works".
"""

import re
from collections.abc import Iterator, Mapping
from typing import ClassVar, Final

from credproxy.core.ask.google_urls import is_storage
from credproxy.core.ask.target import Target
from credproxy.core.ask.urls import proxy_problem
from credproxy.core.formats.checks import Problem, absolute
from credproxy.core.formats.toml_types import FilePath, PublicText
from credproxy.core.kinds.cloud_libraries import GOOGLE
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Bundle, SecretFile, Use, Usual


VARIABLE: Final = "GOOGLE_APPLICATION_CREDENTIALS"

CONFIG: Final = Usual(
    (),
    folder="CLOUDSDK_CONFIG",
    below=".config/gcloud",
    file="application_default_credentials.json",
    base="home",
    itself=VARIABLE,
)
"""gcloud's own, which does not heed XDG_CONFIG_HOME."""

METADATA_HOSTS: Final = ("GCE_METADATA_HOST", "GCE_METADATA_ROOT", "GCE_METADATA_IP")
"""Variables of which one says that there is a metadata server, whatever the machine says."""

NO_METADATA: Final = "NO_GCE_CHECK"

PRODUCT: Final = "/sys/class/dmi/id/product_name"
"""Where a machine on Google Cloud says so. Source: google/auth/compute_engine/_metadata.py, detect_gce_residency_linux."""

_SCOPE = "https://www.googleapis.com/auth/"
_EMAIL = re.compile(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+")
_PROJECT = re.compile(r"[a-z0-9.:-]{1,100}")
_AUDIENCE = re.compile(r"[!-~]{1,1000}")


class GoogleSource(SourceBase, frozen=True, tag_field="source", tag="google"):
    """What ``gcloud auth application-default login`` has stored, a file of credentials, or this machine's service account.

    ``account`` is one that ``gcloud auth login`` has stored, ``impersonate`` a service account that the login acts for, and
    ``audience`` makes it an ID token.
    """

    narrows: ClassVar[bool] = True

    credentials_file: FilePath | None = None
    account: PublicText | None = None
    impersonate: PublicText | None = None
    scopes: tuple[PublicText, ...] = ()
    audience: PublicText | None = None
    quota_project: PublicText | None = None
    proxy: PublicText | None = None
    ca_bundle: FilePath | None = None

    def problems(self) -> Iterator[Problem]:
        """Paths, names of accounts, scopes, and options that exclude one another."""
        yield from absolute("credentials_file", self.credentials_file)
        yield from absolute("ca_bundle", self.ca_bundle)
        if problem := proxy_problem(self.proxy):
            yield ("proxy",), problem
        yield from self._whose()
        yield from self._what()

    def _whose(self) -> Iterator[Problem]:
        if self.account is not None and self.credentials_file is not None:
            yield ("account",), "there is credentials_file as well; leave one of the two out"
        for key in ("account", "impersonate"):
            name = getattr(self, key)
            if name is not None and _EMAIL.fullmatch(name) is None:
                yield (key,), "wanted an e-mail address, as gcloud auth list shows it"
        if self.quota_project is not None and _PROJECT.fullmatch(self.quota_project) is None:
            yield ("quota_project",), "wanted the ID of a project"

    def _what(self) -> Iterator[Problem]:
        for scope in self.scopes:
            if not scope.startswith(_SCOPE) or not scope.isprintable() or " " in scope:
                yield ("scopes",), f"{scope!r} is not a scope of Google's: wanted {_SCOPE}..."
        if self.audience is not None and (self.scopes or _AUDIENCE.fullmatch(self.audience) is None):
            yield ("audience",), "wanted a URL, as the service is called by, and no scopes beside it"

    def uses(self) -> Iterator[Use]:
        """The library, and what may be missing."""
        yield GOOGLE
        if self.ca_bundle is not None:
            yield Bundle(self.ca_bundle)
        if self.credentials_file is not None:
            yield SecretFile(self.credentials_file, json=True)
        elif self.account is None:
            yield CONFIG

    def path(self, environ: Mapping[str, str]) -> str | None:
        """The file that a login is in, if there is one; None for a user without a home directory."""
        if self.credentials_file is not None:
            return self.credentials_file
        if self.account is None:
            return CONFIG.path(environ)
        usual = CONFIG.path({**environ, VARIABLE: ""})
        return None if usual is None else f"{usual.rpartition('/')[0]}/legacy_credentials/{self.account}/adc.json"

    @property
    def log_in(self) -> str:
        """The command that stores a login."""
        if self.credentials_file is not None:
            return (
                f"store a key there: gcloud iam service-accounts keys create {self.credentials_file} --iam-account=NAME"
            )
        return "gcloud auth application-default login" if self.account is None else f"gcloud auth login {self.account}"

    def scopes_for(self, target: Target) -> tuple[str, ...]:
        """What a token for a target may do: read, unless the rule says otherwise."""
        if self.audience is not None:
            return ()
        reading = f"{_SCOPE}devstorage.read_only" if is_storage(target) else f"{_SCOPE}cloud-platform.read-only"
        return self.scopes or (reading,)
