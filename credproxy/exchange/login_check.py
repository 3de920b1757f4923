"""The one real request that tries a login before it is stored.

A registry is asked as docker asks it: its token server for a token without a scope, then its API with that token.
Elsewhere a page that needs the login is requested with it, and again without it, because an answer that everybody gets
proves nothing. Source: docker/cli and moby registry/auth.go, loginV2.
"""

from collections.abc import Collection, Generator
from http import HTTPStatus

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import IdentityToken, Secret, UserPassword
from credproxy.core.ask.http import USER_AGENT, Dial, Request, Response
from credproxy.core.errors import Code, failed
from credproxy.core.kinds.dressed import SecretHeaders
from credproxy.exchange.discovery import AskedRegistry, Asks, discover
from credproxy.exchange.registry_token import Order, obtain
from credproxy.exchange.statuses import transient


LoginCheck = Generator[Request, Response, None]

_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


class UnprovenError(Exception):
    """The login was not refused, but nothing shows that it was checked; the message says why."""


def check_registry(
    registry: AskedRegistry, login: UserPassword | IdentityToken, *, repository: str | None
) -> LoginCheck:
    """Try a login at a registry.

    Args:
        registry: to ask.
        login: a user with a password, or a refresh token.
        repository: to ask about if the registry answers its ping to everybody (TX-3); None for none.

    Raises:
        Failed: bad_credentials; what ``discover`` and ``obtain`` raise.
        UnprovenError: the registry asks for no login.
    """
    found = yield from discover(registry, repository)
    if found.asks is Asks.NOTHING:
        raise UnprovenError("it asks for no login")
    if found.asks is Asks.BASIC:
        if not isinstance(login, UserPassword):
            raise failed(Code.BAD_CREDENTIALS, f"{registry.name} takes a user name and a password", hint=_USER)
        yield from _accepted(registry, basic(login))
        return
    order = Order(found, (), login, "the login", registry.target.authority)
    obtained = yield from obtain(order)
    yield from _accepted(registry, Secret(f"Bearer {obtained.token.value.reveal()}"))


_USER = "give one: -u NAME"


def _accepted(registry: AskedRegistry, authorization: Secret) -> LoginCheck:
    url = f"{registry.target.origin}{registry.prefix}/v2/"
    response = yield _ask(url, (("Authorization", (authorization,)),), registry.dial, registry.name)
    # A token without a scope may be refused as such; a token server that accepts any password is caught here.
    if response.status == HTTPStatus.UNAUTHORIZED:
        raise failed(Code.BAD_CREDENTIALS, f"{registry.name} refuses the login", hint=_AGAIN)
    passing = transient(response, registry.name)
    if passing is not None:
        raise passing


_AGAIN = "nothing was stored: check user name and password, and that it has not expired"


def check_page(url: str, headers: SecretHeaders, *, dial: Dial, refusals: Collection[int] = _REFUSED) -> LoginCheck:
    """Try headers on a page.

    Args:
        url: of a page that needs them.
        headers: that contain the login.
        dial: where it may be reached.
        refusals: the statuses that mean that the login is wrong.

    Raises:
        Failed: bad_credentials; upstream_unavailable, rate_limited.
        UnprovenError: everybody gets that answer.
    """
    subject = f"host {url.split('/')[2]!r}"
    response = yield _ask(url, headers, dial, subject)
    if response.status in refusals:
        raise failed(Code.BAD_CREDENTIALS, f"{subject} refuses it with {response.status}", hint=_AGAIN)
    passing = transient(response, subject)
    if passing is not None:
        raise passing
    without = yield _ask(url, (), dial, subject)
    if without.status not in refusals:
        raise UnprovenError(f"it answers {without.status} without it, too")


def _ask(url: str, headers: SecretHeaders, dial: Dial, subject: str) -> Request:
    fields = tuple((name, value) for name, values in headers for value in values)
    return Request("GET", url, (("User-Agent", USER_AGENT), *fields), dial=dial, subject=subject)
