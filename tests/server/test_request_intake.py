"""T16: what one connection can make a carrier keep while its request is under way, over real sockets."""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from credproxy.server.listener import Bound
from credproxy.server.peer import Gate, Peer
from credproxy.server.protocol import GatedServer
from credproxy.server.request_intake import head_size
from credproxy.server.responses import text_response
from tests.fakes import settle


GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
KERNEL = 512 * 1024
"""More than the kernel keeps of a Unix socket that nobody reads."""


def get(count: int, size: int = 8000, *, more: bytes = b"") -> bytes:
    """A request with so many fields of such a size."""
    return GET[:-2] + more + b"".join(b"X-%d: %s\r\n" % (one, b"a" * size) for one in range(count)) + b"\r\n"


@dataclass
class World:
    """A server whose handler answers when the test lets it, and a client."""

    client: socket.socket
    go_on: asyncio.Event = field(default_factory=asyncio.Event)
    sizes: list[int] = field(default_factory=list)
    cancelled: int = 0

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer, with the size of the body."""
        self.sizes.append(head_size(request))
        try:
            await self.go_on.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        return text_response(f"{len(await request.content.read())}\n")

    async def flood(self, data: bytes) -> int:
        """Send as much of it as is taken, and tell how much that is."""
        view, sent, tries = memoryview(data), 0, 0
        while sent < len(view) and tries < 20:
            try:
                sent += self.client.send(view[sent:])
                tries = 0
            except BlockingIOError:
                tries += 1
            except ConnectionError:
                break
            await settle()
        return sent

    async def answer(self, ending: bytes) -> bytes:
        """What came, until it ends so."""
        found = b""
        async with asyncio.timeout(10):
            while not found.endswith(ending):
                found += await asyncio.get_running_loop().sock_recv(self.client, 1 << 16)
        return found


@pytest.fixture
async def world(bound: Bound) -> AsyncIterator[World]:
    """Serve, as a carrier does, and connect."""
    with socket.socket(socket.AF_UNIX) as client:
        made = World(client)
        server = GatedServer(made.handle, gate=Gate(os.getuid()), limit=4, lifelines=0, untrusted=True, abandoned=True)
        listening = await asyncio.get_running_loop().create_unix_server(server, sock=bound.sock, backlog=64)
        client.setblocking(False)
        await asyncio.get_running_loop().sock_connect(client, str(bound.path))
        await settle()
        yield made
        client.close()
        made.go_on.set()
        await settle(200)
        listening.close()
        await server.shutdown(1.0)


BEHIND = {
    "requests": GET * 100_000,
    "large heads": get(7) * 60,
    "a head without end": get(100_000, 10)[:-4],
    "no HTTP": b"\r\nz\0" * 1_000_000,
}


@pytest.mark.parametrize("upgrade", [b"", b"Connection: upgrade\r\nUpgrade: tcp\r\n"], ids=["", "upgrade"])
@pytest.mark.parametrize("behind", BEHIND.values(), ids=BEHIND)
async def test_what_comes_behind_a_request_stays_with_its_client(world: World, behind: bytes, upgrade: bytes) -> None:
    """Otherwise 128 connections of one sandbox take all memory of the carrier, and end the downloads of others."""
    assert await world.flood(get(0, more=upgrade)) > 0
    assert await world.flood(behind) < KERNEL
    assert len(world.sizes) == 1


async def test_the_answers_of_requests_that_came_at_once_come_in_order_and_all_of_them(world: World) -> None:
    """Reading goes on where it stopped, also in the middle of a head or of a body."""
    await world.flood(GET)
    data = b"".join(
        [b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (n, b"y" * n) for n in range(1000)]
    )
    sent = await world.flood(data)
    assert 0 < sent < len(data)
    world.go_on.set()
    answering = asyncio.ensure_future(world.answer(b"\r\n\r\n999\n"))
    async with asyncio.timeout(10):
        await asyncio.get_running_loop().sock_sendall(world.client, data[sent:])
    bodies = (await answering).split(b"HTTP/1.1 200")[1:]
    assert [int(one.rpartition(b"\r\n\r\n")[2]) for one in bodies] == [0, *range(1000)]


@pytest.mark.parametrize("pieces", [1, 2, 5])
async def test_a_body_that_comes_in_pieces_is_no_next_request(world: World, pieces: int) -> None:
    """The client is still watched: one that leaves ends its request."""
    await world.flood(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n")
    for _ in range(5 // pieces):
        await world.flood(b"x" * pieces)
    await world.flood(b"x" * (5 % pieces))
    world.client.close()
    await settle(100)
    assert world.cancelled == 1


@pytest.mark.parametrize("size", [70, 3000, 1 << 18])
@pytest.mark.parametrize("sent", [get(100_000, 1)[:-4], get(90, 7000)], ids=["without end", "large"])
async def test_a_head_has_an_end(world: World, sent: bytes, size: int) -> None:
    """However its bytes are divided; aiohttp itself takes a megabyte of a hundred fields, and any number of fields of none."""
    world.go_on.set()
    for start in range(0, len(sent), size):
        if await world.flood(sent[start : start + size]) == 0:
            break
    found = await world.answer(b"}")
    assert found.split(b" ", 2)[1] in {b"413", b"400"}
    assert world.sizes == []


@pytest.mark.parametrize("sent", [get(100_000, 10)[:-4], get(90, 7000)], ids=["without end", "large"])
async def test_nor_does_the_daemon_keep_more_of_those_that_it_refuses(bound: Bound, sent: bytes) -> None:
    """The helper's socket is seen in a sandbox: what reads it holds everybody's credentials, and may not run out of memory."""
    server = GatedServer(_never, gate=Gate(os.getuid() + 1), limit=1000, lifelines=0)
    listening = await asyncio.get_running_loop().create_unix_server(server, sock=bound.sock, backlog=200)
    with contextlib.ExitStack() as stack:
        clients = []
        for _ in range(100):
            world = World(stack.enter_context(socket.socket(socket.AF_UNIX)))
            world.client.setblocking(False)
            await asyncio.get_running_loop().sock_connect(world.client, str(bound.path))
            clients.append(world)
        await settle()
        assert server.open == 64
        assert await clients[-1].flood(sent[:50_000]) == 50_000
        assert await clients[-1].flood(sent[50_000:]) < KERNEL
        assert server.open < 64
    await settle()
    listening.close()
    await server.shutdown(1.0)


async def _never(request: web.BaseRequest) -> web.Response:
    raise AssertionError(request.path)


async def test_the_users_of_a_system_service_are_counted_apart() -> None:
    """T3: on the helper's socket as on that of build actions."""
    server = GatedServer(_never, gate=Gate(None), limit=100, lifelines=0, untrusted=True)
    assert [server.holder(Peer(7, uid)).name for uid in (1000, 1001)] == ["uid 1000", "uid 1001"]
