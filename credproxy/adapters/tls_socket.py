"""A TLS connection whose socket is read here, piece by piece, and not by OpenSSL.

OpenSSL, when it reads from a socket itself, goes on for as long as messages of TLS arrive that carry no data, such as
tickets for later sessions; a server that sends them without end then keeps the thread, which may be that of the event loop. So
it is given what was read from the socket, a piece at a time, and others have their turns between two of them.

It is also faster (bench/gateway.py, ``many``): OpenSSL reads the head and the body of each record by themselves, and a
record has 16 KiB at most.
"""

import contextlib
import errno
import os
import socket
import ssl
import time


PIECE = 96 * 1024
"""Bytes that are read from the socket at once."""

_RECORD = 16 * 1024

_SCRATCH = 2 * _RECORD
"""Bytes of a buffer into which encrypted bytes are read before decrypted ones replace them: no other memory is touched."""

_ANSWERS = 128 * 1024
"""Bytes that TLS itself has to say and the server does not take, after which the connection is given up: each request for
a new key is answered, and a server could ask for millions."""

_DATALESS = 256 * 1024
"""Bytes in a row, none of them data, after which it is given up as well. Tickets take some hundred each, an unfinished record
16 KiB; a new key takes 27, and as much work as half a megabyte of data."""

_AGAIN = (BlockingIOError, InterruptedError)


class TlsSocket:
    """The client's side of one TLS connection, with those methods of a socket that are needed; none of them sends in plain.

    Args:
        sock: connected; owned from now on.
        context: of the connection.
        host: that the server's certificate has to be for.

    Attributes:
        strict: an end without TLS's word for it is an error for ``recv`` and ``recv_into``, and not an end.

    Raises:
        ValueError: no certificate can be for that host.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, host: str) -> None:
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._unsent = memoryview(b"")
        self._accepted = 0
        self._dataless = 0  # bytes taken since there was data
        self._sock = sock
        self.strict = False

    @property
    def version(self) -> str | None:
        """As ``ssl.SSLSocket.version``."""
        return self._tls.version()

    @property
    def unread(self) -> bool:
        """Whether something that was read from the socket was not yet read from here."""
        return self._in.pending > 0 or self._tls.pending() > 0

    @property
    def unsent(self) -> bool:
        """Whether something waits until the socket can be written to."""
        return bool(self._unsent) or self._out.pending > 0

    def shake_hands(self, seconds: float) -> None:
        """Do it, in so many seconds at most; blocks, and leaves the socket with another time-out.

        Raises:
            OSError: ssl.SSLError; TimeoutError.
        """
        end = time.monotonic() + seconds  # noqa: TID251  time during suspend does not count
        done = False
        while not done:
            try:
                self._tls.do_handshake()
                done = True
            except ssl.SSLWantReadError:
                pass
            except ssl.SSLError:
                with contextlib.suppress(OSError):  # the server is told why
                    self.settimeout(0)
                    self.flush()
                raise
            left = end - time.monotonic()  # noqa: TID251  see above
            if left <= 0:
                raise TimeoutError
            self.settimeout(left)
            self.flush()
            if not done:
                self.take()
        self._dataless = 0

    def take(self, scratch: memoryview | None = None) -> None:
        """Read one piece from the socket, by way of ``scratch`` if that is given.

        Raises:
            OSError: BlockingIOError if there is none; ConnectionAbortedError: the server does not take what TLS answers, or
                sends nothing but messages of TLS.
        """
        self._answer()
        if len(self._unsent) + self._out.pending > _ANSWERS or self._dataless > _DATALESS:
            raise ConnectionAbortedError(errno.ECONNABORTED, os.strerror(errno.ECONNABORTED))
        if self._in.pending > PIECE:
            raise BlockingIOError  # what is there has to be read first
        if scratch is None:
            found: bytes | memoryview = self._sock.recv(PIECE)
        else:
            found = scratch[: self._sock.recv_into(scratch[:PIECE])]
        if found:
            self._dataless += len(found)
            self._in.write(found)
        else:
            self._in.write_eof()

    def decrypted_into(self, buffer: memoryview) -> int:
        """Give data of what was taken; 0 if the server has said that there is no more. What TLS answers waits for ``flush``.

        Raises:
            OSError: ssl.SSLWantReadError if more has to be taken; other ones of ``ssl``, also at an end without TLS's word.
        """
        got: int = self._tls.read(len(buffer), buffer)  # type: ignore[assignment]  # typeshed: bytes
        self._dataless = 0
        return got

    def recv(self, bufsize: int) -> bytes:
        """As ``recv_into``."""
        buffer = bytearray(bufsize)
        return bytes(memoryview(buffer)[: self.recv_into(buffer)])

    def recv_into(self, buffer: "bytearray | memoryview") -> int:
        """Read some; 0 at the end. At most one piece is taken from the socket.

        Raises:
            OSError: BlockingIOError if nothing has arrived; ssl.SSLWantReadError if there is no data in it, also where
                the socket blocks.
        """
        view = memoryview(buffer)
        try:
            try:
                return self.decrypted_into(view)
            except ssl.SSLWantReadError:
                self.take(view if len(view) >= _SCRATCH else None)
                return self.decrypted_into(view)
        except ssl.SSLWantReadError:
            self._answer()
            raise
        except ssl.SSLEOFError:
            if self.strict:
                raise
            return 0

    def send(self, data: "bytes | memoryview") -> int:
        """Send as much as one record takes; after an exception the same data has to be given again, as OpenSSL wants it.

        Raises:
            OSError: BlockingIOError if the socket has to be written to first; ssl.SSLWantReadError if more has to be
                read first.
        """
        self.flush()
        if self.unsent:
            raise BlockingIOError
        if not self._accepted:
            self._accepted = self._written(memoryview(data)[:_RECORD])
            self.flush()
            if self.unsent:
                raise BlockingIOError
        sent, self._accepted = self._accepted, 0
        return sent

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it. Raises OSError: the server is gone."""
        try:
            while self.unsent:
                if not self._unsent:
                    self._unsent = memoryview(self._out.read())
                self._unsent = self._unsent[self._sock.send(self._unsent) :]
        except _AGAIN:
            pass

    def _answer(self) -> None:
        """Write what TLS itself has to say: a server that shakes hands again sends nothing before it has that."""
        with contextlib.suppress(OSError):  # a server that takes no more may have sent an answer before
            self.flush()

    def _written(self, data: memoryview) -> int:
        """Encrypt; where the server wants to shake hands again, with what it has sent for that."""
        try:
            try:
                return self._tls.write(data)
            except ssl.SSLWantReadError:
                self.take()
                return self._tls.write(data)
        except BlockingIOError:
            raise ssl.SSLWantReadError from None  # the socket has to be read from first
        except ssl.SSLWantReadError:
            self._answer()
            raise

    def gettimeout(self) -> float | None:
        """As that of a socket."""
        return self._sock.gettimeout()

    def settimeout(self, seconds: float | None) -> None:
        """As that of a socket."""
        self._sock.settimeout(seconds)

    def fileno(self) -> int:
        """As that of a socket."""
        return self._sock.fileno()

    def shutdown(self, how: int) -> None:
        """As that of a socket; TLS is told nothing. Raises OSError."""
        self._sock.shutdown(how)

    def close(self) -> None:
        """As that of a socket; TLS is told nothing."""
        self._sock.close()


AnySocket = socket.socket | TlsSocket
"""A connection, with or without TLS."""
