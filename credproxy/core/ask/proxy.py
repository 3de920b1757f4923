"""HTTP proxies: what a ``proxy`` setting says, and which answers are the proxy's own."""

from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import unquote, urlsplit

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import Secret, UserPassword


_PORT = 80
_PROGRAMS = ("squid", "tinyproxy", "privoxy", "mitmproxy", "bluecoat", "zscaler")
"""How such programs begin the ``Server`` line of their own answers."""


@dataclass(frozen=True, slots=True)
class Proxy:
    """One proxy.

    Attributes:
        authorization: value of ``Proxy-Authorization``, or None for a proxy without a login.
    """

    host: str
    port: int
    authorization: Secret | None = None

    @property
    def place(self) -> str:
        """``host:port``, without the login."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def url(self) -> str:
        """Without the login."""
        return f"http://{self.place}"

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"proxy {self.place!r}"


def proxy_of(setting: str | None) -> Proxy | None:
    """Read a setting, ``http://[user[:password]@]host[:port]``; user and password are percent-decoded.

    Raises:
        ValueError: it has no host, or a port that is not a number; ``core.config.parse`` refuses that earlier, with its line.
    """
    if setting is None:
        return None
    parts = urlsplit(setting)
    if not parts.hostname:
        message = "the proxy has no host"
        raise ValueError(message)
    login = None
    if parts.username is not None:
        login = basic(UserPassword(unquote(parts.username), Secret(unquote(parts.password or ""))))
    return Proxy(parts.hostname, parts.port or _PORT, login)


def is_from_proxy(status: int, headers: tuple[tuple[str, str], ...]) -> bool:
    """Whether the answer to a plain http request is a refusal by the proxy that it went through.

    407 comes only from a proxy. Any other refusal counts as the proxy's if it says so itself, in ``Proxy-Status`` (RFC 9209)
    or in squid's own field, or if it names a program that is only ever a proxy.
    """
    if status < HTTPStatus.BAD_REQUEST:
        return False
    fields = {name.lower(): value.strip().lower() for name, value in headers}
    told = "x-squid-error" in fields or "error=" in fields.get("proxy-status", "")
    return status == HTTPStatus.PROXY_AUTHENTICATION_REQUIRED or told or fields.get("server", "").startswith(_PROGRAMS)
