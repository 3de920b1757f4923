"""The carriers: as many as there is work for, each sandbox in one of them, and a new one for each that is lost."""

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import Callable
from typing import Protocol, Self

import structlog
from cachetools import TTLCache

from credproxy.adapters.nursery_client import Newborn, Nursery
from credproxy.adapters.resident_memory import resident
from credproxy.core.ask.carrier_messages import SHORT_OF_MEMORY, CarrierReport
from credproxy.core.errors import Code, Failure, failed
from credproxy.daemon.carrier import Carrier
from credproxy.daemon.carrier_questions import Office, PassedConnection
from credproxy.daemon.relays import Relays, StartsRelays
from credproxy.ports.clock import Clock


IDLE = 60.0
"""Seconds without a connection after which a carrier ends."""

REMEMBERED = 3600.0
"""Seconds for which a caller finds the same carrier again, and for which one with unfinished uploads is kept."""

_HOMES = 4096

LOOKS = 2.0
"""Seconds between two signs of life of a carrier that has work."""

SILENT = 10.0
"""Seconds without one after which it counts as hung: its callers are then better off if it ends."""

_MOST = 4

_Home = tuple[str | None, int, int | None]
"""What shares a carrier: a sandbox, a user of a system service, a process of the daemon's own user; each on its port."""


log = structlog.get_logger("credproxy.carriers")


def _home(passed: PassedConnection) -> _Home:
    # Everything of one sandbox is in one carrier, so it can break only its own. The user's own processes are spread.
    return passed.account, passed.port, passed.peer.pid if passed.account is None else None


def enough(configured: int | None) -> int:
    """The largest useful number of carriers."""
    return configured or min(_MOST, os.cpu_count() or 1)


class Starts(StartsRelays, Protocol):
    """Starts processes. Source: adapters.nursery_client."""

    async def warm_up(self) -> None:
        """Get ready to start one. Raises OSError, TimeoutError."""
        ...

    async def carrier(self) -> Newborn:
        """Start a carrier. Raises OSError, TimeoutError."""
        ...

    async def close(self) -> None:
        """End all of them."""
        ...


class Carriers:
    """Passes connections on; an asynchronous context manager that leaves no carrier behind.

    Args:
        office: answers their questions.
        clock: for idleness and signs of life.
        most: carriers at once.
        refused: counts refusals by code, together with the daemon's own.
        nursery: starts carriers; told of each that ended.
    """

    def __init__(
        self,
        office: Office,
        clock: Clock,
        *,
        most: int,
        refused: Counter[str],
        nursery: Callable[[Callable[[int, int], None]], Starts] = Nursery,
    ) -> None:
        self._office = office
        self._clock = clock
        self._most = most
        self._refused = refused
        self._nursery = nursery(self._ended)
        self.relays = Relays(self._nursery, office, clock=clock)
        self._carriers: list[Carrier] = []
        # A returning caller finds its unfinished uploads where it left them.
        self._homes: TTLCache[_Home, Carrier] = TTLCache(_HOMES, REMEMBERED, timer=clock.boot)
        self._growing: asyncio.Lock = asyncio.Lock()
        self._idle_since: dict[int, float] = {}
        self._expected: set[int] = set()
        self._watching: asyncio.Task[None] | None = None
        self.lost = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._watching is not None:
            self._watching.cancel()
        for carrier in tuple(self._carriers):
            self._forget(carrier)
            carrier.close()
        self.relays.close()
        await self._nursery.close()
        self._office.close()

    @property
    def running(self) -> tuple[Carrier, ...]:
        """The carriers that are running."""
        return tuple(self._carriers)

    @property
    def pids(self) -> frozenset[int]:
        """Their process ids, and that of the relay process: none of them is a caller."""
        return self.relays.pids.union(carrier.pid for carrier in self._carriers)

    def report(self) -> list[CarrierReport]:
        """What each of them is doing, and what it uses."""
        return [
            CarrierReport(
                carrier.pid,
                len({passed.account for passed in carrier.connections.values() if passed.account is not None}),
                len(carrier.connections),
                carrier.downloads,
                carrier.moved,
                # If /proc hides processes of the same user, it also hides those that nobody may read.
                resident(carrier.pid) or carrier.memory,
                carrier.confined,
                self.relays.held(carrier.pid),
            )
            for carrier in self._carriers
        ]

    @property
    def downloads(self) -> int:
        """Downloads under way, as the carriers report."""
        return sum(carrier.downloads for carrier in self._carriers)

    def count_downloads(self) -> int:
        """Return that number, and ask for a newer one."""
        for carrier in self._carriers:
            carrier.ping()
        return self.downloads

    async def warm_up(self) -> None:
        """Start the nursery, so that the first layer does not wait for it."""
        try:
            await self._nursery.warm_up()
        except (OSError, TimeoutError) as error:
            log.warning("carriers cannot be started", error=type(error).__name__, hint="credproxy doctor")

    async def take(self, sock: socket.socket, passed: PassedConnection, *, refusal: Failure | None = None) -> None:
        """Pass a connection on, and close this process's own descriptor for it.

        Raises:
            Failed(overloaded): there is no carrier, and none can be started.
        """
        try:
            carrier = await self._home(_home(passed))
            carrier.give(sock, passed, refusal=refusal)
            self._idle_since.pop(carrier.pid, None)
        finally:
            sock.close()

    def spare(self, account: str | None, port: int, *, kept: Callable[[str | None], None]) -> bool:
        """Close the connection of an account that has been silent longest; False if no carrier serves that account.

        Args:
            account: whose.
            port: of the door that needs its slot.
            kept: told if each of them has a request under way.
        """
        carrier = self._homes.get((account, port, None))
        if carrier is None or not carrier.open:
            return False
        carrier.spare(account, port, kept=kept)
        return True

    def changed(self) -> None:
        """Another configuration is in force."""
        self.relays.changed()
        for carrier in self._carriers:
            carrier.changed()

    def flushed(self) -> None:
        """Everything was flushed."""
        for carrier in self._carriers:
            carrier.flushed()

    async def leave(self, grace: float) -> None:
        """Let them finish what is under way, for at most so many seconds."""
        carriers = self.running
        for carrier in carriers:
            self._expected.add(carrier.pid)
            carrier.leave(grace)
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(grace + 1.0):
                while any(carrier.open for carrier in carriers):
                    await self._clock.sleep(0.02)

    async def _home(self, whose: _Home) -> Carrier:
        found = self._homes.get(whose)
        if found is None or not found.open:
            async with self._growing:
                found = self._homes.get(whose)
                if found is None or not found.open:
                    found = await self._chosen()
        self._homes[whose] = found  # and the hour starts again
        return found

    async def _chosen(self) -> Carrier:
        """An idle carrier; else another one, as long as there may be more; else the one with the fewest connections."""
        least = min(self._carriers, key=lambda carrier: len(carrier.connections), default=None)
        if least is not None and (not least.connections or len(self._carriers) >= self._most):
            return least
        try:
            born = await self._nursery.carrier()
        except (OSError, TimeoutError) as error:
            log.warning("carrier not started", error=type(error).__name__, hint="credproxy doctor")
            if least is not None:
                return least
            message = "the process that serves build actions cannot be started"
            raise failed(Code.OVERLOADED, message, hint="credproxy doctor", retry_after=1.0) from None
        carrier = Carrier(
            born, self._office, clock=self._clock, lost=self._lost, refused=self._count, relays=self.relays
        )
        self._carriers.append(carrier)
        if self._watching is None:
            self._watching = asyncio.ensure_future(self._watch())
        return carrier

    def _count(self, code: str, count: int) -> None:
        self._refused[code] += count

    def _lost(self, carrier: Carrier, how: str) -> None:
        """One is gone: what it held is free, and its callers' connections ended with it."""
        if not carrier.leaving:  # _expected may be without it by now: the nursery may tell of its end first
            self.lost += 1
            log.warning(
                "carrier lost",
                carrier=carrier.pid,
                reason=f"it {how}",
                connections=len(carrier.connections),
                hint="its build actions ask again; another one is started for them",
            )
        self._forget(carrier)
        self._nursery.kill(carrier.pid)

    def _forget(self, carrier: Carrier) -> None:
        if carrier in self._carriers:
            self._carriers.remove(carrier)
        for whose in [one for one, home in self._homes.items() if home is carrier]:
            self._homes.pop(whose, None)
        for passed in carrier.connections.values():
            passed.freed()
        carrier.connections.clear()
        self._idle_since.pop(carrier.pid, None)

    def _ended(self, pid: int, status: int) -> None:
        if pid in self._expected:
            self._expected.discard(pid)
        elif status and not self.relays.ended(pid):
            reason = "it ran out of memory" if status == SHORT_OF_MEMORY else None
            log.warning("carrier ended", carrier=pid, status=status, reason=reason)

    async def _watch(self) -> None:
        while self._carriers:
            await self._clock.sleep(LOOKS)
            now = self._clock.boot()
            for carrier in self.running:
                if carrier.connections:
                    self._idle_since.pop(carrier.pid, None)
                    # Checks are counted, not seconds: during a suspend everything stands still, and it did not hang.
                    if carrier.unheard * LOOKS >= SILENT:
                        carrier.close()
                        self._lost(carrier, f"gave no sign of life for {SILENT:g} s")
                    else:
                        carrier.look()
                elif carrier.pid not in self._idle_since:
                    self._idle_since[carrier.pid] = now
                    carrier.ping()  # its figure for uploads may be older than its last connection
                elif now - self._idle_since[carrier.pid] >= (REMEMBERED if carrier.uploads else IDLE):
                    self._expected.add(carrier.pid)
                    carrier.leave(0.0)
                    self._forget(carrier)
        self._watching = None
