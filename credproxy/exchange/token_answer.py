"""What a token endpoint answers: which field is the token, and how long it lives.

Source: TX-7, TX-8, TX-14 to TX-16; distribution docs/content/spec/auth/token.md.
"""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import TypeGuard

from credproxy.core.ask.credential import Lifetime, Secret
from credproxy.core.ask.http import Response
from credproxy.core.ask.http_date import server_time
from credproxy.core.ask.jwt import life, whole_life
from credproxy.core.ask.lifetime import LONGEST
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.exchange.granted import stated


DEFAULT_LIFE = 60.0
"""Seconds if the server does not say (as in the specification). Not a minimum: our clients cannot try again on 401."""

_BELIEVED = 30 * 24 * 3600.0
"""Seconds above which a lifetime must be a mistake: olareg sends nanoseconds."""

_TOKEN = re.compile(r"[!-~]{1,16384}")


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        value: printable ASCII.
        lifetime: counted from the moment before the request was sent (TX-15).
        refresh_token: a new one that replaces the one just used (TX-13), or None.
        granted: the scopes that it says it grants, or None if it does not say (TX-12).
    """

    value: Secret
    lifetime: Lifetime
    refresh_token: Secret | None = None
    granted: tuple[str, ...] | None = None


def parse_token(response: Response, subject: str, *, trust_jwt_exp: bool = False) -> Token:
    """Read a 200.

    Raises:
        Failed(bad_token): not a JSON object with a usable token; the message never quotes the body (SEC-6).
    """
    found = decode_object(response.body)
    if found is None:
        raise _bad(subject, "its answer is not a JSON object")
    value = found.get("access_token")
    if not isinstance(value, str) or not value:
        value = found.get("token")
    if not is_token(value):
        raise _bad(subject, "its answer holds no usable token")
    left = _left(found, value, response, trust_jwt_exp=trust_jwt_exp)
    refresh = found.get("refresh_token")
    return Token(
        Secret(value),
        Lifetime(since=response.sent, until=response.sent + left),
        Secret(refresh) if is_token(refresh) else None,
        stated(value, found.get("scope")),
    )


def is_token(value: object) -> TypeGuard[str]:
    """Whether a value is a token that can be sent: of visible ASCII (RFC 6750, section 2.1), and no longer than a header may be."""
    return isinstance(value, str) and _TOKEN.fullmatch(value) is not None


def decode_object(body: bytes) -> dict[str, object] | None:
    """Read a JSON object strictly; None for any other value, a name that occurs twice, NaN or a byte order mark (U10)."""
    try:
        found: object = json.loads(body.decode(), object_pairs_hook=_once_each, parse_constant=_refuse)
    except UNREADABLE:
        return None
    return found if isinstance(found, dict) else None


def lifetime_of(value: object) -> float:
    """Seconds of an ``expires_in``: a positive number or digit string, truncated; 60 for anything else (TX-14)."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    # The range is checked before the conversion, which fails for infinity and for a number of 400 digits.
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 1 <= value <= _BELIEVED:
        return DEFAULT_LIFE
    return min(float(int(value)), LONGEST)


def _left(found: dict[str, object], token: str, response: Response, *, trust_jwt_exp: bool) -> float:
    """Seconds from ``response.sent`` to the hard expiry.

    The server's times are compared with its own ``Date``: this machine's clock may be off by more than a token's
    lifetime. If it sends none, this machine's clock is used.
    """
    date = server_time(response.headers)
    now = response.wall if date is None else date
    whole = lifetime_of(found.get("expires_in"))
    left = whole - _age(found.get("issued_at"), now)
    if left <= 0:
        # Issued so long ago that it has already expired: one of the clocks is off, and a minute is a safe guess.
        left = min(whole, DEFAULT_LIFE)
    ends = life(token, now)
    if ends is None:
        return left
    if ends <= 0 and date is None:
        # Here either this machine's clock is ahead, or the token has expired: the same guess.
        ends = min(whole_life(token) or ends, DEFAULT_LIFE)
    if trust_jwt_exp and "expires_in" not in found:
        return min(ends, LONGEST)
    return min(left, ends)


def _age(issued_at: object, now: float) -> float:
    """Seconds since ``issued_at``; 0 if it is missing, unreadable or in the future (TX-15)."""
    if not isinstance(issued_at, str):
        return 0.0
    try:
        issued = datetime.fromisoformat(issued_at)
    except ValueError:
        return 0.0
    return 0.0 if issued.tzinfo is None else max(0.0, now - issued.timestamp())


def _once_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice")
    return found


def _refuse(constant: str) -> None:
    raise ValueError(constant)


def _bad(subject: str, problem: str) -> Failed:
    return failed(Code.BAD_TOKEN, f"{subject} gave no token: {problem}", hint="tell the registry's administrator")
