"""A login in the browser of this machine, which returns a code to a loopback port.

::

    GET authorize_url ? response_type=code, client_id, redirect_uri, scope, state, code_challenge     by the browser
    GET http://127.0.0.1:PORT/ ? code, state, iss     or     ? error, state                           by the browser, to us
    POST token_url      code, redirect_uri, code_verifier                                             by us

The caller generates the random values. Source: RFC 6749, section 4.1; RFC 7636 (PKCE); RFC 8252 (native applications);
RFC 9207 (``iss``, which tells which server the code is from).
"""

import base64
import hashlib
import hmac
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from credproxy.core.ask.credential import Secret, reveal
from credproxy.core.errors import Code, Failed, failed
from credproxy.exchange.oauth_client import OauthClient
from credproxy.exchange.oauth_server import OauthServer
from credproxy.exchange.oauth_token import OauthLimits, TokenExchange, obtain, of_code


_AGAIN = "begin again, and let the browser come back by itself"
_LONGEST: Final = 16_384
"""Most characters of a query that is read."""


@dataclass(frozen=True, slots=True)
class BrowserLogin:
    """A login that waits for a browser.

    Attributes:
        state: random; distinguishes our own page from one that somebody else opened.
        verifier: random, 43 to 128 characters of base64url; the code is worthless without it.
        redirect_uri: where the browser returns to, such as ``http://127.0.0.1:41234/``.
    """

    state: Secret
    verifier: Secret
    redirect_uri: str


def challenge_of(verifier: Secret) -> str:
    """The digest of a verifier, which is not secret. Source: RFC 7636, section 4.2."""
    digest = hashlib.sha256(verifier.reveal().encode()).digest()
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def authorize_url(server: OauthServer, client: OauthClient, *, limits: OauthLimits, login: BrowserLogin) -> str:
    """The page to open in the browser. Raises Failed(no_challenge): the server has none."""
    if not server.authorize_url:
        message = f"{server.subject} does not say where a login in a browser begins"
        raise failed(
            Code.NO_CHALLENGE, message, hint="name it " + server.setting('authorize_url = "https://HOST/PATH"')
        )
    fields = [
        ("response_type", "code"),
        ("client_id", client.id),
        ("redirect_uri", login.redirect_uri),
        ("state", login.state.reveal()),
        ("code_challenge", challenge_of(login.verifier)),
        ("code_challenge_method", "S256"),
        *((name, reveal(value)) for name, value in limits.form()),
        # Without it a server leaves that scope out (OpenID Connect Core, section 11).
        *([("prompt", "consent")] if "offline_access" in limits.scopes else []),
    ]
    mark = "&" if urlsplit(server.authorize_url).query else "?"
    return f"{server.authorize_url}{mark}{urlencode(fields, quote_via=quote)}"


def is_answer(login: BrowserLogin, query: str) -> bool:
    """Whether a query is of the page that this login opened: it has its state. Anybody may ask for a page with another one."""
    return hmac.compare_digest(_once(query).get("state", "").encode(), login.state.reveal().encode())


def code_of(server: OauthServer, login: BrowserLogin, *, query: str) -> Secret:
    """Read the code from the query that the browser returned with.

    Args:
        server: that the code must come from.
        login: that was begun.
        query: after the ``?`` of the requested URL.

    Raises:
        Failed: bad_request (it is not the answer to this login: another state or issuer, no code), denied.
    """
    found = _once(query)
    if not is_answer(login, query):
        raise failed(Code.BAD_REQUEST, "the browser came back with the answer to another login", hint=_AGAIN)
    if "iss" in found and server.issuer and found["iss"] != server.issuer:
        message = f"the browser came back from another issuer than {server.issuer!r}"
        raise failed(
            Code.BAD_REQUEST, message, hint="nothing was sent to it; somebody may stand in between: begin again"
        )
    if "error" in found:
        raise _refused(server, found["error"])
    if not found.get("code"):
        raise failed(Code.BAD_REQUEST, "the browser came back without a code", hint=_AGAIN)
    return Secret(found["code"])


def redeem(
    server: OauthServer, client: OauthClient, *, limits: OauthLimits, login: BrowserLogin, code: Secret
) -> TokenExchange:
    """Get the token for a code. Raises the same as ``oauth_token.obtain``."""
    return obtain(
        server,
        client,
        proof=of_code(code, login.verifier, redirect_uri=login.redirect_uri),
        limits=OauthLimits((), limits.audience, limits.resource),
    )


def _once(query: str) -> dict[str, str]:
    """The fields of a query; none if a field occurs twice."""
    pairs = parse_qsl(query, keep_blank_values=True) if len(query) <= _LONGEST else []
    found = dict(pairs)
    return found if len(found) == len(pairs) else {}


def _refused(server: OauthServer, error: str) -> Failed:
    if error == "access_denied":
        return failed(
            Code.DENIED, f"{server.subject} says that access was denied", hint="begin again, and allow it there"
        )
    if error == "invalid_scope":
        where = server.setting("scope = [...]")
        return failed(
            Code.DENIED, f"{server.subject} does not give the scope that is asked for", hint=f"name another one {where}"
        )
    if error in {"temporarily_unavailable", "server_error"}:
        message = f"{server.subject} cannot serve at the moment"
        return failed(Code.UPSTREAM_UNAVAILABLE, message, hint="it is the server's fault and may pass")
    message = f"{server.subject} refused to begin a login in the browser"
    return failed(
        Code.DENIED, message, hint="its page says why; is http://127.0.0.1/ registered as a place to come back to?"
    )
