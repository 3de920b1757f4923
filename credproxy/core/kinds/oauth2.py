"""``provider = "oauth2"``: an access token from an identity provider, for any host.

Which key goes with which grant::

    client_credentials   client_secret or key_file                       RFC 6749, section 4.4
    refresh_token        refresh_token                                      RFC 6749, section 6
    jwt_bearer           assertion, or key_file with subject             RFC 7523, section 2.1
    token_exchange       subject_token                                      RFC 8693
"""

import re
from collections.abc import Iterator, Mapping
from shlex import quote as shell
from typing import ClassVar, Final, Literal
from urllib.parse import urlsplit

from credproxy.core.ask.signed_url import REASON, is_signed
from credproxy.core.ask.stored import another_place
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import canonical_authority, is_loopback
from credproxy.core.ask.urls import proxy_problem, realm_problem
from credproxy.core.formats.checks import Problem, absolute, header, networks
from credproxy.core.formats.toml_types import FilePath, HeaderPrefix, PublicText
from credproxy.core.kinds.base import HostBase
from credproxy.core.kinds.sources import Sources
from credproxy.core.kinds.sources.login import LoginSource
from credproxy.core.kinds.uses import Bundle, SecretFile, Used


GrantKind = Literal["client_credentials", "refresh_token", "jwt_bearer", "token_exchange"]
Flow = Literal["auto", "device", "browser"]
"""How a person logs in: on another device (RFC 8628), in the browser of this machine (RFC 8252), or as the server has it."""

ClientAuth = Literal["client_secret_basic", "client_secret_post", "private_key_jwt", "none"]
Algorithm = Literal["RS256", "PS256", "ES256", "ES384"]

JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"

_OF_GRANT: Final[Mapping[str, GrantKind]] = {
    "refresh_token": "refresh_token",
    "assertion": "jwt_bearer",
    "subject": "jwt_bearer",
    "subject_token": "token_exchange",
}
"""Keys that mean something with one grant alone."""

_URLS: Final = ("issuer", "token_url", "device_url", "authorize_url")
_SCOPE: Final = re.compile(r"[!#-\[\]-~]+")  # RFC 6749, section 3.3
_LIMIT: Final = re.compile(r"https?://([^/?#]+)(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()+,=:@-]+)*/?")
"""A resource that can be compared with URLs: it is read in one way alone."""

_REDIRECT: Final = re.compile(
    r"http://(?:127\.0\.0\.1|localhost)(?::([1-9][0-9]{3,4}))?/(?:[A-Za-z0-9._~-]+/)*[A-Za-z0-9._~-]*"
)
"""A page of the loopback, read in one way alone; without a port any port is taken (RFC 8252, section 7.3)."""

_PORTS: Final = range(1024, 65536)
_ID: Final = re.compile(r"[ -~]+")  # RFC 6749, appendix A.1


class OauthHost(HostBase, frozen=True, tag_field="provider", tag="oauth2", kw_only=True):
    """An access token from an identity provider, as Bearer or in a header of any name."""

    login_example: ClassVar[str] = "credproxy login build.corp.example"
    shows_hosts: ClassVar[bool] = False
    source_keys: ClassVar[tuple[str, ...]] = ("client_secret", "refresh_token", "assertion", "subject_token")

    client_id: PublicText
    issuer: PublicText | None = None
    token_url: PublicText | None = None
    device_url: PublicText | None = None
    authorize_url: PublicText | None = None
    grant: GrantKind = "client_credentials"
    flow: Flow = "auto"
    redirect_uri: PublicText = "http://127.0.0.1/"
    client_auth: ClientAuth | None = None
    client_secret: Sources | None = None
    key_file: FilePath | None = None
    key_id: PublicText | None = None
    algorithm: Algorithm = "RS256"
    assertion_audience: PublicText | None = None
    refresh_token: Sources | None = None
    assertion: Sources | None = None
    subject: PublicText | None = None
    subject_token: Sources | None = None
    subject_token_type: PublicText = JWT_TYPE
    requested_token_type: PublicText | None = None
    scope: tuple[PublicText, ...] = ()
    audience: tuple[PublicText, ...] = ()
    resource: tuple[PublicText, ...] = ()
    narrow: bool = False
    header: PublicText = "Authorization"
    prefix: HeaderPrefix = "Bearer "
    ca_bundle: FilePath | None = None
    allow_private: tuple[PublicText, ...] = ()
    proxy: PublicText | None = None

    @property
    def authentication(self) -> ClientAuth:
        """How the client authenticates: as the rule says, or else by the secrets that the rule has."""
        if self.client_auth is not None:
            return self.client_auth
        if self.client_secret is not None:
            return "client_secret_basic"
        return "private_key_jwt" if self.key_file is not None and self.grant != "jwt_bearer" else "none"

    @property
    def used(self) -> tuple[str, ...]:
        """The options whose sources its exchange begins with; the one that it spends comes first."""
        secret = self.authentication in {"client_secret_basic", "client_secret_post"}
        named = dict(self._sources())
        own = [key for key, grant in _OF_GRANT.items() if grant == self.grant and key in named]
        return (*own, *(("client_secret",) if secret else ()))

    @property
    def key_setup(self) -> str:
        """What a person does so that there is a key."""
        return f"write a private key for {self.algorithm}, in PEM form, to {self.key_file}, mode 0600"

    @property
    def places(self) -> Mapping[str, Sources]:
        """The sources of those options."""
        found = dict(self._sources())
        return {key: found[key] for key in self.used if key in found}

    def mistakes(self) -> Iterator[Problem]:
        """Which keys go together; addresses and texts."""
        yield from self._places()
        yield from self._grants()
        yield from self._person()
        yield from self._clients()
        yield from self._texts()
        yield from self._resources()
        yield from header("header", self.header)
        yield from networks("allow_private", self.allow_private)
        yield from absolute("ca_bundle", self.ca_bundle)
        yield from absolute("key_file", self.key_file)

    def own_uses(self) -> Iterator[Used]:
        """The key that it signs with, and certificates."""
        if self.key_file is not None:
            yield ("key_file",), SecretFile(self.key_file, pem=True)
        if self.ca_bundle is not None:
            yield ("ca_bundle",), Bundle(self.ca_bundle)

    def setup(self, target: Target) -> str:
        """Where the secret goes, or where another refresh token comes from."""
        return self.setup_of(next(iter(self.used), "key_file"), target)

    def setup_of(self, key: str, target: Target) -> str:
        """The same for the secret of one option."""
        if key == "key_file":
            return self.key_setup
        return self.log_in(target) if key == self.login_key else another_place(key)

    def log_in(self, target: Target) -> str:
        """The command that gets a refresh token, or asks for the client's secret, and stores it where the rule has it."""
        return f"credproxy login {shell(target.authority)}" if self.login_key else ""

    @property
    def login_key(self) -> str:
        """A person logs in for a refresh token; for the client's secret where the rule has it stored as a login."""
        if self.rotates:
            return "refresh_token"
        of_client = (source for path, source in self.secrets() if path[0] == "client_secret")
        return "client_secret" if any(isinstance(source, LoginSource) for source in of_client) else ""

    @property
    def rotates(self) -> bool:
        """The server may replace the refresh token that was used."""
        return self.grant == "refresh_token"

    def withheld(self, target: Target) -> str:
        """A URL that carries a signature of its own."""
        return REASON if is_signed(target) else ""

    def opens(self, target: Target) -> tuple[str, ...]:
        """All that a token for one of its resources opens, where the issuer limits tokens to that."""
        resource = self.resource_of(target) if self.narrow else None
        return () if resource is None else (f"{resource.rstrip('/')}/**",)

    def resource_of(self, target: Target) -> str | None:
        """The narrowest of its resources that a URL is in."""
        url = f"{target.origin}{target.path}"
        found = [one for one in self.resource if f"{url}/".startswith(f"{one.rstrip('/')}/")]
        return max(found, key=len, default=None)

    def _sources(self) -> Iterator[tuple[str, Sources]]:
        """The sources that it names; by default, a refresh token that ``credproxy login`` stored, one for all its hosts."""
        yield from super()._sources()
        if self.rotates and self.refresh_token is None:
            yield "refresh_token", LoginSource(self.match.removeprefix("*."))

    def _places(self) -> Iterator[Problem]:
        if self.issuer is None and self.token_url is None:
            yield ("issuer",), 'wanted issuer = "https://HOST", which is asked for its token endpoint, or token_url'
        for key in _URLS:
            url = getattr(self, key)
            problem = realm_problem(url) or ("" if url is None else self._plain(url))
            if problem:
                yield (key,), problem
        if self.issuer is not None and "?" in self.issuer:
            yield ("issuer",), "an issuer has no query (RFC 8414, section 2)"
        if problem := proxy_problem(self.proxy):
            yield ("proxy",), problem

    def _plain(self, url: str) -> str:
        parts = urlsplit(url)
        host = parts.hostname or ""
        if parts.scheme == "https" or self.insecure or is_loopback(f"[{host}]" if ":" in host else host):
            return ""
        return "secrets would travel in plain http: wanted https://, or insecure = true beside it"

    def _grants(self) -> Iterator[Problem]:
        for key, grant in _OF_GRANT.items():
            if getattr(self, key) is not None and grant != self.grant:
                yield (key,), f'means nothing with grant = "{self.grant}": wanted grant = "{grant}"'
        match self.grant:
            case "refresh_token":
                yield from self._kept()
            case "jwt_bearer" if (self.assertion is None) is (self.key_file is None or self._signs):
                yield ("assertion",), f'grant = "{self.grant}" needs either assertion or key_file'
            case "token_exchange" if self.subject_token is None:
                yield ("subject_token",), f'grant = "{self.grant}" needs it'
            case _:
                pass

    def _person(self) -> Iterator[Problem]:
        """How a person logs in, for the one grant that a person has."""
        for key, usual in (("flow", "auto"), ("redirect_uri", "http://127.0.0.1/")):
            if getattr(self, key) != usual and not self.rotates:
                yield (key,), f'means nothing with grant = "{self.grant}": wanted grant = "refresh_token"'
        found = _REDIRECT.fullmatch(self.redirect_uri)
        if found is None or (found[1] is not None and int(found[1]) not in _PORTS):
            yield (
                ("redirect_uri",),
                "wanted a page of this machine's, such as http://127.0.0.1:8250/ or http://localhost/",
            )

    def _kept(self) -> Iterator[Problem]:
        """Places that cannot be written: a server may replace the token that was used, and only we have the new one."""
        for path, source in self.secrets():
            if path[0] == "refresh_token" and not source.rewritable:
                yield path, "wanted a place where a new token can be written, such as a file"

    @property
    def _signs(self) -> bool:
        """Whether its key signs for the client itself, and not for a subject."""
        return self.authentication == "private_key_jwt"

    def _clients(self) -> Iterator[Problem]:
        secret, needs_secret = self.client_secret is not None, self.authentication.startswith("client_secret")
        if needs_secret is not secret:
            way = f'client_auth = "{self.authentication}"'
            yield ("client_secret",), f"{way} needs it" if needs_secret else f"means nothing with {way}"
        if self._signs and self.key_file is None:
            yield ("key_file",), f'client_auth = "{self.authentication}" needs it'
        if self.key_file is not None and not self._signs and self.grant != "jwt_bearer":
            yield ("key_file",), f'means nothing with client_auth = "{self.authentication}"'
        if self.grant == "client_credentials" and self.authentication == "none":
            yield ("client_secret",), f'grant = "{self.grant}" needs client_secret or key_file'

    def _texts(self) -> Iterator[Problem]:
        if _ID.fullmatch(self.client_id) is None:
            yield ("client_id",), "wanted printable ASCII"
        for one in self.scope:
            if _SCOPE.fullmatch(one) is None:
                yield ("scope",), f"{one!r} is not one scope: wanted a list of them, each without white space"
        if self.assertion_audience is not None and self.key_file is None:
            yield ("assertion_audience",), "means nothing without key_file: it goes into what that signs"

    def _resources(self) -> Iterator[Problem]:
        for one in self.resource:
            if realm_problem(one):
                yield ("resource",), f"{one!r} is not an absolute URL without a fragment (RFC 8707)"
        if self.narrow and not self.resource:
            yield ("narrow",), "it needs resource beside it, to which the issuer limits its tokens"
        for one in self.resource if self.narrow else ():
            parts = _LIMIT.fullmatch(one)
            if parts is None or canonical_authority(parts[1], one.partition(":")[0]) != parts[1]:
                yield ("narrow",), f"it needs resources like https://HOST/PATH beside it, and {one!r} is not one"
