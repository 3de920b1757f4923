"""The ways in which the daemon sends a request, as functions with one signature: what holds for one must hold for all."""

from collections.abc import Awaitable, Callable
from typing import NamedTuple

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.pump import Pump
from credproxy.adapters.pump_request import Waits
from credproxy.core.ask.http import Dial, Method, Request
from tests.fakes import FixedTerms


class Got(NamedTuple):
    """What came back."""

    status: int
    body: bytes


Send = Callable[[Request], Awaitable[Got]]

ANSWER = 1.0
"""Seconds in which an answer to the gateway has to begin, in these tests."""


def request(url: str, dial: Dial, method: Method = "GET") -> Request:
    """A request for a registry."""
    return Request(method, url, dial=dial, subject="registry 'reg.test'")


async def download(request: Request) -> Got:
    """The blob pump."""
    async with Pump(waits=Waits(answer=ANSWER)) as pump:
        transfer = await pump.open(request, "reg.test")
        try:
            return Got(transfer.status, transfer.whole or b"")
        finally:
            transfer.close()


async def carry(request: Request) -> Got:
    """What the gateway sends besides blobs."""
    async with AiohttpClient(SystemClock(), answer=ANSWER) as client:
        answer = await client.forward(request, None, limit=100_000)
        return Got(answer.status, answer.body)


async def upload(request: Request) -> Got:
    """The same with a complete body."""
    async with AiohttpClient(SystemClock(), answer=ANSWER) as client:
        answer = await client.forward(request, b"hello", limit=100_000)
        return Got(answer.status, answer.body)


async def exchange(request: Request) -> Got:
    """Pings and token requests."""
    async with AiohttpClient(SystemClock()) as client:
        answer = await client.send(request, FixedTerms())
        return Got(answer.status, answer.body)


CLIENTS: dict[str, Send] = {"download": download, "carry": carry, "upload": upload, "exchange": exchange}
