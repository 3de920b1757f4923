"""TLS over a socket, taken from it piece by piece.

OpenSSL, when it reads from a socket itself, goes on for as long as messages of TLS arrive that carry no data, such as
tickets for later sessions; a server that sends them without end then keeps the thread, here that of the event loop. So it
is given what was read from the socket, a piece at a time, and others have their turns between two of them.
"""

import contextlib
import socket
import ssl
import time


PIECE = 32 * 1024
"""Bytes that are read from the socket at once. A record has 16 KiB at most."""

_RECORD = 16 * 1024

_AGAIN = (BlockingIOError, InterruptedError)


class TlsStream:
    """The client's side of one TLS connection, which has its socket from now on.

    Args:
        sock: connected.
        context: of the connection.
        host: that the server's certificate has to be for.
    """

    def __init__(self, sock: socket.socket, context: ssl.SSLContext, *, host: str) -> None:
        self.sock = sock
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=host)
        self._unsent = memoryview(b"")

    @property
    def version(self) -> str | None:
        """As ``ssl.SSLSocket.version``."""
        return self._tls.version()

    @property
    def unread(self) -> bool:
        """Whether something that was read from the socket was not yet read from here."""
        return self._in.pending > 0

    @property
    def unsent(self) -> bool:
        """Whether something waits until the socket can be written to."""
        return bool(self._unsent) or self._out.pending > 0

    def shake_hands(self, seconds: float) -> None:
        """Do it, in so many seconds at most; blocks.

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
                    self.sock.settimeout(0)
                    self.flush()
                raise
            left = end - time.monotonic()  # noqa: TID251  see above
            if left <= 0:
                raise TimeoutError
            self.sock.settimeout(left)
            self.flush()
            if not done:
                self.take()

    def take(self) -> None:
        """Read one piece from the socket. Raises OSError: BlockingIOError if there is none."""
        found = self.sock.recv(PIECE)
        if found:
            self._in.write(found)
        else:
            self._in.write_eof()

    def recv_into(self, buffer: memoryview) -> int:
        """Give data of what was taken; 0 if the server has said that there is no more. What TLS answers waits for ``flush``.

        Raises:
            OSError: ssl.SSLWantReadError if more has to be taken; other ones of ``ssl``, also at an end without TLS's word.
        """
        return self._tls.read(len(buffer), buffer)  # type: ignore[return-value]  # typeshed: bytes

    def send(self, data: memoryview) -> int:
        """Send as much as one record takes, once the one before has left.

        Raises:
            OSError: BlockingIOError if that has not; ssl.SSLWantReadError if more has to be taken first.
        """
        self.flush()
        if self.unsent:
            raise BlockingIOError
        sent = self._tls.write(data[:_RECORD])
        self.flush()
        return sent

    def flush(self) -> None:
        """Write what waits, as far as the socket takes it. Raises OSError: the server is gone."""
        try:
            while self.unsent:
                if not self._unsent:
                    self._unsent = memoryview(self._out.read())
                self._unsent = self._unsent[self.sock.send(self._unsent) :]
        except _AGAIN:
            pass

    def fileno(self) -> int:
        """Of the socket."""
        return self.sock.fileno()

    def close(self) -> None:
        """Close the socket."""
        self.sock.close()
