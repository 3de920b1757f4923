"""An answer as it arrives: its head, in any number of pieces, and a body that begins with what came with the head."""

import asyncio
import http.client
import io
import re
import select
import ssl
import threading
import time
from typing import IO, NamedTuple

from aiohttp import HttpVersion11
from aiohttp.base_protocol import BaseProtocol
from aiohttp.http_exceptions import BadHttpMessage
from aiohttp.http_parser import HttpResponseParser

from credproxy.adapters.answer_framing import CODED, UnfitAnswerError, is_chunked, one_length, readable
from credproxy.adapters.interim_responses import HEAD_END, SteadyResponse, passed_over
from credproxy.adapters.socket_wait import SocketWait
from credproxy.adapters.tls_socket import AnySocket
from credproxy.core.minimum_speed import Pace


_INTERIM = re.compile(rb"HTTP/1\.\d +(1\d\d)")

_LINE = 64 * 1024
"""Bytes of a line of a head; the standard library's own limit."""

_FIELDS = 100
"""Fields of a head, likewise."""

_MOST = 256 * 1024
"""Bytes of a head, with the interim answers before it."""

_JUDGED = 0.1
"""Seconds after which a body's pace is judged, however little has arrived."""

_READING = threading.Lock()
"""For the one thread of this process that empties a socket. A TLS record has 16 KiB at most, and Python's lock is taken
twice for each, so that several threads mostly wait for each other: 16 downloads then took up to a third longer, and a
third more of the processors (bench/gateway.py, ``many``). One thread decrypts more than a gigabyte a second.

Nobody waits inside, and no upstream keeps a thread there: it is left after one piece without data."""

_EMPTY = frozenset({http.client.NO_CONTENT, http.client.NOT_MODIFIED})


class Head(NamedTuple):
    """The head of an answer to a GET.

    Attributes:
        headers: in order, with names as sent.
        length: bytes of body that it announces; None if it does not say.
        closes: the connection is closed after it.
        bytes: size of the head itself.
    """

    status: int
    headers: tuple[tuple[str, str], ...]
    length: int | None
    closes: bool
    bytes: bytes


class Arriving:
    """What has arrived of an answer so far: interim answers are skipped.

    Attributes:
        head: the answer's head; None until it is complete.
        early: what has arrived after it.
    """

    def __init__(self) -> None:
        self._bytes = bytearray()  # in place: a head may arrive byte by byte
        self._interim = self._taken = 0
        self.head: Head | None = None
        self.early = b""

    @property
    def begun(self) -> bool:
        """Whether anything of the answer itself has arrived, and not only interim answers."""
        return bool(self._bytes)

    def take(self, piece: bytes) -> bool:
        """Add a piece, an empty one for the end; tell whether the head is complete.

        Raises:
            http.client.HTTPException: what arrived is not a head, or exceeds the limits.
        """
        if not piece:
            raise self._ended()
        if not self._taken and (end := HEAD_END.search(piece)) is not None and not self._is_interim(piece):
            self.head, self.early = _read(piece[: end.end()]), piece[end.end() :]  # at once, as nearly every head comes
            return True
        self._taken += len(piece)
        searched = max(0, len(self._bytes) - 2)
        self._bytes += piece
        while (end := HEAD_END.search(self._bytes, searched)) is not None:
            head, searched = bytes(self._bytes[: end.end()]), 0
            del self._bytes[: end.end()]
            if not self._is_interim(head):
                self.head, self.early = _read(head), bytes(self._bytes)
                return True
            self._interim += 1
        if self._taken > _MOST:
            message = f"got more than {_MOST} bytes of a head"
            raise http.client.HTTPException(message)
        return False

    def _ended(self) -> Exception:
        """Give the error for an end without a whole head: the head may already have been too long."""
        if not self._bytes and not self._interim:
            return http.client.RemoteDisconnected("")
        try:
            response(bytes(self._bytes), None)
        except http.client.HTTPException as error:
            return error
        return http.client.IncompleteRead(b"")

    def _is_interim(self, head: bytes) -> bool:
        status = _INTERIM.match(head)
        return status is not None and passed_over(int(status[1]), self._interim)


class _Nobody(BaseProtocol):
    """The parser wants a connection that it can pause; here it only gets a head."""


def _read(head: bytes) -> Head:
    """Parse a head with aiohttp's parser, which is twenty times as fast, or else as leniently as the standard library."""
    clean = readable(head)
    loop = asyncio.get_running_loop()
    parser = HttpResponseParser(
        _Nobody(loop), loop, 1, max_line_size=_LINE, max_field_size=_LINE, max_headers=_FIELDS, response_with_body=False
    )
    try:
        message = parser.feed_data(head)[0][0][0]
    except (BadHttpMessage, IndexError):  # IndexError: it found no message at all
        return _read_generously(clean)
    chunked, status = message.chunked, message.code
    if is_chunked(message.headers.getall("Transfer-Encoding", ())) and not response(head, None).chunked:
        raise UnfitAnswerError(CODED)
    announced = message.headers.get("Content-Length")
    length = 0 if status in _EMPTY else None if announced is None or chunked else int(announced)
    headers = tuple([(name.decode("latin-1"), value.decode("latin-1")) for name, value in message.raw_headers])
    # A sender of HTTP/1.0 does not know chunks: somebody on the way may have read the body otherwise (RFC 9112, 6.1).
    unsure = message.version < HttpVersion11 if chunked else length is None
    return Head(status, headers, length, message.should_close or unsure, head)


def _read_generously(head: bytes) -> Head:
    """Parse a head that aiohttp's parser refuses, such as one with two equal lengths, if the end of its body is certain.

    Its connection is not used again.
    """
    made = response(head, None)
    if is_chunked(made.headers.get_all("Transfer-Encoding", ())) != made.chunked:
        raise UnfitAnswerError(CODED)
    announced = None if made.chunked else one_length(made.headers.get_all("Content-Length", ()))
    length = 0 if made.status in _EMPTY else announced
    return Head(made.status, tuple(made.getheaders()), length, closes=True, bytes=head)


class _ArrivedBody:
    """Stands in for the socket from which the standard library makes a response: the head has been read already."""

    def __init__(self, source: IO[bytes]) -> None:
        self.makefile = lambda _: source


def response(head: bytes, body: IO[bytes] | None) -> http.client.HTTPResponse:
    """Give the standard library's response, which can read a chunked body, or one without a length."""
    made = SteadyResponse(_ArrivedBody(io.BytesIO(head)))  # type: ignore[arg-type]  # it only calls makefile()
    made.begin()
    made.fp = body  # type: ignore[assignment]  # as the library itself does after the end of a body
    return made


class Body(io.RawIOBase):
    """The body of an answer: what arrived with its head, and then what its socket gives, unless that is too slow.

    Args:
        early: bytes that arrived with the head.
        sock: with its time-out set.
        stalled: seconds, that time-out.
    """

    def __init__(self, early: bytes, sock: AnySocket, *, stalled: float) -> None:
        self._early = memoryview(early)
        self._sock = sock
        self._stalled = stalled
        self._pace = Pace(over=stalled)  # the early bytes do not count

    @property
    def early(self) -> int:
        """Bytes that arrived with the head and were not read yet."""
        return len(self._early)

    def readable(self) -> bool:
        """True."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int | None:  # type: ignore[override]  # typeshed wants any buffer; callers pass these
        """Read some; 0 at the end, None if nothing has arrived and the socket does not block. Raises OSError."""
        if self._early:
            return self._take_early(buffer)
        while True:
            begun = time.monotonic()  # noqa: TID251  time during suspend does not count
            try:
                got = self._sock.recv_into(buffer)
            except BlockingIOError:
                return None
            except ssl.SSLWantReadError:  # messages of TLS alone, or a part of a record
                got = -1
            self._pace.moved(max(got, 0), time.monotonic() - begun)  # noqa: TID251  see above
            if got >= 0:
                return got

    def gather(self, buffer: memoryview) -> int:
        """Fill a buffer; less only at the end. Raises OSError.

        Only waiting counts for the pace: it is judged once for all of them, and earlier if they take long.
        """
        filled = counted = self._take_early(buffer)
        waited, size = 0.0, len(buffer)
        self._sock.settimeout(0)
        try:
            while filled < size:
                got, more = self._arrived(buffer[filled:])
                filled += got
                if not more:
                    break
                waited += SocketWait(self._sock, select.POLLIN, stalled=self._stalled).wait()
                if waited > _JUDGED:
                    self._pace.moved(filled - counted, waited)
                    waited, counted = 0.0, filled
        finally:
            self._sock.settimeout(self._stalled)
        self._pace.moved(filled - counted, waited)
        return filled

    def _arrived(self, buffer: memoryview) -> tuple[int, bool]:
        """Read what has arrived; give its size, and whether more may come: the buffer is not full, and this is not the end."""
        filled, size, receive = 0, len(buffer), self._sock.recv_into
        try:
            with _READING:
                while filled < size and (got := receive(buffer[filled:])):
                    filled += got
        except (BlockingIOError, ssl.SSLWantReadError):
            return filled, True
        return filled, False

    def _take_early(self, buffer: "bytearray | memoryview") -> int:
        count = min(len(buffer), len(self._early))
        buffer[:count] = self._early[:count]
        self._early = self._early[count:]
        return count

    def is_over(self) -> bool:
        """Whether nothing follows, now that its announced end has been read."""
        if self._early:
            return False
        waits = self._sock.gettimeout()
        self._sock.settimeout(0)
        try:
            return not self._sock.recv(1)
        except OSError:  # nothing has arrived yet, or the connection broke off after the end, which does no harm
            return True
        finally:
            self._sock.settimeout(waits)
