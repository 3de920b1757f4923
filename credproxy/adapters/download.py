"""The body of one download, in plain blocking code: it runs in a thread of the pump.

The body of an announced length is read from its socket, piece by piece until a large buffer is full. This gathering
makes the pump fast. Any other body is read by the standard library.
"""

import io
import socket
from collections.abc import Callable
from typing import NamedTuple

from credproxy.adapters import splice as splicing
from credproxy.adapters.awaited_socket import AwaitedSocket
from credproxy.adapters.connections import Connections, PoolKey
from credproxy.adapters.pump_request import PumpAnswer
from credproxy.adapters.pump_response import Body, response
from credproxy.adapters.tls_socket import AnySocket, TlsSocket
from credproxy.adapters.wakeup import Waking
from credproxy.core.checksum import Checksum
from credproxy.ports.transfer import Poured, Stopped


GATHER = 256 * 1024
"""Bytes per write."""

TAIL = 4 * 1024
"""Bytes kept of what a client was given: enough to notice a different blob, and cheap."""

_SEND_BUFFER = 4 * 1024 * 1024


class Link(NamedTuple):
    """A connection with an answer on it, which no event loop waits for; it may be reused under ``key``."""

    key: PoolKey
    sock: AnySocket
    answered: PumpAnswer


class _KeptReader(io.BufferedReader):
    """Stays open when the library closes what it has read to its end: the bytes after the end are checked later."""

    def close(self) -> None:
        """Do nothing: the connection belongs to the caller."""


class Download:
    """One response and the rest of its body.

    Args:
        link: its head was read; it belongs to the download from now on.
        connections: where the connection goes back to.
        stalled: seconds without a byte after which a side counts as gone; its pace is judged over the same time.

    Attributes:
        status, headers: of the response.
        length: bytes of body that it announced; None if it did not.
        tail: the last TAIL bytes that a client was given; empty if only the kernel saw them.
    """

    def __init__(self, link: Link, connections: Connections, *, stalled: float) -> None:
        head = link.answered.head
        self._connections = connections
        self._stalled = stalled
        self._waking = Waking()
        self._link: Link | None = link
        self.status = head.status
        self.headers = head.headers
        self.length = head.length
        self.tail = b""
        self._left = head.length or 0
        link.sock.settimeout(stalled)
        if isinstance(link.sock, TlsSocket):
            # If only the end of the connection tells the end of a body, an unannounced end truncates it.
            link.sock.strict = head.length is None
        self._waking.hold(link.sock)
        self._body = Body(link.answered.early, link.sock, stalled=stalled)
        self._reader = _KeptReader(self._body) if head.length is None else None
        self._response = None if self._reader is None else response(head.bytes, self._reader)

    def piece(self) -> bytes:
        """Give the next piece of the body, empty at its end.

        Raises:
            OSError, http.client.HTTPException: the connection broke off.
        """
        if self._response is None:
            return self._announced()
        # Not read(): for a chunk of negative size it reads everything that comes, until memory is full.
        found = self._response.read1(GATHER)
        if not found:
            self._ended()
        return found

    def _announced(self) -> bytes:
        found = bytearray()
        if self._move(min(GATHER, self._left), found.extend).stopped is not Stopped.DONE:
            raise ConnectionResetError
        return bytes(found)

    def pour(self, client: int, count: int, *, check: Checksum | None = None) -> Poured:
        """Move ``count`` bytes of an announced body to a client's descriptor, and close that at the end."""
        out = socket.socket(fileno=client)
        with out:
            try:
                self._waking.hold(out)
            except ConnectionAbortedError:
                return Poured(0, Stopped.CLIENT)
            # Never setblocking(True): O_NONBLOCK is shared with the event loop's own descriptor of this socket.
            out.settimeout(self._stalled)
            out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            try:
                return self._poured(out, count) if check is None else self._checked(out, count, check)
            finally:
                self._waking.release(out)

    def skip(self, count: int, check: Checksum | None = None) -> Poured:
        """Read ``count`` bytes of an announced body for the checksum only."""
        return self._move(count, (lambda _: None) if check is None else check.update)

    def close(self) -> None:
        """Close the connection, unless the body was read to its end and it was given back; never while a thread works."""
        link = self._let_go()
        if link is not None:
            link.sock.close()

    def break_off(self) -> None:
        """Wake the thread wherever it waits; may be called from any thread."""
        self._waking.break_off()

    def _let_go(self) -> Link | None:
        link, self._link = self._link, None
        if link is not None:
            self._waking.release(link.sock)
        return link

    def _giving(self, out: socket.socket) -> Callable[[memoryview], None]:
        def give(piece: memoryview) -> None:
            # The time-out applies to the whole call: GATHER bytes in sixty seconds are 4 KiB a second, as for an
            # upstream.
            out.sendall(piece)
            self.tail = (self.tail + bytes(piece[-TAIL:]))[-TAIL:]

        return give

    def _checked(self, out: socket.socket, count: int, check: Checksum) -> Poured:
        """Check all bytes that pass, and that none follow the end; the last piece is passed on only if both are right."""
        give, held = self._giving(out), bytearray()

        def write(piece: memoryview) -> None:
            check.update(piece)
            give(piece)

        def hold(piece: memoryview) -> None:
            check.update(piece)
            held.extend(piece)

        last, behind = min(count, GATHER), self._left - count
        sent = self._move(count - last, write)
        stopped = sent.stopped
        for number, see in ((last, hold), (behind, check.update)):
            if stopped is Stopped.DONE:
                stopped = self._move(number, see).stopped
        if stopped is Stopped.DONE and not check.right():
            stopped = Stopped.WRONG
        if stopped is not Stopped.DONE:
            return Poured(sent.moved, stopped)
        try:
            out.sendall(held)
        except OSError:
            return Poured(sent.moved, Stopped.CLIENT)
        return Poured(count, Stopped.DONE)

    def _poured(self, out: socket.socket, count: int) -> Poured:
        """Move most of a large body inside the kernel if there is no TLS; its end passes through here to be checked."""
        link, give = self._link, self._giving(out)
        spliced = count - GATHER
        if not splicing.AVAILABLE or link is None or isinstance(link.sock, TlsSocket) or spliced < GATHER:
            return self._move(count, give)
        first = self._move(self._body.early, give)
        if first.stopped is not Stopped.DONE:
            return first
        try:
            middle = splicing.splice(link.sock, out, count=spliced - first.moved, stalled=self._stalled)
        except OSError:  # no descriptor is left for a pipe: use the slower way
            middle = Poured(0, Stopped.DONE)
        self._left -= middle.moved
        if middle.moved:
            self.tail = b""
        moved = first.moved + middle.moved
        if middle.stopped is not Stopped.DONE:
            return Poured(moved, middle.stopped)
        last = self._move(count - moved, give)
        return Poured(moved + last.moved, last.stopped)

    def _move(self, count: int, write: Callable[[memoryview], None]) -> Poured:
        body = self._body
        buffer = memoryview(bytearray(min(GATHER, count)))
        moved = 0
        while moved < count:
            try:
                got = body.gather(buffer[: count - moved])
                # Checked before the last of the announced bytes is passed on.
                surplus = got == self._left and got and not body.is_over()
            except OSError:
                return Poured(moved, Stopped.UPSTREAM)
            if not got:
                return Poured(moved, Stopped.UPSTREAM)
            if surplus:
                return Poured(moved, Stopped.SURPLUS)
            try:
                write(buffer[:got])
            except OSError:
                return Poured(moved, Stopped.CLIENT)
            moved += got
            self._left -= got
        if not self._left:
            self._ended()
        return Poured(moved, Stopped.DONE)

    def _is_over(self) -> bool:
        """Whether nothing follows the body; for an announced one that was checked already."""
        link, reader = self._link, self._reader
        if link is None or reader is None:
            return not self._body.early
        link.sock.settimeout(0)
        try:
            return not reader.peek(1)
        except OSError:  # nothing has arrived yet, or the connection broke off after the end
            return True
        finally:
            link.sock.settimeout(self._stalled)

    def _ended(self) -> None:
        """Give the connection back: its response has been read to the end."""
        over = self._is_over()
        link = self._let_go()
        if link is None:
            return
        good = over and not link.answered.head.closes
        self._connections.give_back(link.key, AwaitedSocket(link.sock), good=good)
