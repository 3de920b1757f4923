"""Dropping entries that can no longer be used, or are not wanted: once a minute, all of them in one pass.

An entry is dropped when it has expired, and when it has not been used for min(L, 30 min): a secret is not kept without need
(PY18). A timer for each would add a fifth to its memory. Source: docs/design/faults.md#renewal.
"""

from collections.abc import Callable

from credproxy.broker.cache import Cache
from credproxy.broker.entry import Entry
from credproxy.core.ask.lifetime import length, remaining
from credproxy.ports.clock import Clock


EVERY = 60.0
LONGEST_IDLE = 1800.0
_AT_ONCE = 500
"""Entries between two turns of the event loop: a fifth of a millisecond."""


class Sweep:
    """Drops entries.

    Args:
        clock: judges lifetimes.
        cache: gives what is swept: that of the era in force.
        swept: called after a pass that dropped something.
    """

    def __init__(self, *, clock: Clock, cache: Callable[[], Cache], swept: Callable[[], None]) -> None:
        self._clock = clock
        self._cache = cache
        self._swept = swept

    async def run(self) -> None:
        """Work until cancelled."""
        while True:
            await self._clock.sleep(EVERY)
            if await self._pass():
                self._swept()

    async def _pass(self) -> bool:
        """Check every entry once; returns whether one was dropped."""
        dropped = False
        cache = self._cache()
        for number, entry in enumerate(cache.entries(), 1):
            if not entry.dropped and self._over(entry):
                cache.drop(entry.key)
                dropped = True
            if not number % _AT_ONCE:
                await self._clock.sleep(0)
        return dropped

    def _over(self, entry: Entry) -> bool:
        lifetime, now = entry.lifetime, self._clock.boot()
        idle = min(length(lifetime), LONGEST_IDLE)
        return now >= entry.used + idle or remaining(lifetime, now, wall=self._clock.wall()) <= 0
