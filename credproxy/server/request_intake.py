"""Reading requests one at a time, with heads of a bounded size (T16).

aiohttp reads on while a request is under way, and keeps up to 32 further heads of a megabyte each, for every connection. Here
what comes behind a request stays with its client until the answer has left: one read at most was already taken.
"""

from http import HTTPStatus
from typing import Self

import structlog
from aiohttp import StreamReader, web
from aiohttp.web_protocol import _ErrInfo

from credproxy.core.ask.message import encode_failure
from credproxy.core.errors import Code, Failure
from credproxy.server.request_framing import UnfitRequestError, ends_connection, unfit
from credproxy.server.response_writer import Outgoing, OutgoingHandler


HEAD_BYTES = 64 * 1024
"""Bytes of a request's head: eight times the longest URL and the longest field."""

_READ = 64 * 1024

TOO_LARGE = Failure(Code.TOO_LARGE, f"the request's head is larger than {HEAD_BYTES} bytes", "")

log = structlog.get_logger("credproxy.server")


def head_size(request: web.BaseRequest) -> int:
    """Bytes of a request's head, about."""
    return len(request.raw_path) + sum([len(name) + len(value) for name, value in request.raw_headers])


class IntakeHandler(OutgoingHandler):
    """A connection that reads one request at a time, from the moment that ``bound`` was called."""

    __slots__ = ("_bounded", "_last_body", "_unended")

    _bounded: bool
    _last_body: StreamReader | None  # of the head that arrived last
    _unended: int  # bytes of a head that has begun, about

    def within(self, outgoing: Outgoing) -> Self:
        """Set its socket's limits; returns itself."""
        self._bounded, self._last_body, self._unended = False, None, 0
        return super().within(outgoing)

    def bound(self) -> None:
        """Bound what is read, once it is made; a caller that is to be refused sends as much as any other."""
        self._bounded = True
        if self.transport is not None:
            self.transport.max_size = _READ  # type: ignore[attr-defined]  # asyncio's own, which reads 256 KiB at once
        self._msg_queue_resume_size = 0  # aiohttp resumes reading when so many heads are left

    def data_received(self, data: bytes) -> None:
        """Parse, and stop reading where another request begins before this one is answered."""
        behind = self._last_body is None or self._last_body.is_eof()  # and not a part of that body
        super().data_received(data)
        self._judge()
        if not self._bounded:
            return
        if self._messages:
            self._last_body, self._unended = self._messages[-1][1], 0
        elif behind:
            self._unended += len(data)
        if self._waiter is not None:
            if self._unended > HEAD_BYTES:
                self._refuse_head()
        elif data and behind and not self._buffer_paused:
            self._pause_reading_for_buffer()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer to its end, and only then read on."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._judge()  # aiohttp may have read what came behind a request for another protocol
            if self._bounded and self._buffer_paused and not self._messages:
                self._resume_reading_if_drained()

    def _judge(self) -> None:
        """Refuse what has arrived and is not for us, before it is answered; one that has been judged is judged alike."""
        for place, (message, body) in enumerate(self._messages):
            if isinstance(message, _ErrInfo):
                continue
            failure = unfit(message)
            if failure is not None:
                error = UnfitRequestError(failure)
                self._messages[place] = _ErrInfo(HTTPStatus.BAD_REQUEST, error, error.message), body
            elif not message.should_close and ends_connection(message):
                self._messages[place] = message._replace(should_close=True), body

    def _refuse_head(self) -> None:
        transport = self.transport
        if transport is None or transport.is_closing():
            return
        log.info("question failed", code=TOO_LARGE.code.value, reason=TOO_LARGE.message)
        body = encode_failure(TOO_LARGE)
        head = f"HTTP/1.1 {TOO_LARGE.status} Content Too Large\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        transport.write(f"{head}Connection: close\r\n\r\n".encode() + body)
        transport.close()
