"""The gateway on the actions socket: from aiohttp's requests to the gateway's values and back. Source: docs/design/clients.md#the-gateway."""

import asyncio
from collections import Counter

import structlog
from aiohttp import HttpVersion11, web
from aiohttp.helpers import EMPTY_BODY_STATUS_CODES
from multidict import CIMultiDict

from credproxy.core.errors import Code, Failed, Failure
from credproxy.gateway.body_memory import Memory
from credproxy.gateway.gateway import Gateway
from credproxy.gateway.incoming import Incoming, Reply, Stream
from credproxy.gateway.oci_errors import failure_reply
from credproxy.ports.clock import Clock
from credproxy.server.client_streams import IDLE, ClientSink, UnreadBody
from credproxy.server.response_writer import PIECE, may_be_small, send_small, write_whole
from credproxy.server.responses import SERVER
from credproxy.server.routes import connection, patience


PREFIX = "/v2"


_SERVER = ("Server", SERVER)
_BYTES = ("Content-Type", "application/octet-stream")

_ENDING = 1.0
"""Seconds in which a thread that was woken reports how much it has moved."""

log = structlog.get_logger("credproxy.server")


class GatewayApi:
    """Answers paths that begin with ``/v2``.

    Args:
        gateway: decides and moves.
        clock: for limits.
        refused: counts refusals by code, together with the JSON API's.
        memory: for manifests; None for the default amount.
    """

    def __init__(
        self,
        gateway: Gateway,
        *,
        clock: Clock,
        refused: Counter[str],
        memory: Memory | None = None,
    ) -> None:
        self._gateway = gateway
        self._clock = clock
        self._refused = refused
        self._memory = memory or Memory(clock)

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        refusal = connection(request).refusal()
        if refusal is not None:
            return self.refuse(request, refusal)
        path, _, query = request.raw_path.partition("?")
        headers = tuple((name.decode("latin-1"), value.decode("latin-1")) for name, value in request.raw_headers)
        peer = connection(request).peer
        room = self._memory.room(peer.charged)
        caller = (peer.uid, peer.sandbox, peer.pid, peer.program, peer.connection)
        incoming = Incoming(request.method, path, query, headers, *caller, room, peer.charged)
        try:
            upload = UnreadBody(request, self._clock, room=room)
            reply = _endless(request, await self._gateway.answer(incoming, upload, patience=patience(request)))
            self._write_down(request, reply)
            if _is_small(reply) and may_be_small(request):
                return await self._send_small(request, reply)
            response = _response(request, reply)
            if not isinstance(reply.body, bytes):
                await self._stream(request, response, reply.body, path)
            else:
                await self._written(request, response)
            return response
        finally:
            room.close()

    async def _send_small(self, request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
        """Send an answer of at most one piece; the connection itself limits the wait to PIECE_SECONDS."""
        assert isinstance(reply.body, bytes)
        headers = [*reply.headers, _SERVER]
        if not any([name.lower() == "content-type" for name, _ in headers]):  # noqa: C419  there are few
            headers.append(_BYTES)
        try:
            return await send_small(request, reply.status, headers=headers, body=reply.body)
        except ConnectionError:
            if request.transport is not None:
                request.transport.abort()
            return _response(request, reply)

    async def _written(self, request: web.BaseRequest, response: web.StreamResponse) -> None:
        """Write a body that is held whole in memory: it counts until its client has it."""
        try:
            if _is_one_piece(response):  # the connection itself limits the wait to PIECE_SECONDS
                await write_whole(request, response)
            else:
                async with self._clock.timeout(IDLE):
                    await write_whole(request, response)
        except (TimeoutError, ConnectionError):
            if request.transport is not None:
                request.transport.abort()

    def refuse(self, request: web.BaseRequest, failure: Failure) -> web.StreamResponse:
        """Answer with a failure."""
        reply = failure_reply(failure)
        self._write_down(request, reply)
        response = _response(request, reply)
        if failure.code is Code.PEER_REFUSED:
            response.force_close()
        return response

    def _write_down(self, request: web.BaseRequest, reply: Reply) -> None:
        if reply.code:
            self._refused[reply.code] += 1
            if reply.inside:
                return
            path = request.raw_path.partition("?")[0]
            event = "upstream refused" if reply.upstream else "gateway refused"
            log.info(event, path=path, method=request.method, code=reply.code, reason=reply.reason)

    async def _stream(self, request: web.BaseRequest, response: web.StreamResponse, stream: Stream, path: str) -> None:
        sink = ClientSink(request, response, clock=self._clock)
        try:
            await response.prepare(request)
            await _sent(request, stream, sink)
        except Failed as error:
            failure = error.failure
            event = "blob broke off" if "/blobs/" in path else "list broke off"
            log.warning(event, path=path, code=failure.code.value, reason=failure.message)
            sink.abort()
        except ConnectionError:
            log.info("client left", path=path)
            sink.abort()
        except asyncio.CancelledError:
            sink.abort()
            raise
        except BaseException:
            # Otherwise aiohttp would append its own 500 to the body, which could make up the announced length.
            sink.abort()
            raise
        finally:
            stream.close()


async def _sent(request: web.BaseRequest, stream: Stream, sink: "ClientSink") -> None:
    """Send a body. A client that closes after its last byte also ends this, often before the end is known here.

    Raises:
        Failed, CancelledError: as they come.
        ConnectionError: the client left before its end, as opposed to one that has all of it and left.
    """
    sending = asyncio.ensure_future(stream.send(sink))
    sending.add_done_callback(_fetch)
    try:
        await asyncio.shield(sending)
    except asyncio.CancelledError:
        stream.close()  # wakes a thread that still moves bytes; one that has moved them all reports it
        try:
            if request.transport is None:  # otherwise the daemon itself is ending
                await asyncio.wait([sending], timeout=_ENDING)
                if not (sending.done() and _whole(sending)):
                    log.info("client left", path=request.raw_path.partition("?")[0])
        finally:
            sending.cancel()
        raise


def _is_small(reply: Reply) -> bool:
    body = reply.body
    return isinstance(body, bytes) and 0 < len(body) <= PIECE and reply.status not in EMPTY_BODY_STATUS_CODES


def _is_one_piece(response: web.StreamResponse) -> bool:
    return isinstance(response, web.Response) and isinstance(response.body, bytes) and len(response.body) <= PIECE


def _whole(sending: "asyncio.Future[None]") -> bool:
    return not sending.cancelled() and sending.exception() is None


def _fetch(sending: "asyncio.Future[None]") -> None:
    """Fetch the task's outcome: an exception that nobody fetches would be reported by the loop."""
    if not sending.cancelled():
        sending.exception()


def _endless(request: web.BaseRequest, reply: Reply) -> Reply:
    """Refuse a body of unknown length over HTTP/1.0, where it ends with the connection: a truncated one would look whole."""
    if isinstance(reply.body, bytes) or reply.body.length is not None or request.version >= HttpVersion11:
        return reply
    reply.body.close()
    message = "the length of this body is not known, and HTTP/1.0 could not tell its end from a broken connection"
    return failure_reply(Failure(Code.BAD_REQUEST, message, "ask with HTTP/1.1"))


def _response(request: web.BaseRequest, reply: Reply) -> web.StreamResponse:
    headers = CIMultiDict([*reply.headers, ("Server", SERVER)])
    if not isinstance(reply.body, bytes):
        response = web.StreamResponse(status=reply.status, headers=headers)
        response.content_length = reply.body.length
        return response
    if request.method == "HEAD" and reply.length is not None:
        headers["Content-Length"] = str(reply.length)
    return web.Response(body=reply.body, status=reply.status, headers=headers)
