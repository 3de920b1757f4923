"""The windows of a credential's life: fresh, advisory, mandatory, expired.

``L`` is the lifetime at receipt, ``r`` what remains, both in seconds of the clock that runs through suspend.
Source: TX-17, docs/design/faults.md#windows.
"""

from enum import Enum
from math import floor

from credproxy.core.ask.credential import Lifetime


_ROUNDING = 1e-6
"""Seconds; POSIX seconds with fractions are precise to a quarter of that, and rounding must not lose a whole second."""

LONGEST = 12 * 3600.0
"""Seconds; longer lifetimes are not accepted (TX-14, T31)."""


EMPTY_KEEP = 60.0
"""Seconds for which "there is no credential" is kept: a new login is seen within a minute."""


class State(Enum):
    """What a read does: answer; answer and renew; renew and wait a little; renew or fail."""

    FRESH = "fresh"
    ADVISORY = "advisory"
    MANDATORY = "mandatory"
    EXPIRED = "expired"


def clamp(value: float, low: float, *, high: float) -> float:
    """The value, but not below ``low`` nor above ``high``."""
    return max(low, min(high, value))


def advisory(lifetime: float, sample: float) -> float:
    """Seconds before hard expiry at which renewal begins in the background.

    ``sample`` in [0, 1) is drawn once per credential: drawn at each read it would renew too early (SPIRE's flaw).
    """
    return clamp(lifetime / 4, 5.0, high=3600.0) * (0.9 + 0.2 * sample)


def mandatory(lifetime: float) -> float:
    """Seconds before hard expiry that no client is told about: the margin M."""
    return clamp(lifetime / 10, 3.0, high=60.0)


def remaining(lifetime: Lifetime, boot: float, *, wall: float) -> float:
    """Seconds left; where an absolute time is known as well, the smaller of the two."""
    until = lifetime.until if lifetime.until is not None else lifetime.since + lifetime.keep
    left = until - boot
    return left if lifetime.wall_until is None else min(left, lifetime.wall_until - wall)


def length(lifetime: Lifetime) -> float:
    """L: the whole life in seconds, as counted from the moment before the request."""
    return lifetime.keep if lifetime.until is None else lifetime.until - lifetime.since


def state(lifetime: Lifetime, window: float, *, boot: float, wall: float) -> State:
    """Where in its life a credential is. ``window`` is what ``advisory`` gave when it arrived."""
    left = remaining(lifetime, boot, wall=wall)
    if left <= 0:
        return State.EXPIRED
    if left <= mandatory(length(lifetime)):
        return State.MANDATORY
    return State.ADVISORY if left <= window else State.FRESH


def expires(lifetime: Lifetime, boot: float, *, wall: float) -> int | None:
    """The POSIX second to tell a client: hard expiry less M, or the true one once less than M remains (TX-17).

    None if the issuer named no expiry: Bazel would act on an invented one.
    """
    if lifetime.until is None:
        return None
    left = remaining(lifetime, boot, wall=wall)
    margin = mandatory(length(lifetime))
    return floor(wall + (left - margin if left > margin else left) + _ROUNDING)
