"""``provider = "oci"``: a registry of the OCI distribution protocol."""

from collections.abc import Callable, Iterator
from typing import ClassVar, Final, Literal, NamedTuple, Self

from msgspec import field

from credproxy.core.ask.azure_hosts import is_azure_registry
from credproxy.core.ask.google_urls import is_registry
from credproxy.core.ask.target import Target
from credproxy.core.ask.token_calls import PUBLIC, ecr_call
from credproxy.core.ask.uri import canonical_authority
from credproxy.core.ask.urls import proxy_problem, realm_problem
from credproxy.core.formats.checks import Problem, absolute, duration, networks, within
from credproxy.core.formats.toml_types import Base, FilePath, PublicText
from credproxy.core.kinds.base import HostBase
from credproxy.core.kinds.sources import Sources, SourceSettings
from credproxy.core.kinds.sources.acr import AcrSource
from credproxy.core.kinds.sources.docker_config import DockerConfigSource
from credproxy.core.kinds.sources.ecr import EcrSource
from credproxy.core.kinds.sources.google import GoogleSource
from credproxy.core.kinds.sources.login import LoginSource
from credproxy.core.kinds.uses import Bundle, Used


_ACTIONS = ("pull", "push", "delete", "*")


DOCKER: Final = (LoginSource(), DockerConfigSource())
"""Where logins of registries are, for every registry."""


class _CloudRegistries(NamedTuple):
    """Registries of a cloud, which take a login of its own tools.

    Attributes:
        matches: of their rules.
        has: whether a target of these is one; a ``match`` may be wider.
        source: of the login.
        anonymous: whether they let anybody pull.
    """

    matches: tuple[str, ...]
    has: Callable[[Target], bool]
    source: SourceSettings
    anonymous: Literal["pull"] | None = None


def _is_ecr(target: Target) -> bool:
    return ecr_call(target.host) is not None


_OF_CLOUDS: Final = (
    _CloudRegistries(("gcr.io", "*.gcr.io", "*.pkg.dev"), is_registry, GoogleSource()),
    _CloudRegistries(("*.azurecr.io",), is_azure_registry, AcrSource()),
    _CloudRegistries(
        (
            "*.amazonaws.com",
            "*.amazonaws.com.cn",
            "*.amazonaws.eu",
            "*.on.aws",
            "*.on.amazonwebservices.com.cn",
        ),
        _is_ecr,
        EcrSource(),
    ),
    _CloudRegistries(PUBLIC, _is_ecr, EcrSource(), anonymous="pull"),
)


class BareHost(Base, frozen=True):
    """``bare_host = { scopes, min_lifetime }``: one Bearer token for an explicit list."""

    scopes: tuple[PublicText, ...]
    min_lifetime: float = 240.0

    def problems(self) -> Iterator[Problem]:
        """No scope, no time."""
        if not self.scopes:
            yield ("scopes",), 'wanted at least one scope, such as "repository:app:pull"'
        yield from duration("min_lifetime", self.min_lifetime)


class OciHost(HostBase, frozen=True, tag_field="provider", tag="oci"):
    """A registry of the OCI distribution protocol."""

    source_keys: ClassVar[tuple[str, ...]] = ("credentials",)
    is_registry: ClassVar[bool] = True
    login_example: ClassVar[str] = "credproxy login ghcr.io -u me"
    login_asks: ClassVar[Literal["password", "token"]] = "password"

    credentials: Sources = DOCKER
    realm: PublicText | None = None
    service: PublicText | None = None
    realm_hosts: tuple[PublicText, ...] = ()
    method: Literal["GET", "POST"] | None = None
    actions: dict[str, tuple[PublicText, ...]] = field(default_factory=dict)
    anonymous: Literal["pull"] | None = None
    bare_host: Literal["basic", "none"] | BareHost = "basic"
    allow_basic: bool = True
    allow_password_grant: bool = False
    allow_catalog: bool = False
    tls_verify: bool = True
    single_scope: bool = False
    account_param: bool = False
    trust_jwt_exp: bool = False
    allow_private: tuple[PublicText, ...] = ()
    path_prefix: PublicText | None = None
    ca_bundle: FilePath | None = None
    proxy: PublicText | None = None

    @classmethod
    def builtin(cls) -> tuple[Self, ...]:
        """Cloud registries, for users whose docker files name none and for whom the cloud's own tools have a login."""
        return tuple(
            cls(match, credentials=(*DOCKER, cloud.source), anonymous=cloud.anonymous)
            for cloud in _OF_CLOUDS
            for match in cloud.matches
        )

    def claims(self, target: Target) -> bool:
        """Whether a host of a cloud is one of its registries."""
        return all(cloud.has(target) for cloud in _OF_CLOUDS if self.match in cloud.matches)

    def mistakes(self) -> Iterator[Problem]:
        """Addresses, paths, scopes and actions."""
        yield from self._addresses()
        prefix = self.path_prefix
        if prefix is not None and (not prefix.startswith("/") or prefix.endswith("/")):
            yield ("path_prefix",), 'wanted a path like "/artifactory/api/docker/repo"'
        if isinstance(self.bare_host, BareHost):
            yield from within(("bare_host",), self.bare_host.problems())
        for pattern, actions in self.actions.items():
            unknown = sorted(set(actions) - {*_ACTIONS})
            if unknown:
                known = ", ".join(_ACTIONS)
                yield ("actions",), f"{pattern!r} has the unknown action {unknown[0]!r}; known: {known}"
        if self.insecure and not self.tls_verify:
            yield ("tls_verify",), "means nothing together with insecure = true; leave one of them out"

    def own_uses(self) -> Iterator[Used]:
        """Its CA's certificates."""
        if self.ca_bundle is not None:
            yield ("ca_bundle",), Bundle(self.ca_bundle)

    def risks(self) -> Iterator[tuple[str, str]]:
        """Unchecked certificates as well, and a path that no question about a repository has."""
        yield from super().risks()
        host, slash, path = self.match.partition("/")
        api = f"{(self.path_prefix or '').strip('/')}/v2".lstrip("/")
        if slash and path and not f"{path}/".startswith(f"{api}/") and not api.startswith(path):
            yield (
                f"the rule {self.match!r} answers for no repository: their paths begin with /{api}/",
                f'match = "{host}/{api}/{path}"',
            )
        if not self.tls_verify:
            yield (
                f"anybody can pose as {self.match!r}: tls_verify = false",
                'name its CA instead: ca_bundle = "/path/to/ca.pem"',
            )

    def setup(self, target: Target) -> str:
        """Log in as docker does, or by the tool of a cloud whose login it takes."""
        return self.tool_login or f"docker login {target.authority}"

    def api_prefix(self) -> str | None:
        """Its ``path_prefix``."""
        return self.path_prefix

    def _addresses(self) -> Iterator[Problem]:
        yield from networks("allow_private", self.allow_private)
        for key, problem in (("realm", realm_problem(self.realm)), ("proxy", proxy_problem(self.proxy))):
            if problem:
                yield (key,), problem
        for name in self.realm_hosts:
            if canonical_authority(name) is None:
                wanted = 'wanted one like "auth.example.com" or "auth.example.com:8443"'
                yield ("realm_hosts",), f"{name!r} is not a host; {wanted}"
        yield from absolute("ca_bundle", self.ca_bundle)
