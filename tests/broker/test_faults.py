"""Faults on a real network, from the socket to the answer for callers, on a clock that the test moves."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import pytest

from credproxy.adapters.http_client import AiohttpClient
from credproxy.broker.broker import Broker
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.table import Table
from credproxy.core.ask.credential import Grant, Secret
from credproxy.core.ask.http import Dial, Request
from credproxy.core.ask.target import Question, Target
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.policy.routing import Router
from credproxy.exchange.token_answer import parse_token
from credproxy.ports.http_client import HttpClient
from credproxy.ports.provider import Plan
from credproxy.ports.terms import Terms
from tests.adapters.test_http_client import talking
from tests.broker.world import Told, question, token
from tests.fakes import FakeClock, FakeMetrics


Script = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

GOOD = b'HTTP/1.1 200 OK\r\nContent-Length: 34\r\n\r\n{"token":"good","expires_in":300}\r\n'


class Tokens:
    """A provider that asks ``http://127.0.0.1:PORT/`` for the token of each host; the ports are by host."""

    def __init__(self, http: HttpClient) -> None:
        self.http = http
        self.ports: dict[str, int] = {}

    async def plan(self, question: Question) -> Plan | None:
        """Ask the server of that host."""
        host = question.target.authority
        url = f"http://127.0.0.1:{self.ports[host]}/"

        async def run(terms: Terms) -> Grant:
            response = await self.http.send(Request("GET", url, dial=Dial(own=True), subject=host), terms)
            found = parse_token(response, host)
            return Grant((("Authorization", (Secret(f"Bearer {found.value.reveal()}"),)),), found.lifetime)

        return Plan(key=(host,), subject=host, upstream=url, run=run)

    async def check(self, plan: Plan, target: Target) -> None:
        """Nothing is checked."""
        del plan, target

    def reasons(self, question: Question) -> tuple[str, ...]:
        """Nothing."""
        del question
        return ()


@dataclass
class Road:
    """The broker, its clock, and its provider."""

    broker: Broker
    clock: FakeClock
    tokens: Tokens

    async def ask(self, host: str) -> Told:
        """Ask; a failure is given as a value."""
        try:
            return await self.broker.ask(question(f"https://{host}/v2/a/b/blobs/x"))
        except Failed as error:
            return error.failure


@contextlib.asynccontextmanager
async def road() -> AsyncIterator[Road]:
    """Everything but the servers."""
    clock = FakeClock()
    async with AiohttpClient(clock) as client:
        upstream = RepeatingClient(client, clock=clock, sample=lambda: 0.5)
        tokens = Tokens(upstream)
        table = Table(Router([]), {}, fallback=[tokens])
        async with Broker(table, clock=clock, sample=lambda: 0.5, metrics=FakeMetrics(), upstream=upstream) as broker:
            yield Road(broker, clock, tokens)


class Server:
    """A server's script, with what happened to it."""

    def __init__(self, *, drip: bytes = b"") -> None:
        self.asked = asyncio.Event()
        self.left = asyncio.Event()
        self._drip = drip

    async def run(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Send nothing, or a byte every few milliseconds, until the client leaves."""
        if self._drip:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        self.asked.set()
        with contextlib.suppress(ConnectionError):
            while not reader.at_eof():
                writer.write(self._drip)
                await writer.drain()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.005):
                        await reader.read(1)
        self.left.set()


async def good(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A token of 300 s."""
    del reader
    writer.write(GOOD)
    await writer.drain()


@pytest.mark.parametrize("drip", [b"", b" "], ids=["U1 silent", "U8 a byte at a time"])
async def test_a_server_that_never_ends_is_given_up(drip: bytes) -> None:
    """U1, U8: waiting callers get an error at 8.5 s, the flight ends at 30 s and leaves no connection; others are served."""
    server = Server(drip=drip)
    async with talking(server.run) as slow, talking(good) as quick, road() as r:
        r.tokens.ports = {"slow.test": slow, "quick.test": quick}
        asking = asyncio.ensure_future(r.ask("slow.test"))
        await server.asked.wait()
        answer = await r.ask("quick.test")
        assert token(answer) == "good"
        await r.clock.advance(8.5)
        told = await asking
        assert isinstance(told, Failure)
        assert (told.code, told.message) == (
            Code.STILL_TRYING,
            "slow.test has not answered for 8.5 s; still trying, run the build again",
        )
        assert not server.left.is_set()
        await r.clock.advance(21.5)
        await server.left.wait()
        assert r.broker.status().flights == []
        assert [(failure.host, failure.code) for failure in r.broker.status().failures] == [
            ("slow.test", "upstream_unavailable")
        ]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(GOOD.replace(b"34", b"50"), id="short length"),
        pytest.param(b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nd\r\n{"token":"x"}\r\n', id="cut chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}", id="no token"),
        pytest.param(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>", id="a page"),
    ],
)
async def test_a_failure_to_answer_is_not_cached(answer: bytes) -> None:
    """U9, U10: an error for the caller, nothing in memory, and the next question is a new exchange that may succeed."""
    answers = [answer]

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(answers[-1])
        await writer.drain()

    async with talking(script) as port, road() as r:
        r.tokens.ports = {"reg.test": port}
        asking = asyncio.ensure_future(r.ask("reg.test"))
        while not asking.done():
            await r.clock.advance(0.1)
            await asyncio.wait([asking], timeout=0.01)
        assert isinstance(asking.result(), Failure)
        assert r.broker.status().cached == 0
        answers.append(GOOD)
        await r.clock.advance(2)
        assert token(await r.ask("reg.test")) == "good"
