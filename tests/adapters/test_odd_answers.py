"""S11: answers that end oddly, or not at all: neither a truncated body nor the bytes after one are misinterpreted."""

import asyncio
import contextlib
import http.client
import random
import re
import socket
import time

import pytest

from credproxy.adapters.awaited_socket import AwaitedSocket
from credproxy.adapters.clock import SystemClock
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.pump import Pump
from credproxy.adapters.pump_request import ask
from credproxy.adapters.pump_response import Arriving, response
from credproxy.core.errors import Code, Failed
from tests.adapters.clients import CLIENTS, Send, request
from tests.adapters.scripted import Script, Scripted, Wire
from tests.adapters.test_pump import OWN, Trusted, fetch, get, pieces


CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
NEXT = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nPOISON"

every_client = pytest.mark.parametrize("send", CLIENTS.values(), ids=CLIENTS)


class ByteByByte(socket.socket):
    """Stands for a TLS connection with tiny records, all of which have arrived."""

    def send(self, data: object, flags: int = 0) -> int:
        """Take all."""
        del flags
        assert isinstance(data, bytes)
        return len(data)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Give a little at once, for ever."""
        del size, flags
        return b"y" * 64


async def test_a_head_in_many_small_records_does_not_block_others() -> None:
    """A hundred thousand records of one byte blocked a carrier's loop for twenty seconds, and it was killed as hanging."""
    turns, most = 0, 256 * 1024 // 64

    async def others() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)  # noqa: TID251  no time passes
            turns += 1

    async with asyncio.TaskGroup() as group:
        running = group.create_task(others())
        with ByteByByte() as sock, pytest.raises(http.client.HTTPException):
            await ask(AwaitedSocket(sock), request("http://reg.test/v2/", OWN))
        running.cancel()
    assert turns > most // 2


@pytest.mark.parametrize(
    "body",
    [
        pytest.param("0x5\r\nhello\r\n0\r\n\r\n", id="prefix"),
        pytest.param("+5\r\nhello\r\n0\r\n\r\n", id="sign"),
        pytest.param("5\r\nhello\r\n0_0\r\n\r\n", id="underscore"),
        pytest.param("5\r\nhelloXX0\r\n\r\n", id="no end of a chunk"),
        pytest.param("5\r\nhello\r\n0", id="cut in the last size"),
        pytest.param("5\r\nhello\r\n0\r\nX: y\r\n", id="cut in the trailers"),
        pytest.param("5\r\nhello\r\n0\r\n" + "X: y\r\n" * 1000, id="a thousand trailers"),
    ],
)
@every_client
async def test_invalid_chunks(send: Send, body: str) -> None:
    """Both clients agree on what ends a body."""

    def script(wire: Wire) -> None:
        wire.head()
        wire.send(CHUNKED, body)

    with Scripted(script) as server:
        if send is CLIENTS["download"]:
            with pytest.raises(Failed):
                await read(server.url)
        else:
            with pytest.raises(Failed):
                await send(request(server.url, OWN))


async def read(url: str) -> bytes:
    """Read a body of unknown length with the pump."""
    async with Pump() as pump:
        transfer = await pump.open(get(url), "reg.test")
        try:
            return b"".join(await pieces(transfer))
        finally:
            transfer.close()


async def test_trailers_without_end() -> None:
    """They come fast enough and are all dropped: a thread read them for ever."""

    def script(wire: Wire) -> None:
        wire.head()
        wire.send(CHUNKED, "5\r\nhello\r\n0\r\n")
        with contextlib.suppress(OSError):
            while True:
                wire.send("X: y\r\n" * 100)

    with Scripted(script) as server, pytest.raises(Failed) as caught:
        await asyncio.wait_for(read(server.url), 10)
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_bytes_after_the_last_chunk_are_not_an_answer(encrypted: bool, trusted: Trusted) -> None:  # noqa: FBT001  parametrized
    """Not even if they are in a record that was read already, and no longer in the kernel."""

    def script(wire: Wire) -> None:
        wire.head()
        wire.send(CHUNKED)
        time.sleep(0.05)  # what comes with the head is seen anyhow
        wire.send(b"5\r\nhello\r\n0\r\n\r\n" + NEXT * 300)
        wire.stall()

    context = trusted.context if encrypted else None
    with Scripted(script, lambda wire: wire.answer(b"second"), context=context) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url, trusted.dial), "reg.test")
            assert b"".join(await pieces(transfer)) == b"hello"
            transfer.close()
            transfer = await pump.open(get(server.url, trusted.dial), "reg.test")
            assert transfer.whole == b"second"
            transfer.close()
    assert server.connections == 2


@pytest.mark.parametrize(
    "body", ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"]
)
async def test_bytes_after_a_manifest_are_not_an_answer(body: str) -> None:
    """The other client parsed it at once, and gave it to the next request."""
    head, end, rest = body.partition("\r\n\r\n")

    def script(wire: Wire) -> None:
        wire.head()
        wire.send("HTTP/1.1 200 OK\r\n", head, end)
        time.sleep(0.05)
        wire.send(rest, NEXT)
        wire.stall()

    with Scripted(script, lambda wire: wire.answer(b"second")) as server:
        async with AiohttpClient(SystemClock()) as client:
            bodies = [(await client.forward(request(server.url, OWN), None, limit=100)).body for _ in range(2)]
    assert bodies == [b"hello", b"second"]


def cut(wire: Wire) -> None:
    """Break off in the middle of a body that only ends with the connection."""
    wire.head()
    wire.send("HTTP/1.1 200 OK\r\nX: y\r\n\r\n", "x" * 1000)
    time.sleep(0.05)
    wire.reset()


async def test_a_manifest_without_a_length_that_breaks_off_is_not_whole() -> None:
    """The other client took the reset of a connection for the end of its body."""
    with Scripted(cut) as server:
        async with AiohttpClient(SystemClock()) as client:
            with pytest.raises(Failed) as caught:
                await client.forward(request(server.url, OWN), None, limit=100_000)
    assert caught.value.failure.message == "registry 'reg.test' broke off in the middle of its answer"


def unannounced(wire: Wire) -> None:
    """End a TLS connection as an attacker in between could: without a close alert."""
    wire.head()
    wire.send("HTTP/1.1 200 OK\r\nX: y\r\n\r\n", "x" * 1000)


@pytest.mark.parametrize("script", [cut, unannounced])
async def test_a_blob_without_a_length_ends_when_its_server_says_so(script: Script, trusted: Trusted) -> None:
    """With TLS, a connection that ends without a close alert was cut."""
    with Scripted(script, context=trusted.context) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url, trusted.dial), "reg.test")
            with pytest.raises(Failed):
                await pieces(transfer)
            transfer.close()


@pytest.mark.parametrize(
    "coding",
    ["gzip", "gzip, chunked", "chunked, chunked", "gzip\r\nTransfer-Encoding: chunked"],
)
@every_client
async def test_an_unrequested_transfer_coding_is_reported(send: Send, coding: str) -> None:
    """Its bytes are not those of the blob; one client passed them on with the chunk sizes."""

    def script(wire: Wire) -> None:
        wire.head()
        wire.send(f"HTTP/1.1 200 OK\r\nTransfer-Encoding: {coding}\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

    with Scripted(script) as server, pytest.raises(Failed) as caught:
        await send(request(server.url, OWN))
    assert caught.value.failure.message.startswith("registry 'reg.test' sent its body in a transfer coding")


@pytest.mark.parametrize(
    "lengths",
    [("5", "10"), ("10", "5"), ("1_0",), ("+5",), ("-5",), ("five",), ("5, 6",), ("²",), ("5;x",), ("",)],
    ids=str,
)
@every_client
async def test_lengths_that_contradict_each_other(send: Send, lengths: tuple[str, ...]) -> None:
    """It is unknown where such a body ends and the next answer begins."""

    def script(wire: Wire) -> None:
        wire.head()
        wire.send("HTTP/1.1 200 OK\r\n", *(f"Content-Length: {one}\r\n" for one in lengths), "\r\nhello12345")

    with Scripted(script) as server, pytest.raises(Failed):
        await send(request(server.url, OWN))


@pytest.mark.parametrize(
    "line",
    ["garbage", "Content-Type : a/b", 'ETag: "a\rb"\r\nX', " folded", "Transfer-Encoding: gzip"],
    ids=["word", "space", "return", "folded", "coded"],
)
@every_client
async def test_a_line_that_is_not_a_field_hides_no_length(send: Send, line: str) -> None:
    """The standard library ended the head there: the length was lost, and a body that broke off looked whole."""

    def script(wire: Wire) -> None:
        wire.head()
        wire.send(f"HTTP/1.1 200 OK\r\n{line}\r\nContent-Length: 1000\r\n\r\n", b"short")

    with Scripted(script) as server, pytest.raises(Failed) as caught:
        await send(request(server.url, OWN))
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE


@pytest.mark.parametrize(
    "lines",
    [
        "Content-Length : 1000",
        "Transfer-Encoding : gzip, chunked",
        "Transfer-Encoding\t: gzip",
        " X: y\r\nTransfer-Encoding: gzip",
    ],
)
@every_client
async def test_a_space_before_a_colon_hides_nothing(send: Send, lines: str) -> None:
    """RFC 9112, section 5.1: aiohttp's parser obeys such a field, and gives it another name."""

    def script(wire: Wire) -> None:
        wire.head()
        wire.send(f"HTTP/1.1 200 OK\r\n{lines}\r\n\r\n5\r\nhello\r\n0\r\n\r\n")

    with Scripted(script) as server, pytest.raises(Failed):
        await send(request(server.url, OWN))


@pytest.mark.parametrize(
    "head",
    [
        "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\nhello",
    ],
    ids=["chunks of HTTP/1.0", "chunks and a length", "two lengths"],
)
async def test_a_connection_on_which_others_may_have_seen_another_end_is_not_used_again(head: str) -> None:
    """RFC 9112, section 6.1 and 6.3: what follows could be an answer to somebody else's question."""

    def script(wire: Wire) -> None:
        while True:
            wire.head()
            wire.send(head)

    with Scripted(script) as server:
        async with Pump() as pump:
            for _ in range(2):
                transfer = await pump.open(get(server.url), "reg.test")
                found = transfer.whole if transfer.whole is not None else b"".join(await pieces(transfer))
                assert found == b"hello"
                transfer.close()
        assert server.connections == 2


async def test_nor_is_one_of_the_other_client() -> None:
    """The same for manifests."""

    def script(wire: Wire) -> None:
        while True:
            wire.head()
            wire.send(
                "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
            )

    with Scripted(script) as server:
        async with AiohttpClient(SystemClock()) as client:
            for _ in range(2):
                assert (await client.forward(request(server.url, OWN), None, limit=100)).body == b"hello"
        assert server.connections == 2


async def test_a_reset_after_the_last_byte_does_no_harm() -> None:
    """The body is complete, and is not requested again."""

    def script(wire: Wire) -> None:
        wire.answer(b"x" * 100_000)
        time.sleep(0.1)
        wire.reset()

    with Scripted(script) as server:
        async with Pump() as pump:
            assert len(await fetch(pump, server.url)) == 100_000
    assert len(server.heads) == 1


@pytest.mark.parametrize("status", ["200 OK", "404 Not Found"])
@pytest.mark.parametrize("before", ["", "HTTP/1.1 103 Hints\r\nX: y\r\n\r\n"], ids=["alone", "after hints"])
@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_a_body_behind_the_answer_to_a_head(status: str, before: str, size: int) -> None:
    """It is ignored, as curl and Go do, and its connection is not used again: before, the answer was lost as well."""
    answer = f"{before}HTTP/1.1 {status}\r\nContent-Length: 5\r\n\r\nhello".encode()

    def script(wire: Wire) -> None:
        while True:
            wire.head()
            for start in range(0, len(answer), size):
                wire.send(answer[start : start + size])

    with Scripted(script) as server:
        async with AiohttpClient(SystemClock()) as client:
            # What comes later than its head may meet the next request: then its connection was lent already.
            for _ in range(2 if size > len(answer) else 1):
                found = await client.forward(request(server.url, OWN, "HEAD"), None, limit=100)
                assert (str(found.status), found.body) == (status[:3], b"")
        assert server.connections == (2 if size > len(answer) else 1)


async def test_the_answer_to_a_head_without_one_leaves_its_connection() -> None:
    """As every server does that works."""

    def script(wire: Wire) -> None:
        while True:
            wire.head()
            wire.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")

    with Scripted(script) as server:
        async with AiohttpClient(SystemClock()) as client:
            for _ in range(3):
                assert (await client.forward(request(server.url, OWN, "HEAD"), None, limit=100)).status == 200
        assert server.connections == 1


NAMES = (
    *(
        "Content-Length",
        "content-length",
        "Content-Length ",
        "Transfer-Encoding",
        "transfer-encoding",
        "Transfer-Encoding\t",
    ),
    *("X", "Connection", "\x0bContent-Length", "\x85Content-Length", "\x1cContent-Length", "From Content-Length"),
)
VALUES = (
    *(
        "5",
        "\t5 ",
        "5, 5",
        "5,6",
        "-5",
        "0x5",
        "",
        "5\x0b",
        "\xa05",
        "\r\n 5",
        "chunked",
        "Chunked ",
        "\r\n chunked",
        "identity",
    ),
    *("gzip", "gzip, chunked", "chunked, gzip", "close", "a\rContent-Length: 7", "a\r\n Content-Length: 7", "a\0b"),
    *("a\x85Content-Length: 7", "a\x1cContent-Length: 7"),
)


def random_head(draw: random.Random) -> bytes:
    """A head with up to three odd fields."""
    ends = ("\r\n", "\r\n", "\n", "\r\r\n")
    status = draw.choice(("HTTP/1.1 200 OK", "HTTP/1.0 206 OK", "HTTP/1.1 200"))
    lines = [f"{draw.choice(NAMES)}:{draw.choice(('', ' '))}{draw.choice(VALUES)}" for _ in range(draw.randrange(4))]
    return "".join([line + draw.choice(ends) for line in (status, *lines)]).encode("latin-1") + b"\r\n"


async def test_a_body_goes_on_to_the_end_of_its_connection_only_where_nothing_else_was_said() -> None:
    """Three parsers read parts of a head; where one of them overlooks a length or a coding, a short body looks whole."""
    draw, read = random.Random(9112), 0  # the same heads each time
    for _ in range(4000):
        head, arriving = random_head(draw), Arriving()
        try:
            whole = arriving.take(head)
        except http.client.HTTPException:
            continue
        found = arriving.head
        if not whole or found is None:
            continue
        read += 1
        coded = re.search(rb"\ntransfer-encoding\s*:\s*(?!identity\s*\n)\S", found.bytes.lower())
        chunked = response(found.bytes, None).chunked
        assert bool(coded) == chunked, head
        if found.length is None and not chunked:
            assert found.closes, head
            assert re.search(rb"\ncontent-length\s*:", found.bytes.lower()) is None, head
    assert read > 500
