"""``source = "vault"``: a secret of HashiCorp Vault or OpenBao.

Source: developer.hashicorp.com/vault/docs/commands#environment-variables; openbao.org/docs/commands, which takes its own
variables first and Vault's in their place.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import field

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial
from credproxy.core.ask.urls import server_problem
from credproxy.core.ask.vault_values import VaultLogin, VaultServer
from credproxy.core.formats.checks import Problem, absolute, certificate, user, within
from credproxy.core.formats.toml_types import Base, FilePath, HiddenText, PublicText, UserName
from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.sources.ci_oidc import CiOidcSource
from credproxy.core.kinds.sources.command import CommandSource
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.file import FileSource
from credproxy.core.kinds.uses import Bundle, SecretFile, Use


ProofSource = EnvSource | FileSource | CommandSource | CiOidcSource
"""Where lies what a login begins with."""

WHOLE: Final = "*"
STORE_ITSELF: Final = "store the secret itself in that field: vault kv patch, or bao kv patch"
"""The field that is the whole secret, as JSON."""

TOKENS: Final = ("BAO_TOKEN", "VAULT_TOKEN")
ADDRESSES: Final = ("BAO_ADDR", "VAULT_ADDR")
_NAMESPACES = ("BAO_NAMESPACE", "VAULT_NAMESPACE")
_BUNDLES = ("BAO_CACERT", "VAULT_CACERT")
_CERTIFICATES = ("BAO_CLIENT_CERT", "VAULT_CLIENT_CERT")
_KEYS = ("BAO_CLIENT_KEY", "VAULT_CLIENT_KEY")

_KUBERNETES = "/var/run/secrets/kubernetes.io/serviceaccount/token"


class _LoginMethod(Base, frozen=True, kw_only=True):
    """One way to log in."""

    def problems(self) -> Iterator[Problem]:
        """What is wrong with the place that its proof lies in."""
        key, source = self.proof
        yield from within((key,), source.problems())

    @property
    def proof(self) -> tuple[str, ProofSource]:
        """The key that names the place of its proof, and that place."""
        raise NotImplementedError  # a struct cannot be abstract: each way to log in below says it

    def login(self, proof: Secret) -> VaultLogin | None:
        """What is sent with that; None if it is the token itself."""
        raise NotImplementedError  # a struct cannot be abstract: each way to log in below says it


class TokenAuth(_LoginMethod, frozen=True, tag_field="method", tag="token"):
    """A token that lies somewhere else than in Vault's own places."""

    token: ProofSource

    @property
    def proof(self) -> tuple[str, ProofSource]:
        """The token itself."""
        return "token", self.token

    def login(self, proof: Secret) -> None:
        """None: there is nothing to send."""


class AppRoleAuth(_LoginMethod, frozen=True, tag_field="method", tag="approle"):
    """An AppRole: its ID, which is not a secret, and where the secret ID is."""

    role_id: HiddenText
    secret_id: ProofSource
    mount: PublicText = "approle"

    @property
    def proof(self) -> tuple[str, ProofSource]:
        """The secret ID."""
        return "secret_id", self.secret_id

    def login(self, proof: Secret) -> VaultLogin:
        """A secret ID may be good for one use, so it is sent once."""
        return VaultLogin(self.mount, "", {"role_id": self.role_id, "secret_id": proof}, repeatable=False)


class JwtAuth(_LoginMethod, frozen=True, tag_field="method", tag="jwt"):
    """A JWT of an issuer that Vault trusts, such as a CI system."""

    role: PublicText
    jwt: ProofSource
    mount: PublicText = "jwt"

    @property
    def proof(self) -> tuple[str, ProofSource]:
        """The JWT."""
        return "jwt", self.jwt

    def login(self, proof: Secret) -> VaultLogin:
        """The JWT, and as whom."""
        return VaultLogin(self.mount, self.role, {"role": self.role, "jwt": proof})


class KubernetesAuth(_LoginMethod, frozen=True, tag_field="method", tag="kubernetes"):
    """The service account of the pod in which the daemon runs."""

    role: PublicText
    token: ProofSource = field(default_factory=lambda: FileSource(_KUBERNETES))
    mount: PublicText = "kubernetes"

    @property
    def proof(self) -> tuple[str, ProofSource]:
        """The token of the service account."""
        return "token", self.token

    def login(self, proof: Secret) -> VaultLogin:
        """The token, and as whom."""
        return VaultLogin(self.mount, self.role, {"role": self.role, "jwt": proof})


VaultAuth = TokenAuth | AppRoleAuth | JwtAuth | KubernetesAuth


class VaultSource(SourceBase, frozen=True, tag_field="source", tag="vault"):
    """A secret of HashiCorp Vault or OpenBao; ``path`` as in its API and its policies: ``secret/data/ci/registry``.

    ``field`` names the part that is the secret, ``"*"`` all of it as JSON; ``username_field`` that of the user's name.
    """

    path: PublicText
    field: PublicText | None = None
    username: UserName | None = None
    username_field: PublicText | None = None
    address: PublicText | None = None
    namespace: PublicText | None = None
    ca_bundle: FilePath | None = None
    client_cert: FilePath | None = None
    client_key: FilePath | None = None
    insecure: bool = False
    auth: VaultAuth | None = None

    def problems(self) -> Iterator[Problem]:
        """Paths, the address, names of users, and what is wrong with the login."""
        if not _is_path(self.path):
            yield ("path",), "wanted a path as in vault read, such as secret/data/ci/registry"
        if self.namespace is not None and not _is_path(self.namespace.strip("/")):
            yield ("namespace",), "wanted the name of a namespace, such as team/ci"
        if problem := server_problem(self.address, insecure=self.insecure):
            yield ("address",), problem
        if self.username is not None and self.username_field is not None:
            yield ("username_field",), "there is username as well; leave one of the two out"
        yield from absolute("ca_bundle", self.ca_bundle)
        yield from certificate(self.client_cert, self.client_key)
        yield from user("username", self.username)
        if self.auth is not None:
            yield from within(("auth",), self.auth.problems())
            if not _is_path(getattr(self.auth, "mount", "token")):
                yield ("auth", "mount"), "wanted where the method is, such as jwt, without auth/"

    def uses(self) -> Iterator[Use]:
        """Its certificates, and what the login begins with."""
        if self.ca_bundle is not None:
            yield Bundle(self.ca_bundle)
        if self.client_cert is not None:
            yield Bundle(self.client_cert, "client_cert", self.client_key)
        if self.client_key is not None:
            yield SecretFile(self.client_key, pem=True)
        if self.auth is not None:
            yield from self.auth.proof[1].uses()

    def server(self, environ: Mapping[str, str]) -> VaultServer | None:
        """The server that is meant, by the rule or else by the environment; None if neither names one."""
        address = self.address or _first(environ, ADDRESSES)
        if address is None:
            return None
        namespace = self.namespace if self.namespace is not None else _first(environ, _NAMESPACES) or ""
        bundle = self.ca_bundle or _first(environ, _BUNDLES)
        # A key of the environment belongs to its certificate, and not to one that the rule names.
        own = self.client_cert is not None
        certificate = self.client_cert if own else _first(environ, _CERTIFICATES)
        key = self.client_key if own else _first(environ, _KEYS)
        dial = Dial(own=True, ca_bundle=bundle, client_cert=certificate, client_key=key)
        return VaultServer(address.rstrip("/"), namespace.strip("/"), dial)


def _is_path(text: str) -> bool:
    """Whether a text is a path in Vault: nothing that a URL or a header would read as something else."""
    parts = text.split("/")
    return text.isprintable() and all(parts) and not {".", ".."} & set(parts) and parts[0] != "v1"


def _first(environ: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((environ[name] for name in names if environ.get(name)), None)
