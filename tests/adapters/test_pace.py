"""S11: bodies that never end, although each wait for a byte is short. On both sides, and on each path of the bytes."""

import contextlib
import socket
import threading
import time

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.download import GATHER
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.pump import Pump
from credproxy.adapters.pump_request import Waits
from credproxy.adapters.splice import AVAILABLE, splice
from credproxy.core.errors import Code, Failed
from credproxy.ports.transfer import Poured, Stopped
from tests.adapters.clients import request
from tests.adapters.scripted import Script, Scripted, Wire
from tests.adapters.test_pump import OWN, Trusted, client, get, pieces, poured


OVER = 0.4
"""Seconds over which the pace is judged here."""

LARGE = 4 * GATHER


def dripping(head: str, first: bytes = b"", each: bytes = b"x") -> Script:
    """Begin a body, and go on byte by byte until the other side has left."""

    def script(wire: Wire) -> None:
        wire.head()
        wire.send("HTTP/1.1 200 OK\r\n", head, "\r\n\r\n", first)
        with contextlib.suppress(OSError):
            while True:
                wire.send(each)
                time.sleep(0.05)

    return script


@pytest.mark.parametrize(
    ("sent", "encrypted"),
    [
        pytest.param(0, False, id="plain"),
        pytest.param(0, True, id="tls"),
        pytest.param(2 * GATHER, False, id="plain, in the middle"),
        pytest.param(2 * GATHER, True, id="tls, in the middle"),
    ],
)
async def test_a_large_body_that_drips(sent: int, encrypted: bool, trusted: Trusted) -> None:  # noqa: FBT001  parametrized
    """It counts as broken off: what was moved is not lost, and the rest is requested again."""
    script = dripping(f"Content-Length: {LARGE}", b"x" * sent)
    with Scripted(script, context=trusted.context if encrypted else None) as server:
        async with Pump(stalled=OVER) as pump:
            transfer = await pump.open(get(server.url, trusted.dial if encrypted else OWN), "reg.test")
            outcome, body = await poured(transfer, LARGE)
            transfer.close()
    assert outcome.stopped is Stopped.UPSTREAM
    assert sent - GATHER <= len(body) < sent + GATHER


async def test_a_body_in_chunks_that_drips() -> None:
    """Its end is unknown, so it is an error."""
    with Scripted(dripping("Transfer-Encoding: chunked", each=b"1\r\nx\r\n")) as server:
        async with Pump(stalled=OVER) as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            with pytest.raises(Failed) as caught:
                await pieces(transfer)
            transfer.close()
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE


async def test_a_small_body_that_drips() -> None:
    """It has a time limit from its head, and not for each byte."""
    with Scripted(dripping("Content-Length: 60000")) as server:
        async with Pump(waits=Waits(small=OVER)) as pump:
            with pytest.raises(Failed) as caught:
                await pump.open(get(server.url), "reg.test")
    assert caught.value.failure.message == "registry 'reg.test' broke off in the middle of its answer"


async def test_a_manifest_that_drips() -> None:
    """The other client's bodies."""
    with Scripted(dripping("Content-Length: 60000")) as server:
        async with AiohttpClient(SystemClock(), stalled=OVER) as sending:
            with pytest.raises(Failed) as caught:
                await sending.forward(request(server.url, OWN), None, limit=1_000_000)
    told = f"registry 'reg.test' sent less than 4,096 bytes a second of its answer over {OVER:g} s"
    assert caught.value.failure.message == told


async def test_a_client_that_reads_drop_by_drop() -> None:
    """A client that reads a few bytes a second keeps its pump no longer than one that reads nothing."""
    with Scripted(lambda wire: wire.answer(b"x" * 64 * LARGE)) as server:
        async with Pump(stalled=OVER) as pump, client() as somebody:
            transfer = await pump.open(get(server.url), "reg.test")
            over = threading.Event()
            thread = threading.Thread(target=_sip, args=(somebody.sock, over))
            thread.start()
            outcome = await transfer.pour(somebody.descriptor(), 64 * LARGE)
            over.set()
            transfer.close()
            somebody.hang_up()
            thread.join()
    assert outcome.stopped is Stopped.CLIENT


def _sip(sock: socket.socket, over: threading.Event) -> None:
    with contextlib.suppress(OSError):
        while not over.wait(0.02):
            sock.recv(16)


@pytest.mark.skipif(not AVAILABLE, reason="splice is Linux's")
def test_inside_the_kernel_both_ends_are_judged() -> None:
    """Bytes that never enter this process are counted, too."""
    source, theirs = socket.socketpair()
    sink, reader = socket.socketpair()
    with source, theirs, sink, reader:
        for sock in (source, sink):
            sock.settimeout(OVER)
        over = threading.Event()

        def drip() -> None:
            while not over.wait(0.02):
                theirs.send(b"x")

        thread = threading.Thread(target=drip)
        thread.start()
        outcome = splice(source, sink, count=1000, stalled=OVER)
        over.set()
        thread.join()
    assert outcome.stopped is Stopped.UPSTREAM
    assert outcome.moved < 1000
    assert isinstance(outcome, Poured)
