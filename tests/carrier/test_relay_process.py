"""The relay process by itself: what it is told, and what ends in it; that it holds the key is tested in ``e2e``."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import msgspec
import pytest

from credproxy.adapters.channel import Channel
from credproxy.adapters.tls_trust import identity
from credproxy.carrier.relay_process import DialledTls, IdentityTrust, RelayProcess
from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import Origin
from credproxy.core.ask.relay_messages import (
    RELAYED,
    AreYouThere,
    Begin,
    DropIdentity,
    FromRelay,
    HereIAm,
    Over,
    RelayBegun,
    RelayReady,
    TakeIdentity,
    ToRelay,
)
from credproxy.core.ask.way import way
from credproxy.core.errors import Code
from tests.adapters.test_client_certificates import Server, dial, home
from tests.fakes import settle


__all__ = ["home"]  # a fixture


Dials = Callable[[Begin, IdentityTrust], DialledTls]


class Daemon:
    """The other end of its channel."""

    def __init__(self, sock: socket.socket) -> None:
        self.heard: list[FromRelay] = []
        self._read = msgspec.msgpack.Decoder(FromRelay).decode
        self.channel = Channel(sock, self._told, lost=lambda _: None, limit=RELAYED)

    def _told(self, frame: bytes, descriptor: int) -> None:
        assert descriptor == -1
        self.heard.append(self._read(frame))

    def say(self, message: ToRelay, sock: socket.socket | None = None) -> None:
        """Tell it something."""
        self.channel.send(msgspec.msgpack.encode(message), -1 if sock is None else sock.fileno())

    async def until(self, kind: type[FromRelay]) -> FromRelay:
        """Wait for a message."""
        while not (found := [one for one in self.heard if isinstance(one, kind)]):
            await asyncio.to_thread(lambda: None)
            await settle()
        return found[0]


@contextlib.asynccontextmanager
async def process(*, idle: float = 60.0, dial: Dials | None = None) -> AsyncIterator[Daemon]:
    """One in this process."""
    ours, theirs = socket.socketpair()
    daemon = Daemon(ours)
    async with asyncio.TaskGroup() as group:
        group.create_task(RelayProcess(theirs, confined="in a test", memory=lambda: 7, idle=idle, dial=dial).lived())
        yield daemon
        daemon.channel.close()


async def begin(daemon: Daemon, server: Server, home: Path) -> socket.socket:
    """Have a relay begun; give the carrier's end."""
    found = await asyncio.to_thread(identity, dial(home))
    daemon.say(TakeIdentity(1, found.anchors, *found.pair, found.paths))
    ours, theirs = socket.socketpair()
    told = way(Reach(Origin(server.url.rstrip("/")), dial(home)))
    with theirs:
        daemon.say(Begin(5, 1, told, ((socket.AF_INET, "127.0.0.1"),), "registry 'reg.test'"), theirs)
    daemon.say(DropIdentity(1))
    assert await daemon.until(RelayBegun) == RelayBegun(5)
    ours.settimeout(5)
    return ours


@contextlib.contextmanager
def served() -> Iterator[Server]:
    """A server that asks for a certificate."""
    with contextlib.closing(Server(ssl.TLSVersion.TLSv1_3)) as made:
        yield made


async def test_a_relay_without_a_byte_ends(home: Path) -> None:
    """A carrier could hold its place for ever; and an identity may be dropped while it is used."""
    with served() as server:
        async with process(idle=0.05) as daemon:
            with await begin(daemon, server, home) as carrier:
                assert await daemon.until(Over) == Over(5)
                assert await asyncio.to_thread(carrier.recv, 1) == b""


async def test_when_the_daemon_is_gone_nothing_is_moved_any_more(home: Path) -> None:
    """Its sockets are closed, and the process ends."""
    with served() as server:
        async with process() as daemon:
            carrier = await begin(daemon, server, home)
        with carrier:
            assert await asyncio.to_thread(carrier.recv, 1) == b""


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")], ids=["memory", "threads"])
async def test_where_memory_runs_out_the_next_question_may_have_more(error: Exception) -> None:
    """The daemon does not wait for what will not come."""

    def dial(message: Begin, identity: IdentityTrust) -> DialledTls:
        del message, identity
        raise error

    async with process(dial=dial) as daemon:
        daemon.say(TakeIdentity(1, b"", b"", b"", ("", "")))
        ours, theirs = socket.socketpair()
        with ours, theirs:
            daemon.say(Begin(5, 1, way(Reach(Origin("https://reg.test"), Dial())), (), "registry 'reg.test'"), theirs)
            over = await daemon.until(Over)
        assert isinstance(over, Over)
        assert over.failure is not None
        assert (over.number, over.failure.code, over.failure.retry_after) == (5, Code.OVERLOADED, 1.0)


async def test_it_says_that_it_lives_and_what_it_uses() -> None:
    """With the version that it speaks."""
    async with process() as daemon:
        ready = await daemon.until(RelayReady)
        assert isinstance(ready, RelayReady)
        assert ready.confined == "in a test"
        daemon.say(AreYouThere())
        assert await daemon.until(HereIAm) == HereIAm(7)
