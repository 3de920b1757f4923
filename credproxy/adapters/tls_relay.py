"""Moves bytes between a TLS connection and one end of a pair of sockets, in the event loop, for a process that may not hold the key.

Nothing is read from either side before what was read last has been taken by the other, so a relay holds one buffer
for each direction. What the end of the pair means is said in ``relayed_socket``.
"""

import asyncio
import select
import socket
import ssl
from collections.abc import Callable

from credproxy.adapters.tls_socket import TlsSocket


PIECE = 64 * 1024
"""Bytes of a buffer. A TLS record is 16 KiB at most; fewer and larger writes are faster."""

_TURNS = 4
"""Buffers that one relay moves before others have a turn."""

_AGAIN = (BlockingIOError, InterruptedError)


class TlsRelay:
    """One connection and one end of a pair, both its own from now on.

    Args:
        tls: after its handshake.
        pair: this end; the other one speaks plainly.
        early: what the server has sent already.
        ended: called once, when both are closed.

    Attributes:
        moved: loop's time at which bytes were moved last.
        open: it has not ended.
    """

    def __init__(self, tls: TlsSocket, pair: socket.socket, *, early: bytes, ended: Callable[[], None]) -> None:
        tls.settimeout(0)
        pair.settimeout(0)
        self._tls = tls
        self._pair = pair
        self._ended = ended
        self._loop = asyncio.get_running_loop()
        self._down, self._up = _Half(early), _Half()
        self._finished: bool | None = None  # how the server ended: properly or not; None as long as it has not
        self._half_closed = self._again = False
        self._watched: set[tuple[int, bool]] = set()
        self.open = True
        self.moved = self._loop.time()
        self._loop.call_soon(self._step)

    def close(self) -> None:
        """End it, in a way that no reader takes for a proper end."""
        if not self.open:
            return
        self.open = False
        self._watch(set())
        self._tls.close()
        self._pair.close()
        self._ended()

    def _step(self) -> None:
        """Move what can be moved, and wait for the rest."""
        self._again = False
        if not self.open:
            return
        try:
            for _ in range(_TURNS):
                if not (self._downward() | self._upward()):  # both, whatever the first one did
                    break
            else:
                # Decrypted bytes may be left, of which the loop does not know.
                self._again = True
        except OSError:  # either side is gone
            self.close()
            return
        self._wait()

    def _downward(self) -> bool:
        """From the server; whether anything was moved."""
        if not self._down.left and self._finished is None:
            self._finished = self._down.fill(self._tls.decrypted_into, take=self._tls.take)
        moved = self._down.give(self._pair.send)
        if self._finished is not None and not self._down.left and not self._half_closed:
            if not self._finished:
                raise ConnectionResetError
            self._pair.shutdown(socket.SHUT_WR)
            self._half_closed = True
        return self._note(moved)

    def _upward(self) -> bool:
        """To the server; whether anything was moved."""
        if not self._half_closed:
            self._tls.flush()
        if not self._up.left and self._up.fill(self._pair.recv_into) is not None:
            raise ConnectionResetError  # nobody waits for an answer any more
        if self._half_closed:
            self._up.drop()  # nobody is there to take it
        return self._note(self._up.give(self._tls.send))

    def _note(self, moved: int) -> bool:
        if moved:
            self.moved = self._loop.time()
        return moved > 0

    def _wait(self) -> None:
        if self._again:
            self._watch(set())
            self._loop.call_soon(self._step)
            return
        tls, pair = self._tls.fileno(), self._pair.fileno()
        wanted = set()
        if self._finished is None and not self._down.left:
            wanted.add((tls, False))
        if self._tls.unsent and not self._half_closed:
            wanted.add((tls, True))
        if self._down.left:
            wanted.add((pair, True))
        if not self._up.left:
            wanted.add((pair, False))
        self._watch(wanted)

    def _watch(self, wanted: set[tuple[int, bool]]) -> None:
        for number, writing in self._watched - wanted:
            (self._loop.remove_writer if writing else self._loop.remove_reader)(number)
        for number, writing in wanted - self._watched:
            (self._loop.add_writer if writing else self._loop.add_reader)(number, self._step)
        self._watched = wanted


class _Half:
    """What was read from one side and not yet taken by the other.

    Attributes:
        left: bytes.
    """

    def __init__(self, early: bytes = b"") -> None:
        self._buffer = memoryview(bytearray(max(PIECE, len(early))))
        self._buffer[: len(early)] = early
        self._start, self._end = 0, len(early)

    @property
    def left(self) -> int:
        return self._end - self._start

    def fill(self, receive: Callable[[memoryview], int], *, take: Callable[[], None] | None = None) -> bool | None:
        """Read as much as there is; None while more may come, at the end whether that was a proper one.

        An end after some bytes is seen when they have been taken. ``take`` gives TLS its next piece: one at most, since a
        piece may hold next to no bytes, and many messages that TLS has to work on.
        """
        self._start = self._end = 0
        encrypted = take is not None
        try:
            while self._end < len(self._buffer):
                try:
                    got = receive(self._buffer[self._end :])
                except ssl.SSLWantReadError:
                    if take is None or self._end:
                        break
                    take()
                    take = None
                    continue
                if not got:
                    return True
                self._end += got
                if not encrypted:
                    break
        except _AGAIN:
            pass
        except OSError:
            return False
        return None

    def give(self, send: Callable[[memoryview], int]) -> int:
        """Have the other side take what it can; how many bytes that were. Raises OSError: it is gone."""
        given = 0
        try:
            while self._start < self._end:
                sent = send(self._buffer[self._start : self._end])
                self._start += sent
                given += sent
        except (*_AGAIN, ssl.SSLWantReadError):
            pass
        return given

    def drop(self) -> None:
        """Forget it."""
        self._start = self._end = 0


def greeted(tls: TlsSocket, seconds: float) -> bytes:
    """Wait until a server of TLS 1.3 has said something after the handshake, for at most so long; give what came of its answer.

    A client's handshake is complete there before the server has judged the certificate. Servers say what they think of it at
    once: an alert, or a ticket for the next session. Without this, a refused certificate would be a connection that
    breaks off when it is used.

    Raises:
        OSError: ssl.SSLError with its alert.
    """
    if tls.version != "TLSv1.3":
        return b""
    waiting = select.poll()
    waiting.register(tls, select.POLLIN)
    tls.settimeout(0)
    if not tls.unread and not waiting.poll(seconds * 1000):
        return b""
    found = memoryview(bytearray(PIECE))
    try:
        if not tls.unread:
            tls.take()
        return bytes(found[: tls.decrypted_into(found)])
    except (*_AGAIN, ssl.SSLWantReadError, ssl.SSLEOFError):  # the end is seen again by the relay
        return b""
