"""The blob pump: downloads whose bodies are moved by threads beside the event loop. Source: ports.transfer.Downloads.

Small bodies, and all waiting for answers, stay in the loop: see ``pump_request``.

Measured on two cores (bench/gateway.py): two things matter. Gathering, because a TLS record is 16 KiB at most and a
write per record halves the throughput; and staying out of the loop, because the fastest pump inside the loop made other
callers wait for 90 ms. Threads spend their time in ``recv`` and ``send``, which release the GIL.
"""

import asyncio
import contextlib
import http.client
import ssl
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple, Self, TypeVar
from urllib.parse import urlsplit

from credproxy.adapters.awaited_socket import AwaitedSocket
from credproxy.adapters.connections import Connections, PoolKey, RefusedError
from credproxy.adapters.download import Download, Link
from credproxy.adapters.named_semaphores import NamedSemaphores
from credproxy.adapters.network_errors import Call, explain
from credproxy.adapters.pump_places import PumpPlaces
from credproxy.adapters.pump_request import CONTENT, PumpAnswer, Waits, ask
from credproxy.adapters.thread_priority import lower_priority
from credproxy.adapters.tls_socket import AnySocket
from credproxy.adapters.wakeup import Waking
from credproxy.core.ask.http import Request
from credproxy.core.checksum import Checksum
from credproxy.core.errors import Code, failed
from credproxy.ports.transfer import Poured


PUMPS = 64
"""Downloads at once. A thread has 256 KiB of buffer while it pumps, so 16 MiB at most."""

STALLED = 60.0
"""Seconds without a byte after which an upstream is asked again, and a client is given up."""

QUEUED = 300.0
"""Seconds that a download waits for a free pump: as long as for a slow registry, because its client waits as well."""

IDLE = 30.0
"""Seconds between two sweeps of idle connections: one that was not used in between is closed."""

CONNECTING = 30.0
"""Seconds for everything before a request is sent, the name look-up included."""

DIALLING = 32
"""Connections that are made at once, in threads of their own."""

_Place = tuple[str, str | None]
"""The registry and the account whose shares a download counts on."""

T = TypeVar("T")


class Pump:
    """Opens downloads; an asynchronous context manager. When it exits, every thread has ended.

    Args:
        connections: to registries; None for the machine's network.
        pumps: downloads at once.
        stalled: seconds, see STALLED.
        queued: seconds, see QUEUED.
        idle: seconds, see IDLE.
        waits: time limits for answers.

    Attributes:
        moved: bytes that clients were given.
    """

    def __init__(
        self,
        connections: Connections | None = None,
        *,
        pumps: int = PUMPS,
        stalled: float = STALLED,
        queued: float = QUEUED,
        idle: float = IDLE,
        waits: Waits = Waits(),  # noqa: B008  a value
    ) -> None:
        self._connections = connections or Connections()
        self._threads = ThreadPoolExecutor(pumps, thread_name_prefix="pump", initializer=lower_priority)
        self._diallers = ThreadPoolExecutor(DIALLING, thread_name_prefix="pump-dialler")
        self._places = PumpPlaces(pumps, wait=queued)
        self._dialling = NamedSemaphores(DIALLING // 2)  # one registry gets half, wherever its redirects lead
        self._stalled = stalled
        self._idle = idle
        self._waits = waits
        self._sweeping: asyncio.TimerHandle | None = None
        self._closing = False
        self._running: set[Pumped] = set()
        self._asking: set[AwaitedSocket] = set()
        self._wakings: set[Waking] = set()
        self.moved = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def running(self) -> int:
        """How many downloads are open."""
        return len(self._running)

    async def close(self) -> None:
        """End every download, and with it its thread."""
        self._closing = True
        for asking in self._asking:
            with contextlib.suppress(OSError):
                asking.shutdown()
        for waking in self._wakings:
            waking.break_off()
        for pumped in tuple(self._running):
            pumped.close()
        await asyncio.to_thread(self._diallers.shutdown)
        await asyncio.to_thread(self._threads.shutdown)
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._connections.close()

    async def open(self, request: Request, registry: str, *, account: str | None = None) -> "Pumped":
        """Send a GET; give the response as soon as its head has arrived, together with a small body.

        Args:
            request: without a body.
            registry: that the request is for, wherever its redirects lead.
            account: whose share of the places it takes; None for the user's own.

        Raises:
            Failed: overloaded, upstream_unavailable, tls_failed, address_refused.
        """
        asked = await self._linked(request, registry)
        if asked.answered.small or asked.answered.head.status not in CONTENT:  # a large body of a refusal is not read
            return Pumped(self, asked, place=None)
        try:
            await self._places.take(registry, account)
        except BaseException:
            asked.connection.close()
            raise
        pumped = Pumped(self, asked, place=(registry, account))
        self._running.add(pumped)
        return pumped

    def download(self, link: Link) -> Download:
        """Read a body from its connection."""
        return Download(link, self._connections, stalled=self._stalled)

    async def _linked(self, request: Request, registry: str) -> "Asked":
        try:
            key = await self._connections.key(request)
            kept = self._connections.take(key)
            if kept is not None:
                try:
                    return Asked(key, kept, await self._begun(kept, request))
                except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                    pass  # it was closed while idle, and a request without a body may be sent again
            made = AwaitedSocket(await self._connected(request, registry))
            return Asked(key, made, await self._begun(made, request))
        except RefusedError as error:
            raise explain(error, self._call(request), refused=error.addresses) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise explain(error, self._call(request)) from None

    def _call(self, request: Request) -> Call:
        host, dial = urlsplit(request.url).hostname or "", request.dial
        return Call(request.subject or f"host {host!r}", host, dial.proxy, self._waits.answer, dial.rule, dial.kind)

    async def _begun(self, connection: AwaitedSocket, request: Request) -> PumpAnswer:
        self._asking.add(connection)
        try:
            if self._closing:
                raise ConnectionAbortedError  # noqa: TRY301  the connection is closed below
            return await ask(connection, request, waits=self._waits)
        except BaseException:
            connection.close()
            raise
        finally:
            self._asking.discard(connection)

    async def _connected(self, request: Request, registry: str) -> AnySocket:
        await self._dialling.take(registry, CONNECTING)
        waking = Waking()
        self._wakings.add(waking)
        loop = asyncio.get_running_loop()
        connecting = loop.run_in_executor(self._diallers, self._connections.connect, request, waking.hold)

        def ended(done: "asyncio.Future[AnySocket]") -> None:
            self._wakings.discard(waking)
            self._dialling.give_back(registry)
            if waking.over and done.exception() is None:
                done.result().close()  # nobody waits for it any more

        connecting.add_done_callback(ended)
        try:
            async with asyncio.timeout(CONNECTING):
                return await asyncio.shield(connecting)
        except BaseException:
            waking.break_off()
            raise

    def submit(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Run a blocking function in a thread."""
        return asyncio.get_running_loop().run_in_executor(self._threads, work)

    def closed(self, pumped: "Pumped", place: "_Place | None", *, asked: "Asked | None") -> None:
        """Free its place for the next download; keep its connection if a small body has been read from it."""
        if asked is not None:
            head, early, small = asked.answered
            good = small and not head.closes and len(early) == head.length
            self._connections.give_back(asked.key, asked.connection, good=good)
        if place is not None and pumped in self._running:
            self._running.remove(pumped)
            self._places.give_back(*place)
        self._sweep_later()

    def _sweep_later(self) -> None:
        if self._sweeping is None and not self._closing:
            self._sweeping = asyncio.get_running_loop().call_later(self._idle, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        if self._connections.sweep():
            self._sweep_later()


class Asked(NamedTuple):
    """A connection in the event loop with an answer on it; it may be reused under ``key``."""

    key: PoolKey
    connection: AwaitedSocket
    answered: PumpAnswer


class Pumped:
    """One download, as the event loop sees it. Source: ports.transfer.Transfer; its methods are called one at a time.

    Args:
        pump: whose threads move it.
        asked: its connection, with the head.
        place: whose shares it counts on; None if it needs no place, because its body is here or is not read.
    """

    def __init__(self, pump: Pump, asked: Asked, *, place: _Place | None) -> None:
        head, early, small = asked.answered
        self.status = head.status
        self.headers = head.headers
        self.length = head.length
        self.whole = early if small else None
        self._pump = pump
        self._place = place
        self._asked: Asked | None = asked
        self._moving: Download | None = None
        self._working = self._over = False

    @property
    def tail(self) -> bytes:
        """The last bytes that were poured, as far as they passed through this process."""
        return b"" if self._moving is None else self._moving.tail

    async def read(self) -> bytes:
        """Give the next piece of the body, empty at its end.

        Raises:
            Failed(upstream_unavailable): the connection broke off.
        """
        try:
            return await self._run(self._download().piece)
        except (OSError, http.client.HTTPException):
            raise failed(Code.UPSTREAM_UNAVAILABLE, "the registry broke off in the middle of a body") from None

    async def pour(self, client: int, count: int, *, check: Checksum | None = None) -> Poured:
        """Move ``count`` bytes to a client's descriptor, and close that at the end."""
        poured = await self._run(partial(self._download().pour, client, count, check=check))
        self._pump.moved += poured.moved
        return poured

    async def skip(self, count: int, check: Checksum | None = None) -> Poured:
        """Read ``count`` bytes for the checksum only."""
        return await self._run(partial(self._download().skip, count, check))

    def close(self) -> None:
        """End the download; close its connection unless the body was read to the end.

        Never waits: a thread that works on it is woken, and the rest is done when the thread is finished.
        """
        self._over = True
        if self._moving is not None and self._working:
            self._moving.break_off()
        else:
            self._end()

    def _download(self) -> Download:
        if self._moving is None:
            asked, self._asked = self._asked, None
            assert asked is not None
            self._moving = self._pump.download(Link(asked.key, asked.connection.release(), asked.answered))
        return self._moving

    async def _run(self, work: Callable[[], T]) -> T:
        """Run one step in a thread; a caller that is cancelled meanwhile closes the download."""
        future = self._pump.submit(work)
        self._working = True
        future.add_done_callback(self._worked)
        # A step that was begun must finish: it owns a descriptor, and a cancelled future might never be run.
        return await asyncio.shield(future)

    def _worked(self, future: "asyncio.Future[T]") -> None:
        future.exception()  # a cancelled caller does not fetch the exception, and the loop would complain (PY2)
        self._working = False
        if self._over:
            self._end()

    def _end(self) -> None:
        asked, self._asked = self._asked, None
        if self._moving is not None:
            self._moving.close()
        self._pump.closed(self, self._place, asked=asked)
