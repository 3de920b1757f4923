"""Writing answers: a client that does not read keeps neither memory nor a connection for long."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from credproxy.server.listener import Bound
from credproxy.server.protocol import GatedServer, Handler
from credproxy.server.response_writer import Outgoing, Unread, may_be_small, send_small
from credproxy.server.responses import text_response
from tests.fakes import settle
from tests.server.test_protocol import GET, serving, talk


GO_ON = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
MIB = 1024 * 1024
LARGE = bytes(range(256)) * (4 * 4096)


def test_the_longest_silent_goes_where_too_much_is_unread() -> None:
    """As many as necessary, and no client that has read."""
    unread = Unread[str](100)
    assert unread.add("a", 40) == []
    assert unread.add("b", 40) == []
    unread.remove("a")
    assert unread.add("c", 60) == []
    assert unread.add("d", 90) == ["b", "c"]
    assert unread.held == 90
    unread.remove("b")
    unread.remove("d")
    assert unread.held == 0


def test_bodies_are_held_as_long_as_there_is_room() -> None:
    """What was given back may be held again."""
    outgoing = Outgoing(held=100)
    assert outgoing.hold(60)
    assert not outgoing.hold(41)
    outgoing.give_back(60)
    assert outgoing.hold(100)


async def large(request: web.BaseRequest) -> web.Response:
    """Answer with four megabytes, as a long status or metrics page would be."""
    del request
    return text_response(LARGE)


async def small(request: web.BaseRequest) -> web.Response:
    """Answer with less than a piece."""
    del request
    return text_response(bytes(32 * 1024))


@asynccontextmanager
async def limited(bound: Bound, handler: Handler, outgoing: Outgoing) -> AsyncIterator[GatedServer]:
    """Serve that with those limits, and leave nothing behind."""
    async with serving(bound, handler, limit=64) as server:
        server.outgoing = outgoing
        yield server
    await settle()
    assert (outgoing.free, outgoing.unread.held, server.open) == (outgoing.size, 0, 0)


@asynccontextmanager
async def silent(bound: Bound, count: int, data: bytes) -> AsyncIterator[list[asyncio.StreamWriter]]:
    """Make clients that ask and do not read."""
    pairs = [await asyncio.open_unix_connection(str(bound.path), limit=1) for _ in range(count)]
    try:
        for _, writer in pairs:
            writer.write(data)
        yield [writer for _, writer in pairs]
    finally:
        for _, writer in pairs:
            writer.transport.abort()


async def reached(server: GatedServer, count: int) -> None:
    """Wait until so many connections are open; sockets are real here."""
    for _ in range(2000):
        if server.open == count:
            return
        await asyncio.sleep(0.005)  # noqa: TID251  sockets are real here
    message = f"{server.open} connections are open, not {count}"
    raise AssertionError(message)


async def held(outgoing: Outgoing, count: int) -> None:
    """Wait until so many bytes are held."""
    for _ in range(2000):
        if outgoing.size - outgoing.free == count:
            return
        await asyncio.sleep(0.005)  # noqa: TID251  sockets are real here
    message = f"{outgoing.size - outgoing.free} bytes are held, not {count}"
    raise AssertionError(message)


async def test_a_large_answer_arrives_whole_and_once(bound: Bound) -> None:
    """In pieces, with its length; and another one on the same connection."""
    async with limited(bound, large, Outgoing()):
        answer = await talk(bound, GO_ON + GET)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(LARGE)}".encode() in head
    assert body.startswith(LARGE + b"HTTP/1.1 200 OK\r\n")
    assert body.endswith(b"\r\n\r\n" + LARGE)


async def test_a_head_of_a_large_answer_has_its_length_and_no_body(bound: Bound) -> None:
    """HEAD is answered as before."""
    async with limited(bound, large, Outgoing()):
        answer = await talk(bound, GET.replace(b"GET", b"HEAD"))
    assert answer.endswith(b"\r\n\r\n")
    assert f"Content-Length: {len(LARGE)}".encode() in answer


async def test_larger_answers_are_refused_where_others_do_not_read_theirs(bound: Bound) -> None:
    """The sum is limited: later clients get an error, with the time to ask again; small answers need no room."""
    outgoing = Outgoing(held=2 * len(LARGE))
    async with limited(bound, large, outgoing), silent(bound, 2, GO_ON):
        await held(outgoing, 2 * len(LARGE))
        answer = await talk(bound, GET)
        assert answer.startswith(b"HTTP/1.1 503 ")
        assert b"\r\nRetry-After: 60\r\n" in answer
        assert b'"overloaded"' in answer


@pytest.mark.parametrize("limits", [Outgoing(piece_seconds=0.05), Outgoing(whole_seconds=0.05)])
async def test_a_client_that_does_not_read_is_cut_off_and_its_memory_freed(bound: Bound, limits: Outgoing) -> None:
    """By the limit of a piece, and by that of the whole."""
    async with limited(bound, large, limits) as server, silent(bound, 16, GO_ON):
        await reached(server, 16)
        await reached(server, 0)


async def missing(request: web.BaseRequest) -> web.Response:
    """Fail, so that the answer is aiohttp's or ours and not a handler's."""
    raise web.HTTPNotFound(text=request.path * 1024)


@pytest.mark.parametrize(("handler", "data"), [(small, GO_ON * 32), (missing, GO_ON * 4096)])
async def test_unread_answers_of_any_size_are_cut_off(bound: Bound, handler: Handler, data: bytes) -> None:
    """Requests one behind the other, whose small answers fill the kernel's buffer: errors, too."""
    async with limited(bound, handler, Outgoing(piece_seconds=0.05)) as server, silent(bound, 4, data):
        await reached(server, 4)
        await reached(server, 0)


async def test_the_longest_silent_connection_goes_where_too_many_pieces_are_unread(bound: Bound) -> None:
    """A socket's clients leave no more unread than its limit, and clients that read are answered meanwhile."""
    outgoing = Outgoing(unread=300 * 1024)
    async with limited(bound, large, outgoing) as server, silent(bound, 12, GO_ON):
        await reached(server, 4)
        assert outgoing.unread.held <= 300 * 1024
        assert (await talk(bound, GET)).endswith(LARGE)


async def sent_small(request: web.BaseRequest) -> web.StreamResponse:
    """Answer in one write where that is possible, and at length otherwise."""
    if not may_be_small(request):
        return text_response(b"at length")
    return await send_small(request, 200, headers=(("X-One", "1"),), body=b"at once")


async def split(request: web.BaseRequest) -> web.StreamResponse:
    """Try to answer with a second header in the first one."""
    return await send_small(request, 200, headers=(("X-One", "1\r\nX-Two: 2"),), body=b"at once")


async def test_a_small_answer_leaves_in_one_write_and_the_connection_goes_on(bound: Bound) -> None:
    """With its length; the last request of a connection is answered by aiohttp, which closes it."""
    async with limited(bound, sent_small, Outgoing()):
        answer = await talk(bound, GO_ON + GO_ON + GET)
    first, second, last = answer.split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert first.startswith(b"X-One: 1\r\nContent-Length: 7\r\nDate: ")
    assert first.endswith(b"\r\n\r\nat once")
    assert second.endswith(b"\r\n\r\nat once")
    assert last.endswith(b"\r\n\r\nat length")


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n",
        b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n",
    ],
)
async def test_an_unusual_request_is_answered_by_aiohttp(bound: Bound, data: bytes) -> None:
    """It knows what an older client and HEAD want."""
    async with limited(bound, sent_small, Outgoing()):
        answer = await talk(bound, data + GET)
    assert b"at once" not in answer
    assert answer.endswith(b"at length")


async def test_a_header_with_a_line_break_is_not_sent(bound: Bound) -> None:
    """An exception that gets through is a bug, and becomes a 500."""
    async with limited(bound, split, Outgoing()):
        answer = await talk(bound, GET)
    assert answer.startswith(b"HTTP/1.1 500 ")
    assert b"X-Two" not in answer
