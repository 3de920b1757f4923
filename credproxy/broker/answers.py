"""From a grant to what a caller is given, and for how long the front may repeat it."""

from dataclasses import dataclass, field
from math import floor

from credproxy.broker.broker_settings import BrokerSettings
from credproxy.broker.cache import Cache
from credproxy.broker.doubt import Doubt
from credproxy.broker.entry import Entry
from credproxy.core.ask.credential import Handout
from credproxy.core.ask.lifetime import expires, remaining
from credproxy.ports.clock import Clock
from credproxy.ports.observability import Metrics


_MEMO = 1.0
"""Seconds for which the front may repeat an answer: a changed credential file is seen that late at most."""

_STEP = 2.0
"""Seconds by which a wall clock may be set before an answer is computed again: less than the smallest margin M."""

_LONG = 1800.0
"""Seconds from which ``bazel_71_compat`` leaves ``expires`` out."""


@dataclass(frozen=True, slots=True)
class Answer(Handout):
    """A hand-out that knows where it came from: it says whether it is still valid, and is told when it is refused.

    Attributes:
        good_until: boot-clock seconds until which the same bytes may be sent again, as long as it is ``fresh``.
        entry: what it was made from; None for ``{}`` without one.
        skew: wall clock less boot clock when it was given: if the clock was set since then, ``expires`` is wrong.
    """

    good_until: float = field(kw_only=True)
    skew: float = field(kw_only=True, repr=False)
    entry: Entry | None = field(kw_only=True, repr=False)
    given_by: "Answers" = field(kw_only=True, repr=False)

    def fresh(self) -> bool:
        """Tell whether it may be given once more as it is; if so, that counts as a use."""
        return self.given_by.fresh(self)

    def refused(self, *, forbidden: bool = False) -> bool:
        """Its registry refused it: drop it, and only it; tell whether asking again makes sense.

        Args:
            forbidden: the registry knew it and said 403; see Doubt.refused.
        """
        return self.given_by.refused(self, forbidden=forbidden)


class Answers:
    """Makes the answers of an era.

    Args:
        clock: judges lifetimes.
        metrics: told of look-ups.
        options: of the era.
        cache: of the era; refused entries are dropped from it.
        doubt: of the process.
    """

    def __init__(self, *, clock: Clock, metrics: Metrics, options: BrokerSettings, cache: Cache, doubt: Doubt) -> None:
        self._clock = clock
        self._metrics = metrics
        self._options = options
        self._cache = cache
        self._doubt = doubt
        self._over = False

    def nothing(self) -> Answer:
        """``{}``, without an entry behind it."""
        self._metrics.cache("none")
        boot, wall = self._clock.boot(), self._clock.wall()
        until = floor(wall + self._options.empty_ttl)
        return Answer((), until, good_until=boot + _MEMO, skew=wall - boot, entry=None, given_by=self)

    def remembered(self, entry: Entry, outcome: str) -> Answer:
        """What was cached; ``outcome`` is that of the look-up."""
        self._metrics.cache(outcome)
        self._metrics.age(self._clock.boot() - entry.lifetime.since)
        return self.answer(entry)

    def answer(self, entry: Entry) -> Answer:
        """An entry's headers, and the expiry to state for them (TX-17); counts as a use."""
        boot, wall = self._clock.boot(), self._clock.wall()
        entry.uses += 1
        entry.used = boot
        left = remaining(entry.lifetime, boot, wall=wall)
        if entry.empty:
            until: int | None = floor(wall + self._options.empty_ttl)
        elif self._options.bazel_71_compat and left >= _LONG:
            until = None
        else:
            until = expires(entry.lifetime, boot, wall=wall)
        return Answer(
            entry.headers,
            self._doubt.shown(entry, until),
            entry.detail,
            good_until=boot + max(0.0, min(_MEMO, left - entry.window)),
            skew=wall - boot,
            entry=entry,
            given_by=self,
        )

    def fresh(self, answer: Answer) -> bool:
        """As ``Answer.fresh``."""
        boot, entry = self._clock.boot(), answer.entry
        if self._over or boot >= answer.good_until or abs(self._clock.wall() - boot - answer.skew) >= _STEP:
            return False
        if entry is not None:
            if entry.dropped or entry.upkeep is None:  # the second question brings the plan that a renewal needs
                return False
            entry.uses += 1
            entry.used = boot
        self._metrics.cache("fresh" if answer.headers else "none")
        return True

    def refused(self, answer: Answer, *, forbidden: bool) -> bool:
        """As ``Answer.refused``."""
        entry = answer.entry
        if entry is None or not self._doubt.refused(entry, forbidden=forbidden):
            return False
        if not entry.dropped:  # by now another entry may be stored under the same key
            self._cache.drop(entry.key)
        return True

    def end(self) -> None:
        """The era is over: repeat nothing any more."""
        self._over = True
