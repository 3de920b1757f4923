"""A socket that the event loop keeps watching between requests."""

import asyncio
import contextlib
import selectors
import socket
import threading
from collections.abc import AsyncIterator, Sized

import pytest

from credproxy.adapters.awaited_socket import AwaitedSocket


@contextlib.asynccontextmanager
async def pair() -> AsyncIterator[tuple[AwaitedSocket, socket.socket]]:
    """Both ends of a connection."""
    ours, theirs = socket.socketpair()
    awaited = AwaitedSocket(ours)
    with theirs:
        yield awaited, theirs
        awaited.close()


def later(seconds: float = 10.0) -> float:
    """A time limit on the loop's clock."""
    return asyncio.get_running_loop().time() + seconds


async def received(awaited: AwaitedSocket, theirs: socket.socket, data: bytes) -> bytes:
    """Send data once somebody waits for it."""
    waiting = asyncio.ensure_future(awaited.receive(later(), first=True))
    await asyncio.sleep(0)  # noqa: TID251  no time passes
    theirs.sendall(data)
    return await waiting


def watched() -> Sized:
    """What the loop watches, by descriptor."""
    selector: selectors.BaseSelector = asyncio.get_running_loop()._selector  # type: ignore[attr-defined]  # private, and all that tells what is watched
    return selector.get_map()


async def test_one_socket_is_watched_once_for_many_answers() -> None:
    """Until it is given away, and then not at all."""
    async with pair() as (awaited, theirs):
        before = len(watched())
        for number in range(3):
            assert await received(awaited, theirs, b"%d" % number) == b"%d" % number
            assert len(watched()) == before + 1
        assert awaited.release().fileno() == awaited.fileno()
        assert len(watched()) == before


async def test_bytes_that_nobody_asked_for_are_seen_and_do_not_keep_the_loop_busy() -> None:
    """A connection that was closed, or spoke, while idle is not used again."""
    async with pair() as (awaited, theirs):
        await received(awaited, theirs, b"answer")
        assert awaited.quiet()
        before = len(watched())
        theirs.sendall(b"more")
        assert not awaited.quiet()
        await asyncio.sleep(0)  # noqa: TID251  the loop looks at its sockets
        await asyncio.sleep(0)  # noqa: TID251  as above
        assert len(watched()) == before - 1
        assert await awaited.receive(later(), first=True) == b"more"


async def test_a_wait_ends_at_its_limit_whatever_an_earlier_one_had() -> None:
    """A timer is kept from one wait to the next: shorter and longer limits both hold."""
    async with pair() as (awaited, theirs):
        for _ in range(2):
            await received(awaited, theirs, b"x")  # has ten seconds
            with pytest.raises(TimeoutError):
                await awaited.receive(later(0.05), first=True)
        waiting = asyncio.ensure_future(awaited.receive(later(0.01), first=True))
        with pytest.raises(TimeoutError):
            await waiting
        with pytest.raises(TimeoutError):
            await awaited.receive(later(-1.0), first=True)


async def test_the_end_and_a_failure_are_told() -> None:
    """The end is an empty piece; what fails while it waits is an OSError."""
    async with pair() as (awaited, theirs):
        waiting = asyncio.ensure_future(awaited.receive(later(), first=True))
        await asyncio.sleep(0)  # noqa: TID251  no time passes
        theirs.close()
        assert await waiting == b""
        with pytest.raises(OSError, match=r"."):
            await awaited.send(b"x" * 10, later())


async def test_a_request_that_does_not_fit_at_once_is_sent_in_parts() -> None:
    """In order, to its last byte; a peer that does not read ends it at the limit."""
    async with pair() as (awaited, theirs):
        data = bytes(range(256)) * 8192
        sending = asyncio.ensure_future(awaited.send(data, later()))
        theirs.setblocking(False)
        found = b""
        while len(found) < len(data):
            found += await asyncio.get_running_loop().sock_recv(theirs, 65536)
        await sending
        assert found == data
        with pytest.raises(TimeoutError):
            await awaited.send(data, later(0.05))


async def test_one_that_is_watched_may_be_closed_by_another_thread() -> None:
    """The loop itself stops watching it first: its number may belong to another socket at once."""
    async with pair() as (awaited, theirs):
        await received(awaited, theirs, b"x")
        before = len(watched())
        thread = threading.Thread(target=awaited.close)
        thread.start()
        await asyncio.to_thread(thread.join)
        await asyncio.sleep(0)  # noqa: TID251  no time passes
        assert (awaited.fileno(), len(watched())) == (-1, before - 1)


async def test_a_request_that_waits_is_ended_by_shutdown() -> None:
    """As at the end of the process."""
    async with pair() as (awaited, _):
        waiting = asyncio.ensure_future(awaited.receive(later(), first=True))
        await asyncio.sleep(0)  # noqa: TID251  no time passes
        awaited.shutdown()
        assert await waiting == b""
