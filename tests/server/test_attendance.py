"""T16: connections of untrusted callers, over real sockets: which count as silent, and which give way."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator

import pytest
from aiohttp import web

from credproxy.server.connection_limit import OWN, Holder
from credproxy.server.listener import Bound
from credproxy.server.peer import Gate, Peer
from credproxy.server.protocol import GatedServer
from credproxy.server.responses import text_response
from credproxy.server.routes import connection
from tests.fakes import FakeAudit, settle


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LIMIT = 16
SHARE = LIMIT // 4


class Named(GatedServer):
    """Everybody is in one sandbox, or in the one that ``sandbox`` names at the moment."""

    sandbox: str | None = "user:[1]"

    def holder(self, peer: Peer) -> Holder:
        """As the kernel would tell it."""
        del peer
        return OWN if self.sandbox is None else Holder(self.sandbox)


class World:
    """A server whose handler answers when the test lets it."""

    def __init__(self, bound: Bound) -> None:
        self.bound = bound
        self.server = Named(
            self.handle, gate=Gate(os.getuid()), limit=LIMIT, lifelines=0, audit=FakeAudit(), untrusted=True
        )
        self.go_on = asyncio.Event()
        self.go_on.set()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer; a body whose path says so is under way while it streams."""
        if request.path == "/stream":
            connection(request).begin()
        await request.content.read()
        await self.go_on.wait()
        return text_response("ok\n")

    async def connect(self, sent: bytes = b"", count: int = 1) -> list[asyncio.StreamReader]:
        """Open so many connections, and send something on each."""
        made = []
        for _ in range(count):
            reader, writer = await asyncio.open_unix_connection(str(self.bound.path))
            self.writers.append(writer)
            writer.write(sent)
            await settle()
            made.append(reader)
        return made

    writers: list[asyncio.StreamWriter]


@contextlib.asynccontextmanager
async def world(bound: Bound) -> AsyncIterator[World]:
    """Serve."""
    made = World(bound)
    made.writers = []
    listening = await asyncio.get_running_loop().create_unix_server(made.server, sock=bound.sock, backlog=64)
    try:
        yield made
    finally:
        made.go_on.set()
        for writer in made.writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        listening.close()
        made.server.pre_shutdown()
        await made.server.shutdown(1.0)
        await settle()
        assert made.server.open == 0
        assert made.server.shares.held() == {}


async def ended(reader: asyncio.StreamReader) -> bool:
    """Whether the daemon has closed it without an answer."""
    await settle()
    try:
        return await asyncio.wait_for(reader.read(1), 0.01) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


async def answered(reader: asyncio.StreamReader) -> bool:
    """Whether the answer came."""
    return (await reader.readline()).startswith(b"HTTP/1.1 200")


UNFINISHED = [
    pytest.param(b"", id="nothing"),
    pytest.param(GET[:-3], id="a head that drips"),
    pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", id="a body that does not come"),
]


@pytest.mark.parametrize("sent", UNFINISHED)
async def test_what_does_not_finish_gives_way_to_a_newcomer_of_its_sandbox(bound: Bound, sent: bytes) -> None:
    """Above its share; the newcomer is answered, and the oldest is closed."""
    async with world(bound) as w:
        held = await w.connect(sent, SHARE)
        (newcomer,) = await w.connect(GET)
        assert await answered(newcomer)
        assert [await ended(reader) for reader in held] == [True, False, False, False]
        assert (w.server.ended, w.server.dropped) == (1, 0)


async def test_an_idle_kept_alive_connection_gives_way(bound: Bound) -> None:
    """A client asks again on another one."""
    async with world(bound) as w:
        held = await w.connect(GET, SHARE)
        (newcomer,) = await w.connect(GET)
        assert await answered(newcomer)
        assert w.server.ended == 1
        assert all([await answered(reader) for reader in held])


@pytest.mark.parametrize(
    "sent",
    [
        pytest.param(GET, id="no body"),
        pytest.param(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}", id="its body is here"),
        pytest.param(b"POST /stream HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{", id="its upload streams"),
    ],
)
async def test_a_request_under_way_is_not_ended_and_the_newcomer_is_dropped(bound: Bound, sent: bytes) -> None:
    """The sandbox has what it may have; when it is answered it gives way."""
    async with world(bound) as w:
        w.go_on.clear()
        held = await w.connect(sent, SHARE)
        (newcomer,) = await w.connect(GET)
        assert await ended(newcomer)
        assert (w.server.ended, w.server.dropped) == (0, 1)
        w.server.sandbox = "user:[2]"
        (another,) = await w.connect()
        assert not await ended(another)
        w.go_on.set()
        if b"stream" not in sent:
            assert all([await answered(reader) for reader in held])


async def test_a_second_request_that_came_with_the_first_is_under_way_as_well(bound: Bound) -> None:
    """Between the two answers its place is not taken."""
    async with world(bound) as w:
        (pipelined,) = await w.connect(GET * 3)
        assert sum([line.startswith(b"HTTP/1.1 200") async for line in first(pipelined, 18)]) == 3


async def first(reader: asyncio.StreamReader, count: int) -> AsyncIterator[bytes]:
    """That many lines."""
    for _ in range(count):
        yield await reader.readline()


async def test_the_users_own_processes_have_what_sandboxes_leave(bound: Bound) -> None:
    """Three sandboxes that fill their shares, and a fourth: a quarter is the user's."""
    async with world(bound) as w:
        for number in range(4):
            w.server.sandbox = f"user:[{number}]"
            await w.connect(b"", SHARE)
        assert w.server.open == LIMIT - SHARE
        w.server.sandbox = None
        mine = await w.connect(GET, SHARE)
        assert all([await answered(reader) for reader in mine])
        assert w.server.ended == SHARE


async def test_a_caller_that_takes_too_long_for_a_head_is_closed(bound: Bound) -> None:
    """Also the second one of a connection; between requests it may be idle."""
    async with world(bound) as w:
        silent, dripping, idle = [*await w.connect(), *await w.connect(GET + b"GE"), *await w.connect(GET)]
        w.writers[1].write(b"T")
        assert await answered(idle)
        assert await asyncio.wait_for(silent.read(), 8) == b""
        assert b"200 OK" in await asyncio.wait_for(dripping.read(), 8)
        assert not idle.at_eof()
