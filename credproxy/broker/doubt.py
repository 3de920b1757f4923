"""What was refused, or may have been: how that is noticed, what counts, and what follows from it.

**A caller that asks again** for what it should still have may have seen it refused (CL-31): the protocol has no way to
say so. Bazel keeps an answer by its URI until the second that the answer names, and for a time of its own if it names
none. If the same server asks about the same URI well before, it has thrown its answers away, as it does when one of them
is refused. The helper is a new process each time, so it sends its parent's process id: it knows that for free, whereas
reading it from ``/proc`` would cost the daemon 7 us per call. A caller that lies causes an exchange, at most one in
30 s. Bazel 7.1 to 7.3 asks at every use, and so does reclient when less than five minutes are left. That is a habit: after
one early question, further ones mean nothing until there were none for ten minutes.

**A doubted grant** is renewed early. Bazel also asks again after ``bazel clean``, so nobody waits: the grant begins
to age at once, which has it renewed in the background by what renews ageing grants, and until then it is handed out for
seconds instead of hours. A wrong guess costs one extra exchange, at most one in 30 s for a key.

**A refused grant**, which the gateway reports, is dropped. Either way the exchange that follows looks up the login again.
"""

from math import floor
from typing import NamedTuple

import structlog
from cachetools import LRUCache

from credproxy.broker.entry import Entry
from credproxy.broker.lookup import Key
from credproxy.core.ask.credential import Handout
from credproxy.core.ask.lifetime import remaining
from credproxy.core.token_bucket import Bucket
from credproxy.ports.clock import Clock


LEAST_AGE = 30.0
"""Seconds from an exchange for which its grant is above doubt."""

PER_SECOND = 2.0
BURST = 16.0
"""Rate of doubts that count: after ``bazel clean`` a helper may ask about a thousand URIs again."""

_SOON = 5.0
"""Seconds for which a doubted grant is handed out: its renewal takes less, and the next question finds the new one."""

_GIVEN = 4096
_EARLY = 10.0
"""Seconds before ``expires`` within which a question is expected."""

_HABIT = 600.0

_UNTOLD = 300
"""Seconds for which clients keep an answer without ``expires`` at least: img this long, Bazel half an hour by default."""

_REFUSED_GAP = 10.0
_REFUSED = 1024

log = structlog.get_logger("credproxy.broker")


class _Given(NamedTuple):
    """Until when (POSIX seconds) a client keeps an answer, and when (boot-clock seconds) it last asked too early."""

    expires: int
    early: float


class Doubt:
    """Everything known about refusals. It belongs to the process: clients keep what they were given through a reload."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bucket = Bucket(PER_SECOND, BURST, now=clock.boot())
        # By hash: two questions that share one cost a needless exchange, but a URI takes ten times as much memory.
        self._given: LRUCache[int, _Given] = LRUCache(_GIVEN)
        self._refused: LRUCache[Key, float] = LRUCache(_REFUSED)

    def early(self, parent: int, question: bytes) -> bool:
        """Whether a question comes so early that an answer to it may have been refused.

        Args:
            parent: process id of the helper's parent.
            question: its bytes.
        """
        place = hash((parent, question))
        given = self._given.get(place)
        if given is None or given.expires - self._clock.wall() < _EARLY:
            return False
        now = self._clock.boot()
        self._given[place] = given._replace(early=now)
        return now - given.early >= _HABIT

    def given(self, parent: int, question: bytes, *, handout: Handout) -> None:
        """Remember what the helper of that parent was given."""
        if handout.headers:
            place = hash((parent, question))
            given = self._given.get(place)
            until = int(self._clock.wall()) + _UNTOLD if handout.expires is None else handout.expires
            self._given[place] = _Given(until, float("-inf") if given is None else given.early)

    def cast(self, entry: Entry) -> None:
        """Make an entry age from now on, if it is old enough for that."""
        now, upkeep = self._clock.boot(), entry.upkeep
        if upkeep is None or upkeep.doubted or entry.empty or now < entry.lifetime.since + LEAST_AGE:
            return
        if self._bucket.wait(now) > 0:
            return
        self._bucket.take()
        upkeep.doubted = True
        upkeep.window = max(upkeep.window, remaining(entry.lifetime, now, wall=self._clock.wall()))
        log.info("answer doubted", subject=entry.subject, age=round(now - entry.lifetime.since, 1))

    def refused(self, entry: Entry, *, forbidden: bool) -> bool:
        """Note that a registry refused a grant; tell whether asking again makes sense.

        If so, the entry is to be dropped. At most once in ten seconds for a key: a login without the permission is refused
        with every token, and each refusal would be an exchange.

        Args:
            entry: that was sent.
            forbidden: the registry knew it and said 403. A token that lacks a permission is not a reason to obtain another
                one; a login that was sent as it is may have expired (ECR then says 403), and another one may be stored.
        """
        now = self._clock.boot()
        if entry.empty or (forbidden and not entry.direct):
            return False
        if entry.dropped:  # of forty downloads whose token was revoked, the first one has already handled it
            return True
        if self._lately(entry.key, now):
            return False
        self._refused[entry.key] = now
        log.info("rejected", subject=entry.subject, age=round(now - entry.lifetime.since, 1))
        return True

    def of(self, key: Key, entry: Entry | None) -> bool:
        """Whether the answer for a key was refused, or may have been: then its login may have changed.

        Args:
            key: what an exchange is begun for.
            entry: what is in memory for it.
        """
        doubted = entry is not None and entry.upkeep is not None and entry.upkeep.doubted
        return doubted or self._lately(key, self._clock.boot())

    def shown(self, entry: Entry, expires: int | None) -> int | None:
        """The ``expires`` of an answer; a doubted one is said to end soon."""
        if entry.upkeep is None or not entry.upkeep.doubted:
            return expires
        soon = floor(self._clock.wall() + _SOON)
        return soon if expires is None else min(expires, soon)

    def anew(self) -> None:
        """A new era: refusals under the previous configuration say nothing about this one's answers."""
        self._refused.clear()

    def _lately(self, key: Key, now: float) -> bool:
        return now - self._refused.get(key, float("-inf")) < _REFUSED_GAP
