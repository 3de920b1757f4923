"""What remains of a flight: a cached grant or a remembered failure, a log line and a metric."""

from collections.abc import Callable
from logging import INFO, WARNING

import structlog

from credproxy.broker.cache import Cache
from credproxy.broker.entry import Entry, Upkeep
from credproxy.broker.flight import Flight, Outcome, Result
from credproxy.broker.negative_cache import Negative
from credproxy.core.ask.credential import Grant
from credproxy.core.ask.empty import empty_answer
from credproxy.core.ask.lifetime import clamp, length, mandatory, remaining
from credproxy.core.errors import Code, Failure
from credproxy.ports.clock import Clock, Sample
from credproxy.ports.observability import Metrics
from credproxy.ports.provider import Plan


_LONGEST_BACKOFF = 300.0
_QUIET = 600.0
"""Seconds between two lines that say the same about a full cache."""

log = structlog.get_logger("credproxy.broker")


class Landing:
    """Keeps the results of one era.

    Args:
        clock: judges lifetimes.
        sample: draws the jitter of backing off.
        metrics: told of each flight.
        cache: for grants.
        negative: for failures.
        take_up: told of each entry that is to be kept fresh.
    """

    def __init__(
        self,
        *,
        clock: Clock,
        sample: Sample,
        metrics: Metrics,
        cache: Cache,
        negative: Negative,
        take_up: Callable[[Entry, Plan], None],
    ) -> None:
        self._clock = clock
        self._sample = sample
        self._metrics = metrics
        self._cache = cache
        self._negative = negative
        self._take_up = take_up
        self._complained = float("-inf")

    def land(self, flight: Flight, result: Result) -> Outcome:
        """Take a flight's result; return what its waiters get."""
        assert flight.started is not None
        now = self._clock.boot()
        if isinstance(result, Grant) and result.lifetime.until is not None and self._left(result) <= 0:
            message = f"the credential of {flight.plan.subject} had expired when it arrived"
            result = Failure(Code.EXPIRED_ON_ARRIVAL, message, "is this machine's clock right, and the server fast?")
        if isinstance(result, Grant) and (problem := empty_answer(result.headers)) is not None:
            # Providers report this more precisely; what gets past them is neither handed out nor kept.
            message = f"{flight.plan.subject} gave no credential: {problem}"
            result = Failure(Code.CREDENTIAL_UNREADABLE, message, "store it again where it comes from")
        seconds = now - flight.started
        if isinstance(result, Failure):
            return self._failed(flight, result, now, seconds=seconds)
        outcome = "empty" if result.empty else "less" if result.less else "ok"
        self._metrics.exchange(flight.label, outcome, seconds=seconds)
        return self._granted(flight, result, now, seconds=seconds)

    def obtained(self, flight: Flight, result: Result) -> Outcome:
        """Take the result of a basis: a failure is remembered; a success leaves no grant to keep."""
        assert flight.started is not None
        now = self._clock.boot()
        seconds = now - flight.started
        if isinstance(result, Failure):
            return self._failed(flight, result, now, seconds=seconds)
        self._metrics.exchange(flight.label, "ok", seconds=seconds)
        log.info("looked up", subject=flight.plan.subject, seconds=round(seconds, 3))
        entry = Entry.of(flight.lookup, result, now=now)
        entry.dropped = True
        return entry

    def _granted(self, flight: Flight, grant: Grant, now: float, *, seconds: float) -> Entry:
        entry = Entry.of(flight.lookup, grant, now=now)
        older = self._cache.peek(flight.key)
        # A user may wonder why the registry refuses a request; repeated at each renewal it would not be news.
        news = grant.less and (older is None or older.note != grant.note)
        log.log(
            WARNING if news else INFO,
            "exchanged",
            subject=flight.plan.subject,
            seconds=round(seconds, 3),
            left=round(self._left(grant), 1),
            empty=grant.empty,
            background=flight.background,
            note=grant.note,
            detail=dict(flight.plan.detail),
        )
        if not flight.forsaken and self._left(grant) > 0:
            self._store(entry, older, now, asked=not flight.background)
        else:
            entry.dropped = True
        return entry

    def _store(self, entry: Entry, older: Entry | None, now: float, *, asked: bool) -> None:
        self._negative.forgive(entry.key)
        if older is not None:
            entry.uses = older.uses
            # A renewal does not count as a use, or an unwanted entry would keep itself alive.
            entry.used = now if asked else older.used
            entry.authority = older.authority if older.authority == entry.authority else ""
        evicted = self._cache.evicted
        self._cache.put(entry)
        if older is not None and older.upkeep is not None:
            self._take_up(entry, older.upkeep.plan)
        if self._cache.evicted > evicted and now - self._complained >= _QUIET:
            self._complained = now
            log.warning("cache full", entries=len(self._cache), bytes=self._cache.size)

    def _failed(self, flight: Flight, failure: Failure, now: float, *, seconds: float) -> Failure:
        self._metrics.exchange(flight.label, failure.code.value, seconds=seconds)
        log.warning(
            "exchange failed",
            subject=flight.plan.subject,
            code=failure.code.value,
            reason=failure.message,
            seconds=round(seconds, 3),
            background=flight.background,
        )
        if flight.forsaken:
            return failure
        failure = self._negative.add(
            flight.key, failure, now=now, authority=flight.lookup.authority, for_actions=flight.for_actions
        )
        entry = self._cache.peek(flight.key)
        if entry is not None and entry.upkeep is not None:
            self._back_off(entry.upkeep, length(entry.lifetime), now, failure.retry_after or 0.0)
        return failure

    def _back_off(self, upkeep: Upkeep, life: float, now: float, least: float) -> None:
        """Choose when a renewal is tried again in the background. Source: docs/design/faults.md#windows."""
        first = clamp((upkeep.window - mandatory(life)) / 8, 1.0, high=_LONGEST_BACKOFF)
        pause = first * 2.0 ** min(upkeep.failures, 10) * (0.5 + self._sample())
        upkeep.failures += 1
        upkeep.retry_at = now + max(least, min(_LONGEST_BACKOFF, pause))

    def _left(self, grant: Grant) -> float:
        return remaining(grant.lifetime, self._clock.boot(), wall=self._clock.wall())
