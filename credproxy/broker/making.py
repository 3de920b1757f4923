r"""Answers that are made from what many share, such as the key that signs for each object of a bucket.

::

    question --its basis is there--> made at once: no slot, no task, no place in the queue
        |
        +--it is not--> waits for the one flight that obtains the basis --> its turn --> made

So ten thousand objects of one bucket take one slot of the runway, and each that waits costs what a caller costs that joins a
flight. Their number is bounded by the connections that they came on. Once the basis is there they are made a few at a time,
so that others are answered between them.
"""

from collections import Counter
from typing import Final

from cachetools import LRUCache

from credproxy.broker.cache import Cache
from credproxy.broker.flight import Flight, Outcome
from credproxy.broker.flights import Flights
from credproxy.broker.lookup import Key, Lookup, key_of
from credproxy.broker.negative_cache import Negative
from credproxy.core.ask.credential import Caller
from credproxy.core.errors import Failure
from credproxy.ports.clock import Clock
from credproxy.ports.provider import Plan


_ROUNDS: Final = 16
"""What was obtained is used for a second, which may be over before the last of many has had its turn."""

_FAILED: Final = 1024


class Making:
    """Makes the answers of one era that need no flight of their own.

    Args:
        flights: where such an answer lands.
        bases: the flights of what is shared.
        cache, negative: of the era.
        clock: says when patience ends.
        flight_timeout: seconds that a flight may take.
    """

    def __init__(
        self,
        *,
        flights: Flights,
        bases: Flights,
        cache: Cache,
        negative: Negative,
        clock: Clock,
        flight_timeout: float,
    ) -> None:
        self._flights = flights
        self._bases = bases
        self._cache = cache
        self._negative = negative
        self._clock = clock
        self._limit = flight_timeout
        self._waiting: Counter[Key] = Counter()
        self._failed: LRUCache[Key, None] = LRUCache(_FAILED)

    def awaits(self, key: Key) -> bool:
        """Whether somebody waits for the answer with that key: it is paid for."""
        return key in self._waiting

    async def make(self, lookup: Lookup, until: float) -> Outcome | None:
        """Make an answer, as soon as its basis is there; None if it takes a flight of its own.

        Args:
            lookup: what is asked for.
            until: boot-clock seconds.

        Raises:
            Failed(overloaded): the queue is full, memory is short, or the daemon stops.
        """
        make, basis = lookup.plan.make, lookup.plan.basis
        if make is None or basis is None:
            return None
        outcome = self._flights.at_once(lookup, make)
        if outcome is not None:
            return outcome
        self._waiting[lookup.key] += 1
        try:
            with self._flights.making(lookup.caller):
                return await self._made_later(lookup, basis, until)
        finally:
            self._waiting[lookup.key] -= 1
            if not self._waiting[lookup.key]:
                del self._waiting[lookup.key]

    def under_way(self, caller: Caller, plan: Plan) -> Flight | None:
        """The flight that obtains a plan's basis."""
        return None if plan.basis is None else self._bases.find(key_of(caller, plan.basis.key))

    def failure(self, caller: Caller, plan: Plan) -> Failure | None:
        """Why a plan's basis could not be obtained, as long as that is remembered."""
        return None if plan.basis is None else self._remembered(key_of(caller, plan.basis.key))

    def forget(self) -> None:
        """A flush: bases are obtained again, whichever hosts they serve."""
        self._bases.forsake(lambda _: True)
        for key in self._failed:
            self._negative.forgive(key)
        self._failed.clear()

    def end(self) -> None:
        """The era is over."""
        self._bases.end()

    async def _made_later(self, lookup: Lookup, basis: Plan, until: float) -> Outcome | None:
        make = lookup.plan.make
        assert make is not None
        before = self._cache.peek(lookup.key)
        for _ in range(_ROUNDS):
            if (failure := await self._obtained(lookup, basis, until)) is not None:
                return failure
            async with self._flights.turn(lookup.caller):
                outcome: Outcome | None = self._cache.peek(lookup.key)
                if outcome is before or outcome is None:
                    outcome = self._flights.at_once(lookup, make)
            if outcome is not None:
                return outcome
        return None

    async def _obtained(self, lookup: Lookup, basis: Plan, until: float) -> Failure | None:
        """Wait for the basis; give the failure if it could not be obtained."""
        key = key_of(lookup.caller, basis.key)
        if (remembered := self._remembered(key)) is not None:
            return remembered
        flight = self._bases.find(key)
        if flight is None:
            wanted = lookup._replace(key=key, plan=basis, sandbox=None)
            flight = self._bases.begin(wanted, limit=self._limit, anew=False)
        outcome = await self._bases.wait(flight, until)
        if outcome is None:
            return flight.out_of_time(self._clock.boot())
        if isinstance(outcome, Failure):
            self._failed[key] = None
            return outcome
        return None

    def _remembered(self, key: Key) -> Failure | None:
        return self._negative.get(key, self._clock.boot())
