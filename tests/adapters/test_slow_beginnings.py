"""An upstream that is silent before it begins to answer: waited for, and asked once."""

import asyncio
import contextlib
import socket
import threading
import time
from collections.abc import AsyncIterator

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.named_semaphores import NamedSemaphores
from credproxy.adapters.pump import Pump
from credproxy.adapters.pump_request import ANSWER as DEFAULT, Waits
from credproxy.adapters.tcp_keepalive import lively
from credproxy.core.ask.http import Method
from credproxy.core.errors import Code, Failed
from tests.adapters.clients import ANSWER, CLIENTS, Send, request
from tests.adapters.scripted import Script, Scripted, Wire, answering
from tests.adapters.test_pump import BODY, OWN, fetch, get, until


GATEWAYS = {name: send for name, send in CLIENTS.items() if name != "exchange"}
every_client = pytest.mark.parametrize("send", GATEWAYS.values(), ids=GATEWAYS)


def silent(wire: Wire) -> None:
    """Read a request and send nothing."""
    wire.head()
    wire.stall()


def trickling(wire: Wire) -> None:
    """Begin a head and never end it, one byte at a time."""
    wire.head()
    wire.send("HTTP/1.1 200 OK\r\nX: ")
    with contextlib.suppress(OSError):
        while True:
            wire.send("y")
            time.sleep(0.05)


def test_an_answer_may_take_five_minutes_to_begin() -> None:
    """A pull-through cache fetches the whole blob before its first byte; 30 s were too few."""
    assert DEFAULT == 300.0


@every_client
async def test_what_does_not_begin_in_time_is_reported_as_that_and_asked_once(send: Send) -> None:
    """It did accept the connection, and a repeated request would restart its work."""
    with Scripted(silent) as server:
        with pytest.raises(Failed) as caught:
            await send(request(server.url, OWN))
        assert len(server.heads) == 1
    failure = caught.value.failure
    assert (failure.code, failure.unanswered) == (Code.UPSTREAM_UNAVAILABLE, True)
    assert failure.message == f"registry 'reg.test' has not begun to answer within {ANSWER:g} s"


async def test_an_upload_whose_answer_does_not_begin_is_reported_as_that() -> None:
    """A registry that takes its time to commit has received every piece: that is not the network's fault."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"hello"

    def commits(wire: Wire) -> None:
        wire.body(5, chunked="chunked" in wire.head())
        wire.stall()

    with Scripted(commits) as server:
        async with AiohttpClient(SystemClock(), answer=ANSWER) as client:
            with pytest.raises(Failed) as caught:
                await client.forward(request(server.url, OWN, "PUT"), pieces(), limit=100)
        assert len(server.heads) == 1
    assert caught.value.failure.unanswered
    assert caught.value.failure.message == f"registry 'reg.test' has not begun to answer within {ANSWER:g} s"


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT"])
async def test_a_caller_that_leaves_before_the_answer_ends_the_request_at_once(method: Method) -> None:
    """The upstream sees the end of the connection, and need not go on; of downloads P8 says the same."""
    ended = threading.Event()

    def waiting(wire: Wire) -> None:
        wire.head()
        wire.stall()
        ended.set()

    with Scripted(waiting) as server:
        async with AiohttpClient(SystemClock()) as client:
            task = asyncio.ensure_future(client.forward(request(server.url, OWN, method), None, limit=100))
            await until(lambda: len(server.heads) == 1)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await asyncio.to_thread(ended.wait, 5)


async def test_a_head_that_has_begun_must_end() -> None:
    """S11: each byte of it would restart a time-out; the five minutes are only until it begins."""
    with Scripted(trickling) as server:
        async with Pump(waits=Waits(headed=ANSWER)) as pump:
            with pytest.raises(Failed) as caught:
                await pump.open(get(server.url), "reg.test")
        async with AiohttpClient(SystemClock(), headed=ANSWER) as client:
            with pytest.raises(Failed) as forwarded:
                await client.forward(request(server.url, OWN), None, limit=100)
    for failure in (caught.value.failure, forwarded.value.failure):
        assert not failure.unanswered
        told = f"registry 'reg.test' began its answer, but has not finished its head for {ANSWER:g} s"
        assert failure.message == told


async def test_an_interim_answer_begins_no_head() -> None:
    """A server may report now and then that it works: its final answer begins a new head."""

    def works(wire: Wire) -> None:
        wire.head()
        for _ in range(4):
            wire.send("HTTP/1.1 102 Processing\r\n\r\n")
            time.sleep(0.1)
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
        wire.stall()

    with Scripted(works) as server:
        async with Pump(waits=Waits(headed=0.3)) as pump:
            assert await fetch(pump, server.url) == b"ok"
        async with AiohttpClient(SystemClock(), headed=0.3) as client:
            assert (await client.forward(request(server.url, OWN), None, limit=100)).body == b"ok"


async def test_the_middle_of_an_answer_has_a_limit_of_its_own() -> None:
    """A server that has begun is not silent for five minutes."""

    def half(wire: Wire) -> None:
        wire.head()
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        wire.stall()

    with Scripted(half) as server:
        async with AiohttpClient(SystemClock(), stalled=0.1) as client:
            with pytest.raises(Failed) as caught:
                await client.forward(request(server.url, OWN), None, limit=100)
    assert caught.value.failure.message == "registry 'reg.test' sent nothing for 0.1 s in the middle of its answer"
    assert not caught.value.failure.unanswered


def late(body: bytes) -> Script:
    """Give a head and nothing of its body."""

    def script(wire: Wire) -> None:
        wire.head()
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n")
        wire.stall()

    return script


async def test_waiting_for_a_head_takes_no_place_and_no_thread() -> None:
    """S11: sixty slow requests to one registry block no other request, not even one to that registry."""
    with Scripted(silent) as slow, Scripted(answering(BODY)) as quick:
        async with Pump(pumps=2) as pump, asyncio.TaskGroup() as group:
            asking = [group.create_task(pump.open(get(f"{slow.url}/{number}"), "slow.test")) for number in range(60)]
            await until(lambda: len(slow.heads) == 60)
            assert pump.running == 0
            assert not [thread for thread in threading.enumerate() if thread.name.startswith("pump_")]
            for registry in ("quick.test", "slow.test"):
                assert await fetch(pump, quick.url, registry) == BODY
            for task in asking:
                task.cancel()


async def test_one_registry_has_half_of_the_places_wherever_it_leads_to() -> None:
    """S11: another registry's blobs are moved meanwhile; a caller that leaves gives its place to the next one."""
    with Scripted(late(BODY)) as slow, Scripted(late(BODY)) as elsewhere, Scripted(answering(BODY)) as quick:
        async with Pump(pumps=4) as pump, asyncio.TaskGroup() as group:
            running = [await pump.open(get(url), "slow.test") for url in (slow.url, elsewhere.url)]
            third = group.create_task(pump.open(get(slow.url), "slow.test"))
            await until(lambda: len(slow.heads) == 2)
            assert await fetch(pump, quick.url, "quick.test") == BODY
            assert (pump.running, third.done()) == (2, False)
            running[0].close()
            await until(third.done)
            for transfer in (running[1], third.result()):
                transfer.close()


async def test_waiting_too_long_for_a_registrys_other_downloads_fails() -> None:
    """Overloaded, with the time to ask again, and with the name of the slow registry."""
    with Scripted(late(BODY)) as slow:
        async with Pump(pumps=2, queued=0.05) as pump:
            first = await pump.open(get(slow.url), "slow.test")
            with pytest.raises(Failed) as caught:
                await pump.open(get(slow.url), "slow.test")
            first.close()
    failure = caught.value.failure
    assert (failure.code, failure.retry_after) == (Code.OVERLOADED, 1.0)
    assert failure.message == "1 downloads from 'slow.test' are running, and none has ended for 0.05 s"


async def test_an_unused_share_is_forgotten() -> None:
    """Redirecting servers choose the names, so they must not be kept."""
    shares = NamedSemaphores(1)
    await shares.take("a", 1.0)
    with pytest.raises(TimeoutError):
        await shares.take("a", 0.01)
    await shares.take("b", 1.0)
    assert len(shares._shares) == 2
    shares.give_back("a")
    await shares.take("a", 1.0)
    for name in ("a", "b"):
        shares.give_back(name)
    assert shares._shares == {}


def test_a_connection_whose_other_end_is_gone_is_noticed_by_the_kernel() -> None:
    """Five minutes of silence are allowed to a running server, and not to a machine that is switched off."""
    with socket.socket() as sock:
        lively(sock)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 30_000
            assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == 30
