"""From socket to socket inside the kernel."""

import resource
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from credproxy.adapters import splice as splicing
from credproxy.adapters.splice import splice
from credproxy.ports.transfer import Poured, Stopped


pytestmark = pytest.mark.skipif(not splicing.AVAILABLE, reason="splice(2) is Linux's")


class Ends:
    """Two connections: what is sent into ``source`` is spliced to ``sink``."""

    def __init__(self, stack: ExitStack) -> None:
        self.source, self.incoming = (stack.enter_context(end) for end in socket.socketpair())
        self.outgoing, self.sink = (stack.enter_context(end) for end in socket.socketpair())
        self.incoming.settimeout(5)
        self.outgoing.settimeout(5)

    def splice(self, count: int, stalled: float = 5.0) -> Poured:
        """Move them."""
        return splice(self.incoming, self.outgoing, count=count, stalled=stalled)


@pytest.fixture
def ends() -> Iterator[Ends]:
    """Open ones."""
    with ExitStack() as stack:
        yield Ends(stack)


def test_as_many_bytes_as_asked_and_no_more(ends: Ends) -> None:
    """More than a pipe holds; the bytes after them stay where they are."""
    data = bytes(range(256)) * 16 * 1024
    got = bytearray()

    def read() -> None:
        while piece := ends.sink.recv(1 << 20):
            got.extend(piece)

    threads = [threading.Thread(target=ends.source.sendall, args=(data + b"behind",)), threading.Thread(target=read)]
    for thread in threads:
        thread.start()
    assert ends.splice(len(data)) == Poured(len(data), Stopped.DONE)
    ends.outgoing.shutdown(socket.SHUT_WR)
    for thread in threads:
        thread.join()
    assert got == data
    assert ends.incoming.recv(100) == b"behind"


@pytest.mark.parametrize("how", ["ends", "stalls"])
def test_an_upstream_that_breaks_off(ends: Ends, how: str) -> None:
    """U15: what came was passed on, and is counted exactly."""
    ends.source.sendall(b"some")
    if how == "ends":
        ends.source.shutdown(socket.SHUT_WR)
    assert ends.splice(100, 0.05) == Poured(4, Stopped.UPSTREAM)
    assert ends.sink.recv(100) == b"some"


def test_a_client_that_has_left(ends: Ends) -> None:
    """P8: only bytes that were moved are counted."""
    ends.source.sendall(b"some")
    ends.sink.close()
    assert ends.splice(100) == Poured(0, Stopped.CLIENT)


def test_a_client_that_takes_nothing(ends: Ends) -> None:
    """Its buffers fill, then it has as long as an upstream."""
    ends.outgoing.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    ends.source.settimeout(5)
    ends.source.sendall(b"x" * 100_000)
    outcome = ends.splice(100_000, 0.05)
    assert outcome.stopped is Stopped.CLIENT
    assert outcome.moved < 100_000


def test_without_a_descriptor_for_a_pipe(ends: Ends) -> None:
    """Reported before a byte is moved, so that another way can be used (C5)."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    ends.source.sendall(b"some")
    resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            ends.splice(4)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert ends.incoming.recv(4) == b"some"
