"""Interim answers: both HTTP clients skip them, up to a limit (RFC 9110, section 15.2).

A server or a proxy may send any number of them before its answer: ``100 Continue``, ``102 Processing``, ``103 Early
Hints``. The standard library skips only 100, and neither library has a limit, so a server that sends nothing else would
block a request for ever.
"""

import asyncio
import http.client
import re
from http import HTTPStatus
from typing import IO

from aiohttp import HttpVersion11
from aiohttp.client_proto import ResponseHandler
from aiohttp.http_parser import RawResponseMessage
from aiohttp.streams import StreamReader

from credproxy.adapters.answer_framing import CODED, UnfitAnswerError, is_chunked


INTERIM = 16
"""Interim answers allowed before one answer. A server sends one or two, or a 102 from time to time while it works."""


_CHUNK_LINE = 8 * 1024
"""Bytes of the line before a chunk, and of a trailer line; aiohttp's own limit."""

_TRAILERS = 100
"""Trailer lines after the last chunk."""

HEAD_END = re.compile(rb"\n\r?\n")
_INTERIM = re.compile(rb"HTTP/1\.\d +1\d\d")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\n]*)?\r?\n")
_CHUNK_END = b"\r\n"
_EMPTY = frozenset({b"\r\n", b"\n"})


class _WholeLines:
    """Reads complete lines only: the library takes the end of a connection for the end of a head."""

    def __init__(self, source: IO[bytes]) -> None:
        self._source = source
        self._begun = False
        self.close = source.close

    def readline(self, limit: int = -1) -> bytes:
        """Read a line, which may be empty at the very beginning. Raises IncompleteRead."""
        line = self._source.readline(limit)
        if not line.endswith(b"\n") and len(line) != limit and (line or self._begun):
            raise http.client.IncompleteRead(b"")
        self._begun = True
        return line


class SteadyResponse(http.client.HTTPResponse):
    """A response of the standard library's client that skips every interim answer, and has a complete head."""

    def begin(self) -> None:
        """Read the head. Raises http.client.HTTPException, OSError."""
        source = self.fp
        self.fp = _WholeLines(source)  # type: ignore[assignment]  # a head is read only by lines
        try:
            super().begin()
        finally:
            if self.fp is not None:
                self.fp = source

    def _read_status(self) -> tuple[str, int, str]:
        # The library calls this until it gets something other than 100, and nowhere else: a hook for the other
        # statuses.
        count = 0
        while True:
            version, status, reason = super()._read_status()  # type: ignore[misc]  # typeshed leaves it out
            if not passed_over(status, count):
                return version, status, reason
            count += 1
            http.client.parse_headers(self.fp)

    # Two more hooks of the library: it accepts whatever int() accepts as a size, any two bytes as the end of a chunk,
    # the end of a connection as the end of a body, and endless trailers.
    def _read_next_chunk_size(self) -> int:
        line = self.fp.readline(_CHUNK_LINE + 1)
        size = _CHUNK_SIZE.fullmatch(line)
        if size is None:
            raise http.client.IncompleteRead(b"")
        return int(size[1], 16)

    def _safe_read(self, amt: int) -> bytes:
        found: bytes = super()._safe_read(amt)  # type: ignore[misc]  # typeshed leaves it out
        if amt == len(_CHUNK_END) and self.chunked and found != _CHUNK_END:
            raise http.client.IncompleteRead(b"")
        return found

    def _read_and_discard_trailer(self) -> None:
        for _ in range(_TRAILERS):
            line = self.fp.readline(_CHUNK_LINE + 1)
            if not line.endswith(b"\n"):
                raise http.client.IncompleteRead(b"")
            if line in _EMPTY:
                return
        raise http.client.IncompleteRead(b"")


class SteadyHandler(ResponseHandler):
    """A connection of aiohttp that allows a limited number of interim answers; aiohttp skips them itself.

    A head that has begun must also end in time: aiohttp's own limit restarts with each byte of it.

    Args:
        loop: as aiohttp's own.
        headed: seconds from a head's first byte to its last.
    """

    _interim = 0

    def __init__(self, loop: asyncio.AbstractEventLoop, headed: float) -> None:
        super().__init__(loop)
        self._headed = headed
        self._late: asyncio.TimerHandle | None = None
        self._expected = False
        self._bodiless: bytearray | None = None  # what came of the answer to a HEAD
        self._whole = False  # that is complete

    def set_response_params(self, **params: object) -> None:
        """Start to expect a head."""
        self._expected = True
        self._bodiless = bytearray() if params.get("skip_payload") else None
        self._whole = False
        super().set_response_params(**params)  # type: ignore[arg-type]  # as aiohttp gave them

    def data_received(self, data: bytes) -> None:
        """Process received bytes; the first one begins a head."""
        if self._whole and self._expected:
            self.force_close()  # a body that nobody wants, before its head was read
            return
        if self._expected and self._late is None:
            self._late = self._loop.call_later(self._headed, self._broken)
        surplus = not self._expected and (self._payload is None or self._payload.is_eof())
        super().data_received(data if self._bodiless is None else self._without_body(self._bodiless, data))
        if surplus or (not self._expected and self._buffer):
            # The connection may be lent to the next request already, which must not get what was sent before it.
            self.close()

    def _without_body(self, head: bytearray, data: bytes) -> bytes:
        """Cut what follows the answer to a HEAD: the parser would take it for another answer, and lose this one.

        Some servers send the body that a GET would have. curl and Go ignore it.
        """
        head += data
        while (end := HEAD_END.search(head)) is not None:
            surplus = len(head) - end.end()
            if _INTERIM.match(head) is None:
                self._bodiless, self._whole = None, True
                if surplus:
                    self.force_close()
                return data[: len(data) - surplus]
            del head[: end.end()]
        return data

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone, and so is what was waited for."""
        self._begin_anew(expected=False)
        if exc is not None and self._payload is not None and not self._payload.is_eof():
            self._payload.set_exception(http.client.IncompleteRead(b""))  # the parser would take it for the body's end
        super().connection_lost(exc)

    async def read(self) -> tuple[RawResponseMessage, StreamReader]:
        """Read the next answer. Raises UnfitAnswerError."""
        message, payload = await super().read()
        if is_chunked(message.headers.getall("Transfer-Encoding", ())) != message.chunked:
            raise UnfitAnswerError(CODED)  # a space before the colon hides the field, and not from the parser
        if message.chunked and message.version < HttpVersion11:
            self.force_close()  # its sender does not know chunks: somebody may have read the body otherwise (RFC 9112, 6.1)
        interim = passed_over(message.code, self._interim)
        self._begin_anew(expected=interim)
        self._interim = self._interim + 1 if interim else 0
        return message, payload

    def _begin_anew(self, *, expected: bool) -> None:
        self._expected = expected
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def _broken(self) -> None:
        self.set_exception(UnfitAnswerError(unended(self._headed)))
        self.close()


def unended(seconds: float) -> str:
    """Report that a head has begun and not ended in time."""
    return f"began its answer, but has not finished its head for {seconds:g} s"


def passed_over(status: int, before: int) -> bool:
    """Whether an answer is an interim one. Raises UnfitAnswerError: one too many, or of another protocol."""
    if status == HTTPStatus.SWITCHING_PROTOCOLS:
        reason = "switches to another protocol (status 101) without being asked to"
        raise UnfitAnswerError(reason)
    if not HTTPStatus.CONTINUE <= status < HTTPStatus.OK:  # RFC 9110, section 15.2
        return False
    if before >= INTERIM:
        reason = f"sends interim answers without end (the last one had status {status})"
        raise UnfitAnswerError(reason)
    return True
