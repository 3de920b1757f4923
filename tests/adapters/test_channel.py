"""Frames between two processes: whole, in order, with their descriptors; a peer that breaks the protocol is disconnected."""

import asyncio
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from credproxy.adapters.channel import Channel
from tests.fakes import CrowdedSocket, settle


def _descriptors() -> int:
    return len([*Path("/proc/self/fd").iterdir()])


class End:
    """One end of a pair and what it received."""

    def __init__(
        self, sock: socket.socket, *, trusted: bool = False, limit: int = 1 << 20, unread: int = 1 << 24
    ) -> None:
        self.heard: list[tuple[bytes, int]] = []
        self.lost: list[str] = []
        self.channel = Channel(
            sock,
            lambda message, descriptor: self.heard.append((message, descriptor)),
            lost=self.lost.append,
            limit=limit,
            trusted=trusted,
            unread=unread,
        )

    async def until(self, count: int) -> None:
        """Wait for this many messages, or for the end."""
        for _ in range(1000):
            if len(self.heard) >= count or self.lost:
                return
            await asyncio.to_thread(lambda: None)


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Two sockets that are connected."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


async def test_messages_arrive_whole_and_in_order_whatever_their_size(
    pair: tuple[socket.socket, socket.socket],
) -> None:
    """Empty ones, and larger ones than a socket holds."""
    one, other = (End(sock) for sock in pair)
    sizes = [0, 1, 65_535, 65_536, 65_537, 1 << 20, 3]
    for number, size in enumerate(sizes):
        one.channel.send(bytes([number]) * size)
        other.channel.send(b"back")
    await other.until(len(sizes))
    assert other.heard == [(bytes([number]) * size, -1) for number, size in enumerate(sizes)]
    await one.until(len(sizes))
    assert len(one.heard) == len(sizes)
    one.channel.close()
    other.channel.close()


async def test_a_descriptor_arrives_with_its_message(pair: tuple[socket.socket, socket.socket]) -> None:
    """Between messages without any, after a large one, and several in a row; the sender's own stays open."""
    one, other = End(pair[0]), End(pair[1], trusted=True)
    readers = []
    one.channel.send(b"x" * 500_000)
    for number in range(20):
        reading, writing = os.pipe()
        readers.append(reading)
        one.channel.send(b"%d" % number, writing)
        one.channel.send(b"between")
        os.close(writing)
    await other.until(41)
    for number, (message, descriptor) in enumerate(other.heard[1::2]):
        assert message == b"%d" % number
        os.write(descriptor, message)
        os.close(descriptor)
        assert os.read(readers[number], 10) == message
        assert os.read(readers[number], 10) == b""  # nobody else holds the other end
        os.close(readers[number])
    assert {descriptor for _, descriptor in other.heard[::2]} == {-1}
    one.channel.close()
    other.channel.close()


async def test_a_descriptor_that_the_kernel_lets_not_pass_costs_its_own_message_alone() -> None:
    """Any process of the user can bring that about, one in a sandbox as well; the sender is told, and nothing is left open."""
    sock, theirs = CrowdedSocket.pair()
    one, other, told = End(sock), End(theirs, trusted=True), []
    before = _descriptors()
    for number in range(4):
        one.channel.send(b"%d" % number, 0 if number % 2 else -1, undelivered=lambda number=number: told.append(number))  # type: ignore[misc]  # mypy infers no lambda with a default
    assert told == []  # not before send() has returned
    await other.until(2)
    sock.crowded = False
    one.channel.send(b"4", 0)
    await other.until(3)
    assert ([message for message, _ in other.heard], told, one.lost) == ([b"0", b"2", b"4"], [1, 3], [])
    os.close(other.heard[-1][1])
    assert (_descriptors(), one.channel.unread) == (before, 0)
    one.channel.close()
    other.channel.close()


async def test_undelivered_descriptors_are_closed_with_the_channel(pair: tuple[socket.socket, socket.socket]) -> None:
    """Descriptors in a queue have no other owner."""
    one = End(pair[0])
    before = _descriptors()
    reading, writing = os.pipe()
    one.channel.send(b"x" * (1 << 22))
    one.channel.send(b"with", writing)
    one.channel.close()
    one.channel.close()
    os.close(writing)
    assert os.read(reading, 1) == b""
    os.close(reading)
    assert _descriptors() == before - 1  # the channel's own
    assert one.lost == []


@pytest.mark.parametrize(
    ("sent", "how"),
    [
        (struct.pack("!I", 101) + b"x", "broke the rules of the channel"),
        (struct.pack("!I", 0x7FFFFFFF), "broke the rules of the channel"),
        (struct.pack("!I", 0x80000001) + b"x", "broke the rules of the channel"),
        (b"", "is gone"),
        (b"\0\0", "is gone"),
    ],
)
async def test_a_peer_that_breaks_the_protocol_is_disconnected(
    sent: bytes, how: str, pair: tuple[socket.socket, socket.socket]
) -> None:
    """A frame that is too long, an unrequested descriptor, an end in the middle."""
    end = End(pair[0], limit=100)
    pair[1].sendall(sent)
    pair[1].shutdown(socket.SHUT_WR)
    await end.until(1)
    assert (end.heard, end.lost) == ([], [how])
    end.channel.send(b"nobody hears this")


async def test_an_unrequested_descriptor_is_not_kept(pair: tuple[socket.socket, socket.socket]) -> None:
    """The kernel closes it: a hostile end cannot fill this process's table."""
    end = End(pair[0])
    before = _descriptors()
    reading, writing = os.pipe()
    for _ in range(50):
        socket.send_fds(pair[1], [struct.pack("!I", 1) + b"x"], [writing] * 10)
    os.close(writing)
    await end.until(50)
    assert len(end.heard) == 50
    assert _descriptors() == before + 1
    assert os.read(reading, 1) == b""
    os.close(reading)
    end.channel.close()


async def test_a_peer_that_does_not_read_is_disconnected(pair: tuple[socket.socket, socket.socket]) -> None:
    """The unread bytes are limited, and with them the memory that they cost."""
    end = End(pair[0], unread=1 << 20)
    for _ in range(64):
        end.channel.send(b"x" * (1 << 16))
    await settle()
    assert end.lost == ["does not read what it is told"]
    assert end.channel.unread == 0
