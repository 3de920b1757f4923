"""What a token endpoint answers: which field is the token, and how long it lives.

Source: token-exchange.md TX-7, TX-8, TX-14 to TX-16; distribution docs/content/spec/auth/token.md.
"""

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import datetime

import msgspec

from credproxy.core.credential import Lifetime, Secret
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.http import Response
from credproxy.core.lifetime import LONGEST


DEFAULT_LIFE = 60.0
"""Seconds where the server does not say (the specification's). Not a floor: our clients cannot try again on 401."""

_BELIEVED = 30 * 24 * 3600.0
"""Seconds above which a lifetime is a mistake: olareg sends nanoseconds."""

_TOKEN = re.compile(r"[!-~]{1,16384}")


@dataclass(frozen=True, slots=True)
class Token:
    """One token.

    Attributes:
        value: printable ASCII.
        lifetime: counted from the moment before the request was sent (TX-15).
        refresh_token: a new one that replaces the one just used (TX-13), or None.
    """

    value: Secret
    lifetime: Lifetime
    refresh_token: Secret | None = None


def parse_token(response: Response, subject: str, *, trust_jwt_exp: bool = False) -> Token:
    """Read a 200.

    Raises:
        Failed(bad_token): no JSON object with a usable token; the message never quotes the body (SEC-6).
    """
    try:
        found = msgspec.json.decode(response.body, type=dict[str, object])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise _bad(subject, "its answer is no JSON object") from None
    value = found.get("access_token") or found.get("token")
    if not isinstance(value, str) or not _TOKEN.fullmatch(value):
        raise _bad(subject, "its answer holds no usable token")
    left = _left(found, value, response, trust_jwt_exp=trust_jwt_exp)
    refresh = found.get("refresh_token")
    return Token(
        Secret(value),
        Lifetime(since=response.sent, until=response.sent + left),
        Secret(refresh) if isinstance(refresh, str) and _TOKEN.fullmatch(refresh) else None,
    )


def lifetime_of(value: object) -> float:
    """Seconds of an ``expires_in``: a positive number or digit string, truncated; 60 for all else (TX-14)."""
    if isinstance(value, str) and value.isascii() and value.isdigit():
        value = int(value[:20])
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return DEFAULT_LIFE
    seconds = float(int(value))
    return min(seconds, LONGEST) if 0 < seconds <= _BELIEVED else DEFAULT_LIFE


def _left(found: dict[str, object], token: str, response: Response, *, trust_jwt_exp: bool) -> float:
    """Seconds from ``response.sent`` to the hard expiry."""
    life = lifetime_of(found.get("expires_in"))
    left = life - _age(found.get("issued_at"), response.wall)
    if left <= 0:
        # Issued so long ago that it is dead on arrival: the server's clock is off, and a minute is a safe guess.
        left = min(life, DEFAULT_LIFE)
    stated = _jwt_expiry(token)
    if stated is None:
        return left
    stated -= response.wall
    if trust_jwt_exp and "expires_in" not in found:
        return min(stated, LONGEST)
    return min(left, stated)


def _age(issued_at: object, wall: float) -> float:
    """Seconds since ``issued_at``; 0 where it is missing, unreadable or in the future (TX-15)."""
    if not isinstance(issued_at, str):
        return 0.0
    try:
        issued = datetime.fromisoformat(issued_at)
    except ValueError:
        return 0.0
    return 0.0 if issued.tzinfo is None else max(0.0, wall - issued.timestamp())


def _jwt_expiry(token: str) -> float | None:
    """``exp`` of a JWT; it may only shorten, so nothing has to be verified (TX-16)."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004  header, payload, signature (RFC 7519)
        return None
    try:
        payload = msgspec.json.decode(base64.urlsafe_b64decode(parts[1] + "=="), type=dict[str, object])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        return None
    exp = payload.get("exp")
    return float(exp) if isinstance(exp, (int, float)) and not isinstance(exp, bool) else None


def _bad(subject: str, problem: str) -> Failed:
    return failed(Code.BAD_TOKEN, f"{subject} gave no token: {problem}", "tell the registry's administrator")
