"""CL-31: a grant that may have been refused is renewed early, and no caller waits for that."""

import pytest
from structlog.testing import capture_logs

from credproxy.broker.answers import Answer
from credproxy.broker.broker_settings import BrokerSettings
from credproxy.broker.doubt import BURST
from credproxy.core.errors import Code, failed
from tests.broker.world import World, question, shown, token, world
from tests.fakes import settle


def _host(number: int) -> str:
    return f"https://r{number}.test/v2/a/b/blobs/x"


async def _doubt(w: World, number: int = 0) -> Answer:
    """Ask with doubt, and wait for what that starts."""
    answer = await w.broker.ask(question(_host(number)), doubted=True)
    await settle()
    return answer


async def test_a_doubted_grant_is_handed_out_once_more_and_renewed() -> None:
    """The answer comes at once and is good for five seconds; the next one is the new token."""
    async with world() as w:
        w.provider.life = 3600
        await w.ask(_host(0))
        await w.clock.advance(30)
        w.provider.delay = 1
        with capture_logs() as logs:
            answer = await _doubt(w)
            assert (token(answer), shown(answer)) == ("tok1", 35)
            await w.clock.advance(1)
        assert token(await w.ask(_host(0))) == "tok2"
        assert [(line["event"], line.get("age")) for line in logs] == [("answer doubted", 30.0), ("exchanged", None)]


async def test_the_renewal_of_a_doubted_grant_looks_its_login_up_again() -> None:
    """Basic that was handed out may be refused because the login was changed in its store."""
    async with world() as w:
        w.provider.life = 3600
        await w.ask(_host(0))
        await w.clock.advance(30)
        await _doubt(w)
        await w.ask(_host(1))
        assert w.provider.anew == [False, True, False]


async def test_a_young_grant_is_above_doubt() -> None:
    """At most one exchange in 30 s for a key, however often it is doubted."""
    async with world() as w:
        w.provider.life = 3600
        await w.ask(_host(0))
        for _ in range(100):
            await w.clock.advance(1)
            await _doubt(w)
        assert len(w.provider.runs) == 1 + 3


async def test_a_doubtful_grant_is_given_for_seconds_only() -> None:
    """Another server's next question would otherwise come when the old token has long been refused."""
    async with world() as w:
        w.provider.life = 3600
        await w.ask(_host(0))
        await w.clock.advance(60)
        w.provider.delay = 5
        await _doubt(w)
        await w.clock.advance(1)
        other = await w.ask(_host(0))
        assert isinstance(other, Answer)
        assert (token(other), shown(other), other.fresh()) == ("tok1", 66, False)


async def test_a_renewal_that_fails_is_tried_again_and_takes_nothing_away() -> None:
    """The doubted token serves on, for seconds each time, until its renewal works."""
    async with world() as w:
        w.provider.life = 300
        await w.ask(_host(0))
        await w.clock.advance(60)
        w.provider.error = failed(Code.UPSTREAM_UNAVAILABLE, "down")
        await _doubt(w)
        for _ in range(50):
            await w.clock.advance(1)
            assert token(await w.ask(_host(0))) == "tok1"
        assert 2 <= len(w.provider.runs) <= 4
        w.provider.error = None
        await w.clock.advance(100)
        await w.ask(_host(0))
        await settle()
        assert token(await w.ask(_host(0))) != "tok1"


async def test_doubts_of_everything_at_once_are_bounded() -> None:
    """After ``bazel clean``, a thousand URIs of a helper are asked about again: sixteen exchanges, not a thousand."""
    async with world() as w:
        w.provider.life = 3600
        for number in range(200):
            await w.ask(_host(number))
        await w.clock.advance(60)
        for number in range(200):
            await _doubt(w, number)
        assert len(w.provider.runs) == 200 + BURST
        await w.clock.advance(1)
        for number in range(200):
            await _doubt(w, number)
        assert len(w.provider.runs) == 200 + BURST + 2


@pytest.mark.parametrize("empty", [True, False])
async def test_what_cannot_have_been_refused_is_not_doubted(empty: bool) -> None:  # noqa: FBT001  a table
    """``{}``; and anything in ``bazel_71_compat``, whose versions ask at each use."""
    async with world(options=BrokerSettings(bazel_71_compat=not empty)) as w:
        w.provider.life, w.provider.empty = 1200, empty
        await w.ask(_host(0))
        await w.clock.advance(60)
        await _doubt(w)
        assert len(w.provider.runs) == 1


async def test_doubting_what_is_not_there_is_asking() -> None:
    """A flush, or an eviction, came first."""
    async with world() as w:
        assert token(await w.broker.ask(question(_host(0)), doubted=True)) == "tok1"
