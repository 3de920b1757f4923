"""Accepting connections, a few at a time, and hardly any work for those who only keep others waiting (T3, T16).

The kernel has one queue for a socket, and a sandbox may fill it as fast as it can connect. Finding out who connects takes a
hundred times as long as accepting. So that is not done for a caller that has left already, nor for a process that was turned away
again and again within this second.
"""

import asyncio
import contextlib
import errno
import select
import socket
import struct
import sys
from collections import Counter
from collections.abc import Callable

from credproxy.server.peer_credentials import peer_credentials


AT_ONCE = 64
"""Connections that are taken in one turn of the loop: requests that are under way have theirs between two of these."""

_LOOKED_AT = 512
"""Connections that are accepted in one turn at most, dropped ones included."""

TRIES = 16
"""How often a process may be turned away in a second before its connections are dropped without a look."""

_BEHIND = 0.05
"""Seconds without accepting, at most, while carriers are still closing connections."""

_SHORT = 1.0
"""Seconds without accepting once no descriptor is left, as asyncio does it."""

_LEAVING = frozenset({errno.ECONNABORTED, errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR})
_RESET = struct.pack("ii", 1, 0)


class Insistent:
    """Which processes were turned away, and how often, within this second.

    Args:
        most: times that a process is turned away with a look; None for any number.
    """

    def __init__(self, *, most: int | None = TRIES) -> None:
        self._most = most if sys.platform == "linux" else None
        self._second = 0
        self._counts: Counter[int] = Counter()

    def note(self, pid: int | None) -> None:
        """A process was turned away; None for those that are not visible, which count as one."""
        self._this_second()
        self._counts[pid or 0] += 1

    def tires(self, sock: socket.socket) -> bool:
        """Whether a connection is of a process that was turned away too often."""
        if self._most is None or not self._counts:
            return False
        self._this_second()
        pid, _ = peer_credentials(sock)
        return self._counts[pid] >= self._most

    def _this_second(self) -> None:
        second = int(asyncio.get_running_loop().time())
        if second != self._second:
            self._second = second
            self._counts.clear()


class Accepting:
    """One listening socket, as long as it is accepted from.

    Args:
        sock: to accept from.
        taken: owns each connection.
        backlog: connections that may wait in the kernel.
        insistent: whose connections are dropped.
        behind: whether newcomers should wait in the queue; ``resume`` ends that, or time does.
    """

    def __init__(
        self,
        sock: socket.socket,
        taken: Callable[[socket.socket], None],
        *,
        backlog: int,
        insistent: Insistent,
        behind: Callable[[], bool] = lambda: False,
    ) -> None:
        self._sock = sock
        self._taken = taken
        self._insistent = insistent
        self._behind = behind
        self._loop = asyncio.get_running_loop()
        self._later: asyncio.TimerHandle | None = None
        self._open = True
        sock.setblocking(False)
        sock.listen(backlog)
        self._loop.add_reader(sock, self._readable)

    def close(self) -> None:
        """Stop accepting; the socket is closed as well, as an asyncio server does."""
        if not self._open:
            return
        self._open = False
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def resume(self) -> None:
        """Accept again, if it paused because carriers were behind and no longer are."""
        if self._later is not None and not self._behind():
            self._later.cancel()
            self._go_on()

    def _readable(self) -> None:
        taken = 0
        for _ in range(_LOOKED_AT):
            # At least one for each pause: a carrier that never closes anything must not keep others out for ever.
            if taken and self._behind():
                self._rest(_BEHIND)
                return
            try:
                connection, _ = self._sock.accept()
            except OSError as error:
                self._failed(error)
                return
            connection.setblocking(False)
            if _has_left(connection):
                connection.close()
            elif self._insistent.tires(connection):
                reset(connection)
            else:
                self._taken(connection)
                taken += 1
                if taken == AT_ONCE:
                    return

    def _failed(self, error: OSError) -> None:
        if error.errno in _LEAVING:
            return
        # In asyncio's words, which adapters/loop_errors.py knows.
        message = "socket.accept() out of system resource"
        self._loop.call_exception_handler({"message": message, "exception": error})
        self._rest(_SHORT)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._later = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._later = None
        if self._open:
            self._loop.add_reader(self._sock, self._readable)


def reset(sock: socket.socket) -> None:
    """Close a connection that there is no room for: a retry may find some."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    sock.close()


def _has_left(sock: socket.socket) -> bool:
    """Whether its caller has closed it."""
    waiting = select.poll()
    waiting.register(sock, select.POLLIN)
    return any(event & select.POLLHUP for _, event in waiting.poll(0))
