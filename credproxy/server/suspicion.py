"""Who asks again for what he should still have: the one sign that an answer was refused (clients.md rule 31).

Bazel keeps an answer by its URI until the second that the answer names, and for a time of its own where it names none. If the same server asks about the same URI well
before, it has thrown its answers away, as it does when one of them is refused. The helper is a process of its own each
time, so it tells its parent's process id: known to it for free, where reading it from ``/proc`` would cost the daemon
7 us of every call. Whoever lies brings about an exchange, at most one in 30 s.

Versions 7.1 to 7.3 ask at each use, and reclient does where less than five minutes are left. That is a habit: after
one early question the next ones mean nothing until there were none for ten minutes.
"""

from typing import NamedTuple

from cachetools import LRUCache

from credproxy.core.credential import Handout
from credproxy.ports import Clock


_ENTRIES = 4096
_EARLY = 10.0
"""Seconds before ``expires`` within which nobody wonders about a question."""

_HABIT = 600.0

_UNTOLD = 300
"""Seconds that an answer without ``expires`` is kept at least: by img that long, by Bazel half an hour by default."""


class _Given(NamedTuple):
    """Until when (POSIX seconds) an answer is kept, and when (boot-clock seconds) it was last asked for too early."""

    expires: int
    early: float


class Suspicion:
    """What the helpers of each parent were given."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        # By hash: two questions that share one cost an exchange in vain, and a URI takes ten times as much memory.
        self._given: LRUCache[int, _Given] = LRUCache(_ENTRIES)

    def of(self, parent: int, question: bytes) -> bool:
        """Whether a question comes so early that an answer to it may have been refused.

        Args:
            parent: process id of who started the helper.
            question: its bytes.
        """
        place = hash((parent, question))
        given = self._given.get(place)
        if given is None or given.expires - self._clock.wall() < _EARLY:
            return False
        now = self._clock.boot()
        self._given[place] = given._replace(early=now)
        return now - given.early >= _HABIT

    def note(self, parent: int, question: bytes, handout: Handout) -> None:
        """Remember what was given."""
        if handout.headers:
            place = hash((parent, question))
            given = self._given.get(place)
            until = int(self._clock.wall()) + _UNTOLD if handout.expires is None else handout.expires
            self._given[place] = _Given(until, float("-inf") if given is None else given.early)
