"""Requests that others may read differently, and bodies that wait to be asked for, over real sockets."""

import asyncio
import re

import pytest
from aiohttp import web

from credproxy.core.errors import Failed
from credproxy.server.body import read_body
from credproxy.server.listener import Bound
from credproxy.server.responses import failure_response, text_response
from tests.fakes import FakeClock
from tests.server.test_protocol import serving, talk


NEXT = "GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
CHUNKED = "Transfer-Encoding: chunked"
KEPT = "Connection: keep-alive"
TWO = "2\r\n{}\r\n0\r\n\r\n"


class Reading:
    """Answers with what it read."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Note the path; answer with the body."""
        self.asked.append(request.path)
        try:
            return text_response(b"read " + await read_body(request, FakeClock()))
        except Failed as error:
            return failure_response(error.failure, plain=False)


def post(*lines: str, version: str = "1.1") -> str:
    """A head."""
    return "\r\n".join([f"POST /first HTTP/{version}", "Host: x", *lines, "", ""])


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        pytest.param(post("Transfer-Encoding: gzip, chunked") + TWO + NEXT, 400, "a transfer coding", id="coded"),
        pytest.param(post("Transfer-Encoding: gzip", CHUNKED) + TWO, 400, "", id="in two lines"),
        pytest.param(post(CHUNKED, version="1.0") + TWO, 400, "a transfer coding", id="before there were chunks"),
        pytest.param(post(CHUNKED, KEPT, version="1.0") + TWO + NEXT, 400, "a transfer coding", id="kept"),
        pytest.param(post("Content-Length: 0", version="2.0"), 400, "another version", id="later"),
        pytest.param(
            post("Content-Length: 0", KEPT, version="2.0") + NEXT, 400, "another version", id="later and kept"
        ),
        pytest.param(post("Content-Length: 0", version="0.9"), 400, "another version", id="earlier"),
        pytest.param(post(f"X: {'y' * 9000}") + NEXT, 413, "longer than 8190 bytes", id="a long field"),
        pytest.param(post("X: \0") + NEXT, 400, "not a well-formed", id="NUL"),
    ],
)
async def test_a_request_that_others_may_read_differently(bound: Bound, sent: str, status: int, told: str) -> None:
    """RFC 9112, sections 2.3 and 6.1: refused, and what follows is not taken for a request: its connection ends."""
    reading = Reading()
    async with serving(bound, reading.handle), asyncio.timeout(5):
        answer = (await talk(bound, sent.encode())).decode()
    assert re.findall(r"HTTP/1\.\d (\d+)", answer) == [str(status)]
    assert told in answer
    assert reading.asked == []


@pytest.mark.parametrize(
    "sent",
    [
        post(CHUNKED) + TWO,
        post("Transfer-Encoding: Chunked") + "2;a=b\r\n{}\r\n0\r\nY: z\r\n\r\n",
        post("Content-Length: 2") + "{}",
    ],
    ids=["chunks", "with extensions and trailers", "a length"],
)
async def test_others_are_read_and_so_is_what_follows(bound: Bound, sent: str) -> None:
    """What stands beside the chunks is nothing to us."""
    reading = Reading()
    async with serving(bound, reading.handle):
        answer = await talk(bound, (sent + NEXT).encode())
    assert (answer.count(b"HTTP/1.1 200"), b"read {}" in answer) == (2, True)
    assert reading.asked == ["/first", "/next"]


@pytest.mark.parametrize("protocol", ["h2c", "websocket", "tcp"])
@pytest.mark.parametrize(
    "body", [("X: y", ""), ("Content-Length: 2", "{}"), (CHUNKED, TWO)], ids=["none", "length", "chunks"]
)
async def test_a_request_for_another_protocol_is_answered_in_this_one(
    bound: Bound, protocol: str, body: tuple[str, str]
) -> None:
    """RFC 9110, section 7.8: Java's client asks for h2c with its first request.

    A request that came at once with it might be lost, and its client would wait: the connection is closed, and says so.
    """
    length, content = body
    sent = f"{'POST' if content else 'GET'} /first HTTP/1.1\r\nHost: x\r\n{length}\r\n"
    sent += f"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: {protocol}\r\nHTTP2-Settings: AA\r\n\r\n{content}"
    async with serving(bound, Reading().handle), asyncio.timeout(5):
        answer = (await talk(bound, (sent + NEXT).encode())).decode()
    assert answer.count("HTTP/1.1 200") == 1
    assert "\r\nConnection: close\r\n" in answer
    assert answer.endswith(f"read {'{}' if content else ''}")


async def test_behind_connect_there_is_nothing_for_us(bound: Bound) -> None:
    """There would be another protocol."""
    reading = Reading()
    async with serving(bound, reading.handle):
        answer = await talk(bound, f"CONNECT reg.test:443 HTTP/1.1\r\nHost: reg.test:443\r\n\r\n{NEXT}".encode())
    assert answer.count(b"HTTP/1.") == 1
    assert len(reading.asked) == 1


@pytest.mark.parametrize("expected", ["100-continue", "100-Continue", "x, 100-continue", "100-continue\r\nExpect: x"])
async def test_a_body_that_waits_to_be_asked_for(bound: Bound, expected: str) -> None:
    """RFC 9110, section 10.1.1: some clients send it only then."""
    async with serving(bound, Reading().handle):
        reader, writer = await asyncio.open_unix_connection(str(bound.path))
        writer.write(post("Content-Length: 2", f"Expect: {expected}", "Connection: close").encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"{}")
        assert (await reader.read()).endswith(b"read {}")
        writer.close()
        await writer.wait_closed()


@pytest.mark.parametrize(
    "sent",
    [
        post("Content-Length: 2", "Expect: 100-continue", "Connection: close") + "{}",
        post("Content-Length: 2", "Expect: 100-continue", version="1.0") + "{}",
        post("Content-Length: 99999", "Expect: 100-continue"),
        post("Content-Length: 0", "Expect: 100-continue", "Connection: close"),
        post("Content-Length: 2", "Expect: x", "Connection: close") + "{}",
    ],
    ids=["here already", "HTTP/1.0", "too large", "empty", "something else"],
)
async def test_a_body_that_does_not_wait_is_not_asked_for(bound: Bound, sent: str) -> None:
    """One that is not wanted, either."""
    async with serving(bound, Reading().handle):
        answer = await talk(bound, sent.encode())
    assert b" 100 " not in answer
    assert answer.count(b"HTTP/1.") == 1
