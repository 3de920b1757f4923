"""Refusals of an authorization server, in our words: of its answer only the code is used, from a closed list (SEC-6).

Source: RFC 6749, section 5.2; RFC 8628, section 3.5; RFC 8693, section 2.2.2; RFC 8707, section 2. GitHub has codes of its own
and sends them with 200: docs.github.com, "Troubleshooting OAuth app access token request errors".
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from credproxy.core.ask.http import Response
from credproxy.core.ask.http_date import SKEWED, clock_ahead
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.exchange.oauth_client import OauthClient
from credproxy.exchange.oauth_server import OauthServer
from credproxy.exchange.statuses import transient
from credproxy.exchange.token_answer import decode_object


_LATER: Final = frozenset({"temporarily_unavailable", "server_error"})
_ENDED: Final = frozenset({"invalid_grant", "expired_token", "bad_refresh_token", "bad_verification_code"})
_CLIENT: Final = frozenset({"invalid_client", "incorrect_client_credentials"})


class GrantRefused(Failed):
    """The server has answered with a refusal: this did not spend what was sent."""


@dataclass(frozen=True, slots=True)
class AskedFor:
    """What was requested, for messages.

    Attributes:
        server: that was asked.
        client: that made the request.
        grant: the grant type.
        proof: what was sent beside the client's own secret, and where it is stored, such as ``the refresh token from
            file:/x``; "" for none.
        signed: what was sent contains a time of this machine's clock.
        scopes, targets: what was requested; ``targets`` are ``audience`` and ``resource``.
        setup: what the user does when the proof has expired.
    """

    server: OauthServer
    client: OauthClient
    grant: str
    proof: str = ""
    signed: bool = False
    scopes: tuple[str, ...] = ()
    targets: tuple[str, ...] = ()
    setup: str = ""


def error_of(response: Response) -> str:
    """The code of a refusal; "" for none."""
    error = (decode_object(response.body) or {}).get("error")
    return error if isinstance(error, str) else ""


def is_refusal(response: Response) -> bool:
    """Whether an answer is a refusal: by its status, or, as GitHub has it, a 200 with an error and without a token."""
    found = decode_object(response.body) or {}
    return response.status != HTTPStatus.OK or bool(found.get("error") and not found.get("access_token"))


def refusal(asked: AskedFor, response: Response) -> Failed:
    """Say why there is no token: a GrantRefused if the server refused."""
    error = error_of(response)
    passing = transient(response, asked.server.subject)
    if passing is not None:
        return passing
    if error in _LATER:
        message = f"{asked.server.subject} cannot serve at the moment"
        return failed(Code.UPSTREAM_UNAVAILABLE, message, hint="it is the server's fault and may pass")
    if error in _CLIENT or (response.status == HTTPStatus.UNAUTHORIZED and not error):
        return _unknown_client(asked, response)
    if error in _ENDED and asked.proof:
        return _over(asked, response)
    return _DENIALS[error](asked) if error in _DENIALS else _by_status(asked, response.status)


def _refused(asked: AskedFor, message: str, hint: str, code: Code = Code.DENIED) -> GrantRefused:
    return GrantRefused(Failure(code, f"{asked.server.subject} {message}", hint, inside=True))


def _request(asked: AskedFor) -> GrantRefused:
    message = f"does not take the request of the client {asked.client.id!r} by {asked.grant}"
    where = asked.server.setting("grant, audience, resource")
    return _refused(asked, message, f"see that the client may ask so, and compare with what the server wants, {where}")


def _scope(asked: AskedFor) -> GrantRefused:
    scopes = " ".join(asked.scopes)
    wanted = f"the scope {scopes!r}" if scopes else "a token without a scope"
    message = f"does not give the client {asked.client.id!r} {wanted}"
    where = asked.server.setting("scope = [...]")
    return _refused(asked, message, f"have it granted to the client, or name another one {where}")


def _grant(asked: AskedFor) -> GrantRefused:
    message = f"does not let the client {asked.client.id!r} ask by {asked.grant}"
    where = asked.server.setting("grant = ...")
    return _refused(asked, message, f"have that grant enabled for the client, or name another one {where}")


def _target(asked: AskedFor) -> GrantRefused:
    message = f"gives no tokens for {' '.join(asked.targets)!r}"
    where = asked.server.setting("resource = [...] or audience = [...]")
    return _refused(asked, message, f"have it allowed for the client, or correct it {where}")


def _access(asked: AskedFor) -> GrantRefused:
    hint = asked.setup or f"ask its administrator to grant it to the client {asked.client.id!r}"
    return _refused(asked, "says that access was denied", hint)


def _person(asked: AskedFor) -> GrantRefused:
    """What only somebody who is there can do (OpenID Connect Core, section 3.1.2.6; Entra ID answers so to a refresh token)."""
    hint = asked.setup or f"ask its administrator to consent for the client {asked.client.id!r}"
    code = Code.BAD_CREDENTIALS if asked.proof else Code.DENIED
    return _refused(asked, "wants its user to log in again, to confirm something or to consent", hint, code)


def _slower(asked: AskedFor) -> GrantRefused:
    return _refused(asked, "asks to come back later", "too many requests were made with this login", Code.RATE_LIMITED)


_DENIALS: Final[Mapping[str, Callable[[AskedFor], GrantRefused]]] = {
    "invalid_request": _request,
    "invalid_scope": _scope,
    "unauthorized_client": _grant,
    "unsupported_grant_type": _grant,
    "device_flow_disabled": _grant,
    "invalid_target": _target,
    "access_denied": _access,
    "interaction_required": _person,
    "login_required": _person,
    "consent_required": _person,
    "slow_down": _slower,
}


def _unknown_client(asked: AskedFor, response: Response) -> GrantRefused:
    client, setting = asked.client, asked.server.setting
    skew = _skew(response) if client.once else None
    if skew is not None:
        return _off(asked, f"what the client {client.id!r} has signed", skew)
    if client.method == "none":
        hint = "give it one: " + setting("client_secret = { source = ... }")
        return _refused(asked, f"takes no client {client.id!r} without a secret", hint, Code.BAD_CREDENTIALS)
    if client.method == "private_key_jwt":
        message = f"does not take what the client {client.id!r} has signed with {client.proof}"
        hint = "register the key's public half there, and name it as it is named there: " + setting("key_id = ...")
        return _refused(asked, message, hint, Code.BAD_CREDENTIALS)
    other = "client_secret_post" if client.method == "client_secret_basic" else "client_secret_basic"
    message = f"does not take the client {client.id!r} with the secret from {client.proof}"
    hint = "store the right one there; if it is right, send it in another way: " + setting(f'client_auth = "{other}"')
    return _refused(asked, message, hint, Code.BAD_CREDENTIALS)


def _over(asked: AskedFor, response: Response) -> GrantRefused:
    skew = _skew(response) if asked.signed else None
    if skew is not None:
        return _off(asked, asked.proof, skew)
    message = f"does not take {asked.proof}: it has ended, was revoked or is for another client"
    return _refused(asked, message, asked.setup, Code.BAD_CREDENTIALS)


def _off(asked: AskedFor, what: str, skew: str) -> GrantRefused:
    return _refused(asked, f"does not take {what}: {skew}", "timedatectl set-ntp true", Code.BAD_CREDENTIALS)


def _skew(response: Response) -> str | None:
    """By how much this machine's clock is off, if that is enough to invalidate what it signs."""
    ahead = clock_ahead(response.headers, response.wall)
    if ahead is None or abs(ahead) < SKEWED:
        return None
    return f"this machine's clock is {abs(ahead):.0f} s {'ahead' if ahead > 0 else 'behind'}"


def _by_status(asked: AskedFor, status: int) -> GrantRefused:
    where = asked.server.setting('token_url = "https://HOST/PATH"')
    if status == HTTPStatus.OK:
        return _refused(asked, "answered with an error instead of a token", "ask its administrator")
    if HTTPStatus.OK < status < HTTPStatus.MULTIPLE_CHOICES:
        return _refused(asked, f"answered {status} without a token", "a token comes with 200", Code.BAD_TOKEN)
    if HTTPStatus.MULTIPLE_CHOICES <= status < HTTPStatus.BAD_REQUEST:
        message = "redirects, and logins do not follow redirects"
        return _refused(asked, message, f"name the right token endpoint {where}", Code.REDIRECT_REFUSED)
    if status in {HTTPStatus.NOT_FOUND, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED}:
        message = f"answered {status}: there is no token endpoint"
        return _refused(asked, message, f"name the right token endpoint {where}", Code.NO_CHALLENGE)
    return _refused(asked, f"answered {status} to the client {asked.client.id!r}", "ask its administrator")
