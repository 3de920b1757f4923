"""One download, from its request to its last byte, in plain blocking code: it runs in a thread of the pump.

The body of an announced length is read from the library's buffered reader itself: reading into a large buffer goes past
that buffer, piece by piece until ours is full. That is the gathering which makes the pump fast.
"""

import contextlib
import http.client
import io
import socket
import ssl
import threading
from collections.abc import Callable
from urllib.parse import urlsplit

from credproxy.adapters import splice as splicing
from credproxy.adapters.connections import Connections, Link, RefusedError
from credproxy.adapters.reasons import Call, SilentError, explain
from credproxy.core.checksum import Checksum
from credproxy.core.http import Request
from credproxy.ports import Poured, Stopped


WHOLE = 64 * 1024
"""Bytes up to which a body is read with its head: one hop between loop and thread instead of two."""

GATHER = 256 * 1024
"""Bytes per write."""

TAIL = 4 * 1024
"""Bytes that are kept of what a client was given: enough to tell another blob from the same, for nothing."""

_CONTENT = (http.client.OK, http.client.PARTIAL_CONTENT)

_SEND_BUFFER = 4 * 1024 * 1024


class Download:
    """One response and what is left of its body.

    Args:
        request: a GET.
        connections: where it is sent, and where the connection goes back to.
        stalled: seconds without a byte after which a side counts as gone.

    Attributes:
        status, headers: of the response.
        length: bytes of body that it announced; None where it did not.
        whole: the body, if it is small.
        tail: the last TAIL bytes that a client was given; empty where the kernel moved them.
    """

    def __init__(self, request: Request, connections: Connections, stalled: float) -> None:
        self._request = request
        self._connections = connections
        self._stalled = stalled
        self._lock = threading.Lock()
        self._broken_off = self._late = False
        self._link: Link | None = None
        self._reader: io.BufferedIOBase | None = None
        self._upstream: socket.socket | None = None
        self._client: socket.socket | None = None
        self._left = 0
        self.status = 0
        self.headers: tuple[tuple[str, str], ...] = ()
        self.length: int | None = None
        self.whole: bytes | None = None
        self.tail = b""

    def begin(self) -> None:
        """Send the request, read the head, and the body if it is small.

        Raises:
            Failed: upstream_unavailable, tls_failed, address_refused.
        """
        host = urlsplit(self._request.url).hostname or ""
        dial, name = self._request.dial, self._request.subject or f"host {host!r}"
        call = Call(name, host, dial.proxy, self._connections.answer, dial.rule)
        try:
            self._take(self._connections.ask(self._request, self._hold))
            if self.length is not None and self.length <= WHOLE:
                self.whole = self._all(self.length)
        except RefusedError as error:
            raise explain(error, call, refused=error.addresses) from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise explain(SilentError() if self._late else error, call) from None

    def piece(self) -> bytes:
        """Give the next piece of the body, empty at its end.

        Raises:
            OSError, http.client.HTTPException: it broke off.
        """
        assert self._link is not None
        # Not read(): that of a chunk whose size is negative takes all that comes, until the memory is full.
        found = self._link.response.read1(GATHER)
        if not found:
            self._ended()
        return found

    def pour(self, client: int, count: int, check: Checksum | None = None) -> Poured:
        """Move ``count`` bytes of an announced body to a client's descriptor, which is closed in the end."""
        out = socket.socket(fileno=client)
        with out:
            with self._lock:
                if self._broken_off:
                    return Poured(0, Stopped.CLIENT)
                self._client = out
            # Never setblocking(True): O_NONBLOCK is shared with the event loop's own descriptor of this socket.
            out.settimeout(self._stalled)
            out.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            try:
                return self._poured(out, count) if check is None else self._checked(out, count, check)
            finally:
                with self._lock:
                    self._client = None

    def skip(self, count: int, check: Checksum | None = None) -> Poured:
        """Read ``count`` bytes of an announced body, for the checksum alone."""
        return self._move(count, (lambda _: None) if check is None else check.update)

    def close(self) -> None:
        """Close the connection, unless the body was read to its end and others have it; never while a thread works."""
        link = self._let_go()
        if link is not None:
            link.close()

    def give_up(self) -> None:
        """End it if its answer has not begun by now; from any thread."""
        with self._lock:
            self._late = not self.status
        if self._late:
            self.break_off()

    def break_off(self) -> None:
        """Wake the thread, wherever it waits; from any thread."""
        with self._lock:
            self._broken_off = True
            for end in (self._client, self._upstream):
                if end is not None:
                    with contextlib.suppress(OSError):
                        # Not that of a TLS socket, which takes its state away from under the thread that reads.
                        socket.socket.shutdown(end, socket.SHUT_RDWR)

    def _hold(self, upstream: socket.socket) -> None:
        with self._lock:
            self._upstream = upstream
            if self._broken_off:
                raise ConnectionAbortedError

    def _let_go(self) -> Link | None:
        with self._lock:
            link, self._link, self._upstream = self._link, None, None
            return link

    def _take(self, link: Link) -> None:
        self._link = link
        link.sock.settimeout(self._stalled)
        response = link.response
        self.status = response.status
        self.headers = tuple(response.getheaders())
        self.length = None if response.chunked else response.length
        self._reader, self._left = response.fp, self.length or 0

    def _all(self, length: int) -> bytes:
        found = bytearray()
        poured = self._move(length, found.extend)
        # Debian's registry announces the blob's length with a refused range, and then sends a sentence.
        if poured.stopped is not Stopped.DONE and self.status in _CONTENT:
            raise http.client.IncompleteRead(b"", length - len(found))
        self._reader, self._left = io.BytesIO(found), length  # a resumed download pours it like any other
        return bytes(found)

    def _giving(self, out: socket.socket) -> Callable[[memoryview], None]:
        def give(piece: memoryview) -> None:
            out.sendall(piece)
            self.tail = (self.tail + bytes(piece[-TAIL:]))[-TAIL:]

        return give

    def _checked(self, out: socket.socket, count: int, check: Checksum) -> Poured:
        """Look at all bytes on their way, and at those behind them; the last piece leaves when they are right."""
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
        """Most of a large body inside the kernel, where there is no TLS; its end always here, where it is judged."""
        upstream, reader, give = self._upstream, self._reader, self._giving(out)
        spliced = count - GATHER
        if (
            not splicing.AVAILABLE
            or upstream is None
            or isinstance(upstream, ssl.SSLSocket)
            or not isinstance(reader, io.BufferedReader)
            or spliced < GATHER
        ):
            return self._move(count, give)
        try:
            came_with_head = len(reader.peek(1))
        except OSError:
            return Poured(0, Stopped.UPSTREAM)
        first = self._move(came_with_head, give)
        if first.stopped is not Stopped.DONE:
            return first
        try:
            middle = splicing.splice(upstream, out, spliced - first.moved, self._stalled)
        except OSError:  # no descriptor is left for a pipe: then it goes the slower way
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
        reader = self._reader
        assert reader is not None
        buffer = memoryview(bytearray(min(GATHER, count)))
        moved = 0
        while moved < count:
            try:
                got = reader.readinto(buffer[: count - moved])
                surplus = got == self._left and got and self._surplus()
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

    def _surplus(self) -> bool:
        """True where more bytes lie behind the announced ones: asked before the last of these is passed on."""
        upstream, reader = self._upstream, self._reader
        if upstream is None or not isinstance(reader, io.BufferedReader):
            return False
        upstream.settimeout(0)
        try:
            return bool(reader.peek(1))
        except (BlockingIOError, ssl.SSLWantReadError):
            return False
        finally:
            upstream.settimeout(self._stalled)

    def _ended(self) -> None:
        """Give the connection back: its response was read to the end."""
        link = self._let_go()
        if link is not None:
            self._connections.give_back(link)
