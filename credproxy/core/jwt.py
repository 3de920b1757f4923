"""The claims of a JWT, unverified: the server that made the token is the one that will judge it. Source: RFC 7519."""

import base64
import binascii

import msgspec

from credproxy.core.credential import Stored, secret_of


_YEAR_10000 = 253_402_300_800


class _Times(msgspec.Struct, frozen=True):
    exp: float | None = None
    iat: float | None = None


def claims(token: str) -> bytes:
    """The JSON text of a token's claims; empty for a token that is no JWT."""
    parts = token.split(".")
    if len(parts) != 3:  # noqa: PLR2004  header, payload, signature
        return b""
    try:
        return base64.urlsafe_b64decode(parts[1] + "==")
    except (binascii.Error, ValueError):  # characters beyond ASCII are a ValueError
        return b""


def life(token: str, wall: float) -> float | None:
    """Seconds that a token says it has left, negative once it is over; None where it does not say.

    The number may only shorten a lifetime, so nothing has to be verified. Where the token also says when it was
    issued, it has no more left than its whole life, however slow this machine's clock is.

    Args:
        token: any text.
        wall: POSIX seconds, now.
    """
    try:
        times = msgspec.json.decode(claims(token), type=_Times)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
    if times.exp is None or not 0 < times.exp < _YEAR_10000:
        return None
    whole = times.exp - times.iat if times.iat is not None and 0 < times.iat < times.exp else float("inf")
    return min(times.exp - wall, whole)


def stored_life(stored: Stored, wall: float) -> float | None:
    """Seconds that a stored credential has left, where its secret is a JWT that tells; see ``life``."""
    return life(secret_of(stored).reveal().strip().rpartition(" ")[2], wall)


def header_life(value: str, wall: float) -> float | None:
    """Seconds that a header's value has left: of a token behind its scheme, or of the password in a Basic value."""
    scheme, _, rest = value.strip().rpartition(" ")
    if scheme.lower() != "basic":
        return life(rest, wall)
    try:
        return life(base64.b64decode(rest + "==").decode().partition(":")[2], wall)
    except ValueError:  # neither base64 nor UTF-8: then it is no JWT either
        return None
