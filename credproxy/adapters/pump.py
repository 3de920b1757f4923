"""The blob pump: downloads whose bodies are moved by threads beside the event loop. Source: ports.Downloads.

Measured on two cores (bench/gateway.py): what counts is gathering, because a TLS record is 16 KiB at most and a write
per record halves the throughput; and that the loop has no part in it, because the fastest pump inside the loop kept
other callers waiting for 90 ms. Threads spend their time in ``recv`` and ``send``, which let go of the interpreter.
"""

import asyncio
import http.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Self, TypeVar
from urllib.parse import urlsplit

from credproxy.adapters.connections import ANSWER, Connections
from credproxy.adapters.download import Download
from credproxy.adapters.shares import Shares, acquired
from credproxy.core.checksum import Checksum
from credproxy.core.errors import Code, failed
from credproxy.core.http import Request
from credproxy.ports import Poured


PUMPS = 64
"""Downloads at once. A thread has 256 KiB of buffer while it pumps, so 16 MiB at most."""

STALLED = 60.0
"""Seconds without a byte after which an upstream is asked again, and a client is left."""

QUEUED = 30.0
"""Seconds that a download waits for one of the pumps."""

IDLE = 30.0
"""Seconds between two looks at the connections that are kept: one that nobody used from one to the next is closed."""

CONNECTING = 30.0
"""Seconds for all that comes before a request is sent, the name look-up included."""

T = TypeVar("T")


class Pump:
    """Opens downloads; an asynchronous context manager, at whose end every thread has ended.

    Args:
        connections: to registries; None for the machine's network.
        pumps: downloads at once.
        stalled: seconds, see STALLED.
        queued: seconds, see QUEUED.
        idle: seconds, see IDLE.
        connecting: seconds, see CONNECTING.
        behind: seconds that a download waits while its registry has half of the pumps and begins no answer.

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
        connecting: float = CONNECTING,
        behind: float = ANSWER,
    ) -> None:
        self._connections = connections or Connections()
        self._threads = ThreadPoolExecutor(pumps, thread_name_prefix="pump")
        self._places = asyncio.Semaphore(pumps)
        self._stalled = stalled
        self._queued = queued
        self._idle = idle
        self._connecting = connecting
        self._behind = behind
        self._sweeping: asyncio.TimerHandle | None = None
        self._closing = False
        self._silent = Shares(max(1, pumps // 2))
        self._running: set[Pumped] = set()
        self.moved = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def running(self) -> int:
        """How many downloads there are."""
        return len(self._running)

    @property
    def sweeping(self) -> bool:
        """Whether there are connections that a timer looks at."""
        return self._sweeping is not None

    async def close(self) -> None:
        """End every download, and with it its thread."""
        self._closing = True
        for pumped in tuple(self._running):
            pumped.close()
        await asyncio.to_thread(self._threads.shutdown)
        if self._sweeping is not None:
            self._sweeping.cancel()
        self._connections.close()

    async def open(self, request: Request) -> "Pumped":
        """Send a GET; give its response as soon as the head, and a small body, are there.

        Raises:
            Failed: overloaded, upstream_unavailable, tls_failed, address_refused.
        """
        # A registry that is slow to begin holds threads: it gets half of them at most, however many callers ask.
        origin = _origin(request.url)
        try:
            await self._silent.take(origin, self._behind)
        except TimeoutError:
            name = request.subject or f"host {urlsplit(request.url).hostname!r}"
            message = (
                f"{name} has {self._silent.most} requests to begin to answer, "
                f"and has begun none of them for {self._behind:g} s"
            )
            raise failed(Code.OVERLOADED, message, "ask again, with fewer --jobs", 1.0) from None
        try:
            return await self._open(request)
        finally:
            self._silent.give_back(origin)

    async def _open(self, request: Request) -> "Pumped":
        try:
            await acquired(self._places, self._queued)
        except TimeoutError:
            message = f"{len(self._running)} downloads are running, and none has ended for {self._queued:g} s"
            raise failed(Code.OVERLOADED, message, "ask again, with fewer --jobs", 1.0) from None
        pumped = Pumped(self, Download(request, self._connections, self._stalled))
        self._running.add(pumped)
        # The socket's own time-out begins anew with each byte of a head.
        limit = asyncio.get_running_loop().call_later(
            self._connections.answer + self._connecting, pumped.download.give_up
        )
        try:
            await pumped.run(pumped.download.begin)
        except BaseException:
            pumped.close()
            raise
        finally:
            limit.cancel()
        return pumped

    def submit(self, work: Callable[[], T]) -> "asyncio.Future[T]":
        """Do something that blocks, in a thread."""
        try:
            return asyncio.get_running_loop().run_in_executor(self._threads, work)
        except RuntimeError:
            if self._closing:
                raise
            raise MemoryError from None  # no thread can be started: there is no room for its stack

    def closed(self, pumped: "Pumped") -> None:
        """Give the place to the next one."""
        if pumped in self._running:
            self._running.remove(pumped)
            self._places.release()
            self._sweep_later()

    def _sweep_later(self) -> None:
        if self._sweeping is None and not self._closing:
            self._sweeping = asyncio.get_running_loop().call_later(self._idle, self._sweep)

    def _sweep(self) -> None:
        self._sweeping = None
        if self._connections.sweep():
            self._sweep_later()


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"


class Pumped:
    """One download, as the event loop sees it. Source: ports.Transfer; its methods are called one at a time."""

    def __init__(self, pump: Pump, download: Download) -> None:
        self._pump = pump
        self.download = download
        self._working = self._over = False

    @property
    def status(self) -> int:
        """Of the response."""
        return self.download.status

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Of the response, in order."""
        return self.download.headers

    @property
    def length(self) -> int | None:
        """Bytes of body that were announced."""
        return self.download.length

    @property
    def whole(self) -> bytes | None:
        """The body, if it is small."""
        return self.download.whole

    @property
    def tail(self) -> bytes:
        """The last bytes that were poured, as far as they were seen."""
        return self.download.tail

    async def read(self) -> bytes:
        """Give the next piece of the body, empty at its end.

        Raises:
            Failed(upstream_unavailable): it broke off.
        """
        try:
            return await self.run(self.download.piece)
        except (OSError, http.client.HTTPException):
            raise failed(Code.UPSTREAM_UNAVAILABLE, "the registry broke off in the middle of a body") from None

    async def pour(self, client: int, count: int, check: Checksum | None = None) -> Poured:
        """Move ``count`` bytes to a client's descriptor, which is closed in the end."""
        poured = await self.run(partial(self.download.pour, client, count, check))
        self._pump.moved += poured.moved
        return poured

    async def skip(self, count: int, check: Checksum | None = None) -> Poured:
        """Read ``count`` bytes, for the checksum alone."""
        return await self.run(partial(self.download.skip, count, check))

    async def run(self, work: Callable[[], T]) -> T:
        """Do some of it in a thread; who is cancelled meanwhile closes it."""
        future = self._pump.submit(work)
        self._working = True
        future.add_done_callback(self._worked)
        # What was begun must come to its end: it owns a descriptor, and a cancelled future might never be run.
        return await asyncio.shield(future)

    def close(self) -> None:
        """End it; close its connection unless the body was read to the end.

        Never waits: a thread that works on it is woken, and the rest done when that has ended.
        """
        self._over = True
        if self._working:
            self.download.break_off()
        else:
            self._end()

    def _worked(self, future: "asyncio.Future[T]") -> None:
        future.exception()  # whoever was cancelled does not fetch it, and the loop would complain (PY2)
        self._working = False
        if self._over:
            self._end()

    def _end(self) -> None:
        self.download.close()
        self._pump.closed(self)
