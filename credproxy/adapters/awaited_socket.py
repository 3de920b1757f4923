"""A connected socket in an event loop, for many small requests.

Registering a socket with the loop, and a timer for each wait, cost more than reading a small answer. Here the loop keeps
watching the socket between requests, and a timer that runs out is moved on instead of being replaced each time.
"""

import asyncio
import select
import socket
import ssl

from credproxy.adapters.tls_socket import AnySocket, TlsSocket


PIECE = 64 * 1024
"""Bytes that are read at once."""

_AGAIN = (BlockingIOError, ssl.SSLWantReadError)


class AwaitedSocket:
    """A socket that one request at a time uses. Only ``close`` and ``quiet`` may be called from other threads.

    Args:
        sock: connected, with or without TLS; owned from now on.
    """

    __slots__ = ("_late", "_loop", "_piece", "_sock", "_until")

    def __init__(self, sock: AnySocket) -> None:
        sock.settimeout(0)
        self._sock = sock
        self._loop: asyncio.AbstractEventLoop | None = None  # the loop that watches it; None while none does
        self._piece: asyncio.Future[bytes] | None = None  # what a request waits for
        self._late: asyncio.TimerHandle | None = None
        self._until = 0.0

    def quiet(self) -> bool:
        """False for a connection with anything to read: its end, or unrequested bytes, also those that were taken already."""
        if isinstance(self._sock, TlsSocket) and self._sock.unread:
            return False
        waiting = select.poll()
        waiting.register(self._sock, select.POLLIN)
        return not waiting.poll(0)

    async def send(self, data: bytes, until: float) -> None:
        """Send all data. Raises OSError; TimeoutError at ``until``, on the loop's clock."""
        sent = 0
        while sent < len(data):
            try:
                sent += self._sock.send(data if not sent else memoryview(data)[sent:])
            except ssl.SSLWantReadError:
                await self._ready(until)
            except BlockingIOError:
                await self._ready(until, writing=True)

    async def receive(self, until: float, *, first: bool = False) -> bytes:
        """Give what has arrived as soon as there is anything; empty at the end.

        Args:
            until: time limit, on the loop's clock.
            first: the first piece of an answer. After each further piece, other tasks have a turn: a TLS record may hold one
                byte, and a hundred thousand of them may be there at once.

        Raises:
            OSError: it failed; TimeoutError at ``until``.
        """
        if first and isinstance(self._sock, TlsSocket) and not self._sock.unread:
            return await self._arriving(
                until
            )  # an attempt would rarely find anything yet, and with TLS it is expensive
        try:
            piece = self._sock.recv(PIECE)
        except _AGAIN:
            return await self._arriving(until)
        if not first:
            await asyncio.sleep(0)  # noqa: TID251  no time passes
        return piece

    def release(self) -> AnySocket:
        """Hand the socket to somebody else, such as a thread: the loop no longer watches it."""
        self._unwatched()
        return self._sock

    def shutdown(self) -> None:
        """End the connection, so that a request that waits for it fails."""
        self._sock.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Close it; may be called from any thread."""
        loop = self._loop
        if loop is None or _is_running(loop):
            self._unwatched()
            self._sock.close()
        else:
            loop.call_soon_threadsafe(self.close)

    def fileno(self) -> int:
        """Give its descriptor; -1 if it is closed."""
        return self._sock.fileno()

    async def _arriving(self, until: float) -> bytes:
        loop = asyncio.get_running_loop()
        if loop.time() >= until:  # a socket that is always ready would never be waited for
            raise TimeoutError
        if self._loop is None:
            loop.add_reader(self._sock.fileno(), self._readable)
            self._loop = loop
        self._until = until
        if self._late is None or self._late.when() > until:
            self._wait_until(loop, until)
        self._piece = loop.create_future()
        try:
            return await self._piece
        finally:
            self._piece = None

    def _readable(self) -> None:
        waiting = self._piece
        if waiting is None or waiting.done():
            self._unwatched()  # the loop would report it again and again
            return
        try:
            piece = self._sock.recv(PIECE)
        except _AGAIN:  # a TLS socket may be ready with no data
            return
        except OSError as error:
            waiting.set_exception(error)
        else:
            waiting.set_result(piece)

    async def _ready(self, until: float, *, writing: bool = False) -> None:
        """Wait until sending can go on, which is rarely needed."""
        self._unwatched()
        loop, number = asyncio.get_running_loop(), self._sock.fileno()
        if loop.time() >= until:
            raise TimeoutError
        ready = loop.create_future()
        add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
        add(number, _settle, ready, True)
        timer = loop.call_at(until, _settle, ready, False)
        try:
            if not await ready:
                raise TimeoutError
        finally:
            timer.cancel()
            remove(number)

    def _wait_until(self, loop: asyncio.AbstractEventLoop, until: float) -> None:
        if self._late is not None:
            self._late.cancel()
        self._late = loop.call_at(until, self._judge, loop)

    def _judge(self, loop: asyncio.AbstractEventLoop) -> None:
        """The timer has run out: end the wait, unless it was set for an earlier one."""
        self._late = None
        if self._piece is None or self._piece.done():
            return
        if loop.time() < self._until:
            self._wait_until(loop, self._until)
        else:
            self._piece.set_exception(TimeoutError())

    def _unwatched(self) -> None:
        loop, self._loop = self._loop, None
        if self._late is not None:
            self._late.cancel()
            self._late = None
        if loop is not None:
            loop.remove_reader(self._sock.fileno())


def _settle(ready: "asyncio.Future[bool]", found: bool) -> None:  # noqa: FBT001  a callback's argument
    if not ready.done():
        ready.set_result(found)


def _is_running(loop: asyncio.AbstractEventLoop) -> bool:
    try:
        return asyncio.get_running_loop() is loop
    except RuntimeError:
        return False
