"""``provider = "google"``: Cloud Storage, Artifact Registry and Google's other APIs.

Registries among them are answered by ``oci``, with the same login. Source: cloud.google.com/docs/authentication/rest.
"""

from collections.abc import Iterator
from typing import ClassVar, Self

from credproxy.core.ask.credential import Stored, secret_of
from credproxy.core.ask.google_urls import (
    API_BEGINS,
    OF_USERS,
    STORAGE,
    carries_token,
    folder_patterns,
    is_registry,
    stored_object,
)
from credproxy.core.ask.signed_url import REASON, is_signed
from credproxy.core.ask.stored import another_place
from credproxy.core.ask.target import Target
from credproxy.core.formats.checks import Problem
from credproxy.core.kinds.dressed import DressedHost, SecretHeaders, Width, one_header
from credproxy.core.kinds.sources import Sources
from credproxy.core.kinds.sources.google import GoogleSource


_DEEPEST = 16
"""Folders that are tried for a token which is limited to one of them."""


class GoogleHost(DressedHost, frozen=True, tag_field="provider", tag="google"):
    """Google's APIs: a token that reads, by the login of gcloud, a file of credentials, or the machine's service account."""

    source_keys: ClassVar[tuple[str, ...]] = ("credentials",)
    encoded_below: ClassVar[tuple[str, ...]] = API_BEGINS
    calls: ClassVar[str] = "token"
    lacks: ClassVar[str] = "login of Google's"
    empty: ClassVar[str] = "holds no token"
    remedy: ClassVar[str] = "log in again: gcloud auth application-default login"

    credentials: Sources = (GoogleSource(),)

    @classmethod
    def builtin(cls) -> tuple[Self, ...]:
        """Storage, packages and every other API, if there is a login."""
        return tuple(cls(host) for host in (STORAGE, f"*.{STORAGE}", "*.pkg.dev", "*.googleapis.com"))

    def claims(self, target: Target) -> bool:
        """Whether it is anything but a registry."""
        return not is_registry(target)

    def mistakes(self) -> Iterator[Problem]:
        """``insecure``: a token must not be sent in plain http."""
        if self.insecure:
            yield ("insecure",), "Google's APIs are asked over TLS alone: leave it out"
        host = self.host.lower().removesuffix(".")
        if host.endswith(OF_USERS):
            wanted = f'wanted {{ source = "google", audience = "https://{host.removeprefix("*.")}" }}'
            for key, source in self.secrets():
                if isinstance(source, GoogleSource) and source.audience is None:
                    yield key[:1], f"it is somebody's service, which could use an access token as its own; {wanted}"

    @property
    def public_match(self) -> str:
        """A bucket."""
        return {STORAGE: f"{STORAGE}/BUCKET", f"*.{STORAGE}": f"BUCKET.{STORAGE}"}.get(self.match, "")

    def setup(self, target: Target) -> str:
        """Log in with gcloud, unless the rule names another place."""
        del target
        found = next((source for _, source in self.secrets() if isinstance(source, GoogleSource)), None)
        return another_place("credentials") if found is None else found.log_in

    def withheld(self, target: Target) -> str:
        """Why a signed URL, and one with a token of its own, get nothing."""
        if carries_token(target):
            return "the URL carries a token of its own"
        return REASON if is_signed(target) else ""

    def openings(self, target: Target) -> tuple[tuple[str, ...], ...]:
        """A token for reading storage can be limited to a bucket, or to a folder in it."""
        found = stored_object(target)
        if found is None or not all(source.narrows for _, source in self.secrets()):
            return ()
        folders = found.name.split("/")[:-1][:_DEEPEST]
        prefixes = ["", *(f"{'/'.join(folders[: count + 1])}/" for count in range(len(folders)))]
        patterns = (folder_patterns(target, found.bucket, prefix=prefix) for prefix in prefixes)
        return tuple(one for one in patterns if one)

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """A token is sent as Bearer, whatever name is stored with it."""
        del width
        return one_header("Authorization", "Bearer ", secret=secret_of(stored), where=name, remedy=self.remedy)
