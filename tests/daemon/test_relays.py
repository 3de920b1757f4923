"""Connections that show a client certificate, from the question of a carrier to the server; their process runs in this one."""

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from credproxy.adapters.channel import Channel
from credproxy.adapters.nursery_client import Newborn
from credproxy.adapters.tls_trust import ClientIdentity, identity, version
from credproxy.carrier.relay_process import DIALLING, RelayProcess
from credproxy.core.ask.carrier_messages import TOLD
from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import Origin
from credproxy.core.ask.relay_messages import (
    AreYouThere,
    Begin,
    DropIdentity,
    FromRelay,
    HereIAm,
    Over,
    RelayBegun,
    TakeIdentity,
    ToRelay,
)
from credproxy.core.errors import Code, Failed, Failure
from credproxy.daemon.relay_client import IDENTITIES
from credproxy.daemon.relays import AT_ONCE, LOOK, OF_ALL, REST, SHARE, SILENT, WAIT, Relays
from tests.adapters.test_client_certificates import ANSWER, Server, dial, home, issue
from tests.fakes import CrowdedSocket, FakeClock, settle


__all__ = ["home"]  # a fixture


class Puppet:
    """A process that says what a test wants."""

    def __init__(self, sock: socket.socket) -> None:
        self.heard: list[ToRelay] = []
        self.pairs: list[socket.socket] = []
        self.agrees = self.lives = True
        self._read = msgspec.msgpack.Decoder(ToRelay).decode
        self.channel = Channel(sock, self._told, lost=lambda _: None, limit=TOLD, trusted=True)

    def say(self, message: FromRelay) -> None:
        """Tell the daemon."""
        self.channel.send(msgspec.msgpack.encode(message))

    def _told(self, frame: bytes, descriptor: int) -> None:
        message: ToRelay = self._read(frame)
        self.heard.append(message)
        if descriptor >= 0:
            self.pairs.append(socket.socket(fileno=descriptor))
        match message:
            case Begin(number) if self.agrees:
                self.say(RelayBegun(number))
            case AreYouThere() if self.lives:
                self.say(HereIAm())
            case _:
                pass

    def numbers(self, kind: type[TakeIdentity | DropIdentity | Begin]) -> list[int]:
        """Of the messages of one kind."""
        return [message.number for message in self.heard if isinstance(message, kind)]


class Births:
    """Starts puppets, or processes that do their work in this one. Source: daemon.relays.StartsRelays."""

    def __init__(self, *, real: bool) -> None:
        self.real = real
        self.crowded = False
        self.born: list[Puppet] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.killed: list[int] = []

    async def relay(self) -> Newborn:
        """Start one."""
        ours, theirs = CrowdedSocket.pair() if self.crowded else socket.socketpair()
        if self.real:
            self.tasks.append(asyncio.ensure_future(RelayProcess(theirs).lived()))
        else:
            self.born.append(Puppet(theirs))
        return Newborn(7000 + len(self.born), ours)

    def kill(self, pid: int) -> None:
        """Note it."""
        self.killed.append(pid)

    async def close(self) -> None:
        """End all."""
        for one in self.born:
            one.channel.close()
            for pair in one.pairs:
                pair.close()
        await asyncio.gather(*self.tasks)


class World:
    """What reads certificates, and what starts processes. Source: daemon.relays.RelayOffice."""

    def __init__(self, *, real: bool) -> None:
        self.clock = FakeClock()
        self.births = Births(real=real)
        self.relays = Relays(self.births, self, clock=self.clock)
        self.read = 0
        self.stamped = 0 if real else 1

    async def locate(self, host: str) -> tuple[tuple[int, str], ...]:
        """Loopback."""
        return ((socket.AF_INET, "127.0.0.1"),) if host in {"127.0.0.1", "reg.test"} else ()

    async def stamp(self, policy: Dial) -> int:
        """When the files were changed."""
        return self.stamped or await asyncio.to_thread(version, policy)

    async def identity(self, policy: Dial) -> ClientIdentity:
        """What is in them."""
        self.read += 1
        if self.stamped:
            return ClientIdentity(b"", ("/c", "/k"), (b"certificate", b"canary"))
        return await asyncio.to_thread(identity, policy)

    async def connect(self, policy: Dial, origin: str = "https://reg.test", *, owner: int = 1) -> socket.socket:
        """Ask for a connection."""
        return await self.relays.connect(Reach(Origin(origin), policy), "registry 'reg.test'", owner=owner)

    async def failure(self, policy: Dial, origin: str = "https://reg.test", *, owner: int = 1) -> Failure:
        """Ask for one that does not come to be."""
        with pytest.raises(Failed) as caught:
            await self.connect(policy, origin, owner=owner)
        return caught.value.failure


@contextlib.asynccontextmanager
async def world(*, real: bool = False) -> AsyncIterator[World]:
    """Relays."""
    made = World(real=real)
    try:
        yield made
    finally:
        made.relays.close()
        await made.births.close()
        await settle()


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda one: one.name)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """By each version of TLS."""
    with contextlib.closing(Server(request.param)) as made:
        yield made


async def answered(sock: socket.socket) -> bytes:
    """What a server says to one who is let in."""
    with sock:
        sock.settimeout(5)
        await asyncio.to_thread(sock.sendall, b"GET / HTTP/1.1\r\n\r\n")
        return await asyncio.to_thread(sock.recv, 1000)


async def test_the_certificate_is_shown_and_a_renewed_one_with_the_next_connection(server: Server, home: Path) -> None:
    """Nothing is read again before it has changed, and what was read is told once."""
    async with world(real=True) as w:
        for _ in range(2):
            assert await answered(await w.connect(dial(home), server.url.rstrip("/"))) == ANSWER
        assert w.read == 1
        issue(home / "client.pem", home / "client.key", "renewed")
        assert await answered(await w.connect(dial(home), server.url.rstrip("/"))) == ANSWER
        assert w.read == 2
    assert ["renewed" in who for who in server.seen] == [False, False, True]


async def test_a_certificate_that_is_refused_is_told_as_by_the_daemons_own_requests(server: Server, home: Path) -> None:
    """By TLS 1.3 as well, where the handshake is over by then; the next one that is let in is."""
    async with world(real=True) as w:
        failure = await w.failure(dial(home, shown=False), server.url.rstrip("/"))
        assert failure.code is Code.TLS_FAILED
        assert failure.message.startswith("the TLS connection to registry 'reg.test' failed: ")
        assert 'client_cert = "/PATH/client.pem"' in failure.hint
        assert await answered(await w.connect(dial(home), server.url.rstrip("/"))) == ANSWER


async def test_what_cannot_be_used_is_told_before_anything_is_sent(home: Path) -> None:
    """By the daemon, which reads the files."""
    async with world(real=True) as w:
        issue(home / "other.pem", home / "client.key", "other")
        failure = await w.failure(dial(home))
        assert (failure.code, failure.inside) == (Code.TLS_FAILED, True)
        assert "is not that of the certificate" in failure.message
        (home / "client.key").unlink()
        assert "cannot be read" in (await w.failure(dial(home))).message
        assert w.relays.running == 0


async def test_the_guard_judges_where_it_goes(home: Path) -> None:
    """The process dials, by the policy of the rule."""
    async with world(real=True) as w:
        assert (await w.failure(replace(dial(home), own=False))).code is Code.ADDRESS_REFUSED
        refused = await w.failure(dial(home), "https://127.0.0.1:1")
        assert (refused.code, refused.message) == (
            Code.UPSTREAM_UNAVAILABLE,
            "registry 'reg.test' cannot be reached: connection refused",
        )
        assert "the name was not found" in (await w.failure(dial(home), "https://other.test")).message
        proxied = await w.failure(replace(dial(home), proxy="http://127.0.0.1:1"))
        assert proxied.message == "proxy '127.0.0.1:1' cannot be reached: connection refused"


async def test_it_goes_through_the_proxy_of_the_rule(server: Server, home: Path) -> None:
    """The certificate is shown to the host behind it."""
    asked: list[bytes] = []

    async def pass_on(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        while piece := await source.read(65536):
            sink.write(piece)
        sink.close()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        there = await asyncio.open_connection("127.0.0.1", int(asked[0].split()[1].rpartition(b":")[2]))
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(OSError):
            await asyncio.gather(pass_on(reader, there[1]), pass_on(there[0], writer))

    async with world(real=True) as w, await asyncio.start_server(proxy, "127.0.0.1", 0) as listening:
        port = listening.sockets[0].getsockname()[1]
        policy = replace(dial(home), proxy=f"http://u:canary@127.0.0.1:{port}")
        assert await answered(await w.connect(policy, server.url.rstrip("/"))) == ANSWER
    (who,) = server.seen
    assert "me" in who
    assert asked[0].startswith(b"CONNECT ")
    assert b"Proxy-Authorization: Basic" in asked[0]


async def test_a_carrier_has_its_share_and_another_one_has_another() -> None:
    """A place is free again when the relay has ended."""
    async with world() as w:
        held = [await w.connect(Dial()) for _ in range(SHARE)]
        full = await w.failure(Dial())
        assert (full.code, full.retry_after) == (Code.OVERLOADED, 1.0)
        held.append(await w.connect(Dial(), owner=2))
        (process,) = w.births.born
        process.say(Over(process.numbers(Begin)[0]))
        process.say(Over(999_999))
        await settle()
        held.append(await w.connect(Dial()))
        assert w.relays.running == SHARE + 1
        for one in held:
            one.close()


async def test_hosts_that_do_not_answer_hold_an_eighth_of_the_threads_each() -> None:
    """Whichever carriers ask for them; what they wait for is made as soon as one is free."""
    async with world() as w:
        (await w.connect(Dial())).close()
        (process,) = w.births.born
        process.agrees = False
        async with asyncio.TaskGroup() as group:
            silent = [
                group.create_task(w.connect(Dial(), "https://silent.test", owner=owner))
                for owner in range(1, 5)
                for _ in range(2 * AT_ONCE)
            ]
            other = group.create_task(w.connect(Dial(), owner=1))
            while len(process.pairs) < 1 + OF_ALL + 1:
                await settle()
            for _ in range(20):
                await settle()
            begun = process.numbers(Begin)[1:]
            assert (len(begun), DIALLING) == (OF_ALL + 1, 8 * OF_ALL)
            process.agrees = True
            for number in begun:
                process.say(RelayBegun(number))
        for made in (*silent, other):
            made.result().close()


async def test_a_carrier_that_leaves_holds_no_place() -> None:
    """The process finds that nobody has the other end."""
    async with world() as w:
        held = await w.connect(Dial())
        (process,) = w.births.born
        process.agrees = False
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(w.connect(Dial()))
            while len(process.pairs) < 2:
                await settle()
            asking.cancel()
        assert process.pairs[1].recv(1) == b""
        process.say(Over(process.numbers(Begin)[1]))
        await settle()
        assert w.relays.running == 1
        held.close()


async def test_one_that_is_not_made_in_time_fails() -> None:
    """However long the process takes."""
    async with world() as w:
        (await w.connect(Dial())).close()
        w.births.born[0].agrees = False
        async with asyncio.TaskGroup() as group:
            asking = group.create_task(w.failure(Dial()))
            while len(w.births.born[0].pairs) < 2:
                await settle()
            for _ in range(int(WAIT / LOOK) + 1):
                await w.clock.advance(LOOK)
                await settle()
        assert asking.result().message == "registry 'reg.test' did not complete a connection in time"


async def test_a_process_that_is_lost_ends_its_relays_and_the_next_question_starts_another() -> None:
    """Killed; or what it says is not a message."""
    async with world() as w:
        for garbage in (b"", b"\xc1", b"\x94\x01\x01\xa0" + b"\x91" * 3000 + b"\xc0", b"\x93\x01\x01\xa1\xff"):
            held = await w.connect(Dial())
            process = w.births.born[-1]
            if garbage:
                process.channel.send(garbage)
            else:
                process.channel.close()
            while w.relays.pids:
                await settle()
            assert w.relays.running == 0
            held.close()
        assert w.relays.lost == 4
        assert [w.relays.ended(pid) for pid in (*w.births.killed, 1)] == [True, True, True, True, False]


async def test_one_that_hangs_is_killed_and_one_without_work_ends_with_its_keys() -> None:
    """It holds keys only as long as they are in use."""
    async with world() as w:
        held = await w.connect(Dial())
        process = w.births.born[0]
        for _ in range(int(REST)):
            await w.clock.advance(LOOK)
            await settle()
        assert w.relays.pids
        process.lives = False
        for _ in range(int(SILENT / LOOK) + 2):
            await w.clock.advance(LOOK)
            await settle()
        assert w.births.killed == [7001]
        held.close()
        (await w.connect(Dial())).close()
        second = w.births.born[1]
        second.say(Over(second.numbers(Begin)[0]))
        for _ in range(int(REST / LOOK) + 2):
            await w.clock.advance(LOOK)
            await settle()
        assert (w.relays.pids, w.relays.lost, w.births.killed) == (frozenset(), 1, [7001])
        assert not second.channel.open


async def test_the_process_holds_so_many_keys_and_drops_what_was_replaced() -> None:
    """The one that was not used for longest goes, and all where another configuration is in force; nothing shows one."""
    async with world() as w:
        policies = [Dial(client_cert=f"/{number}") for number in range(IDENTITIES + 1)]
        for policy in policies:
            (await w.connect(policy)).close()
        (process,) = w.births.born
        assert process.numbers(DropIdentity) == [1]
        w.stamped = 2
        (await w.connect(policies[-1])).close()
        assert process.numbers(DropIdentity) == [1, IDENTITIES + 1]
        w.relays.changed()
        await settle()
        assert sorted(process.numbers(DropIdentity)) == list(range(1, IDENTITIES + 3))
        read = w.read
        (await w.connect(policies[-1])).close()
        assert (w.read, process.numbers(TakeIdentity)[-1]) == (read + 1, IDENTITIES + 3)
        assert "canary" not in repr(process.heard)
        assert "canary" not in repr(await w.identity(Dial()))


async def test_where_no_descriptor_passes_no_relay_begins_and_none_is_counted() -> None:
    """The process lives on, and with it the relays that it has."""
    async with world() as w:
        w.births.crowded = True
        failure = await w.failure(Dial())
        assert failure.code is Code.OVERLOADED
        assert (w.relays.running, w.relays.held(1), w.relays.lost, w.births.killed) == (0, 0, 0, [])
        assert w.relays.pids
