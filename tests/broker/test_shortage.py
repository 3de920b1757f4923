"""When memory is short, what may be forgotten is forgotten, answers from memory go on, and nothing new begins for a second."""

import pytest
from structlog.testing import capture_logs

from credproxy.core.errors import Code
from tests.broker.world import token, world


def _host(number: int) -> str:
    return f"https://r{number}.test/v2/a/b/blobs/x"


async def test_half_of_the_grants_go_and_no_exchange_begins_for_a_second() -> None:
    """C6: The other half is answered as usual; a second later everything is back to normal."""
    async with world() as w:
        for number in range(4):
            await w.ask(_host(number))
        with capture_logs() as events:
            assert w.broker.relieve() == 2
        assert events == [{"event": "short of memory", "dropped": 2, "left": 2, "log_level": "warning"}]
        refused = await w.failure(_host(0))
        assert (refused.code, refused.status, refused.retry_after) == (Code.OVERLOADED, 503, 1.0)
        assert token(await w.answer(_host(3))) == "tok4"
        await w.clock.advance(1)
        assert token(await w.answer(_host(0))) == "tok5"


async def test_nothing_is_renewed_meanwhile() -> None:
    """C6: A renewal can wait: its grant is still good."""
    async with world() as w:
        await w.ask(_host(0))
        await w.ask(_host(1))
        await w.clock.advance(250)
        w.broker.relieve()
        assert (token(await w.answer(_host(1))), len(w.provider.runs)) == ("tok2", 2)
        await w.clock.advance(1)
        assert (token(await w.answer(_host(1))), len(w.provider.runs)) == ("tok2", 3)


@pytest.mark.parametrize("error", [MemoryError(), RuntimeError("can't start new thread")], ids=["data", "stack"])
async def test_a_failed_allocation_in_an_exchange_is_not_a_bug(error: Exception) -> None:
    """C6: The error says what was short, and what can be forgotten is forgotten."""
    async with world() as w:
        await w.ask(_host(0))
        w.provider.error = error
        refused = await w.failure(_host(1))
        assert (refused.code, w.broker.status().cached) == (Code.OVERLOADED, 0)
        w.provider.error = None
        await w.clock.advance(2)
        assert token(await w.answer(_host(1))) == "tok3"
