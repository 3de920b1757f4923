"""The gateway's own requests through aiohttp, byte by byte: nothing is added, fixed, or sent twice."""

import asyncio
import gzip
import os
import threading
import traceback
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.pump import Pump
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial, Method, Request
from credproxy.core.errors import Code, Failed, failed
from tests.adapters.scripted import Scripted, Wire, answering, raw
from tests.adapters.test_pump import Trusted, until


OWN = Dial(own=True)
CANARY = "canary-4711"
Header = tuple[str, str | Secret]


def request(method: Method, url: str, *headers: Header, dial: Dial = OWN) -> Request:
    """A gateway request."""
    return Request(method, url, headers, dial=dial, subject="registry 'reg.test'")


async def pieces(*parts: bytes) -> AsyncIterator[bytes]:
    """A body that is streamed."""
    for part in parts:
        yield part


class Uploads:
    """Reads whole requests, with what followed each head, and answers each."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []

    def __call__(self, wire: Wire) -> None:
        """Play."""
        while True:
            head = wire.head()
            lengths = [line.partition(": ")[2] for line in head.split("\r\n") if line.startswith("Content-Length")]
            chunked = "Transfer-Encoding: chunked" in head
            self.bodies.append(wire.body(int(lengths[0]) if lengths else None, chunked=chunked))
            wire.send("HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
async def test_a_body_that_is_there_has_its_length(method: Method) -> None:
    """Sent once, by the client; no type, agent or encoding is invented."""
    uploads = Uploads()
    with Scripted(uploads) as server:
        async with AiohttpClient(SystemClock()) as client:
            answer = await client.forward(
                request(method, f"{server.url}/v2/a%2Fb?x=%2F", ("A", Secret("b"))), b"hi", limit=100
            )
    assert answer.status == 201
    assert uploads.bodies == [b"hi"]
    line, *fields = server.heads[0].split("\r\n")
    assert line == f"{method} /v2/a%2Fb?x=%2F HTTP/1.1"
    assert fields == [f"Host: 127.0.0.1:{server.port}", "A: b", "Content-Length: 2"]


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"])
async def test_no_body_has_length_zero_or_no_length(method: Method) -> None:
    """A registry that waits for bytes that never come would take the next request for them."""
    with Scripted(answering()) as server:
        async with AiohttpClient(SystemClock()) as client:
            for _ in range(2):
                assert (await client.forward(request(method, server.url), None, limit=100)).status == 200
    assert server.connections == 1
    for head in server.heads:
        assert "Transfer-Encoding" not in head
        assert "Content-Length: 0" in head or "Content-Length" not in head


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_that_is_streamed(announced: bool) -> None:  # noqa: FBT001  parametrized
    """With the length that its client announced, or in chunks."""
    uploads = Uploads()
    headers: tuple[Header, ...] = (("Content-Length", "11"),) if announced else ()
    with Scripted(uploads) as server:
        async with AiohttpClient(SystemClock()) as client:
            answer = await client.forward(
                request("PATCH", server.url, *headers), pieces(b"hello", b" world"), limit=100
            )
    assert (answer.status, uploads.bodies) == (201, [b"hello world"])
    assert ("Content-Length: 11" in server.heads[0]) is announced
    assert ("Transfer-Encoding: chunked" in server.heads[0]) is not announced


async def test_codings_pass_as_they_are() -> None:
    """The digest covers a layer's bytes: no coding is requested that the client did not request, and nothing is decoded."""
    packed = gzip.compress(b"hello")
    with Scripted(answering(packed, "Content-Encoding: gzip")) as server:
        async with AiohttpClient(SystemClock()) as client:
            answer = await client.forward(request("GET", server.url), None, limit=1000)
    assert (answer.body, answer.all("Content-Encoding")) == (packed, ("gzip",))
    assert "Accept-Encoding" not in server.heads[0]


async def test_no_redirect_is_followed_and_no_cookie_kept() -> None:
    """T26: whether to follow it is decided elsewhere."""
    away = answering(b"", "Location: /elsewhere", "Set-Cookie: a=b", status="307 Go")
    with Scripted(away) as server:
        async with AiohttpClient(SystemClock()) as client:
            for _ in range(2):
                assert (await client.forward(request("GET", server.url), None, limit=100)).status == 307
    assert len(server.heads) == 2
    assert "Cookie" not in server.heads[1]


async def test_no_more_is_read_than_the_limit() -> None:
    """T24."""
    with Scripted(answering(b"x" * 101)) as server:
        async with AiohttpClient(SystemClock()) as client:
            with pytest.raises(Failed) as caught:
                await client.forward(request("GET", server.url), None, limit=100)
    assert caught.value.failure.code is Code.ANSWER_TOO_LARGE


async def test_a_body_that_breaks_off_is_its_clients_fault_and_never_completed() -> None:
    """The registry must not take a part for the whole: the last chunk is missing, or bytes of the announced length."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"hello"
        raise failed(Code.BAD_REQUEST, "the upload broke off")

    for headers in ((), (("Content-Length", "11"),)):
        seen: list[bytes] = []

        def read(wire: Wire, seen: list[bytes] = seen) -> None:
            wire.head()
            seen.append(wire.rest())

        with Scripted(read) as server:
            async with AiohttpClient(SystemClock()) as client:
                with pytest.raises(Failed) as caught:
                    await client.forward(request("PUT", server.url, *headers), broken(), limit=100)
        assert (caught.value.failure.code, caught.value.failure.message) == (Code.BAD_REQUEST, "the upload broke off")
        assert set(seen) <= {b"", b"hello", b"5\r\nhello\r\n"}


async def test_an_upstream_that_takes_no_more() -> None:
    """PY15: aiohttp would wait for ever, and so would the client's upload."""
    over = threading.Event()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65536

    def read_no_more(wire: Wire) -> None:
        wire.head()
        over.wait(5)

    with Scripted(read_no_more) as server:
        async with AiohttpClient(SystemClock(), taken=0.2) as client:
            with pytest.raises(Failed) as caught:
                await client.forward(request("PATCH", server.url), endless(), limit=100)
        over.set()
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE
    assert caught.value.failure.message == "registry 'reg.test' stopped reading the upload"


async def test_a_client_that_is_slow_is_not_an_upstream_that_takes_no_more() -> None:
    """The source of the pieces has its own limit for them."""

    async def slow() -> AsyncIterator[bytes]:
        yield b"hello"
        await asyncio.sleep(0.3)  # noqa: TID251  longer than the other side's limit
        yield b" world"

    uploads = Uploads()
    with Scripted(uploads) as server:
        async with AiohttpClient(SystemClock(), taken=0.1) as client:
            assert (await client.forward(request("PATCH", server.url), slow(), limit=100)).status == 201
    assert uploads.bodies == [b"hello world"]


async def test_an_answer_that_comes_before_the_body_has_gone() -> None:
    """A refused upload need not be sent to its end; the connection is not used again."""

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.01)  # noqa: TID251  a client has a network of its own

    with Scripted(raw("HTTP/1.1 413 No\r\nContent-Length: 0\r\n\r\n"), answering()) as server:
        async with AiohttpClient(SystemClock()) as client:
            assert (await client.forward(request("PATCH", server.url), endless(), limit=100)).status == 413
            assert (await client.forward(request("GET", server.url), None, limit=100)).status == 200
    assert server.connections == 2


def once(wire: Wire) -> None:
    """Answer a request, take the next one and hang up."""
    wire.answer()
    wire.head()


async def test_a_body_that_is_there_is_sent_again_where_a_connection_was_closed() -> None:
    """The server's idle limit and our request have crossed."""
    uploads = Uploads()
    with Scripted(once, uploads) as server:
        async with AiohttpClient(SystemClock()) as client:
            await client.forward(request("GET", server.url), None, limit=100)
            assert (await client.forward(request("PUT", server.url), b"hello", limit=100)).status == 201
    assert uploads.bodies == [b"hello"]


@pytest.mark.parametrize("announced", [True, False])
async def test_a_streamed_body_is_not_sent_again(announced: bool) -> None:  # noqa: FBT001  parametrized
    """Nothing of it is left to send, and an empty body would be taken for it."""
    uploads = Uploads()
    headers: tuple[Header, ...] = (("Content-Length", "5"),) if announced else ()
    with Scripted(once, uploads) as server:
        async with AiohttpClient(SystemClock()) as client:
            await client.forward(request("GET", server.url), None, limit=100)
            with pytest.raises(Failed) as caught:
                await client.forward(request("PUT", server.url, *headers), pieces(b"hello"), limit=100)
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE
    assert (server.connections, uploads.bodies) == (1, [])


async def test_a_cancelled_upload_ends_its_connection() -> None:
    """P8: the client has left."""
    begun = threading.Event()
    seen: list[bytes] = []

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0.01)  # noqa: TID251  a client has a network of its own

    def read(wire: Wire) -> None:
        wire.head()
        begun.set()
        seen.append(wire.rest())

    with Scripted(read) as server:
        async with AiohttpClient(SystemClock()) as client:
            task = asyncio.ensure_future(client.forward(request("PATCH", server.url), endless(), limit=100))
            await asyncio.to_thread(begun.wait, 5)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    assert not seen[0].endswith(b"0\r\n\r\n")


@pytest.mark.parametrize(
    "answer",
    [
        f"{CANARY}\r\n\r\n",
        f"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\n{CANARY}",
        f"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{CANARY}",
        f"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{CANARY}",
        f"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n{CANARY}",
        "",
    ],
)
async def test_a_server_that_does_not_answer_is_a_failure_of_our_own(answer: str) -> None:
    """PY17: within a limit, and without quoting the answer or the request."""
    with Scripted(raw(answer)) as server:
        async with AiohttpClient(SystemClock()) as client:
            with pytest.raises(Failed) as caught:
                await client.forward(
                    request("GET", f"{server.url}/?sig={CANARY}", ("A", Secret(CANARY))), None, limit=100_000
                )
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url", ["https://a..b/", f"https://{'a' * 64}.test/", "https://.test/", "https://evil.test\\.x/"]
)
async def test_a_place_that_cannot_be_reached(url: str) -> None:
    """A redirect may lead anywhere: no parser's own error comes out."""
    async with AiohttpClient(SystemClock()) as client:
        with pytest.raises(Failed) as caught:
            await client.forward(request("GET", url, dial=Dial()), None, limit=100)
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE


async def test_a_changed_bundle_does_not_end_requests_in_progress(tmp_path: Path) -> None:
    """Its session is closed when the last request has ended, and is not used for a new one."""
    first = Trusted(tmp_path / "ca.pem")
    begun, go_on = threading.Event(), threading.Event()

    def slow(wire: Wire) -> None:
        wire.head()
        begun.set()
        go_on.wait(5)
        wire.send("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nslow")
        seen.append(wire.rest())

    seen: list[bytes] = []
    with Scripted(slow, context=first.context) as server:
        async with AiohttpClient(SystemClock()) as client, asyncio.TaskGroup() as group:
            under_way = group.create_task(client.forward(request("GET", server.url, dial=first.dial), None, limit=100))
            await asyncio.to_thread(begun.wait, 5)
            second = Trusted(tmp_path / "ca.pem")
            os.utime(tmp_path / "ca.pem", ns=(1, 1))
            with Scripted(answering(b"new"), context=second.context) as other:
                answer = await client.forward(request("GET", other.url, dial=first.dial), None, limit=100)
            assert answer.body == b"new"
            go_on.set()
            assert (await under_way).body == b"slow"
            await until(lambda: seen == [b""])  # hung up although the client still runs


class Held:
    """A room that remembers the requested bytes, and has a limit."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.asked: list[int] = []

    async def hold(self, count: int) -> None:
        """Hold."""
        self.asked.append(count)
        if sum(self.asked) > self.most:
            raise failed(Code.OVERLOADED, "no room")


@pytest.mark.parametrize(
    ("method", "answer", "asked"),
    [
        pytest.param("GET", ("Content-Length: 70000\r\n\r\n", b"x" * 70_000), [70_000], id="announced"),
        pytest.param("GET", ("Content-Length: 5\r\n\r\n", b"x" * 5), [16_384], id="small"),
        pytest.param("GET", ("\r\n", b"x" * 70_000), [65_536, 100_000 - 65_536], id="of unknown length"),
        pytest.param("GET", ("\r\n", b"x" * 10), [65_536], id="of unknown length, and small"),
        pytest.param("GET", ("Content-Length: 0\r\n\r\n", b""), [], id="nothing"),
        pytest.param("HEAD", ("Content-Length: 70000\r\n\r\n", b""), [], id="head"),
    ],
)
async def test_memory_is_asked_for_before_it_is_taken(
    method: Method, answer: tuple[str, bytes], asked: list[int]
) -> None:
    """The announced length at once; without one a little, and then as much as may come."""
    head, body = answer
    with Scripted(raw("HTTP/1.1 200 OK\r\n", head, body)) as server:
        async with AiohttpClient(SystemClock()) as client:
            room = Held(1_000_000)
            assert (await client.forward(request(method, server.url), None, limit=100_000, room=room)).body == body
    assert room.asked == asked


async def test_without_room_an_answer_is_not_read() -> None:
    """The failure comes from the room."""
    with Scripted(answering(b"x" * 70_000)) as server:
        async with AiohttpClient(SystemClock()) as client:
            with pytest.raises(Failed) as caught:
                await client.forward(request("GET", server.url), None, limit=100_000, room=Held(100))
    assert caught.value.failure.code is Code.OVERLOADED


HEADS = {
    "many fields": "200 OK\r\n" + "".join(f"X-{number}: y\r\n" for number in range(300)),
    "fields without end": "200 OK\r\n" + "X: y\r\n" * 100_000,
    "a long field": f"200 OK\r\nX: {CANARY}{'y' * 70_000}\r\n\r\n",
    "a field without end": f"200 OK\r\nX: {CANARY}{'y' * 200_000}",
    "a long name": f"200 OK\r\n{CANARY}{'y' * 70_000}: x\r\n\r\n",
    "a status without end": f"200 {CANARY}{'y' * 200_000}",
}


@pytest.mark.parametrize("head", HEADS.values(), ids=list(HEADS))
async def test_a_head_beyond_its_bounds_is_a_final_answer(head: str) -> None:
    """The next answer would have as many fields: a 503 would be retried for 35 s. Both clients judge in the same way."""
    with Scripted(raw(f"HTTP/1.1 {head}")) as server:
        async with AiohttpClient(SystemClock()) as client, Pump() as pump:
            for asking in (
                client.forward(request("GET", server.url), None, limit=100),
                pump.open(request("GET", server.url), "reg.test"),
            ):
                with pytest.raises(Failed, match="answered with more header fields, or longer ones") as caught:
                    await asking
                assert caught.value.failure.code is Code.ANSWER_TOO_LARGE
                assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("status", ["404 Not Found", "307 Temporary Redirect", "503 Service Unavailable"])
async def test_a_long_body_does_not_change_the_failure_of_a_refusal(status: str) -> None:
    """Its status counts; no more than 64 KiB of it are read."""
    with Scripted(raw(f"HTTP/1.1 {status}\r\nContent-Length: 5000000\r\n\r\n", b"x" * 5_000_000)) as server:
        async with AiohttpClient(SystemClock()) as client:
            answer = await client.forward(request("GET", server.url), None, limit=4 * 1024 * 1024)
    assert answer.status == int(status[:3])
    assert len(answer.body) <= 64 * 1024
