"""The cases of docs/design/cases.md in which time passes: T-48 and the dates of T-92."""

import asyncio

import pytest

from credproxy.core.errors import Code, failed
from tests.fakes import settle
from tests.registry_world import ok, world


MANIFEST = "https://reg.test/v2/a/b/manifests/latest"


async def test_a_body_beyond_the_limit_is_an_error() -> None:
    """T-48: the client stops at 128 KiB, and there is no retry at once."""
    async with world() as w:
        w.script(token=failed(Code.ANSWER_TOO_LARGE, "token server 'reg.test' answered with more than 131072 bytes"))
        assert await w.refusal(MANIFEST) is Code.ANSWER_TOO_LARGE
        assert await w.refusal(MANIFEST) is Code.ANSWER_TOO_LARGE
        assert len(w.requests) == 2


async def test_a_trickling_answer_fails_in_time_and_the_next_caller_is_served() -> None:
    """T-48: an error within 8.5 s; the exchange goes on without its caller."""
    async with world() as w:
        gate = w.http.hold["https://reg.test/token"] = asyncio.Event()
        task = asyncio.ensure_future(w.refusal(MANIFEST))
        await w.clock.advance(8.4)
        assert not task.done()
        await w.clock.advance(0.2)
        assert await task is Code.STILL_TRYING
        gate.set()
        await settle()
        assert (await w.ask(MANIFEST)).authorization == "Bearer tok1"


@pytest.mark.parametrize("value", ["Wed, 31 Dec 2025 23:59:00 GMT", "soon", "-1", ""])
async def test_a_useless_retry_after_means_the_usual_pause(value: str) -> None:
    """T-92: a date in the past, and garbage: a short pause, then the token."""
    async with world() as w:
        w.script(token=[w.respond(429, Retry_After=value), w.granted()])
        task = asyncio.ensure_future(w.ask(MANIFEST))
        await settle()
        assert len(w.requests) == 2
        await w.clock.advance(4)
        assert (await task).authorization == "Bearer tok1"


async def test_a_date_is_as_good_as_seconds() -> None:
    """T-92: HTTP-date, two seconds ahead."""
    async with world() as w:
        w.script(token=[w.respond(429, Retry_After="Thu, 01 Jan 2026 00:00:02 GMT"), w.granted()])
        task = asyncio.ensure_future(w.ask(MANIFEST))
        await w.clock.advance(1.9)
        assert len(w.requests) == 2
        await w.clock.advance(1)
        answer = await task
    assert answer.authorization == ok("tok1", 0).authorization
