"""What a gateway's request and its answer stream: the body that a client uploads, and the connection that a body goes to."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator

from aiohttp import web

from credproxy.core.errors import Code, Failed, failed
from credproxy.core.minimum_speed import LEAST, Pace
from credproxy.ports.clock import Clock
from credproxy.ports.forwarder import Room
from credproxy.server.body import go_on
from credproxy.server.response_writer import write_pieces


IDLE = 60.0
"""Seconds that a client's upload may be silent, over which its pace is judged, and that a small body may take."""


class UnreadBody:
    """A request's body. Source: gateway.incoming.RequestBody.

    Args:
        request: whose body it is.
        clock: limits silence, and judges the pace.
        room: the memory for a body that is read whole.
    """

    def __init__(self, request: web.BaseRequest, clock: Clock, *, room: Room) -> None:
        self._request = request
        self._clock = clock
        self._room = room

    @property
    def length(self) -> int | None:
        """Bytes that were announced; None for a chunked body."""
        return self._request.content_length if self._request.can_read_body else 0

    async def whole(self, limit: int) -> bytes:
        """Read it to its end, within its room. Raises Failed: too_large, overloaded, bad_request."""
        if (self.length or 0) > limit:
            raise _too_large(limit)
        await self._room.hold(limit if self.length is None else self.length)
        body = bytearray()
        async for piece in self.pieces():
            body += piece
            if len(body) > limit:
                raise _too_large(limit)
        return bytes(body)

    async def pieces(self) -> AsyncIterator[bytes]:
        """Read it piece by piece. Raises Failed(bad_request): it is too slow, or breaks off."""
        pace = Pace(over=IDLE)
        try:
            await go_on(self._request)
            while True:
                begun = self._clock.boot()
                async with self._clock.timeout(IDLE):
                    piece = await self._request.content.readany()
                if not piece:
                    return
                _in_time(pace, len(piece), self._clock.boot() - begun)
                yield piece
        except TimeoutError:
            raise failed(Code.BAD_REQUEST, f"the upload was silent for {IDLE:g} s") from None
        except (OSError, web.RequestPayloadError):
            raise failed(Code.BAD_REQUEST, "the upload broke off") from None


def _in_time(pace: Pace, count: int, waited: float) -> None:
    try:
        pace.moved(count, waited)
    except TimeoutError:
        message = f"the upload brought less than {LEAST:,} bytes a second over {IDLE:g} s"
        raise failed(Code.BAD_REQUEST, message) from None


def _too_large(limit: int) -> Failed:
    return failed(Code.TOO_LARGE, f"the body is larger than {limit} bytes")


class ClientSink:
    """The client's connection. Source: ports.transfer.Sink.

    Args:
        request: that is answered.
        response: whose head has been prepared.
        clock: limits how long the client may leave a piece unread.
    """

    def __init__(self, request: web.BaseRequest, response: web.StreamResponse, *, clock: Clock) -> None:
        self._request = request
        self._response = response
        self._clock = clock

    async def write(self, data: bytes) -> None:
        """Pass on a piece. Raises ConnectionError: the client has left, or does not read."""
        try:
            async with self._clock.timeout(IDLE):
                await write_pieces(self._request, self._response, data=data)
        except TimeoutError:
            raise ConnectionResetError from None

    async def descriptor(self) -> int:
        """Give a duplicate of the connection's descriptor, once everything written has been sent. Raises ConnectionError."""
        writer = self._request.writer
        transport = self._open()
        # A limit of 0 makes drain wait until the kernel has all of it: what the pump writes must come after it.
        transport.set_write_buffer_limits(0)
        writer.send_headers()
        try:
            async with self._clock.timeout(IDLE):  # it may still have to read the answers before this one
                await writer.drain()
        except TimeoutError:
            raise ConnectionResetError from None
        sock: socket.socket = self._open().get_extra_info("socket")
        # A duplicate, because the transport may close its own at any time, and the number would then be reused.
        return os.dup(sock.fileno())

    def abort(self) -> None:
        """End the connection at once: what was not written yet is dropped."""
        transport = self._request.transport
        if transport is not None:
            transport.abort()

    def _open(self) -> asyncio.Transport:
        transport = self._request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError
        return transport
