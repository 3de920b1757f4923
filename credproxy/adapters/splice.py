"""From one socket to another inside the kernel, for upstreams without TLS: the bytes never come up here.

Measured (bench/gateway.py): the only pump that is faster than curl straight to the server, because curl has to copy.
"""

import contextlib
import fcntl
import os
import select
import socket
from collections.abc import Callable, Iterator

from credproxy.ports import Poured, Stopped


AVAILABLE = hasattr(os, "splice")
"""Linux."""

_PIPE = 1024 * 1024
"""Bytes; what an unprivileged process may ask for (pipe-max-size)."""


def splice(source: socket.socket, sink: socket.socket, count: int, stalled: float) -> Poured:
    """Move ``count`` bytes; neither socket may have anything buffered in Python.

    Args:
        source: connected, with a time-out, so not blocking.
        sink: likewise.
        count: bytes.
        stalled: seconds without a byte after which a side counts as gone.

    Raises:
        OSError: there is no descriptor for a pipe, and nothing was moved.
    """
    moved = 0
    readable, writable = (_waiting(source, select.POLLIN, stalled), _waiting(sink, select.POLLOUT, stalled))
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


def _spliced(source: int, sink: int, count: int, wait: Callable[[], None]) -> int:
    while True:
        try:
            return os.splice(source, sink, count)
        except BlockingIOError:
            wait()


def _waiting(sock: socket.socket, event: int, seconds: float) -> Callable[[], None]:
    """Give a function that waits until a socket is ready. That raises TimeoutError."""
    ready = select.poll()
    ready.register(sock, event)

    def wait() -> None:
        if not ready.poll(seconds * 1000):
            raise TimeoutError

    return wait


@contextlib.contextmanager
def _pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    try:
        with contextlib.suppress(OSError):  # over its share of pipe memory a user gets a small one, which is slower
            fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, _PIPE)
        yield reading, writing
    finally:
        os.close(reading)
        os.close(writing)
