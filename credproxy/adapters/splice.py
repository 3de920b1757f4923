"""Copies from one socket to another inside the kernel, for upstreams without TLS: the bytes never enter this process.

Measured (bench/gateway.py): the only pump that is faster than curl without a proxy, because curl has to copy.
"""

import contextlib
import fcntl
import os
import select
import socket
from collections.abc import Iterator

from credproxy.adapters.socket_wait import SocketWait
from credproxy.core.minimum_speed import Pace
from credproxy.ports.transfer import Poured, Stopped


AVAILABLE = hasattr(os, "splice")
"""Constants of Linux."""

_PIPE = 1024 * 1024
"""Bytes of a pipe: the most that an unprivileged process may ask for (pipe-max-size)."""


def splice(source: socket.socket, sink: socket.socket, *, count: int, stalled: float) -> Poured:
    """Move ``count`` bytes; neither socket may have anything buffered in Python.

    Args:
        source: connected, with a time-out, so non-blocking.
        sink: likewise.
        count: bytes.
        stalled: seconds without a byte after which a side counts as gone; its pace is judged over the same time.

    Raises:
        OSError: there is no descriptor for a pipe, and nothing was moved.
    """
    moved = 0
    readable, writable = _Side(source, select.POLLIN, stalled=stalled), _Side(sink, select.POLLOUT, stalled=stalled)
    with _pipe() as (reading, writing):
        while moved < count:
            try:
                got = _spliced(source.fileno(), writing, min(_PIPE, count - moved), readable)
            except OSError:
                got = 0
            if not got:
                return Poured(moved, Stopped.UPSTREAM)
            while got:
                try:
                    sent = _spliced(reading, sink.fileno(), got, writable)
                except OSError:
                    return Poured(moved, Stopped.CLIENT)
                got, moved = got - sent, moved + sent
    return Poured(moved, Stopped.DONE)


def _spliced(source: int, sink: int, count: int, side: "_Side") -> int:
    waited = 0.0
    while True:
        try:
            moved = os.splice(source, sink, count)
        except BlockingIOError:
            waited += side.wait()
        else:
            side.pace.moved(moved, waited)
            return moved


class _Side:
    """One of the sockets; its ``pace`` judges the other end."""

    def __init__(self, sock: socket.socket, event: int, *, stalled: float) -> None:
        self.pace = Pace(over=stalled)
        self.wait = SocketWait(sock, event, stalled=stalled).wait


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        with contextlib.suppress(OSError):  # a user over the limit of pipe memory gets a small pipe, which is slower
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE)
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)
