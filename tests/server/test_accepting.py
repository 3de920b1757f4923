"""T3, T16: how connections are accepted while somebody fills the kernel's queue, over real sockets."""

import asyncio
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from credproxy.server.accepting import AT_ONCE, TRIES, Accepting, Insistent
from tests.fakes import settle


linux = pytest.mark.skipif(sys.platform != "linux", reason="macOS does not say which process connects")


class World:
    """A listening socket, and what was taken from it."""

    def __init__(self, path: Path) -> None:
        self.path = str(path)
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.bind(self.path)
        self.sock.listen(1000)
        self.clients: list[socket.socket] = []
        self.taken: list[socket.socket] = []
        self.is_behind = False
        self.insistent = Insistent()

    def accept(self) -> Accepting:
        """Begin."""
        return Accepting(
            self.sock, self.taken.append, backlog=1000, insistent=self.insistent, behind=lambda: self.is_behind
        )

    def connect(self, count: int) -> None:
        """Connect so often."""
        for _ in range(count):
            made = socket.socket(socket.AF_UNIX)
            made.setblocking(False)
            made.connect(self.path)
            self.clients.append(made)

    def leave(self) -> None:
        """Close them."""
        for one in self.clients:
            one.close()
        self.clients.clear()


@pytest.fixture
def world(short_path: Path) -> Iterator[World]:
    """Listen."""
    made = World(short_path / "s")
    yield made
    made.leave()
    for one in made.taken:
        one.close()
    made.sock.close()


async def test_so_many_are_taken_in_one_turn_and_the_rest_in_the_next_ones(world: World) -> None:
    """What is under way has its turns between."""
    world.connect(3 * AT_ONCE + 1)
    accepting = world.accept()
    counts = []
    for _ in range(20):
        await asyncio.sleep(0)  # noqa: TID251  one turn
        counts.append(len(world.taken))
    assert max(after - before for before, after in zip([0, *counts], counts, strict=False)) == AT_ONCE
    assert counts[-1] == 3 * AT_ONCE + 1
    accepting.close()


async def test_one_that_has_left_is_not_taken(world: World) -> None:
    """However many they are; the next one is, also with bytes that it has sent and half closed."""
    world.connect(600)
    world.leave()
    world.connect(2)
    world.clients[0].sendall(b"x")
    world.clients[0].shutdown(socket.SHUT_WR)
    accepting = world.accept()
    await settle()
    assert len(world.taken) == 2
    accepting.close()


@linux
async def test_a_process_that_was_turned_away_again_and_again_is_dropped_without_a_look(world: World) -> None:
    """For the rest of the second; other processes are taken."""
    for _ in range(TRIES):
        world.insistent.note(os.getpid())
    world.connect(5)
    accepting = world.accept()
    await settle()
    assert world.taken == []
    with pytest.raises((BrokenPipeError, ConnectionError)):
        world.clients[0].send(b"x")
    code = f"import socket; s = socket.socket(socket.AF_UNIX); s.connect({world.path!r}); s.recv(1)"
    other = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    async with asyncio.timeout(10):
        while not world.taken:
            world.insistent.note(os.getpid())
            await asyncio.to_thread(lambda: None)
        world.taken[0].close()
        await other.wait()
    accepting.close()


@linux
async def test_it_is_forgotten_with_the_second(world: World) -> None:
    """Less than that is not a reason."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for _ in range(TRIES - 1):
            world.insistent.note(os.getpid())
        assert not world.insistent.tires(ours)
        async with asyncio.timeout(10):
            while not world.insistent.tires(ours):
                world.insistent.note(os.getpid())
            while world.insistent.tires(ours):
                await asyncio.to_thread(lambda: None)
        unbounded = Insistent(most=None)
        for _ in range(100):
            unbounded.note(os.getpid())
        assert not unbounded.tires(ours)


async def test_newcomers_wait_while_there_is_too_much_to_close(world: World) -> None:
    """One at least for each pause, and all when that is over."""
    world.is_behind = True
    world.connect(5)
    accepting = world.accept()
    await settle()
    assert len(world.taken) == 1
    world.is_behind = False
    accepting.resume()
    await settle()
    assert len(world.taken) == 5
    accepting.close()
