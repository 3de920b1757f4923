"""Connections that show a client certificate, made for carriers by a process of their own. Source: carrier.relay_process.

The daemon says where each of them leads, and with what it is made; the carrier gets one end of a pair of sockets, and
never the key. The process is started with the first of them, and ends with the keys that it holds when none is left.
"""

import asyncio
import itertools
import socket
from collections import Counter
from typing import Protocol
from urllib.parse import urlsplit

import msgspec
import structlog

from credproxy.adapters.named_semaphores import NamedSemaphores
from credproxy.adapters.nursery_client import Newborn
from credproxy.adapters.resident_memory import resident
from credproxy.adapters.tls_trust import ClientIdentity
from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.proxy import proxy_of
from credproxy.core.ask.relay_messages import Begin, RelayReport
from credproxy.core.ask.way import way
from credproxy.core.errors import Code, failed
from credproxy.daemon.relay_client import RelayClient, RelayShare
from credproxy.ports.clock import Clock


SHARE = 192
"""Relays of one carrier: half as many again as one sandbox may have connections."""

MOST = 768
"""Relays of all carriers: two descriptors for each, and some 300 KB of memory at most."""

AT_ONCE = 4
"""Connections that are made for one carrier to one origin at once: a host that does not answer holds a thread for each."""

OF_ALL = 8
"""Connections that are made to one origin at once for all carriers: an eighth of the process's threads, so that seven hosts
that do not answer, as behind a VPN that is down, leave some for the others."""

WAIT = 30.0
"""Seconds for a connection to be made, from the question on."""

REST = 60.0
"""Seconds without a relay after which the process ends."""

LOOK = 2.0
"""Seconds between two signs of life while there are relays."""

SILENT = 10.0
"""Seconds without one after which it counts as hung."""

log = structlog.get_logger("credproxy.relays")


class StartsRelays(Protocol):
    """Starts the process. Source: adapters.nursery_client."""

    async def relay(self) -> Newborn:
        """Start one. Raises OSError, TimeoutError."""
        ...

    def kill(self, pid: int) -> None:
        """End one that does not end on its own."""
        ...


class RelayOffice(Protocol):
    """What the process cannot look up itself. Source: daemon.carrier_office."""

    async def locate(self, host: str) -> tuple[tuple[int, str], ...]:
        """Addresses of a host; none if the name is not found."""
        ...

    async def stamp(self, dial: Dial) -> int:
        """A number that changes with a policy's certificates."""
        ...

    async def identity(self, dial: Dial) -> ClientIdentity:
        """What connections under a policy are made with. Raises Failed."""
        ...


class Relays:
    """Has connections made.

    Args:
        nursery: starts the process.
        office: reads certificates, and finds hosts.
        clock: for time limits.

    Attributes:
        lost: processes that ended unexpectedly.
    """

    def __init__(self, nursery: StartsRelays, office: RelayOffice, *, clock: Clock) -> None:
        self._nursery = nursery
        self._office = office
        self._clock = clock
        self._numbers = itertools.count(1)
        self._own, self._dialling = NamedSemaphores(AT_ONCE), NamedSemaphores(OF_ALL)
        self._shares: Counter[int] = Counter()
        self._process: RelayClient | None = None
        self._starting = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._pids: set[int] = set()
        self.lost = 0

    @property
    def pids(self) -> frozenset[int]:
        """The process id, if there is one."""
        return frozenset() if self._process is None else frozenset({self._process.pid})

    @property
    def running(self) -> int:
        """How many relays there are."""
        return self._shares.total()

    def held(self, owner: int) -> int:
        """How many of them one carrier has."""
        return self._shares[owner]

    def report(self) -> list[RelayReport]:
        """What the process is doing, and what it uses; empty if there is none."""
        found = self._process
        if found is None:
            return []
        return [RelayReport(found.pid, found.relays, resident(found.pid) or found.memory, found.confined)]

    async def connect(self, reach: Reach, subject: str, *, owner: int) -> socket.socket:
        """Have a connection to an origin made, and give the carrier's end of it.

        Args:
            reach: where to, and the policy for it.
            subject: its name in messages.
            owner: pid of the carrier.

        Raises:
            Failed: overloaded; those of a connection, and of reading certificates.
        """
        if self._shares[owner] >= SHARE or self._shares.total() >= MOST:
            message = "too many connections are open on which a client certificate was shown"
            raise failed(Code.OVERLOADED, message, hint="ask again, with fewer --jobs", retry_after=1.0)
        self._shares[owner] += 1
        share = RelayShare(self._shares, owner)
        try:
            async with (
                self._clock.timeout(WAIT),
                self._own.place(f"{owner} {reach.origin}", WAIT),
                self._dialling.place(reach.origin, WAIT),
            ):
                return await self._made(reach, subject, share)
        except TimeoutError:
            message = f"{subject} did not complete a connection in time"
            raise failed(Code.UPSTREAM_UNAVAILABLE, message, hint="check the network, then try again") from None
        finally:
            if not share.lent:
                share.give_back()

    def changed(self) -> None:
        """Another configuration is in force: a rule may have gone, and its key with it."""
        if self._process is not None:
            self._process.forget()

    def ended(self, pid: int) -> bool:
        """Whether a process that ended was this one, so that the caller need not report it."""
        if pid not in self._pids:
            return False
        self._pids.discard(pid)
        return True

    def close(self) -> None:
        """End the process, and with it every connection."""
        if self._process is not None:
            self._let_go(self._process)

    async def _made(self, reach: Reach, subject: str, share: RelayShare) -> socket.socket:
        dial = reach.dial
        process = await self._running()
        stamp = await self._office.stamp(dial)
        found = None if process.knows(dial, stamp) else await self._office.identity(dial)
        addresses = await self._office.locate(_host(reach))
        # Nothing is awaited between these two: an identity may be dropped for others.
        identity = process.identity(dial, stamp, found=found)
        way_there = msgspec.structs.replace(way(reach), bundle=None)
        number = next(self._numbers)
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                begun = process.begin(Begin(number, identity, way_there, addresses, subject), theirs, share=share)
            await begun
        except BaseException:  # also when cancelled: the process notices that nobody has the other end
            ours.close()
            raise
        return ours

    async def _running(self) -> RelayClient:
        async with self._starting:
            if self._process is None:
                try:
                    born = await self._nursery.relay()
                except (OSError, TimeoutError) as error:
                    log.warning("relay process not started", error=type(error).__name__, hint="credproxy doctor")
                    message = "the process that shows client certificates cannot be started"
                    raise failed(Code.OVERLOADED, message, hint="credproxy doctor", retry_after=1.0) from None
                self._pids.add(born.pid)
                self._process = RelayClient(born, self._lost)
                self._watching = asyncio.ensure_future(self._watch(self._process))
            return self._process

    def _lost(self, process: RelayClient, how: str) -> None:
        self.lost += 1
        hint = "downloads by it are continued, or asked for again; another one is started for them"
        log.warning("relay process lost", pid=process.pid, reason=f"it {how}", relays=process.relays, hint=hint)
        self._let_go(process)
        self._nursery.kill(process.pid)

    def _let_go(self, process: RelayClient) -> None:
        if self._process is process:
            self._process = None
        if self._watching is not None:
            self._watching.cancel()
        process.close()

    async def _watch(self, process: RelayClient) -> None:
        rest = 0.0
        while self._process is process:
            await self._clock.sleep(LOOK)
            # Checks are counted, not seconds: during a suspend everything stands still, and it did not hang.
            rest = 0.0 if self.running else rest + LOOK
            if process.unheard * LOOK >= SILENT:
                self._lost(process, f"gave no sign of life for {SILENT:g} s")
            elif rest >= REST:
                self._let_go(process)
            else:
                process.look()


def _host(reach: Reach) -> str:
    try:
        proxy = proxy_of(reach.dial.proxy)
    except ValueError:
        return ""  # which the connection fails for, in its own words
    return (urlsplit(reach.origin).hostname or "") if proxy is None else proxy.host
