"""A connection that a relay makes for this process: plain bytes on one end of a pair of sockets, TLS behind the other.

TLS tells a body that ended from one that was cut off, and a pair of sockets does not: it gives nothing more in either
case, also when the relay's process was killed. So the relay ends its own direction alone (``shutdown``) where the other side
has ended properly, and closes its socket in every other case. A socket whose other end is closed reports POLLHUP; one whose
other end only sends no more does not. Source: unix_poll in Linux's net/unix/af_unix.c. Where a system reports it in both cases,
each end counts as broken, which no body with a length notices.
"""

import errno
import os
import select
import socket
from collections.abc import Awaitable, Callable


AskForRelay = Callable[[str], Awaitable[socket.socket]]
"""Gives a connection by the name of a relay (Dial.relay). Raises Failed."""


class RelayedSocket(socket.socket):
    """This process's end. At an end that is not a proper one, reading raises ConnectionResetError."""

    def recv(self, bufsize: int, flags: int = 0, /) -> bytes:
        """Read some; empty at the end. Raises OSError."""
        found = super().recv(bufsize, flags)
        if not found and bufsize:
            self._judge()
        return found

    def recv_into(self, buffer: "bytearray | memoryview", nbytes: int = 0, flags: int = 0, /) -> int:  # type: ignore[override]  # typeshed wants any buffer; callers pass these
        """Read some; 0 at the end. Raises OSError."""
        got = super().recv_into(buffer, nbytes, flags)
        if not got and len(buffer):
            self._judge()
        return got

    def _judge(self) -> None:
        waiting = select.poll()
        waiting.register(self, 0)  # POLLHUP is reported in any case
        if waiting.poll(0):
            raise ConnectionResetError(errno.ECONNRESET, os.strerror(errno.ECONNRESET))
