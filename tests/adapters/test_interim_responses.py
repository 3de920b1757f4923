"""Interim answers: every client skips them, wherever they come, and none waits for them endlessly."""

from collections.abc import AsyncIterator

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.interim_responses import INTERIM
from credproxy.core.ask.http import Dial
from credproxy.core.errors import Code, Failed
from tests.adapters.clients import CLIENTS, Got, Send, request
from tests.adapters.scripted import Scripted, Wire, answering, raw
from tests.adapters.test_pump import OWN, Trusted


EARLY = "HTTP/1.1 103 Early Hints\r\nLink: </style.css>; rel=preload\r\nContent-Length: 5\r\n\r\n"
CONTINUE = "HTTP/1.1 100 Continue\r\n\r\n"
PROCESSING = "HTTP/1.1 102 Processing\r\n\r\n"
UNKNOWN = "HTTP/1.1 199 Whatever\r\n\r\n"
FINAL = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbody"
SWITCHING = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"

every_client = pytest.mark.parametrize("send", CLIENTS.values(), ids=CLIENTS)


@every_client
@pytest.mark.parametrize(
    "before",
    [
        pytest.param((EARLY,), id="103"),
        pytest.param((PROCESSING,), id="102"),
        pytest.param((CONTINUE,), id="100"),
        pytest.param((UNKNOWN,), id="199"),
        pytest.param((CONTINUE, PROCESSING, EARLY, EARLY), id="several"),
        pytest.param((EARLY,) * INTERIM, id="as many as there may be"),
    ],
)
async def test_an_interim_answer_is_passed_over(send: Send, before: tuple[str, ...]) -> None:
    """A proxy that sends ``103 Early Hints`` before a blob made the gateway answer 502 each time."""
    with Scripted(raw(*before, FINAL)) as server:
        assert await send(request(server.url, OWN)) == Got(200, b"body")
        assert len(server.heads) == 1


@every_client
async def test_a_connection_on_which_interim_answers_came_is_used_again(send: Send) -> None:
    """Those before one answer do not count for the next."""

    def play(wire: Wire) -> None:
        while True:
            wire.head()
            wire.send(EARLY * INTERIM, FINAL)

    with Scripted(play) as server:
        for _ in range(2):
            assert await send(request(server.url, OWN)) == Got(200, b"body")


@every_client
async def test_an_interim_answer_before_a_refusal(send: Send) -> None:
    """The status that counts is the last one."""
    with Scripted(raw(EARLY, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")) as server:
        assert (await send(request(server.url, OWN))).status == 404


async def test_interim_answers_while_an_upload_is_under_way() -> None:
    """A registry sends 100 at the beginning of a body, and 102 while it commits."""

    async def pieces() -> AsyncIterator[bytes]:
        yield b"hello"
        yield b" world"

    def play(wire: Wire) -> None:
        head = wire.head()
        wire.send(CONTINUE)
        bodies.append(wire.body(11, chunked="chunked" in head))
        wire.send(PROCESSING * 3, "HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")

    bodies: list[bytes] = []
    with Scripted(play) as server:
        async with AiohttpClient(SystemClock()) as client:
            answer = await client.forward(request(server.url, OWN, "PUT"), pieces(), limit=100)
    assert (answer.status, bodies) == (201, [b"hello world"])


async def test_an_interim_answer_to_head() -> None:
    """The answer to HEAD has a length and no body, and what comes next is not taken for one."""
    with Scripted(raw(EARLY, "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")) as server:
        assert await CLIENTS["carry"](request(server.url, OWN, "HEAD")) == Got(200, b"")


@every_client
async def test_interim_answers_without_end_are_an_error(send: Send) -> None:
    """Counted, because each of them looks like a sign of life; the message says what happened."""

    def flood(wire: Wire) -> None:
        wire.head()
        while True:
            wire.send(EARLY * 100)

    with Scripted(flood) as server, pytest.raises(Failed) as caught:
        await send(request(server.url, OWN))
    failure = caught.value.failure
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert failure.message == "registry 'reg.test' sends interim answers without end (the last one had status 103)"


@every_client
async def test_another_protocol_is_an_error_that_says_so(send: Send) -> None:
    """No upgrade was requested, so 101 is not an answer, and what follows it is not HTTP (RFC 9110, section 15.2.2)."""
    with Scripted(raw(EARLY, SWITCHING)) as server, pytest.raises(Failed) as caught:
        await send(request(server.url, OWN))
    failure = caught.value.failure
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert failure.message == ("registry 'reg.test' switches to another protocol (status 101) without being asked to")


@every_client
async def test_an_interim_answer_of_a_proxy_to_connect(send: Send, trusted: Trusted) -> None:
    """The tunnel is there when the final answer says so."""

    def play(wire: Wire) -> None:
        wire.head()
        wire.send(EARLY, PROCESSING, "HTTP/1.1 200 Connection established\r\n\r\n")
        wire.encrypt(trusted.context)
        answering(b"body")(wire)

    with Scripted(play) as proxy:
        dial = Dial(ca_bundle=trusted.dial.ca_bundle, proxy=proxy.url)
        assert await send(request("https://127.0.0.1:444/v2/", dial)) == Got(200, b"body")


@every_client
async def test_interim_answers_of_a_proxy_without_end(send: Send) -> None:
    """The error names the proxy that sends them."""

    def flood(wire: Wire) -> None:
        wire.head()
        while True:
            wire.send(PROCESSING * 100)

    with Scripted(flood) as proxy, pytest.raises(Failed) as caught:
        await send(request("https://127.0.0.1:444/v2/", Dial(proxy=proxy.url)))
    message = f"proxy '127.0.0.1:{proxy.port}' sends interim answers without end (the last one had status 102)"
    assert caught.value.failure.message == message
