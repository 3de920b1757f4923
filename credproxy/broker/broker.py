"""The use case: a question is routed, answered from memory where that is possible, and exchanged once where not.

Begin reading at ``Broker.ask``. What it stands on: ``table`` (which provider), ``asked`` (the key), ``cache`` of
``entry`` (grants), ``flight`` (one exchange per key), ``landing`` (what remains of it), ``negative`` (failures,
briefly), ``renewal`` (ahead of expiry), ``doubt`` (what may have been refused), ``sweep`` (what is over).
"""

import asyncio
import contextlib
import contextvars
from collections.abc import Coroutine
from types import TracebackType
from typing import NamedTuple, Self

import structlog
from cachetools import LRUCache

from credproxy.broker.asked import Asked, Key, key_of
from credproxy.broker.budget import Budget
from credproxy.broker.bugs import Bugs
from credproxy.broker.cache import Cache
from credproxy.broker.doubt import Doubts
from credproxy.broker.entry import SHORTEST_GAP, Entry
from credproxy.broker.flight import Flight, Flights, Outcome
from credproxy.broker.handouts import Handouts, Options
from credproxy.broker.inspector import Inspector
from credproxy.broker.landing import Landing
from credproxy.broker.negative import Negative
from credproxy.broker.renewal import Renewal
from credproxy.broker.report import Explanation, Status
from credproxy.broker.sweep import Sweep
from credproxy.broker.table import Routed, Table, covers
from credproxy.broker.upstream import Upstream
from credproxy.core.credential import Handout, Stored
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.http import Reach
from credproxy.core.lifetime import State, remaining, state
from credproxy.core.target import Question, Target
from credproxy.ports import Clock, Metrics, Plan, Sample


PATIENCE = 8.5
MANDATORY_WAIT = 3.0
_ALMOST_GONE = 1.0
"""Seconds; a grant with less is worth nothing to anybody who still has to use it (TX-17, P11)."""

_RELIEF = 1.0
"""Seconds without a new exchange once memory is short: less than from one look at it to the next, so that it goes on."""

_REJECTED_GAP = 10.0
_REJECTIONS = 1024

log = structlog.get_logger("credproxy.broker")


class _Era(NamedTuple):
    """A configuration in force. A question keeps the one that it began with."""

    generation: int
    table: Table
    options: Options


class Carriage(NamedTuple):
    """What the gateway sends a request with, and where to; ``target`` is what was asked."""

    target: Target
    handout: Handout
    reach: Reach


class Broker:
    """Answers questions. An asynchronous context manager: what it starts ends with it.

    Args:
        table: which provider answers.
        clock: judges every lifetime.
        sample: draws jitter.
        metrics: is told of look-ups and exchanges.
        upstream: the HttpClient that the providers send through, for ``status``.
        options: the broker's part of the configuration.

    Attributes:
        cache: what is in memory; only to be looked at.
    """

    def __init__(
        self,
        table: Table,
        *,
        clock: Clock,
        sample: Sample,
        metrics: Metrics,
        upstream: Upstream,
        options: Options | None = None,
    ) -> None:
        self._clock = clock
        self._metrics = metrics
        self._era = _Era(1, table, options or Options())
        self._group = asyncio.TaskGroup()
        self._bugs = Bugs(clock, self.relieve)
        self._handouts = Handouts(clock, metrics)
        self._doubts = Doubts(clock)
        self._budget = Budget(clock)
        self.cache = Cache(self._era.options.entries, self._era.options.bytes)
        self._negative = Negative(sample)
        self._renewal = Renewal(clock=clock, sample=sample, start=self._renew)
        self._sweep = Sweep(clock=clock, cache=self.cache, swept=self._renewal.tidy)
        self._landing = Landing(
            clock=clock,
            sample=sample,
            metrics=metrics,
            cache=self.cache,
            negative=self._negative,
            take_up=self._renewal.take_up,
        )
        self._flights = Flights(clock=clock, spawn=self._spawn, bugs=self._bugs, land=self._landing.land)
        self._inspector = Inspector(
            clock=clock,
            cache=self.cache,
            negative=self._negative,
            flights=self._flights,
            renewal=self._renewal,
            upstream=upstream,
            bugs=self._bugs,
        )
        self._background: list[asyncio.Task[None]] = []
        self._rejected: LRUCache[Key, float] = LRUCache(_REJECTIONS)

    async def ask(self, question: Question, patience: float = PATIENCE, *, doubted: bool = False) -> Handout:
        """Answer a question within ``patience`` seconds. Source: reliability.md section 5.2.

        Args:
            question: what is asked, and by whom.
            patience: seconds that the caller waits.
            doubted: the caller may have seen the last answer refused (rule 31).

        Raises:
            Failed: it should have an answer and cannot; still_trying where the exchange goes on without the caller.
        """
        era, until = self._era, self._clock.boot() + patience
        return await self._answer(era, await self._routed(era, question, patience), question, until, doubted=doubted)

    async def carry(self, question: Question, patience: float = PATIENCE) -> Carriage:
        """Answer a question of the gateway's, which sends the request itself. Raises Failed as ``ask`` does."""
        era, until = self._era, self._clock.boot() + patience
        routed = await self._routed(era, question, patience)
        return Carriage(question.target, await self._answer(era, routed, question, until), routed.reach)

    def reject(self, handout: Handout, *, forbidden: bool = False) -> bool:
        """Drop what its registry does not take, and only that; tell whether asking again makes sense.

        The exchange that follows looks the login up again. At most once in ten seconds for a key: a login that may not
        do a thing is refused with every token, and each refusal would be an exchange.

        Args:
            handout: what was sent.
            forbidden: the registry knew it and said 403. A token that lacks a right is not a reason to obtain another
                one; a login that was sent as it is may have run out (ECR says 403 then), and another one be stored.
        """
        entry, now = handout.source, self._clock.boot()
        if not isinstance(entry, Entry) or entry.empty or (forbidden and not entry.direct):
            return False
        if entry.dropped:  # of forty downloads whose token was revoked, the first one saw to it
            return True
        if now - self._rejected.get(entry.key, float("-inf")) < _REJECTED_GAP:
            return False
        self._rejected[entry.key] = now
        self.cache.drop(entry.key)
        log.info("rejected", subject=entry.subject, age=round(now - entry.lifetime.since, 1))
        return True

    async def _answer(
        self, era: _Era, routed: Routed, question: Question, until: float, *, doubted: bool = False
    ) -> Handout:
        plan = routed.plan
        if plan is None:
            return self._handouts.nothing(era.generation, era.options)
        key = key_of(era.generation, question.origin, plan.key)
        authority = question.target.authority
        asked = Asked(key, era.generation, question.origin, authority, routed.rule, plan, question.sandbox)
        entry = self.cache.get(key)
        if entry is not None:
            self._noted(entry, asked)
            if doubted and not era.options.bazel_71_compat:
                self._doubts.cast(entry)
            self._renewal.nudge(self._clock.boot())
            match self._state(entry, plan):
                case State.FRESH:
                    return self._handouts.remembered(entry, "fresh", era.generation, era.options)
                case State.ADVISORY:
                    with contextlib.suppress(Failed):  # who may cause nothing more is served what is in memory
                        self._renew(entry, question.sandbox)
                    return self._handouts.remembered(entry, "advisory", era.generation, era.options)
                case State.MANDATORY:
                    entry = await self._renewed_or_valid(entry, asked, until)
                    return self._handouts.remembered(entry, "mandatory", era.generation, era.options)
                case State.EXPIRED:
                    pass
        return self._handouts.hand_out(await self._exchanged(asked, until), era.generation, era.options)

    async def _exchanged(self, asked: Asked, until: float) -> Entry:
        """Wait for the exchange. What aged away while its waiter slept is fetched once more, and only once (P11)."""
        self._metrics.cache("miss" if self._negative.get(asked.key, self._clock.boot()) is None else "negative")
        entry = await self._fetched(asked, until)
        if entry.lifetime.until is not None and self._left(entry) < _ALMOST_GONE:
            entry = await self._fetched(asked, until)
            if self._left(entry) <= 0:
                message = f"the credential of {asked.plan.subject} expires faster than it can be handed out"
                raise failed(Code.EXPIRED_ON_ARRIVAL, message, "is this machine very busy?")
        return entry

    async def _renewed_or_valid(self, entry: Entry, asked: Asked, until: float) -> Entry:
        """Wait a little for a newer grant; the old one is handed out as long as it is valid, and no longer."""
        now = self._clock.boot()
        if now < entry.lifetime.since + SHORTEST_GAP:
            return entry
        try:
            newer = await self._fetched(asked, min(until, now + min(MANDATORY_WAIT, self._left(entry) - _ALMOST_GONE)))
        except Failed as error:
            if self._left(entry) <= 0:
                raise
            self._complain(entry, error.failure)
            return entry
        return max(newer, entry, key=self._left)

    def _complain(self, entry: Entry, failure: Failure) -> None:
        """Say once that a grant is handed out although its renewal fails."""
        if entry.upkeep is None or not entry.upkeep.warned:
            left = round(self._left(entry), 1)
            log.warning("served while failing", subject=entry.subject, code=failure.code.value, left=left)
        if entry.upkeep is not None:
            entry.upkeep.warned = True

    async def _fetched(self, asked: Asked, until: float) -> Entry:
        """Join the flight for a key, or begin it; wait for it until then."""
        now = self._clock.boot()
        remembered = self._negative.get(asked.key, now)
        if remembered is not None:
            raise Failed(remembered)
        flight = self._flights.find(asked.key)
        if flight is None:
            self._budget.charge(asked.sandbox)
            flight = self._flight(asked)
        outcome = await self._flights.ride(flight, until)
        self._metrics.waited(self._clock.boot() - now)
        if outcome is None:
            raise Failed(self._out_of_time(flight))
        if isinstance(outcome, Failure):
            raise Failed(outcome)
        self._noted(outcome, asked)
        return outcome

    def _noted(self, entry: Entry, asked: Asked) -> None:
        """Note the latest question. What is used once may never be wanted again, and is not kept fresh."""
        if entry.uses:
            self._renewal.take_up(entry, asked.plan)
        if entry.authority != asked.authority:
            entry.authority = ""

    def _renew(self, entry: Entry, sandbox: str | None = None) -> Flight | None:
        """Begin an exchange behind everybody's back; None while backing off, or with too much under way.

        Raises:
            Failed(rate_limited): the sandbox that would cause it has no budget left.
        """
        flight, upkeep = self._flights.find(entry.key), entry.upkeep
        if flight is None and upkeep is not None and self._clock.boot() >= upkeep.retry_at:
            self._budget.charge(sandbox)
            asked = Asked(entry.key, self._era.generation, entry.origin, entry.authority, entry.rule, upkeep.plan)
            flight = self._flight(asked, background=True)
            if not self._flights.launch(flight):
                return None
        return flight

    def fresh(self, handout: Handout) -> bool:
        """Tell whether an answer may be given once more as it is; if so, that counts as a use."""
        return self._handouts.fresh(handout, self._era.generation)

    async def stored(self, target: Target, patience: float = PATIENCE) -> Stored | None:
        """Give the stored login for a target, for the docker helper protocol; None where there is none."""
        try:
            async with self._clock.timeout(patience):
                with self._bugs:
                    return await self._era.table.stored(target)
        except TimeoutError:
            raise _slow(target.authority, patience) from None

    async def explain(self, question: Question, patience: float = PATIENCE) -> Explanation:
        """Give every decision for a question and the state of its key, without any exchange."""
        era = self._era
        try:
            found: Routed | Failure = await self._routed(era, question, patience)
        except Failed as error:
            found = error.failure
        nothing = isinstance(found, Routed) and found.plan is None
        why = era.table.why_nothing(question) if nothing else ()
        plan = found.plan if isinstance(found, Routed) else None
        broken = None if plan is None else await self._checked(era, question, patience)
        return self._inspector.explain(question, era.generation, found, why, broken)

    async def _checked(self, era: _Era, question: Question, patience: float) -> Failure | None:
        """Look whether an exchange could begin at all; give why not."""
        try:
            async with self._clock.timeout(patience):
                with self._bugs:
                    await era.table.check(question)
        except TimeoutError:
            return _slow(question.target.authority, patience).failure
        except Failed as error:
            return error.failure
        return None

    def status(self) -> Status:
        """Give the broker's state."""
        return self._inspector.status(self._era.generation)

    def flush(self, match: str | None = None) -> int:
        """Forget grants, failures and what providers learned; give how many grants.

        Args:
            match: ``host`` (on any port), ``host:port`` or ``*.suffix``; None for all.
        """
        wanted = covers(match)
        count = self.cache.drop_all(wanted)
        self._negative.drop(wanted)
        self._flights.forsake(wanted)
        self._renewal.tidy()
        for provider in self._era.table.providers():
            with self._bugs:
                provider.forget(wanted)
        return count

    def relieve(self) -> int:
        """Give memory back: the half of the grants that was used longest ago, and no exchange begins for a second.

        What is still in memory is answered. Gives how many grants went. Source: reliability.md C6.
        """
        self._flights.pause(_RELIEF)
        count = self.cache.halve()
        self._renewal.tidy()
        log.warning("short of memory", dropped=count, left=len(self.cache))
        return count

    def swap(self, table: Table, options: Options | None = None) -> int:
        """Put another configuration in force; give its generation.

        Everything in memory belongs to the old one and is dropped; its flights end for those who wait, and their
        results are not kept (P12).
        """
        self._era = _Era(self._era.generation + 1, table, options or self._era.options)
        self._landing.generation = self._era.generation
        self.cache.rebound(self._era.options.entries, self._era.options.bytes)
        self._negative.drop(covers(None))
        self._renewal.tidy()
        return self._era.generation

    async def drain(self, seconds: float) -> None:
        """Wait for the exchanges that somebody waits for, but no longer than that (P5)."""
        await self._flights.drain(seconds)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        for work in (self._renewal.run(), self._sweep.run()):
            self._background.append(self._group.create_task(work, context=contextvars.Context()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._flights.close()
        for task in self._background:
            task.cancel()
        if isinstance(error, asyncio.CancelledError):
            await self._group.__aexit__(kind, error, traceback)
        else:
            # The group would wrap an error of our caller's into a group of errors; it has nothing to do with it.
            await self._group.__aexit__(None, None, None)

    async def _routed(self, era: _Era, question: Question, patience: float) -> Routed:
        try:
            async with self._clock.timeout(patience):
                with self._bugs:
                    return await era.table.plan(question)
        except TimeoutError:
            raise _slow(question.target.authority, patience) from None

    def _spawn(self, work: Coroutine[object, object, Outcome], context: contextvars.Context) -> asyncio.Task[Outcome]:
        return self._group.create_task(work, context=context)

    def _flight(self, asked: Asked, *, background: bool = False) -> Flight:
        limit = self._era.options.flight_timeout if asked.plan.timeout is None else asked.plan.timeout
        return Flight(asked, limit=limit, background=background, anew=self._doubtful(asked.key))

    def _doubtful(self, key: Key) -> bool:
        """Whether what was given for a key was refused, or may have been: then its login may be another one by now."""
        if self._clock.boot() - self._rejected.get(key, float("-inf")) < _REJECTED_GAP:
            return True
        entry = self.cache.peek(key)
        return entry is not None and entry.upkeep is not None and entry.upkeep.doubted

    def _out_of_time(self, flight: Flight) -> Failure:
        if flight.started is None:
            message = f"{flight.plan.subject} is waiting for its turn behind other exchanges"
            return Failure(Code.OVERLOADED, message, "run the build again, or with fewer --jobs", 1.0)
        seconds = self._clock.boot() - flight.started
        message = f"{flight.plan.subject} has not answered for {seconds:.1f} s; still trying, run the build again"
        return Failure(Code.STILL_TRYING, message, "the answer is kept for the next call; credproxy status shows it")

    def _left(self, entry: Entry) -> float:
        return remaining(entry.lifetime, self._clock.boot(), self._clock.wall())

    def _state(self, entry: Entry, plan: Plan) -> State:
        boot, wall = self._clock.boot(), self._clock.wall()
        lifetime = entry.lifetime
        if remaining(lifetime, boot, wall) <= max(_ALMOST_GONE, plan.min_lifetime):
            return State.EXPIRED
        return state(lifetime, entry.window, boot, wall)


def _slow(authority: str, patience: float) -> Failed:
    message = f"looking up the credential of {authority!r} took longer than {patience:.1f} s"
    return failed(Code.UPSTREAM_UNAVAILABLE, message, "is a credential file on a slow disk, or its program stuck?")
