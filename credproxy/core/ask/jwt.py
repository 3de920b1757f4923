"""The claims of a JWT, unverified: the server that made the token is the one that will judge it. Source: RFC 7519."""

import base64
import binascii
from datetime import UTC, datetime

import msgspec

from credproxy.core.ask.credential import Stored, secret_of
from credproxy.core.unreadable_json import UNREADABLE


_YEAR_10000 = 253_402_300_800


class _Times(msgspec.Struct, frozen=True):
    exp: float | None = None
    iat: float | None = None


class _Audience(msgspec.Struct, frozen=True):
    aud: str | tuple[str, ...] = ()


class _Bearer(msgspec.Struct, frozen=True):
    iss: str = ""
    sub: str = ""


def whose(token: str) -> tuple[str, str] | None:
    """The issuer and the subject of a token; None if it does not name both. Two tokens of one subject are one login."""
    try:
        found = msgspec.json.decode(claims(token), type=_Bearer)
    except UNREADABLE:
        return None
    return (found.iss, found.sub) if found.iss and found.sub else None


def claims(token: str) -> bytes:
    """The JSON text of a token's claims; empty for a token that is not a JWT."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004  header, payload, signature
        return b""
    try:
        return base64.urlsafe_b64decode(parts[1] + "==")
    except (binascii.Error, ValueError):  # characters beyond ASCII are a ValueError
        return b""


def life(token: str, wall: float) -> float | None:
    """Seconds that a token says it has left, negative once it has expired; None if it does not say.

    The number may only shorten a lifetime, so nothing has to be verified. If the token also says when it was
    issued, it has no more left than its whole life, however slow this machine's clock is.

    Args:
        token: any text.
        wall: POSIX seconds, now.
    """
    times = _times(token)
    if times is None or times.exp is None:
        return None
    whole = whole_life(token)
    return times.exp - wall if whole is None else min(times.exp - wall, whole)


def whole_life(token: str) -> float | None:
    """Seconds from a token's issue to its end, on its issuer's clock alone; None if it does not say both."""
    times = _times(token)
    if times is None or times.exp is None or times.iat is None or not 0 < times.iat < times.exp:
        return None
    return times.exp - times.iat


def audiences(token: str) -> tuple[str, ...]:
    """Whom a token is for; nothing if it does not say. Source: RFC 7519, section 4.1.3."""
    try:
        found = msgspec.json.decode(claims(token), type=_Audience).aud
    except UNREADABLE:
        return ()
    return (found,) if isinstance(found, str) else found


def _times(token: str) -> _Times | None:
    """The times of a token that says when it ends; None for every other text."""
    try:
        times = msgspec.json.decode(claims(token), type=_Times)
    except UNREADABLE:
        return None
    return None if times.exp is None or not 0 < times.exp < _YEAR_10000 else times


def stored_life(stored: Stored, wall: float) -> float | None:
    """Seconds that a stored credential has left, if its secret is a JWT that says so; see ``life``."""
    return life(secret_of(stored).reveal().strip().rpartition(" ")[2], wall)


def over(stored: Stored, wall: float) -> str:
    """That the secret is a token that is over by its own words, and since when, as the end of a sentence; "" otherwise."""
    left = stored_life(stored, wall)
    if left is None or left > 0:
        return ""
    return f"holds a token that expired at {datetime.fromtimestamp(wall + left, UTC):%Y-%m-%d %H:%M:%S} UTC by its own words"


def header_life(value: str, wall: float) -> float | None:
    """Seconds that a header's value has left: of a token after its scheme, or of the password in a Basic value."""
    scheme, _, rest = value.strip().rpartition(" ")
    if scheme.lower() != "basic":
        return life(rest, wall)
    try:
        return life(base64.b64decode(rest + "==").decode().partition(":")[2], wall)
    except ValueError:  # neither base64 nor UTF-8: then it is not a JWT either
        return None
