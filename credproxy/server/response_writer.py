"""Writing answers to a socket: in pieces, within limits of time and memory, to the last byte (T16).

aiohttp gives a whole answer to asyncio's transport, which keeps what the kernel does not accept, for as long as the client
pleases. Here a transport keeps one piece at most. A client that leaves a piece unread for too long is cut off, and so is the
one that has left its piece unread for longest when too much is unread in total.

An answer that the kernel accepts at once, as it does nearly every one, costs nothing here: all of this happens only when
the transport says that it must wait.
"""

import asyncio
from collections.abc import Sequence
from http import HTTPStatus
from typing import Generic, Self, TypeVar, cast

import structlog
from aiohttp import HttpVersion11, web
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.web_protocol import RequestHandler

from credproxy.core.errors import Code, Failure
from credproxy.server.responses import failure_response


PIECE = 64 * 1024
"""Bytes that are given to a transport at once."""

PIECE_SECONDS = 30.0
"""Seconds that a client may leave a piece unread."""

WHOLE_SECONDS = 60.0
"""Seconds for a body that is held whole."""

UNREAD = 16 * 1024 * 1024
"""Bytes of unread pieces, for all clients of one socket together."""

HELD = 64 * 1024 * 1024
"""Bytes of larger bodies that are held whole, for one socket together; manifests are counted elsewhere."""

log = structlog.get_logger("credproxy.server")

_REASONS = {status.value: status.phrase for status in HTTPStatus}

T = TypeVar("T")


class _Sent:
    """What aiohttp's server reads from an answer that has been sent."""

    keep_alive = True


SENT = cast("web.StreamResponse", _Sent())
"""Returned by handlers instead of an answer that ``send_small`` has sent already."""


class Unread(Generic[T]):
    """How much each client has left unread, and which must go.

    Args:
        most: bytes of all.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._counts: dict[T, int] = {}
        self.held = 0

    def add(self, who: T, count: int) -> list[T]:
        """Count so many bytes for ``who``, which has none yet; give those that must go, the longest silent first."""
        self._counts[who] = count
        self.held += count
        going = []
        while self.held > self._most:
            oldest = next(iter(self._counts))
            going.append(oldest)
            self.remove(oldest)
        return going

    def remove(self, who: T) -> None:
        """Nothing is unread for it any more; does nothing if nothing was."""
        self.held -= self._counts.pop(who, 0)


class Outgoing:
    """The limits of one socket, and what is under way.

    Args:
        piece_seconds: that a client may leave a piece unread.
        whole_seconds: for a body that is held whole.
        unread: bytes of all unread pieces.
        held: bytes of all larger bodies.
    """

    def __init__(
        self,
        *,
        piece_seconds: float = PIECE_SECONDS,
        whole_seconds: float = WHOLE_SECONDS,
        unread: int = UNREAD,
        held: int = HELD,
    ) -> None:
        self.piece_seconds = piece_seconds
        self.whole_seconds = whole_seconds
        self.unread: Unread[OutgoingHandler] = Unread(unread)
        self.size = self.free = held

    def hold(self, count: int) -> bool:
        """Hold so many bytes of a larger body, if there is room for them."""
        if count > self.free:
            return False
        self.free -= count
        return True

    def give_back(self, count: int) -> None:
        """Release them."""
        self.free += count


class OutgoingHandler(RequestHandler):
    """A connection whose answers leave within the limits; ``within`` must be called before it is made."""

    __slots__ = ("_late_reader", "_outgoing")

    _outgoing: Outgoing
    _late_reader: asyncio.TimerHandle | None  # cuts it off, if something stays unread

    def within(self, outgoing: Outgoing) -> Self:
        """Set its socket's limits; returns itself."""
        self._outgoing = outgoing
        self._late_reader = None
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Make the transport report as soon as it has to buffer a byte."""
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(0)
        super().connection_made(transport)

    def pause_writing(self) -> None:
        """Count what is unread, and wait for the client no longer than the limit."""
        super().pause_writing()
        if self.transport is None:
            return
        for other in self._outgoing.unread.add(self, self.transport.get_write_buffer_size()):
            other.cut_off()
        self._late_reader = self._loop.call_later(self._outgoing.piece_seconds, self.cut_off)

    def resume_writing(self) -> None:
        """The client has read: nothing is kept for it any more."""
        self._let_go()
        super().resume_writing()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The client is gone, and with it what was kept for it."""
        self._let_go()
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """End the connection of a client that does not read."""
        self._let_go()
        if self.transport is not None:
            log.info("client cut off", reason="it does not read what it asked for")
            self.transport.abort()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer to its end, a larger one in pieces, counted until its last byte is sent."""
        if resp is SENT:
            return resp, False
        size = _left_of(resp)
        if size <= PIECE:
            return await super().finish_response(request, resp, start_time)
        if not self._outgoing.hold(size):
            return await super().finish_response(request, self._no_room(request), start_time)
        try:
            async with asyncio.timeout(self._outgoing.whole_seconds):
                await write_whole(request, resp)
        except (TimeoutError, ConnectionError):
            self.cut_off()
            return resp, True
        finally:
            self._outgoing.give_back(size)
        return await super().finish_response(request, resp, start_time)

    def _no_room(self, request: web.BaseRequest) -> web.Response:
        message = f"{self._outgoing.size} bytes of answers are held for clients that do not read them"
        failure = Failure(Code.OVERLOADED, message, "end those clients, or ask again in a minute", WHOLE_SECONDS)
        return failure_response(failure, plain=request.headers.get("Accept") == "text/plain")

    def _let_go(self) -> None:
        self._outgoing.unread.remove(self)
        if self._late_reader is not None:
            self._late_reader.cancel()
            self._late_reader = None


def may_be_small(request: web.BaseRequest) -> bool:
    """Whether ``send_small`` may send the answer to a request: HTTP/1.1, kept alive, with a body in the answer."""
    return (
        request.version == HttpVersion11
        and request.method != "HEAD"
        and request.keep_alive
        and "Upgrade" not in request.headers
    )


async def send_small(
    request: web.BaseRequest, status: int, *, headers: Sequence[tuple[str, str]], body: bytes
) -> web.StreamResponse:
    """Send a small answer, head and body in one write: aiohttp's own response takes much longer.

    Args:
        request: for which ``may_be_small`` is true.
        status: one that allows a body: not 1xx, 204 or 304.
        headers: without Content-Length and Date.
        body: at most PIECE bytes.

    Raises:
        ConnectionError: the client is gone.
        ValueError: a header would end a line.
    """
    transport = request.transport
    if transport is None or transport.is_closing():
        raise ConnectionResetError
    lines = "".join([f"{name}: {value}\r\n" for name, value in headers])
    if not lines.count("\r") == lines.count("\n") == len(headers):
        message = "a header of an answer holds a line break"
        raise ValueError(message)
    date, length = rfc822_formatted_time(), len(body)
    head = f"HTTP/1.1 {status} {_REASONS.get(status, '')}\r\n{lines}Content-Length: {length}\r\nDate: {date}\r\n\r\n"
    transport.write(head.encode() + body)
    if transport.get_write_buffer_size():
        await request.writer.drain()
    return SENT


async def write_whole(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """Write an answer to its end, one piece after the other. Raises ConnectionError: the client is gone."""
    await response.prepare(request)
    body = response.body if isinstance(response, web.Response) else None
    if isinstance(body, bytes) and len(body) > PIECE and request.method != "HEAD":
        await write_pieces(request, response, data=body)
        await web.StreamResponse.write_eof(response)  # Response's own method would write the body once more
    else:
        await response.write_eof()


async def write_pieces(request: web.BaseRequest, response: web.StreamResponse, *, data: bytes) -> None:
    """Write a part of a body; each piece once the one before is sent. Raises ConnectionError: the client is gone."""
    view = memoryview(data)
    for start in range(0, len(view), PIECE):
        await response.write(view[start : start + PIECE])
        await request.writer.drain()


def _left_of(response: web.StreamResponse) -> int:
    """Bytes of a body that are not written yet."""
    if not isinstance(response, web.Response) or response.prepared:
        return 0
    return len(response.body) if isinstance(response.body, bytes) else 0
