"""From a grant to what a caller is given, and for how long the front may give it again."""

from dataclasses import dataclass
from math import floor

from credproxy.broker.entry import Entry
from credproxy.core.credential import Handout
from credproxy.core.lifetime import expires, remaining
from credproxy.ports import Clock, Metrics


_MEMO = 1.0
"""Seconds for which the front may repeat an answer: so late at most is a changed credential file seen."""

_STEP = 2.0
"""Seconds by which a wall clock may be set before an answer is worked out anew: less than the smallest margin M."""

_SOON = 5.0
"""Seconds for which a grant in doubt is given: its renewal takes less, and the next question finds the new one."""

_LONG = 1800.0
"""Seconds from which ``bazel_71_compat`` leaves ``expires`` out."""


@dataclass(frozen=True, slots=True)
class Options:
    """The broker's part of the configuration: seconds, a count, bytes. Source: design.md section 5."""

    empty_ttl: float = 60.0
    flight_timeout: float = 30.0
    bazel_71_compat: bool = False
    entries: int = 100_000
    bytes: int = 64 * 1024 * 1024


class Handouts:
    """Where answers leave the broker."""

    def __init__(self, clock: Clock, metrics: Metrics) -> None:
        self._clock = clock
        self._metrics = metrics

    def nothing(self, generation: int, options: Options) -> Handout:
        """``{}``, without an entry behind it."""
        self._metrics.cache("none")
        boot, wall = self._clock.boot(), self._clock.wall()
        return Handout((), floor(wall + options.empty_ttl), boot + _MEMO, generation, wall - boot)

    def remembered(self, entry: Entry, outcome: str, generation: int, options: Options) -> Handout:
        """What was in memory; ``outcome`` is the look-up's."""
        self._metrics.cache(outcome)
        self._metrics.age(self._clock.boot() - entry.lifetime.since)
        return self.hand_out(entry, generation, options)

    def hand_out(self, entry: Entry, generation: int, options: Options) -> Handout:
        """An entry's headers and what to say of their expiry (TX-17); counts as a use."""
        boot, wall = self._clock.boot(), self._clock.wall()
        entry.uses += 1
        entry.used = boot
        left = remaining(entry.lifetime, boot, wall)
        if entry.empty:
            shown: int | None = floor(wall + options.empty_ttl)
        elif options.bazel_71_compat and left >= _LONG:
            shown = None
        else:
            shown = expires(entry.lifetime, boot, wall)
        if entry.upkeep is not None and entry.upkeep.doubted:
            soon = floor(wall + _SOON)
            shown = soon if shown is None else min(shown, soon)
        good_until = boot + max(0.0, min(_MEMO, left - entry.window))
        return Handout(entry.headers, shown, good_until, generation, wall - boot, entry, entry.detail)

    def fresh(self, handout: Handout, generation: int) -> bool:
        """Tell whether an answer may be given once more as it is; if so, that counts as a use."""
        boot = self._clock.boot()
        if handout.generation != generation or boot >= handout.good_until:
            return False
        if abs(self._clock.wall() - boot - handout.skew) >= _STEP:
            return False
        entry = handout.source
        if isinstance(entry, Entry):
            if entry.dropped or entry.upkeep is None:  # the second question brings the plan that a renewal needs
                return False
            entry.uses += 1
            entry.used = boot
        self._metrics.cache("fresh" if handout.headers else "none")
        return True
