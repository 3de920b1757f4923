"""Renewal before a caller has to wait: one scheduler for all entries.

An entry that was used twice is checked when its advisory window opens, and renewed if it still seems to be wanted: four at
once and two a second at most, so that a thousand tokens of one build do not come due in one burst. Timers
stand still in suspend, so they are hints: what is overdue by more than 5 s was slept through, and is spread over 30 s.
Entries of build actions have half of both figures, so that they do not keep the user's from being renewed (T16).
Source: docs/design/faults.md#renewal.
"""

import asyncio
import heapq
import itertools
from collections.abc import Callable

import structlog

from credproxy.broker.entry import SHORTEST_GAP, Entry, Upkeep
from credproxy.broker.flight import Flight
from credproxy.core.ask.lifetime import advisory, length, remaining
from credproxy.core.token_bucket import Bucket
from credproxy.ports.clock import Clock, Sample
from credproxy.ports.provider import Plan


AT_ONCE = 4
PER_SECOND = 2.0
_RECENT = 120.0
_SLEPT = 5.0
_SPREAD = 30.0
_LATER = 1.0
_TICK = 0.01
"""Seconds; the shortest sleep: otherwise a time missed by a rounding error would be checked for ever."""

_HEAP = 1024
"""Number of items above which those of dropped entries are removed."""

log = structlog.get_logger("credproxy.broker")


class Renewal:
    """Checks entries when they are due.

    Args:
        clock: for waiting.
        sample: draws each entry's window, and spreads what came due in a suspend.
        start: begins a flight for an entry; None if too much is under way.
    """

    def __init__(self, *, clock: Clock, sample: Sample, start: Callable[[Entry], Flight | None]) -> None:
        self._clock = clock
        self._sample = sample
        self._start = start
        self._heap: list[tuple[float, int, Entry]] = []
        self._bound = _HEAP
        self._order = itertools.count()
        self._wake = asyncio.Event()
        self._bucket = Bucket(PER_SECOND, PER_SECOND, now=clock.boot())
        self._bucket_of_actions = Bucket(PER_SECOND / 2, PER_SECOND / 2, now=clock.boot())
        self.running = 0
        self._running_for_actions = 0

    def take_up(self, entry: Entry, plan: Plan) -> None:
        """Keep an entry fresh from now on, with the plan of its latest question."""
        if entry.upkeep is not None:
            entry.upkeep.plan = plan
            return
        window, now = advisory(length(entry.lifetime), self._sample()), self._clock.boot()
        # At least a second: a token of 5 s is within its window all its life, and each read would renew it.
        entry.upkeep = Upkeep(plan, window, retry_at=entry.lifetime.since + SHORTEST_GAP)
        opening = now + self._left(entry, now) - window
        if opening > now and not entry.dropped:  # once it is open, a question itself begins the renewal
            self._push(entry, opening)

    def nudge(self, now: float) -> None:
        """Notice a suspend: a check is overdue, so the timer that should have woken us stood still."""
        if self._heap and now - self._heap[0][0] > _SLEPT:
            self._wake.set()

    def tidy(self) -> None:
        """Release entries that were dropped: their secrets must not outlive a flush here."""
        self._heap = [item for item in self._heap if not item[2].dropped]
        heapq.heapify(self._heap)

    async def run(self) -> None:
        """Work until cancelled; sleeps while nothing is due."""
        while True:
            now = self._clock.boot()
            self._work(now)
            self._wake.clear()
            if not self._heap:
                await self._wake.wait()
                continue
            try:
                async with self._clock.timeout(max(_TICK, self._heap[0][0] - now)):
                    await self._wake.wait()
            except TimeoutError:
                continue

    def _work(self, now: float) -> None:
        slept = bool(self._heap) and now - self._heap[0][0] > _SLEPT
        due = []
        while self._heap and self._heap[0][0] <= now:
            due.append(heapq.heappop(self._heap)[2])
        if slept:
            log.info("slept", entries=len(due), seconds=_SPREAD)
        for entry in due:
            if slept and not entry.dropped:
                self._push(entry, now + _SPREAD * self._sample())
            elif not entry.dropped:
                self._look(entry, now)

    def _look(self, entry: Entry, now: float) -> None:
        upkeep, left = entry.upkeep, self._left(entry, now)
        assert upkeep is not None
        if left > upkeep.window:
            self._push(entry, now + left - upkeep.window)
        elif left <= 0 or not _wanted(entry, now):
            return  # a question that still comes begins an exchange itself
        elif now < upkeep.retry_at:
            self._push(entry, upkeep.retry_at)
        elif (delay := self._wait(entry, now)) > 0:
            self._push(entry, now + delay)
        else:
            self._renew(entry, now, upkeep)

    def _renew(self, entry: Entry, now: float, upkeep: Upkeep) -> None:
        flight = self._start(entry)
        if flight is None:
            self._push(entry, now + _LATER)
            return
        self._bucket.take()
        self.running += 1
        if entry.caller.for_actions:
            self._bucket_of_actions.take()
            self._running_for_actions += 1
        flight.outcome.add_done_callback(lambda _: self._renewed(entry, upkeep))

    def _renewed(self, entry: Entry, upkeep: Upkeep) -> None:
        self.running -= 1
        self._running_for_actions -= entry.caller.for_actions
        if not entry.dropped:
            self._push(entry, max(upkeep.retry_at, self._clock.boot() + _LATER))

    def _wait(self, entry: Entry, now: float) -> float:
        """Seconds until a renewal may begin; 0 for now."""
        if not entry.caller.for_actions:
            return _LATER if self.running >= AT_ONCE else self._bucket.wait(now)
        if self.running >= AT_ONCE or self._running_for_actions >= AT_ONCE // 2:
            return _LATER
        return max(self._bucket.wait(now), self._bucket_of_actions.wait(now))

    def _left(self, entry: Entry, now: float) -> float:
        return remaining(entry.lifetime, now, wall=self._clock.wall())

    def _push(self, entry: Entry, at: float) -> None:
        if len(self._heap) > self._bound:
            self.tidy()
            self._bound = max(_HEAP, 2 * len(self._heap))
        item = (at, next(self._order), entry)
        heapq.heappush(self._heap, item)
        if self._heap[0] is item:
            self._wake.set()


def _wanted(entry: Entry, now: float) -> bool:
    return not entry.empty and now - entry.used <= max(2 * entry.window, _RECENT)
