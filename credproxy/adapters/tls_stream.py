"""TLS over a connected socket, read in large steps. Source: RFC 8446, RFC 5246, by the standard library's ``ssl.SSLObject``.

OpenSSL itself reads a socket with two calls for each record, of 5 bytes and of 16 KiB at most, and Python has no way to
tell it otherwise (``SSL_CTX_set_read_ahead``). Here one call takes much of what is there, and the records are found in
memory. Fewer calls of the kernel stand against two copies more: which costs more differs from machine to machine
(bench/gateway.py, ``many``, measures it).
"""

import contextlib
import select
import socket
import ssl
import time
from collections.abc import Callable
from typing import Protocol, TypeVar


STEP = 64 * 1024
"""Bytes that are asked of the socket at once for a caller whose own buffer is no larger."""

LARGE = 128 * 1024
"""Bytes that are asked of it at most. OpenSSL keeps the room for them, and a third more, as long as the connection."""

T = TypeVar("T")


class SocketLike(Protocol):
    """A connected socket, with TLS or without: the methods of ``socket.socket``, and their errors, that are used here."""

    def recv(self, size: int, /) -> bytes:
        """Give some; empty at its end."""
        ...

    def recv_into(self, buffer: memoryview, /) -> int:
        """Give some; 0 at its end."""
        ...

    def send(self, data: bytes | memoryview, /) -> int:
        """Take some, and say how much; where it raised BlockingIOError or one of TLS's, the same is sent again."""
        ...

    def settimeout(self, waits: float | None, /) -> None:
        """Wait for so many seconds; 0 for not at all."""
        ...

    def gettimeout(self) -> float | None:
        """Give those seconds."""
        ...

    def fileno(self) -> int:
        """Give its descriptor; -1 where it is closed."""
        ...

    def shutdown(self, how: int, /) -> None:
        """End it, from any thread: a thread that waits for it is woken."""
        ...

    def close(self) -> None:
        """Close it."""
        ...


class TlsStream:
    """The client's side of a TLS connection. Source: SocketLike; its errors are those of ``ssl.SSLSocket``.

    A time-out is that of a whole call. What a read makes OpenSSL say by itself, such as the answer to a key update, leaves
    before the next read; while it cannot, nothing more is read.

    Args:
        sock: connected; belongs to it from now on.
        context: says what is believed.
        host: the name, or the address, that the certificate must have.

    Attributes:
        ragged: an end that the other side has not announced is one, too; otherwise SSLEOFError.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, host: str) -> None:
        self.ragged = True
        self._sock = sock
        self._waits = sock.gettimeout()
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._coming, self._going, server_hostname=host)
        self._unsent = memoryview(b"")
        self._taken = 0
        self._failure: ssl.SSLError | None = None
        sock.settimeout(0)

    def handshake(self) -> None:
        """Begin; the certificate is right afterwards. Raises OSError."""
        until = self._until()
        try:
            self._fed(self._tls.do_handshake, until)
            self._flush(until)
        except ssl.SSLError:
            with contextlib.suppress(OSError):
                self._flush(until)  # says what was wrong
            raise

    def recv(self, size: int, /) -> bytes:
        """Give what is in one record, at most; empty at the end."""
        try:
            self._raise_late()
            return self._fed(lambda: self._tls.read(size), self._until())
        except ssl.SSLEOFError:
            if self.ragged:
                return b""
            raise

    def recv_into(self, buffer: memoryview, /) -> int:
        """Give what is in as many records as are here, and wait for one at least; 0 at the end."""
        try:
            self._raise_late()
            first = self._fed(lambda: self._into(buffer), self._until(), buffer)
        except ssl.SSLEOFError:
            if self.ragged:
                return 0
            raise
        return first + self._rest(buffer[first:]) if first else 0

    def send(self, data: bytes | memoryview, /) -> int:
        """Take all of it; after an error of one who waits, the same data have to be sent again, as OpenSSL has it."""
        until = self._until()
        if not self._taken:
            self._taken = self._fed(lambda: self._tls.write(data), until)
        self._flush(until)
        taken, self._taken = self._taken, 0
        return taken

    def pending(self) -> int:
        """Bytes that are here and were not read, whatever they are; a record that is not whole yet may not count."""
        return self._tls.pending() + self._coming.pending

    def settimeout(self, waits: float | None, /) -> None:
        """Let each call wait for so many seconds; 0 for not at all."""
        self._waits = waits

    def gettimeout(self) -> float | None:
        """Give those seconds."""
        return self._waits

    def fileno(self) -> int:
        """Give the socket's descriptor; -1 where it is closed."""
        return self._sock.fileno()

    def shutdown(self, how: int, /) -> None:
        """End the socket, from any thread; the state of TLS is left alone."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """Close the socket, without a word to the other side."""
        self._sock.close()

    def _rest(self, buffer: memoryview) -> int:
        """Fill a buffer with the records that are here; what ends them is for the next read to say."""
        filled = 0
        try:
            while filled < len(buffer) and (got := self._into(buffer[filled:])):
                filled += got
        except ssl.SSLError as error:
            if not isinstance(error, ssl.SSLWantReadError):
                self._failure = error
        return filled

    def _into(self, buffer: memoryview) -> int:
        got: int = self._tls.read(len(buffer), buffer)  # type: ignore[assignment]  # typeshed knows no buffer
        return got

    def _raise_late(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _fed(self, operation: Callable[[], T], until: float, room: memoryview | None = None) -> T:
        """Do something of TLS, and give it what it wants to read."""
        while True:
            try:
                return operation()
            except ssl.SSLWantReadError:
                self._arrive(until, room)

    def _arrive(self, until: float, room: memoryview | None) -> None:
        """Take what has arrived; by way of a buffer that is still empty, where it is a large one."""
        self._flush(until)
        space = memoryview(bytearray(STEP)) if room is None or len(room) < STEP else room[:LARGE]
        got = self._moved(lambda: self._sock.recv_into(space), select.POLLIN, until)
        if got:
            self._coming.write(space[:got])
        else:
            self._coming.write_eof()

    def _flush(self, until: float) -> None:
        while self._unsent or self._going.pending:
            if not self._unsent:
                self._unsent = memoryview(self._going.read())
            self._unsent = self._unsent[self._moved(lambda: self._sock.send(self._unsent), select.POLLOUT, until) :]

    def _moved(self, move: Callable[[], int], event: int, until: float) -> int:
        while True:
            try:
                return move()
            except BlockingIOError:
                self._wait(event, until)

    def _wait(self, event: int, until: float) -> None:
        if self._waits == 0:
            raise ssl.SSLWantReadError if event == select.POLLIN else ssl.SSLWantWriteError
        left = until - time.monotonic()  # noqa: TID251  a suspended machine waits for nobody
        ready = select.poll()
        ready.register(self._sock, event)
        if left <= 0 or not ready.poll(left * 1000):
            raise TimeoutError

    def _until(self) -> float:
        return time.monotonic() + (self._waits or 0.0)  # noqa: TID251  see above
