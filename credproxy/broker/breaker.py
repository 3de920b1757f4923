"""When an origin that fails is left alone for a while. Pure: time and randomness are passed in.

::

    CLOSED      5 failures in a row, or at least 10 calls and more than half of them failed within 30 s  -> OPEN
    OPEN        1 s the first time, twice as long after each failed probe, at most 60 s, +-20 %;
                in the first 10 s of an outage at most 1.5 s
                the first call after that is let through as a probe                                     -> HALF_OPEN
    HALF_OPEN   all other calls are refused; the probe succeeds -> CLOSED, fails -> OPEN
    any         nothing has failed for 90 s                                                             -> CLOSED

An outage is young for 10 s. A caller with patience may wait for the next probe of a young one: because no pause in it is
longer than 1.8 s, the end of an outage of 5 s is noticed before the 8.5 s of its first callers are over.

Source: docs/design/faults.md#circuit-breaker.
"""

from collections import deque
from enum import Enum


YOUNG = 10.0
"""Seconds of an outage during which it is worth waiting for its end."""

_IN_A_ROW = 5
_ENOUGH_CALLS = 10
_SPAN = 30.0
_FIRST_PAUSE = 1.0
_YOUNG_PAUSE = 1.5
_LONGEST_PAUSE = 60.0
_FORGOTTEN = 90.0
"""Seconds after which a failure no longer counts: longer than the longest pause, so no outage is cut in two."""

_REMEMBERED = 2000
"""Calls kept of the last 30 s, so that a busy origin costs at most some 200 KiB."""


class Phase(Enum):
    """See the module."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half-open"


class Breaker:
    """The state of one origin. ``now`` is boot-clock seconds, ``sample`` lies in [0, 1)."""

    __slots__ = ("_began", "_calls", "_failed", "_pause", "_row", "_turn", "phase", "until")

    def __init__(self) -> None:
        self.phase = Phase.CLOSED
        self.until = 0.0
        self._began: float | None = None
        self._failed = float("-inf")
        self._row = 0
        self._pause = _FIRST_PAUSE
        self._turn = 0
        self._calls: deque[tuple[float, bool]] = deque(maxlen=_REMEMBERED)

    def admit(self, now: float) -> int | None:
        """Give a ticket to report with, or None: leave the origin alone."""
        if self.phase is Phase.OPEN and now > self._failed + _FORGOTTEN:
            self._close()
        if self.phase is Phase.OPEN and now >= self.until:
            self._turn += 1
            self.phase = Phase.HALF_OPEN
            return self._turn
        return self._turn if self.phase is Phase.CLOSED else None

    def wait(self, now: float) -> float:
        """Seconds until asking makes sense again, after ``admit`` refused; at least 1."""
        return max(1.0, self.until - now)

    def rests(self, now: float) -> bool:
        """Whether the origin is left alone entirely, even by the next probe."""
        return self.phase is Phase.OPEN and now < self.until

    def outage(self, now: float) -> float:
        """Seconds since the first failure that was not followed by a good answer; 0 without one."""
        return 0.0 if self._began is None or now > self._failed + _FORGOTTEN else now - self._began

    def report(self, ticket: int, now: float, *, sample: float, good: bool | None) -> None:
        """Tell how an admitted call ended; None if that says nothing about the origin, as when it was cancelled.

        The report of a call that was admitted before the last change of phase no longer counts.
        """
        if ticket != self._turn:
            return
        if good is False:
            self._count(now)
        if self.phase is Phase.HALF_OPEN:
            self._probed(now, sample, good=good)
        elif good is not None:
            self._calls.append((now, good))
            self._row = 0 if good else self._row + 1
            if good:
                self._began = None
            elif self._tripped(now):
                self._open(now, sample, _FIRST_PAUSE)

    def _count(self, now: float) -> None:
        if self._began is None or now > self._failed + _FORGOTTEN:
            self._began = now
        self._failed = now

    def _probed(self, now: float, sample: float, *, good: bool | None) -> None:
        if good is None:
            # The next caller becomes the probe: there was no failure that another pause should follow.
            self.phase, self.until = Phase.OPEN, now
        elif good:
            self._close()
        else:
            self._open(now, sample, min(_LONGEST_PAUSE, self._pause * 2))

    def _close(self) -> None:
        self._turn += 1
        self.phase = Phase.CLOSED
        self._began = None
        self._row = 0
        self._calls.clear()

    def _tripped(self, now: float) -> bool:
        while self._calls[0][0] <= now - _SPAN:
            self._calls.popleft()
        bad = sum(not good for _, good in self._calls)
        return self._row >= _IN_A_ROW or (len(self._calls) >= _ENOUGH_CALLS and bad * 2 > len(self._calls))

    def _open(self, now: float, sample: float, pause: float) -> None:
        self._turn += 1
        self.phase = Phase.OPEN
        self._pause = min(pause, _YOUNG_PAUSE) if self.outage(now) < YOUNG else pause
        self.until = now + self._pause * (0.8 + 0.4 * sample)
        self._row = 0
        self._calls.clear()
