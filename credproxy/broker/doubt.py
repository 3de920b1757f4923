"""A grant that somebody may have seen refused is renewed early (clients.md rule 31).

The protocol has no way to say that an answer was refused; Bazel forgets all its answers and asks again. So does it
after ``bazel clean``, hence nobody waits: a doubted grant begins to age at once, which has it renewed in the background
by what renews ageing grants, and until then it is handed out for seconds instead of hours. What comes of a wrong guess
is one exchange more, and of those at most one in 30 s for a key.
"""

import structlog

from credproxy.broker.entry import Entry
from credproxy.core.bucket import Bucket
from credproxy.core.lifetime import remaining
from credproxy.ports import Clock


LEAST_AGE = 30.0
"""Seconds from an exchange for which its grant is above doubt."""

PER_SECOND = 2.0
BURST = 16.0
"""Doubts that count: after ``bazel clean`` a thousand URIs of a helper may be asked about again."""

log = structlog.get_logger("credproxy.broker")


class Doubts:
    """Says which doubts count, and has them count."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._bucket = Bucket(PER_SECOND, BURST, clock.boot())

    def cast(self, entry: Entry) -> None:
        """Let an entry age from now on, if it is old enough for that."""
        now, upkeep = self._clock.boot(), entry.upkeep
        if upkeep is None or upkeep.doubted or entry.empty or now < entry.lifetime.since + LEAST_AGE:
            return
        if self._bucket.wait(now) > 0:
            return
        self._bucket.take()
        upkeep.doubted = True
        upkeep.window = max(upkeep.window, remaining(entry.lifetime, now, self._clock.wall()))
        log.info("answer doubted", subject=entry.subject, age=round(now - entry.lifetime.since, 1))
