"""How many carriers there are, which connections go to which, and when one ends; on a fake clock."""

import asyncio
import contextlib
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable

import msgspec
import pytest

from credproxy.adapters.channel import Channel
from credproxy.adapters.nursery_client import Newborn
from credproxy.core.ask.carrier_messages import TOLD, Alive, Closed, Figures, Leave, Opened, ToCarrier, ToDaemon
from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import Origin
from credproxy.core.errors import Failed
from credproxy.daemon.carrier_questions import PassedConnection
from credproxy.daemon.carriers import IDLE, REMEMBERED, SILENT, Carriers
from credproxy.server.peer import Peer
from tests.daemon.test_carrier import FakeOffice
from tests.fakes import FakeClock, settle


class Obedient:
    """A carrier that does what it is told, unless it hangs."""

    def __init__(self, sock: socket.socket) -> None:
        self.connections: list[int] = []
        self.uploads = 0
        self.hung = self.left = False
        self.leaves: Callable[[], None] = lambda: None
        self._decode = msgspec.msgpack.Decoder(ToCarrier).decode
        self.channel = Channel(sock, self._told, lost=lambda _: None, limit=TOLD, trusted=True)

    def say(self, message: ToDaemon) -> None:
        """Receive a message."""
        self.channel.send(msgspec.msgpack.encode(message))

    def _told(self, frame: bytes, descriptor: int) -> None:
        if descriptor >= 0:
            os.close(descriptor)
        message: ToCarrier = self._decode(frame)
        match message:
            case Opened():
                self.connections.append(message.number)
            case Alive() if not self.hung:
                self.say(Figures(0, 0, self.uploads, {}))
            case Leave():
                self.left = True
                self.leaves()
                self.channel.close()
            case _:
                pass


class Births:
    """Starts obedient carriers in this process. Source: daemon.carriers.Starts."""

    def __init__(self, ended: Callable[[int, int], None]) -> None:
        self.ended = ended
        self.born: list[Obedient] = []
        self.relays: list[socket.socket] = []
        self.killed: list[int] = []

    async def warm_up(self) -> None:
        """It is ready."""

    async def carrier(self) -> Newborn:
        """Start a carrier; its number is its pid."""
        ours, theirs = socket.socketpair()
        self.born.append(Obedient(theirs))
        return Newborn(len(self.born), ours)

    async def relay(self) -> Newborn:
        """Start a relay process, which says nothing."""
        ours, theirs = socket.socketpair()
        self.relays.append(theirs)
        return Newborn(4712, ours)

    def kill(self, pid: int) -> None:
        """Note it."""
        self.killed.append(pid)

    async def close(self) -> None:
        """End all carriers."""
        for one in self.born:
            one.channel.close()
        for relay in self.relays:
            relay.close()


class World:
    """Carriers, and what starts them."""

    def __init__(self, most: int = 2) -> None:
        self.clock = FakeClock()
        self.freed: list[str | None] = []
        self.nursery: list[Births] = []
        self.carriers = Carriers(FakeOffice(), self.clock, most=most, refused=Counter(), nursery=self._nursery)

    def _nursery(self, ended: Callable[[int, int], None]) -> Births:
        self.nursery.append(Births(ended))
        return self.nursery[0]

    @property
    def born(self) -> list[Obedient]:
        """All that were started."""
        return self.nursery[0].born

    async def connect(self, account: str | None, pid: int = 1) -> None:
        """Pass a connection on."""
        ours, theirs = socket.socketpair()
        theirs.close()
        passed = PassedConnection(Peer(pid, 1000, sandbox=account), account, 0, lambda: self.freed.append(account))
        await self.carriers.take(ours, passed)
        await settle()

    async def wait(self, seconds: float) -> None:
        """Let time pass, one check at a time."""
        for _ in range(int(seconds / 2)):
            await self.clock.advance(2.0)
            await settle()


@contextlib.asynccontextmanager
async def world(most: int = 2) -> AsyncIterator[World]:
    """A world."""
    made = World(most)
    async with made.carriers:
        yield made
        await settle()
    await settle()


async def test_a_sandbox_has_one_carrier_and_others_have_another() -> None:
    """As many as may be, then the one with the fewest connections; the user's processes are spread."""
    async with world() as w:
        for account in ("a", "b", "a", "c", "a"):
            await w.connect(account)
        assert [len(one.connections) for one in w.born] == [3, 2]
    async with world() as w:
        for pid in (1, 2, 1, 2):
            await w.connect(None, pid)
        assert [len(one.connections) for one in w.born] == [2, 2]


async def test_a_carrier_without_work_ends_after_a_minute_unless_uploads_are_begun_there() -> None:
    """An upload that continues within the hour finds it."""
    async with world() as w:
        await w.connect("a")
        await w.connect("b")
        first, second = w.born
        second.uploads = 1
        for one in w.born:
            one.say(Closed(one.connections[0]))
        await settle()
        await w.wait(IDLE + 6)
        assert (first.left, second.left) == (True, False)
        assert len(w.carriers.running) == 1
        await w.connect("b")
        assert len(second.connections) == 2
        second.say(Closed(second.connections[1]))
        second.uploads = 0
        await w.wait(IDLE + 6)
        assert second.left
        assert (len(w.carriers.running), w.carriers.lost, sorted(map(str, w.freed))) == (0, 0, ["a", "b", "b"])
    assert REMEMBERED > IDLE


async def test_a_carrier_that_was_told_to_end_is_not_lost_whoever_tells_of_its_end_first() -> None:
    """On a busy machine the nursery has seen the end of the process before the daemon sees that of the channel."""
    async with world() as w:
        await w.connect("a")
        w.born[0].leaves = lambda: w.nursery[0].ended(1, 0)
        leaving = asyncio.ensure_future(w.carriers.leave(1.0))
        await settle()
        await w.clock.advance(0.02)
        await leaving
        assert (w.born[0].left, w.carriers.running, w.carriers.lost) == (True, (), 0)


async def test_a_carrier_that_gives_no_sign_of_life_is_killed_and_its_places_are_free() -> None:
    """The next connection of its sandbox goes to another one."""
    async with world() as w:
        await w.connect("a")
        w.born[0].hung = True
        await w.wait(SILENT + 4)
        assert (w.nursery[0].killed, w.freed, w.carriers.lost) == ([1], ["a"], 1)
        await w.connect("a")
        assert len(w.born) == 2


async def test_the_relay_process_is_not_a_caller_and_ends_with_the_carriers() -> None:
    """The helper socket refuses it."""
    async with world() as w:
        await w.connect("a")
        reach = Reach(Origin("https://reg.test"), Dial(client_cert="/c"))
        asking = asyncio.ensure_future(w.carriers.relays.connect(reach, "reg.test", owner=1))
        while not w.nursery[0].relays:
            await settle()
        await settle()
        assert w.carriers.pids == {1, 4712}
        assert [one.relayed for one in w.carriers.report()] == [1]
        assert [(one.pid, one.relays) for one in w.carriers.relays.report()] == [(4712, 1)]
    with pytest.raises(Failed, match="has ended"):
        await asking
