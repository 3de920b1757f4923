"""The token request: from a stored credential and scopes to a registry's Bearer token.

Two forms. GET with Basic, which every token server has, and POST for identity tokens, which Quay, Harbor and GitLab
refuse; if the POST is refused as such, and a login is known as well, the GET follows (TX-9). An anonymous GET never
takes its place: that would turn a private pull into "not found".

Source: docs/design/exchanges.md#token-requests; distribution docs/content/spec/auth/{token,oauth}.md.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Literal
from urllib.parse import quote, quote_plus, unquote_plus

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import IdentityToken, Secret, UserPassword
from credproxy.core.ask.http import USER_AGENT, Request, Response
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.hints import in_host
from credproxy.exchange.discovery import Found
from credproxy.exchange.granted import lacking
from credproxy.exchange.scope import without_push, without_unknown
from credproxy.exchange.statuses import transient
from credproxy.exchange.token_answer import Token, decode_object, parse_token


NULL_GUID = "00000000-0000-0000-0000-000000000000"
"""The user name under which ACR takes a refresh token as a password."""

_OURS = frozenset({"service", "scope", "account", "client_id", "offline_token"})
_FALLS_BACK = frozenset({400, 401, 404, 405, 501})
_NO_SUCH_METHOD = frozenset({404, 405})

TokenMethod = Literal["GET", "POST"]
Exchange = Generator[Request, Response, "Obtained"]


@dataclass(frozen=True, slots=True)
class Order:
    """What to obtain, and with what.

    Attributes:
        found: the token endpoint.
        scopes: canonical, the primary one first.
        mounted: those of ``scopes`` that a blob is mounted from: an upload works without them (TX-22).
        credential: None for an anonymous token.
        credential_name: which stored credential it is, for messages.
        registry: authority, for messages.
        fixed: the configured method: no other one is tried.
        method: what worked last time for this kind of credential; None to choose by the kind.
        password_grant: whether a password may be sent by POST.
        account: whether the user name goes into the query, where logs show it (TX-4).
        trust_jwt_exp: see TX-16.
    """

    found: Found
    scopes: tuple[str, ...]
    credential: UserPassword | IdentityToken | None
    credential_name: str
    registry: str
    fixed: TokenMethod | None = None
    method: TokenMethod | None = None
    password_grant: bool = False
    account: bool = False
    trust_jwt_exp: bool = False
    mounted: tuple[str, ...] = ()

    def unmounted(self) -> "Order":
        """The same order without the scopes that a blob is mounted from."""
        return replace(self, scopes=tuple(one for one in self.scopes if one not in self.mounted), mounted=())

    @property
    def subject(self) -> str:
        """Its name in messages."""
        return f"token server {self.found.authority!r}"


@dataclass(frozen=True, slots=True)
class Obtained:
    """A token and the method that gave it."""

    token: Token
    method: TokenMethod


def obtain(order: Order) -> Exchange:
    """Hold the exchange.

    Raises:
        Failed: bad_credentials, denied, no_challenge (no such endpoint), redirect_refused, bad_token, rate_limited,
            upstream_unavailable.
    """
    login = _login(order.credential)
    method = _first(order, login)
    response = yield from _ask(order, method, login)
    other = _instead(order, method, login, response.status)
    if other is not None:
        method = other
        response = yield from _ask(order, method, login)
    if response.status != HTTPStatus.OK:
        raise _refused(order, response)
    token = _token(order, response)
    if order.mounted and lacking(order.unmounted().scopes, token.granted):
        # A server that reads only one scope may have read the other one (TX-21).
        response = yield _send(order.unmounted(), method, login)
        token = _token(order, response) if response.status == HTTPStatus.OK else token
    return Obtained(token, method)


def _token(order: Order, response: Response) -> Token:
    return parse_token(response, order.subject, trust_jwt_exp=order.trust_jwt_exp)


def _first(order: Order, login: UserPassword | None) -> TokenMethod:
    wanted = order.fixed or order.method
    if isinstance(order.credential, IdentityToken):
        # GET is possible only if a login is known; what worked last time is tried first (TX-9).
        return "GET" if wanted == "GET" and login is not None else "POST"
    return "POST" if wanted == "POST" and login is not None and order.password_grant else "GET"


def _instead(order: Order, method: TokenMethod, login: UserPassword | None, status: int) -> TokenMethod | None:
    """The other method to try after a refusal; None: the refusal stands (TX-9)."""
    if order.fixed is not None or login is None:
        return None
    if isinstance(order.credential, IdentityToken):
        return "GET" if method == "POST" and status in _FALLS_BACK else None
    return "POST" if method == "GET" and status in _NO_SUCH_METHOD and order.password_grant else None


def _login(credential: UserPassword | IdentityToken | None) -> UserPassword | None:
    match credential:
        case IdentityToken(_, username, Secret() as password) if username and password:
            return UserPassword(username, password)
        case IdentityToken(token, username) if username == NULL_GUID:
            return UserPassword(username, token)
        case UserPassword():
            return credential
        case _:
            return None


def _ask(order: Order, method: TokenMethod, login: UserPassword | None) -> Generator[Request, Response, Response]:
    response = yield _send(order, method, login)
    if order.mounted and not _serves(order, response):
        order = order.unmounted()
        response = yield _send(order, method, login)
    again = order.scopes
    # Scopes that the server never grants must not prevent those that it would (TX-10).
    if response.status == HTTPStatus.FORBIDDEN:
        again = without_push(order.scopes)
    elif response.status == HTTPStatus.BAD_REQUEST:
        again = without_unknown(order.scopes)
    if again != order.scopes and again:
        narrower = replace(order, scopes=again)
        response = yield _send(narrower, method, login)
    return response


def _serves(order: Order, response: Response) -> bool:
    """False for a refusal of any kind, which may be due to the mounted scopes alone; True for temporary failures."""
    if response.status != HTTPStatus.OK:
        return transient(response, order.subject) is not None
    try:
        _token(order, response)
    except Failed:
        return False
    return True


def _send(order: Order, method: TokenMethod, login: UserPassword | None) -> Request:
    return _post(order) if method == "POST" else _get(order, login)


def _get(order: Order, login: UserPassword | None) -> Request:
    authorization: tuple[tuple[str, str | Secret], ...] = () if login is None else (("Authorization", basic(login)),)
    return Request(
        "GET",
        _url(order, login),
        headers=(*authorization, ("Accept", "application/json"), ("User-Agent", USER_AGENT)),
        dial=order.found.dial,
        subject=order.subject,
    )


def _url(order: Order, login: UserPassword | None) -> str:
    """The realm with our parameters in place of any of the same name (CH-14); one ``scope`` each (TX-4)."""
    ours = [("service", order.found.service)] if order.found.service else []
    ours += [("scope", scope) for scope in order.scopes]
    if order.account and login is not None:
        ours.append(("account", login.username))
    # A service may contain octets beyond ASCII; they are sent back unchanged.
    return _endpoint(order, [f"{name}={quote(value, ':/,', errors='surrogateescape')}" for name, value in ours])


def _endpoint(order: Order, ours: list[str]) -> str:
    base, _, query = order.found.realm.partition("?")
    kept = [part for part in query.split("&") if part and unquote_plus(part.partition("=")[0]) not in _OURS]
    parts = [*kept, *ours]
    return base + ("?" + "&".join(parts) if parts else "")


def _post(order: Order) -> Request:
    form: list[tuple[str, str]]
    match order.credential:
        case IdentityToken(token):
            form = [("grant_type", "refresh_token"), ("refresh_token", token.reveal())]
        case UserPassword(username, password):
            form = [("grant_type", "password"), ("username", username), ("password", password.reveal())]
        case None:
            form = []
    if order.found.service:
        form.append(("service", order.found.service))
    form.append(("client_id", "credproxy"))
    if order.scopes:
        form.append(("scope", " ".join(order.scopes)))
    return Request(
        "POST",
        _endpoint(order, []),
        headers=(
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "application/json"),
            ("User-Agent", USER_AGENT),
        ),
        body=Secret("&".join(f"{name}={quote_plus(value, errors='surrogateescape')}" for name, value in form)),
        repeatable=not isinstance(order.credential, IdentityToken),
        dial=order.found.dial,
        subject=order.subject,
    )


def _refused(order: Order, response: Response) -> Failed:
    """Say which login was refused, and never quote the server (SEC-6)."""
    passing = transient(response, order.subject)
    if passing is not None:
        return passing
    status = response.status
    login_again = f"docker login {order.registry}, or fix the stored credential; then run the build again"
    if status == HTTPStatus.UNAUTHORIZED or (status == HTTPStatus.BAD_REQUEST and _invalid_grant(response)):
        return failed(
            Code.BAD_CREDENTIALS,
            f"{order.subject} refused the login from {order.credential_name}",
            hint=login_again,
            inside=True,
        )
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        return failed(
            Code.REDIRECT_REFUSED,
            f"{order.subject} redirects, and logins do not follow redirects",
            hint="name the right token server "
            + in_host(order.found.dial.rule or order.registry, 'realm = "https://HOST/PATH"'),
        )
    if HTTPStatus.OK < status < HTTPStatus.MULTIPLE_CHOICES:
        return failed(
            Code.BAD_TOKEN, f"{order.subject} answered {status} without a token", hint="a token comes with 200"
        )
    if status in {404, 405, 501}:
        return failed(
            Code.NO_CHALLENGE,
            f"{order.subject} answered {status}: it does not accept the kind of login that {order.credential_name} holds",
            hint=f"store a user name and password for it: docker login {order.registry}",
            inside=True,
        )
    return failed(
        Code.DENIED,
        f"{order.subject} answered {status} to the login from {order.credential_name} for {' '.join(order.scopes)}",
        hint=f"check what this login may do; {login_again}",
        inside=True,
    )


def _invalid_grant(response: Response) -> bool:
    """An expired refresh token is reported as 400 with this word. Source: RFC 6749, section 5.2."""
    return (decode_object(response.body) or {}).get("error") == "invalid_grant"
