"""``provider = "remoteapis"``: remote caches and executors, each with its key in the header where it looks for it.

Bazel asks about each service of gRPC, ``https://HOST/build.bazel.remote.execution.v2.Execution``, other clients about a method
of one or about the bare host: one answer serves them all.
"""

from collections.abc import Iterator, Mapping
from shlex import quote as shell
from typing import ClassVar, Final, NamedTuple, Self

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import IdentityToken, RegistryToken, Stored, UserPassword, secret_of
from credproxy.core.ask.signed_url import REASON, is_signed
from credproxy.core.ask.stored import another_place, unreadable, usable
from credproxy.core.ask.target import Target
from credproxy.core.formats.checks import Problem, header
from credproxy.core.formats.toml_types import HeaderPrefix, PublicText
from credproxy.core.kinds.dressed import DressedHost, SecretHeaders, Width, one_header
from credproxy.core.kinds.sources import Sources
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.login import LoginSource


class _RemoteService(NamedTuple):
    """What is known of one: the header of its keys, and the variable in which its documentation has people keep one."""

    header: str
    variable: str = ""


_SERVICES: Final[Mapping[str, _RemoteService]] = {
    "buildbuddy.io": _RemoteService("x-buildbuddy-api-key", "BUILDBUDDY_API_KEY"),
    "nativelink.net": _RemoteService("x-nativelink-api-key"),
}
"""By domain. Source: buildbuddy.io/docs/guide-auth; github.com/TraceMachina/nativelink, its documentation of the cloud."""

_AUTHORIZATION: Final = "Authorization"


class RemoteapisHost(DressedHost, frozen=True, tag_field="provider", tag="remoteapis"):
    """A remote cache or executor. Without ``header`` the host decides which one it is, else ``Authorization``."""

    calls: ClassVar[str] = "key"
    lacks: ClassVar[str] = "key"
    source_keys: ClassVar[tuple[str, ...]] = ("secret",)
    empty: ClassVar[str] = "holds no key"
    remedy: ClassVar[str] = "store the key of the remote cache in its place"
    login_example: ClassVar[str] = "credproxy login remote.buildbuddy.io --no-check"

    secret: Sources | None = None
    header: PublicText | None = None
    prefix: HeaderPrefix | None = None

    @classmethod
    def builtin(cls) -> tuple[Self, ...]:
        """BuildBuddy's cloud, and the hosts that it gives to organisations."""
        return tuple(cls(host) for host in ("remote.buildbuddy.io", "*.buildbuddy.io"))

    @property
    def places(self) -> Sources:
        """Where the key is: without ``secret``, what was logged in to, then the variable of a known service."""
        if self.secret is not None:
            return self.secret
        known = self._service()
        return (LoginSource(), EnvSource(known.variable)) if known is not None and known.variable else (LoginSource(),)

    @property
    def header_name(self) -> str:
        """The header that is sent."""
        if self.header is not None:
            return self.header
        known = self._service()
        return _AUTHORIZATION if known is None else known.header

    def mistakes(self) -> Iterator[Problem]:
        """The header's name."""
        if self.header is None:
            return
        yield from header("header", self.header)
        if self.header.lower().endswith("-bin"):
            yield ("header",), "gRPC takes only base64 in a header of that name: wanted one without -bin"

    def setup(self, target: Target) -> str:
        """Store the key."""
        if not self.log_in(target):
            return another_place("secret")
        return f"credproxy login {shell(target.authority)} --no-check"

    def withheld(self, target: Target) -> str:
        """Why a signed URL gets nothing."""
        return REASON if is_signed(target) else ""

    def login_page(self, target: Target) -> str:
        """None: gRPC has no page that could be asked."""
        del target
        return ""

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """The key as it is; in ``Authorization`` a login as Basic, and a key alone as Bearer."""
        del width
        usable(stored, name, hint=self.remedy)
        if isinstance(stored, IdentityToken | RegistryToken):
            raise unreadable(
                name, "is docker's token for a registry, and not a key of a remote cache", hint=self.remedy
            )
        sent, prefix = self.header_name, self.prefix
        authorization = sent.lower() == _AUTHORIZATION.lower()
        if authorization and prefix is None and isinstance(stored, UserPassword):
            return ((sent, (basic(stored),)),)
        prefix = ("Bearer " if authorization else "") if prefix is None else prefix
        return one_header(sent, prefix, secret=secret_of(stored), where=name, remedy=self.remedy)

    def about(self, width: Width) -> Mapping[str, str]:
        """Which header."""
        del width
        return {"header": self.header_name}

    def _sources(self) -> Iterator[tuple[str, Sources]]:
        yield "secret", self.places

    def _service(self) -> _RemoteService | None:
        """The service that serves its host, if it is known."""
        host = self.host.lower()
        return next((known for domain, known in _SERVICES.items() if host.endswith(f".{domain}")), None)
