"""One exchange per key, owned by the daemon, shared by all waiters; it survives any of them leaving.

A waiter that is cancelled cancels nobody else (F11): the task is detached, waiters hold a shield. A failure is a
value; each waiter raises an exception of its own from it (PY28).

Source: F11.
"""

import asyncio
import contextlib
from collections.abc import Callable

from credproxy.broker.flight import Flight, Outcome, Result
from credproxy.broker.lookup import Key, Lookup
from credproxy.broker.runway import Runway
from credproxy.core.ask.credential import Caller, Grant
from credproxy.ports.clock import Clock


class Flights:
    """The flights of one era, by key.

    Args:
        clock: for the waiters.
        runway: decides which may start.
        land: keeps a result; returns what the waiters get.
    """

    def __init__(self, *, clock: Clock, runway: Runway, land: Callable[[Flight, Result], Outcome]) -> None:
        self._clock = clock
        self._runway = runway
        self._over = False
        self._current: dict[Key, Flight] = {}
        self.land = land

    def find(self, key: Key) -> Flight | None:
        """The flight for a key that a new question may join."""
        return self._current.get(key)

    def begin(self, lookup: Lookup, *, limit: float, anew: bool, background: bool = False) -> Flight:
        """Make a flight, to be waited for or launched. ``limit``, ``anew`` as in Flight."""
        flight = Flight(self, lookup, limit=limit, background=background, anew=anew)
        flight.forsaken = self._over
        return flight

    async def wait(self, flight: Flight, until: float) -> Outcome | None:
        """Wait for a flight, which begins if it is new; None when ``until``, in boot-clock seconds, comes first.

        Raises:
            Failed(overloaded): the queue is full, or the daemon stops.
        """
        new = flight.started is None
        seat = self._runway.board(flight, until)
        if new:
            self._current[flight.key] = flight
        try:
            async with self._clock.timeout(until - self._clock.boot()):
                return await asyncio.shield(flight.outcome)
        except TimeoutError:
            return None
        finally:
            self._runway.leave(flight, seat)

    def making(self, caller: Caller) -> contextlib.AbstractContextManager[None]:
        """As ``Runway.making``."""
        return self._runway.making(caller)

    def turn(self, caller: Caller) -> contextlib.AbstractAsyncContextManager[None]:
        """As ``Runway.turn``."""
        return self._runway.turn(caller)

    def at_once(self, lookup: Lookup, make: Callable[[], Grant | None]) -> Outcome | None:
        """Make a grant that waits for nothing, and land it; None if it cannot be made yet. Raises Failed as ``Runway.at_once``."""
        now = self._clock.boot()
        result = self._runway.at_once(make)
        if result is None:
            return None
        flight = self.begin(lookup, limit=0.0, anew=False)
        flight.started = now
        return self.land(flight, result)

    def launch(self, flight: Flight) -> bool:
        """Start a new flight without waiters; False if too much is already under way."""
        if not self._runway.launch(flight):
            return False
        self._current[flight.key] = flight
        return True

    def forsake(self, wanted: Callable[[str], bool]) -> None:
        """Make the flights of the authorities that ``wanted`` selects serve only their current waiters (P12)."""
        for flight in list(self._current.values()):
            if not flight.lookup.authority or wanted(flight.lookup.authority):
                flight.forsaken = True
                del self._current[flight.key]

    def forget(self, flight: Flight) -> None:
        """Source: flight.Home."""
        if self._current.get(flight.key) is flight:
            del self._current[flight.key]

    def end(self) -> None:
        """The era is over: waiters still share flights under way, and nothing that lands is kept (P12)."""
        self._over = True
        for flight in self._current.values():
            flight.forsaken = True
