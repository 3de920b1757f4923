"""The helper socket's API on a real connection, with a fake provider behind it."""

import asyncio

import pytest
from structlog.testing import capture_logs

from credproxy.server.listener import Bound
from tests.broker.world import token, world
from tests.fakes import settle
from tests.server.front import daemon


URI = b'{"uri":"https://reg.test/v2/a/b/blobs/x"}'
ASK = b"POST /v1/get HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(URI), URI)


@pytest.mark.parametrize("sent", [ASK, ASK[:-5], ASK[:20]], ids=["asked", "within the body", "within the head"])
async def test_p8_a_client_that_breaks_off_costs_nothing_but_its_own_answer(bound: Bound, sent: bytes) -> None:
    """P8: no traceback, and the connection's place is given back; a flight goes on, and its result is kept."""
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with world() as w, daemon(w, bound) as server:
        w.provider.delay = 1
        with capture_logs() as logs:
            _, writer = await asyncio.open_unix_connection(str(bound.path))
            writer.write(sent)
            await writer.drain()
            while not server.open:
                await settle(1)
            await settle()
            assert len(w.provider.runs) == (sent is ASK)
            writer.transport.abort()
            while server.open:
                await settle(1)
            await w.clock.advance(1)
        if sent is ASK:
            assert (token(await w.ask()), len(w.provider.runs)) == ("tok1", 1)
        assert {(entry["event"], entry["log_level"]) for entry in logs} <= {
            ("exchanged", "info"),
            ("question failed", "info"),
        }
    assert complaints == []
