"""A login on another device: the user confirms a short code in any browser, while we poll for the result.

::

    POST device_url   client_id, scope, code_challenge      200 {"device_code", "user_code", "verification_uri", "expires_in"}
    POST token_url    device_code, code_verifier            400 authorization_pending, slow_down; in the end a token

A generator cannot wait, so there is one for the beginning and one for each poll; the caller sleeps in between.
Source: RFC 8628; RFC 7636 for the challenge, which some servers require here as well.
"""

from collections.abc import Generator
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import urlsplit

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.empty import blank
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, failed
from credproxy.exchange.oauth_client import OauthClient, post
from credproxy.exchange.oauth_code import challenge_of
from credproxy.exchange.oauth_refusals import error_of, is_refusal, refusal
from credproxy.exchange.oauth_server import OauthServer
from credproxy.exchange.oauth_token import OauthLimits, OauthToken, Proof, asked, issued
from credproxy.exchange.token_answer import decode_object, is_token


GRANT: Final = "urn:ietf:params:oauth:grant-type:device_code"

INTERVAL: Final = 5.0
"""Seconds between two polls if the server does not say; ``slow_down`` adds as many."""

_LONGEST_INTERVAL: Final = 60.0
_LIFE: Final = 600.0
"""Seconds that a code is valid if the server does not say, although it must."""

_LONGEST_LIFE: Final = 3600.0
_CODE: Final = 64
"""Most characters of a code that a user is asked to type."""

_URL: Final = 2048
"""Most characters of the address of a page."""


@dataclass(frozen=True, slots=True)
class DeviceLogin:
    """A login that waits for the user.

    Attributes:
        user_code: what the user types.
        url: the page to type it on.
        complete_url: the same page with the code in the URL, for a QR code; "" if the server has none.
        interval: seconds to wait before the next poll.
        until: boot-clock second at which the code expires.
        code: the device code, for polling.
        verifier: whose digest was sent at the beginning.
    """

    user_code: str
    url: str
    complete_url: str
    interval: float
    until: float
    code: Secret
    verifier: Secret


def begin(
    server: OauthServer, client: OauthClient, *, limits: OauthLimits, verifier: Secret
) -> Generator[Request, Response, DeviceLogin]:
    """Ask for a code.

    Args:
        server: with a ``device_url``.
        client: that makes the request.
        limits: of the token.
        verifier: random, 43 to 128 characters of base64url (RFC 7636).

    Raises:
        GrantRefused: the same as ``oauth_token.obtain``.
        Failed: no_challenge (the server has no such endpoint), bad_token (its answer cannot be used), upstream_unavailable.
    """
    if not server.device_url:
        message = f"{server.subject} does not say where a login on another device begins"
        raise failed(Code.NO_CHALLENGE, message, hint="name it " + server.setting('device_url = "https://HOST/PATH"'))
    challenge = (("code_challenge", challenge_of(verifier)), ("code_challenge_method", "S256"))
    response = yield post(server, server.device_url, client=client, form=(*limits.form(), *challenge))
    if is_refusal(response):
        raise refusal(asked(server, client, proof=_proof(None, verifier), limits=limits), response)
    return _begun(server, response, verifier)


def ask(
    server: OauthServer, client: OauthClient, *, login: DeviceLogin, limits: OauthLimits
) -> Generator[Request, Response, OauthToken | DeviceLogin]:
    """Poll once; give the token, or the login that is still pending.

    A poll whose answer was lost may be repeated.

    Raises:
        GrantRefused: denied (the user said no), bad_credentials (the code has expired), and those of
            ``oauth_token.obtain``.
        Failed: upstream_unavailable and other temporary failures: the login continues.
    """
    proof = _proof(login.code, login.verifier)
    response = yield post(server, server.token_url, client=client, form=proof.form)
    if not is_refusal(response):
        return issued(server, limits, response=response)
    match error_of(response):
        case "authorization_pending":
            return login
        case "slow_down":
            return replace(login, interval=min(login.interval + INTERVAL, _LONGEST_INTERVAL))
        case _:
            raise refusal(asked(server, client, proof=proof, limits=limits), response)


def _proof(code: Secret | None, verifier: Secret) -> Proof:
    device = () if code is None else (("device_code", code), ("code_verifier", verifier))
    return Proof("device_code", (("grant_type", GRANT), *device), "the code", "begin again")


def _begun(server: OauthServer, response: Response, verifier: Secret) -> DeviceLogin:
    found = decode_object(response.body) or {}
    code, user_code = found.get("device_code"), found.get("user_code")
    url = _page(server, found.get("verification_uri"))
    complete = _page(server, found.get("verification_uri_complete"))
    # A QR code shows nobody where it leads: only to the place that is shown.
    complete = complete if url and complete and parse_uri(complete).origin == parse_uri(url).origin else ""
    if not is_token(code) or not isinstance(user_code, str) or not _typeable(user_code) or not url:
        message = f"{server.subject} began no login: its answer holds no code, or no page to type it in"
        raise failed(Code.BAD_TOKEN, message, hint="ask its administrator")
    life = _seconds(found.get("expires_in"), _LIFE, most=_LONGEST_LIFE)
    interval = _seconds(found.get("interval"), INTERVAL, most=_LONGEST_INTERVAL)
    return DeviceLogin(user_code, url, complete, interval, response.sent + life, Secret(code), verifier)


def _typeable(code: str) -> bool:
    return len(code) <= _CODE and code.isascii() and code.isprintable() and not blank(code)


def _page(server: OauthServer, url: object) -> str:
    """A URL that a user may be sent to, by https unless the server itself is asked by http; "" if it is not one."""
    if not isinstance(url, str) or len(url) > _URL or "://" not in url:
        return ""
    schemes = {"https", urlsplit(server.token_url).scheme}
    try:
        return url if parse_uri(url).scheme in schemes else ""
    except Failed:
        return ""


def _seconds(value: object, usual: float, *, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 1:
        return usual
    return float(min(value, most))  # before it is converted, which fails for a number of 400 digits
