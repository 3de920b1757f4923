"""The socket files of a running daemon: checked every minute, and restored, left alone or given up (P1)."""

import asyncio
import contextlib
import os
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from credproxy.adapters.sd_notify import Notifier
from credproxy.daemon.listeners import ServedSocket, ServedSockets
from credproxy.daemon.serve_options import ServeOptions
from credproxy.daemon.service_manager import Announcer
from credproxy.daemon.sockets import open_actions_late, open_sockets
from credproxy.server.listener import Bound, Listener, bind
from credproxy.server.peer import Gate
from credproxy.server.protocol import GatedServer
from credproxy.server.responses import text_response
from tests.fakes import FakeAudit, FakeClock


@dataclass
class Told(Announcer):
    """Keeps what was said."""

    said: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(Notifier({}))

    def say(self, topic: str, sentence: str, *, wrong: bool = False) -> None:
        """Keep it."""
        assert wrong == bool(sentence), "what is said of a socket is a complaint"
        self.said[topic] = sentence


@dataclass
class World:
    """A listener, its keeper, and the outcome."""

    door: ServedSocket
    path: Path
    clock: FakeClock
    told: Told
    stopped: list[bool]

    async def asks(self) -> bytes:
        """Ask at the path."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = await reader.read()
        writer.close()
        await writer.wait_closed()
        return answer.partition(b"\r\n\r\n")[2]


async def fine(request: web.BaseRequest) -> web.StreamResponse:
    """Answer ok."""
    del request
    return text_response("ok\n")


@pytest.fixture
def bound() -> Iterator[Bound]:
    """A socket of our own."""
    with (
        tempfile.TemporaryDirectory(prefix="cp-", dir="/tmp") as folder,
        contextlib.closing(bind(f"{folder}/run/helper.sock", backlog=8)) as made,
    ):
        yield made


@contextlib.asynccontextmanager
async def kept(listener: Listener, late: Callable[[], Listener | None] | None = None) -> AsyncIterator[World]:
    """A listener that is open and kept; ``late`` gives a second one when there can be one."""
    server = GatedServer(fine, gate=Gate(os.getuid()), limit=8, lifelines=8, audit=FakeAudit())
    door, clock, told, stopped = (
        ServedSocket("helper", listener, server=server, backlog=8),
        FakeClock(),
        Told(),
        list[bool](),
    )
    opened: list[ServedSocket] = []

    def second() -> ServedSocket | None:
        listener = None if late is None else late()
        if listener is not None:
            opened.append(ServedSocket("actions", listener, server=server, backlog=8))
        return opened[-1] if opened else None

    keeper = ServedSockets(
        [door],
        clock=clock,
        announcer=told,
        stop=lambda: stopped.append(True),
        late=None if late is None else second,
    )
    await door.open()
    async with asyncio.TaskGroup() as group:
        task = group.create_task(keeper.keep())
        yield World(door, listener.path, clock, told, stopped)
        task.cancel()
    for one in (door, *opened):
        one.close()
    server.pre_shutdown()
    await server.shutdown(1)


async def test_a_socket_in_its_place_is_left_alone(bound: Bound) -> None:
    """Nothing is logged, and nothing is made."""
    async with kept(bound) as world:
        inode = world.path.stat().st_ino
        with capture_logs() as logs:
            await world.clock.advance(300)
        assert (logs, world.told.said) == ([], {})
        assert world.path.stat().st_ino == inode


async def test_a_self_made_socket_that_was_deleted_is_back_within_a_minute(bound: Bound) -> None:
    """P1: callers reach the same daemon, with all that it has in memory."""
    async with kept(bound) as world:
        world.path.unlink()
        with capture_logs() as logs:
            await world.clock.advance(61)
        assert [log["event"] for log in logs] == ["socket restored"]
        assert await world.asks() == b"ok\n"


async def test_a_daemon_that_finds_another_one_at_its_path_gives_way(bound: Bound) -> None:
    """P1: systemd after an installation; callers no longer reach this daemon, so it stops, and removes nothing."""
    async with kept(bound) as world:
        world.path.unlink()
        process = await stranger(world.path)
        with capture_logs() as logs:
            await world.clock.advance(61)
        assert [log["event"] for log in logs] == ["socket taken over"]
        assert world.stopped == [True]
        assert world.path.exists()
        process.terminate()
        await process.wait()


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
async def test_a_socket_in_a_sandbox_at_the_path_is_replaced_and_not_given_way_to(
    bound: Bound, sandbox: tuple[str, ...]
) -> None:
    """The sandbox may write the directory, but callers do not want its daemon."""
    async with kept(bound) as world:
        world.path.unlink()
        process = await stranger(world.path, *sandbox)
        with capture_logs() as logs:
            await world.clock.advance(61)
        assert [(log["event"], log["was"]) for log in logs] == [("socket restored", "below")]
        assert world.stopped == []
        assert await world.asks() == b"ok\n"
        process.kill()
        await process.wait()


async def stranger(path: Path, *around: str) -> asyncio.subprocess.Process:
    """Another process that listens there."""
    script = (
        "import socket, sys, time; s = socket.socket(socket.AF_UNIX); s.bind(sys.argv[1]); s.listen(); "
        "print(flush=True); time.sleep(60)"
    )
    process = await asyncio.create_subprocess_exec(
        *around, "python3", "-IS", "-c", script, path, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    await process.stdout.readline()
    return process


async def test_a_socket_of_the_service_manager_is_reported_with_what_to_do(bound: Bound) -> None:
    """P1: we cannot make it; it is reported once, in log and status, and withdrawn when it is back."""
    handed = Listener(bound.path, bound.sock.dup())
    async with kept(handed) as world:
        aside = world.path.with_suffix(".aside")
        world.path.rename(aside)
        with capture_logs() as logs:
            await world.clock.advance(200)
        assert [(log["event"], log["hint"]) for log in logs] == [
            ("socket lost", "systemctl --user restart credproxy.socket")
        ]
        assert "systemctl --user restart credproxy.socket" in world.told.said["helper socket"]
        aside.rename(world.path)
        with capture_logs() as logs:
            await world.clock.advance(61)
        assert [log["event"] for log in logs] == ["socket is back"]
        assert world.told.said["helper socket"] == ""
        assert world.stopped == []


async def test_what_cannot_be_restored_is_said_once_and_tried_again(bound: Bound) -> None:
    """P1: the directory is no longer private: the reason and the remedy are in the log."""
    async with kept(bound) as world:
        world.path.unlink()
        world.path.parent.chmod(0o755)
        with capture_logs() as logs:
            await world.clock.advance(200)
        assert [log["event"] for log in logs] == ["socket lost"]
        assert "is not private" in world.told.said["helper socket"]
        world.path.parent.chmod(0o700)
        with capture_logs() as logs:
            await world.clock.advance(61)
        assert [log["event"] for log in logs] == ["socket restored", "socket is back"]
        assert await world.asks() == b"ok\n"


async def test_a_socket_that_another_daemon_has_at_the_start_is_opened_as_soon_as_that_one_leaves(bound: Bound) -> None:
    """P1: the helper's socket was deleted and a second daemon started; the first leaves within a minute, with its sockets."""
    place = bound.path.with_name("actions.sock")
    options = ServeOptions({"HOME": str(place.parent), "CREDPROXY_ACTIONS_SOCKET": str(place)})
    first = bind(str(place), backlog=8)
    async with kept(bound, lambda: open_actions_late(options)) as world:
        with capture_logs() as logs:
            await world.clock.advance(60)
        assert logs == []
        first.close()
        with capture_logs() as logs:
            await world.clock.advance(11)
        assert logs == [{"event": "socket opened", "log_level": "info", "socket": str(place)}]
        assert await replace(world, path=place).asks() == b"ok\n"
        place.unlink()
        with capture_logs() as logs:
            await world.clock.advance(61)
        assert [log["event"] for log in logs] == ["socket restored"]


def test_one_path_for_both_sockets_is_told_as_that(short_path: Path) -> None:
    """Not as another daemon's; the helper socket is served."""
    path = str(short_path / "run" / "helper.sock")
    options = ServeOptions({"CREDPROXY_SOCKET": path, "CREDPROXY_ACTIONS_SOCKET": path})
    with capture_logs() as logs, contextlib.closing(open_sockets(options)) as opened:
        assert (opened.helper is not None, opened.actions) == (True, None)
    assert [(log["event"], log["reason"], log["hint"]) for log in logs] == [
        (
            "no actions socket",
            f"{path!r} is the path of the helper socket as well",
            "set CREDPROXY_ACTIONS_SOCKET to a path in a directory of its own",
        )
    ]
