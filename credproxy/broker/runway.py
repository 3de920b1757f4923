r"""Which flights may begin, across all eras: the bounds are on what the process does at once.

::

    new --a slot is free---> flying --> landed           slots: 32 flights with waiters, 16 per upstream
     |                        ^  \
     +--> queued -------------+   all waiters have left: it flies on, outside those slots. At most 16 do;
          2,048, in order         one more, and the oldest is cancelled, so that they never hold up a queue

Flights caused by build actions have half of these slots, and never cancel or hold up the user's (T16).

Source: docs/design/faults.md#deadlines and #bounds.
"""

import asyncio
import contextlib
import contextvars
import itertools
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from functools import partial

from credproxy.broker.bugs import Bugs
from credproxy.broker.flight import Flight, Outcome, Result
from credproxy.core.ask.credential import Caller, Grant
from credproxy.core.errors import BUG, SHORT_OF_MEMORY, Code, Failed, Failure, failed
from credproxy.ports.clock import Clock
from credproxy.ports.terms import under_way


MANNED = 32
MANNED_PER_UPSTREAM = 16
UNMANNED = 16
QUEUED = 2048
"""Flights in total; half as many for build actions."""

TURNS = 32
"""Answers that are made in one turn of the loop for a user who has waited: some milliseconds."""

_WORTHWHILE = 0.5
"""Seconds for which a caller must still wait for a queued flight to start: one whose last waiter leaves at that moment
would only push out an older one that is nearly done."""

Spawn = Callable[[Coroutine[object, object, Outcome], contextvars.Context], asyncio.Task[Outcome]]

_STOPPING = Failure(Code.OVERLOADED, "credproxy is stopping", "ask again: its successor will answer", 1.0)


class Runway:
    """All flights that are under way or queued, and which may start.

    Args:
        clock: for limits.
        spawn: starts a task that the daemon owns, in the given context, so that nothing of a request leaks into it (PY1).
        bugs: contains unexpected exceptions of a provider.
    """

    def __init__(self, *, clock: Clock, spawn: Spawn, bugs: Bugs) -> None:
        self._clock = clock
        self._spawn = spawn
        self._bugs = bugs
        self._queued: dict[Flight, None] = {}
        self._manned: dict[Flight, None] = {}
        self._unmanned: dict[Flight, None] = {}
        self._per_upstream: Counter[str] = Counter()
        self._of_actions: Counter[str] = Counter()
        self._seats = itertools.count()
        self._turns: dict[Caller, asyncio.Semaphore] = {}
        self._making: Counter[Caller] = Counter()
        self._closed = False
        self._paused = float("-inf")

    def all(self) -> list[Flight]:
        """Every flight, the queued ones last."""
        return [*self._manned, *self._unmanned, *self._queued]

    def launch(self, flight: Flight) -> bool:
        """Start a new flight without waiters; False if too much is already under way."""
        if self._closed or self._short() or _of(self._queued, flight) or _full(self._unmanned, flight, UNMANNED):
            return False
        self._unmanned[flight] = None
        self._start(flight)
        return True

    def at_once(self, make: Callable[[], Grant | None]) -> Result | None:
        """Make a grant that waits for nothing: it takes no slot, no task and no place in the queue. None if it cannot be made yet.

        Raises:
            Failed(overloaded): memory is short, or the daemon stops.
        """
        self._admit()
        try:
            with self._bugs:
                return make()
        except Failed as error:
            return error.failure

    @contextlib.contextmanager
    def making(self, caller: Caller) -> Iterator[None]:
        """Around a question that waits for what its answer is made from, and then for its turn."""
        self._making[caller] += 1
        try:
            yield
        finally:
            self._making[caller] -= 1
            if not self._making[caller]:
                del self._making[caller]
                self._turns.pop(caller, None)

    @contextlib.asynccontextmanager
    async def turn(self, caller: Caller) -> AsyncIterator[None]:
        """Around an answer that is made after waiting: a few in one turn of the loop, so that others are answered between them.

        Each user has a line, and build actions have another: nobody waits behind somebody else's ten thousand (T3, T16).
        """
        line = self._turns.get(caller)
        if line is None:
            line = self._turns[caller] = asyncio.Semaphore(TURNS)
        async with line:
            await self._clock.sleep(0)
            yield

    async def drain(self, seconds: float) -> None:
        """Wait for all that callers wait for, but no longer than that."""
        try:
            async with self._clock.timeout(seconds):
                while (waiting := [flight.outcome for flight in (*self._manned, *self._queued)]) or self._making:
                    # Without a flight there are only those that have not had their turn yet.
                    await (asyncio.wait(waiting) if waiting else self._clock.sleep(0))
        except TimeoutError:
            return

    def pause(self, seconds: float) -> None:
        """Begin nothing for so long: memory is short (C6)."""
        self._paused = self._clock.boot() + seconds

    def close(self) -> None:
        """Cancel everything, tell the waiters, and start nothing more."""
        self._closed = True
        for flight in self.all():
            self._dismiss(flight, _STOPPING)

    def board(self, flight: Flight, until: float) -> int:
        """Add a waiter to a flight until then, in boot-clock seconds; the flight begins if it is new. Returns the seat.

        Raises:
            Failed(overloaded): the queue is full, or the daemon stops.
        """
        if flight.started is None:
            self._enter(flight)
        seat = next(self._seats)
        flight.waiters[seat] = until
        if flight in self._unmanned:
            del self._unmanned[flight]
            self._man(flight)
        return seat

    def leave(self, flight: Flight, seat: int) -> None:
        """A waiter leaves; a flight without waiters goes on outside the slots."""
        del flight.waiters[seat]
        if flight.waiters or flight.outcome.done():
            return
        if flight.started is None:
            self._forget(flight)
            return
        self._unman(flight)
        self._unmanned[flight] = None
        beside = _of(self._unmanned, flight)
        if len(beside) > _bound(flight, UNMANNED):
            self._dismiss(beside[0], BUG)
        self._start_queued()

    def _short(self) -> bool:
        return self._clock.boot() < self._paused

    def _admit(self) -> None:
        if self._closed:
            raise Failed(_STOPPING)
        if self._short():
            raise Failed(SHORT_OF_MEMORY)

    def _enter(self, flight: Flight) -> None:
        self._admit()
        if self._room(flight):
            self._start(flight)
        elif len(self._queued) < QUEUED and not (flight.for_actions and _full(self._queued, flight, QUEUED)):
            self._queued[flight] = None
        elif flight not in self._queued:
            message = f"{len(self._manned)} exchanges are running and {QUEUED} are waiting for their turn"
            raise failed(Code.OVERLOADED, message, hint="ask again in a second", retry_after=1.0)

    def _room(self, flight: Flight) -> bool:
        upstream = flight.plan.upstream
        if len(self._manned) >= MANNED or self._per_upstream[upstream] >= MANNED_PER_UPSTREAM:
            return False
        if not flight.for_actions:
            return True
        return self._of_actions.total() < MANNED // 2 and self._of_actions[upstream] < MANNED_PER_UPSTREAM // 2

    def _man(self, flight: Flight) -> None:
        self._manned[flight] = None
        for counter in self._counters(flight):
            counter[flight.plan.upstream] += 1

    def _unman(self, flight: Flight) -> None:
        if flight in self._manned:
            del self._manned[flight]
            for counter in self._counters(flight):
                counter[flight.plan.upstream] -= 1
                if not counter[flight.plan.upstream]:
                    del counter[flight.plan.upstream]

    def _counters(self, flight: Flight) -> tuple[Counter[str], ...]:
        return (self._per_upstream, self._of_actions) if flight.for_actions else (self._per_upstream,)

    def _start_queued(self) -> None:
        if self._closed or not self._queued:
            return
        soon = self._clock.boot() + _WORTHWHILE
        for flight in self._queued:
            if self._room(flight) and max(flight.waiters.values()) > soon:
                self._start(flight)
                return  # one slot became free, so one flight may start

    def _start(self, flight: Flight) -> None:
        self._queued.pop(flight, None)
        if not flight.background:
            self._man(flight)
        flight.started = self._clock.boot()
        flight.task = self._spawn(self._fly(flight), contextvars.Context())
        flight.task.add_done_callback(partial(self._landed, flight))

    async def _fly(self, flight: Flight) -> Outcome:
        under_way.set(flight)  # in the flight's own context
        return flight.home.land(flight, await self._result(flight))

    async def _result(self, flight: Flight) -> Result:
        try:
            async with self._clock.timeout(flight.limit):
                with self._bugs:
                    return await flight.plan.run(flight)
        except TimeoutError:
            message = f"{flight.plan.subject} has not answered within {flight.limit:g} s"
            return Failure(Code.UPSTREAM_UNAVAILABLE, message, "is it up, and is the network?")
        except Failed as error:
            return error.failure

    def _landed(self, flight: Flight, task: asyncio.Task[Outcome]) -> None:
        flight.task = None  # whose context leads back to the flight: only the collector would free them
        self._forget(flight)
        # Reading the exception also marks it as seen; one that came this far ends the daemon through its TaskGroup.
        lost = task.cancelled() or task.exception() is not None
        flight.outcome.set_result((flight.dismissed or BUG) if lost else task.result())
        self._start_queued()

    def _forget(self, flight: Flight) -> None:
        self._unman(flight)
        self._unmanned.pop(flight, None)
        self._queued.pop(flight, None)
        flight.home.forget(flight)

    def _dismiss(self, flight: Flight, reason: Failure) -> None:
        # Unregister first: a question that came before the cancellation is complete would join a
        # flight that can only fail.
        self._forget(flight)
        flight.dismissed = reason
        if flight.task is not None:
            flight.task.cancel()
        elif not flight.outcome.done():
            flight.outcome.set_result(reason)


def _of(flights: dict[Flight, None], like: Flight) -> list[Flight]:
    """The flights of the same side, in order."""
    return [flight for flight in flights if flight.for_actions is like.for_actions]


def _bound(flight: Flight, places: int) -> int:
    return places // 2 if flight.for_actions else places


def _full(flights: dict[Flight, None], flight: Flight, places: int) -> bool:
    return len(_of(flights, flight)) >= _bound(flight, places)
