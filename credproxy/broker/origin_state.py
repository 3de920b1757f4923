"""What is known about one ``scheme://host:port``, as far as one of two sides has asked it.

The daemon's user and build actions each have an ``OriginState`` for the same place. What actions cause stops
only them; what stops the user stops them as well, because the ``senior`` of theirs is the user's.
"""

import asyncio

from credproxy.broker.breaker import YOUNG, Breaker, Phase


BUDGET = 10.0
"""Retries of one outage beyond its first second."""

PLACES = 8
"""Requests of build actions that one origin is sent at a time: half of what all exchanges together may use (docs/design/faults.md#bounds)."""

_EARNED = 0.1


class OriginState:
    """One origin, as one side knows it.

    Args:
        name: ``scheme://host:port``.
        senior: the user's, for an origin of build actions'; None for the user's own.

    Attributes:
        breaker: whether it is asked at all.
        budget: retries that may be spent; each good answer earns a tenth of one.
        throttles: 429 in a row.
        places: for requests of build actions.
        turned: set, and replaced, whenever the breaker changes its phase.
        skew: seconds by which this machine's clock was ahead of the server's, by the last answer that showed it; None before.
    """

    __slots__ = ("_closed", "breaker", "budget", "name", "places", "senior", "skew", "throttles", "turned")

    def __init__(self, name: str, senior: "OriginState | None") -> None:
        self.name = name
        self.senior = senior
        self.breaker = Breaker()
        self.budget = BUDGET
        self.throttles = 0
        self.places = asyncio.Semaphore(PLACES)
        self.turned = asyncio.Event()
        self.skew: float | None = None
        self._closed = float("-inf")

    @property
    def for_actions(self) -> bool:
        """Whether this is the build actions' side."""
        return self.senior is not None

    @property
    def closed_until(self) -> float:
        """Boot-clock seconds before which a 429 forbids this side to ask."""
        return self._closed if self.senior is None else max(self._closed, self.senior.closed_until)

    def close(self, until: float) -> None:
        """Note that a 429 forbids this side to ask before then."""
        self._closed = max(self._closed, until)

    def spend(self) -> bool:
        """Take one retry out of the budget, if there is one."""
        if self.budget < 1.0:
            return False
        self.budget -= 1.0
        return True

    def answered(self) -> None:
        """A good answer: it earns part of a retry and ends a series of throttles."""
        self.budget = min(BUDGET, self.budget + _EARNED)
        self.throttles = 0

    def admit(self, now: float) -> int | None:
        """Give the breaker's ticket, or None: leave it alone."""
        if self.senior is not None and self.senior.breaker.rests(now):
            return None
        return self.breaker.admit(now)

    def wait(self, now: float, end: float) -> float | None:
        """Seconds after which ``admit`` may give a ticket, when it gave none; None if that is not worth waiting for.

        Args:
            now: boot-clock seconds.
            end: those at which the callers give up.
        """
        breakers = [side.breaker for side in (self, self.senior) if side is not None]
        resting = [breaker for breaker in breakers if breaker.phase is Phase.OPEN]
        until = max((breaker.until for breaker in resting), default=end)
        if until > end or now >= end or any(breaker.outage(now) >= YOUNG for breaker in breakers):
            return None
        return until - now

    def report(self, ticket: int, now: float, *, sample: float, good: bool | None) -> bool:
        """Tell the breaker how a call ended; return whether its phase changed, and wake those that wait for that."""
        before = self.breaker.phase
        self.breaker.report(ticket, now, sample=sample, good=good)
        if self.breaker.phase is before:
            return False
        self.turned.set()
        self.turned = asyncio.Event()
        return True
