"""A configuration in force, with everything that is remembered under it.

An era answers: the question is routed, answered from memory if possible, and otherwise exchanged once. A
reload begins a new era. A question ends in the era in which it began, and what that era had in memory is gone with it;
nothing has to be compared, because nothing of one era can be reached from another.

Its parts: ``table`` (which provider answers), ``lookup`` (the key), ``cache`` of ``entry`` (grants), ``flights`` (one exchange
per key), ``making`` (answers from what many share), ``landing`` (what is kept of an exchange), ``negative_cache`` (failures,
briefly), ``answers`` (what leaves). What is bounded, counted or learned for the whole process is in ``lasting``.
"""

import contextlib
from collections.abc import Callable
from typing import NamedTuple

import structlog

from credproxy.broker.answers import Answer, Answers
from credproxy.broker.broker_settings import BrokerSettings
from credproxy.broker.cache import Cache
from credproxy.broker.entry import SHORTEST_GAP, Entry
from credproxy.broker.flight import Flight, Outcome
from credproxy.broker.flights import Flights
from credproxy.broker.landing import Landing
from credproxy.broker.lasting import Lasting
from credproxy.broker.lookup import Key, Lookup, key_of
from credproxy.broker.making import Making
from credproxy.broker.negative_cache import Negative
from credproxy.broker.table import Routed, Table
from credproxy.core.ask.credential import Stored
from credproxy.core.ask.http import Reach
from credproxy.core.ask.lifetime import State, remaining, state
from credproxy.core.ask.target import Question, Target
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.ports.permissions import Permissions
from credproxy.ports.provider import Plan


PATIENCE = 8.5
MANDATORY_WAIT = 3.0
_ALMOST_GONE = 1.0
"""Seconds; a grant with less is of no use to a caller (TX-17, P11)."""

log = structlog.get_logger("credproxy.broker")


class GatewayAnswer(NamedTuple):
    """What the gateway sends a request with, and where to; ``target`` is what was asked about."""

    target: Target
    answer: Answer
    reach: Reach


class Era:
    """Answers under one configuration, until ``end``.

    Args:
        table: which provider answers.
        policy: what build actions may have.
        options: the broker's part of the configuration.
        lasting: what it shares with the eras before and after it.
        number: of the era, shown to people.
        evicted: grants that earlier eras evicted, likewise.
    """

    def __init__(
        self,
        table: Table,
        policy: Permissions,
        *,
        options: BrokerSettings,
        lasting: Lasting,
        number: int,
        evicted: int = 0,
    ) -> None:
        self.table = table
        self.policy = policy
        self.options = options
        self.number = number
        self._lasting = lasting
        self._clock = lasting.clock
        self._bugs = lasting.bugs
        self._renewal = lasting.renewal
        self.cache = Cache(options.entries, options.bytes, evicted=evicted)
        self.negative = Negative(lasting.sample)
        landing = Landing(
            clock=lasting.clock,
            sample=lasting.sample,
            metrics=lasting.metrics,
            cache=self.cache,
            negative=self.negative,
            take_up=lasting.renewal.take_up,
        )
        self.flights = Flights(clock=lasting.clock, runway=lasting.runway, land=landing.land)
        self.making = Making(
            flights=self.flights,
            bases=Flights(clock=lasting.clock, runway=lasting.runway, land=landing.obtained),
            cache=self.cache,
            negative=self.negative,
            clock=lasting.clock,
            flight_timeout=options.flight_timeout,
        )
        self._answers = Answers(
            clock=lasting.clock,
            metrics=lasting.metrics,
            options=options,
            cache=self.cache,
            doubt=lasting.doubt,
        )

    async def ask(self, question: Question, patience: float, *, doubted: bool) -> Answer:
        """As ``Broker.ask``."""
        until = self._clock.boot() + patience
        return await self._answer(await self.routed(question, patience), question, until, doubted=doubted)

    async def ask_for_gateway(self, question: Question, patience: float) -> GatewayAnswer:
        """As ``Broker.ask_for_gateway``."""
        until = self._clock.boot() + patience
        routed = await self.routed(question, patience)
        return GatewayAnswer(question.target, await self._answer(routed, question, until), routed.reach)

    async def routed(self, question: Question, patience: float) -> Routed:
        """Decide how a question is answered. Raises Failed as ``Table.plan``, and if that takes too long."""
        try:
            async with self._clock.timeout(patience):
                with self._bugs:
                    return await self.table.plan(question)
        except TimeoutError:
            raise _slow(question.target.authority, patience) from None

    async def checked(self, question: Question, patience: float) -> Failure | None:
        """Check whether an exchange could begin at all; return why not."""
        try:
            async with self._clock.timeout(patience):
                with self._bugs:
                    await self.table.check(question)
        except TimeoutError:
            return _slow(question.target.authority, patience).failure
        except Failed as error:
            return error.failure
        return None

    async def stored(self, target: Target, patience: float) -> Stored | None:
        """As ``Broker.stored``."""
        try:
            async with self._clock.timeout(patience):
                with self._bugs:
                    return await self.table.stored(target)
        except TimeoutError:
            raise _slow(target.authority, patience) from None

    def renew(self, entry: Entry, sandbox: str | None = None) -> Flight | None:
        """Begin an exchange in the background; None while backing off, or with too much under way.

        Raises:
            Failed(rate_limited): the sandbox that would cause it has no budget left.
        """
        flight, upkeep = self.flights.find(entry.key), entry.upkeep
        if flight is None and upkeep is not None and self._clock.boot() >= upkeep.retry_at:
            self._lasting.budget.charge(sandbox)
            lookup = Lookup(entry.key, entry.caller, entry.authority, entry.rule, upkeep.plan)
            flight = self._flight(lookup, background=True)
            if not self.flights.launch(flight):
                return None
        return flight

    def flush(self, wanted: Callable[[str], bool]) -> int:
        """Forget the grants and failures of the authorities that ``wanted`` selects, and what was learned about them.

        Returns how many grants. Flights under way still serve those that wait for them.
        """
        count = self.cache.drop_all(wanted)
        self.negative.drop(wanted)
        self.flights.forsake(wanted)
        self.making.forget()
        for forget in self.table.memories(wanted):
            with self._bugs:
                forget()
        return count

    def end(self) -> None:
        """A new era is in force: no secret stays in memory, no answer is repeated, and nothing that lands is kept.

        A caller that asked before is still answered, by a flight that is under way or by an exchange of its own (P12).
        """
        self._answers.end()
        self.flights.end()
        self.making.end()
        self.cache.drop_all(lambda _: True)

    async def _answer(self, routed: Routed, question: Question, until: float, *, doubted: bool = False) -> Answer:
        plan = routed.plan
        if plan is None:
            return self._answers.nothing()
        key = key_of(question.caller, plan.key)
        lookup = Lookup(key, question.caller, question.target.authority, routed.rule, plan, question.sandbox)
        entry = self.cache.get(key)
        if entry is not None:
            self._noted(entry, lookup)
            if doubted and not self.options.bazel_71_compat:
                self._lasting.doubt.cast(entry)
            self._renewal.nudge(self._clock.boot())
            match self._state(entry, plan):
                case State.FRESH:
                    return self._answers.remembered(entry, "fresh")
                case State.ADVISORY:
                    with contextlib.suppress(Failed):  # a sandbox without budget is still served from memory
                        self.renew(entry, question.sandbox)
                    return self._answers.remembered(entry, "advisory")
                case State.MANDATORY:
                    return self._answers.remembered(await self._renewed_or_valid(entry, lookup, until), "mandatory")
                case State.EXPIRED:
                    pass
        return self._answers.answer(await self._exchanged(lookup, until))

    async def _exchanged(self, lookup: Lookup, until: float) -> Entry:
        """Wait for the exchange. A grant that expired while its waiter slept is fetched once more, and only once (P11)."""
        self._lasting.metrics.cache("miss" if self.negative.get(lookup.key, self._clock.boot()) is None else "negative")
        entry = await self._fetched(lookup, until)
        if entry.lifetime.until is not None and self._left(entry) < _ALMOST_GONE:
            entry = await self._fetched(lookup, until)
            if self._left(entry) <= 0:
                message = f"the credential of {lookup.plan.subject} expires faster than it can be handed out"
                raise failed(Code.EXPIRED_ON_ARRIVAL, message, hint="is this machine very busy?")
        return entry

    async def _renewed_or_valid(self, entry: Entry, lookup: Lookup, until: float) -> Entry:
        """Wait a little for a newer grant; hand out the old one as long as it is valid, and no longer."""
        now = self._clock.boot()
        if now < entry.lifetime.since + SHORTEST_GAP:
            return entry
        try:
            newer = await self._fetched(lookup, min(until, now + min(MANDATORY_WAIT, self._left(entry) - _ALMOST_GONE)))
        except Failed as error:
            if self._left(entry) <= 0:
                raise
            self._complain(entry, error.failure)
            return entry
        return max(newer, entry, key=self._left)

    def _complain(self, entry: Entry, failure: Failure) -> None:
        """Log once that a grant is handed out although its renewal fails."""
        if entry.upkeep is None or not entry.upkeep.warned:
            left = round(self._left(entry), 1)
            log.warning("served while failing", subject=entry.subject, code=failure.code.value, left=left)
        if entry.upkeep is not None:
            entry.upkeep.warned = True

    async def _fetched(self, lookup: Lookup, until: float) -> Entry:
        """Join the flight for a key, or begin one; wait for it until then."""
        now = self._clock.boot()
        remembered = self.negative.get(lookup.key, now)
        if remembered is not None:
            raise Failed(remembered)
        outcome = await self._outcome(lookup, until)
        self._lasting.metrics.waited(self._clock.boot() - now)
        if isinstance(outcome, Failure):
            raise Failed(outcome)
        self._noted(outcome, lookup)
        return outcome

    async def _outcome(self, lookup: Lookup, until: float) -> Outcome:
        flight = self.flights.find(lookup.key)
        if flight is None:
            if not self.making.awaits(lookup.key):
                self._lasting.budget.charge(lookup.sandbox)
            if not self._anew(lookup.key) and (made := await self.making.make(lookup, until)) is not None:
                return made
            flight = self.flights.find(lookup.key) or self._flight(lookup)
        outcome = await self.flights.wait(flight, until)
        return flight.out_of_time(self._clock.boot()) if outcome is None else outcome

    def _noted(self, entry: Entry, lookup: Lookup) -> None:
        """Note the latest question. An entry used once may never be wanted again, and is not kept fresh."""
        if entry.uses:
            self._renewal.take_up(entry, lookup.plan)
        if entry.authority != lookup.authority:
            entry.authority = ""

    def _flight(self, lookup: Lookup, *, background: bool = False) -> Flight:
        limit = self.options.flight_timeout if lookup.plan.timeout is None else lookup.plan.timeout
        return self.flights.begin(lookup, limit=limit, anew=self._anew(lookup.key), background=background)

    def _anew(self, key: Key) -> bool:
        return self._lasting.doubt.of(key, self.cache.peek(key))

    def _left(self, entry: Entry) -> float:
        return remaining(entry.lifetime, self._clock.boot(), wall=self._clock.wall())

    def _state(self, entry: Entry, plan: Plan) -> State:
        boot, wall = self._clock.boot(), self._clock.wall()
        lifetime = entry.lifetime
        if remaining(lifetime, boot, wall=wall) <= max(_ALMOST_GONE, plan.min_lifetime):
            return State.EXPIRED
        return state(lifetime, entry.window, boot=boot, wall=wall)


def _slow(authority: str, patience: float) -> Failed:
    message = f"looking up the credential of {authority!r} took longer than {patience:.1f} s"
    return failed(Code.UPSTREAM_UNAVAILABLE, message, hint="is a credential file on a slow disk, or its program stuck?")
