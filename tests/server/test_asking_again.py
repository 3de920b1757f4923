"""CL-31: a caller that asks again for an answer that it should still have may have seen it refused."""

import json

import pytest

from credproxy.broker.doubt import Doubt
from credproxy.core.ask.credential import Handout, Secret
from credproxy.server.listener import Bound
from tests.broker.world import world
from tests.fakes import T0, FakeClock, settle
from tests.server.front import daemon
from tests.server.test_protocol import talk


BAZEL, ANOTHER = 4242, 4343
URI, OTHER = b'{"uri":"https://cache.test/x"}', b'{"uri":"https://cache.test/y"}'


def given(seconds: int | None) -> Handout:
    """An answer that is good for so many seconds from the beginning of the test."""
    return Handout((("Authorization", (Secret("t"),)),), None if seconds is None else int(T0) + seconds)


class Watch:
    """A clock, and the watch under test."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.doubt = Doubt(self.clock)

    def ask(self, parent: int = BAZEL, question: bytes = URI, seconds: int | None = 3600) -> bool:
        """Ask, and be given an answer."""
        doubted = self.doubt.early(parent, question)
        self.doubt.given(parent, question, handout=given(seconds))
        return doubted


async def test_the_same_server_asking_early_is_a_sign() -> None:
    """Bazel keeps an answer until its expiry; it only asks earlier if it dropped it."""
    watch = Watch()
    assert not watch.ask()
    await watch.clock.advance(60)
    assert watch.ask()


async def test_another_server_or_another_uri_is_not_a_sign_of_refusal() -> None:
    """Each Bazel server has a memory of its own, with a place for each URI."""
    watch = Watch()
    watch.ask()
    await watch.clock.advance(60)
    assert not watch.ask(ANOTHER)
    assert not watch.ask(question=OTHER)


@pytest.mark.parametrize("later", [3590.1, 3600, 7200])
async def test_asking_after_the_answer_expired_is_not_a_sign_of_refusal(later: float) -> None:
    """That is normal; the last ten seconds do not count either."""
    watch = Watch()
    watch.ask()
    await watch.clock.advance(later)
    assert not watch.ask()


async def test_an_empty_answer_cannot_be_refused() -> None:
    """``{}`` is asked about again for other reasons."""
    watch = Watch()
    watch.doubt.given(ANOTHER, URI, handout=Handout((), int(T0) + 3600))
    assert not watch.doubt.early(ANOTHER, URI)


@pytest.mark.parametrize(("later", "sign"), [(60, True), (289, True), (291, False), (1800, False)])
async def test_an_answer_that_names_no_end_is_kept_for_five_minutes_at_least(later: float, sign: bool) -> None:  # noqa: FBT001  parametrized
    """By img; Bazel keeps it for half an hour, unless it is told otherwise."""
    watch = Watch()
    watch.ask(seconds=None)
    await watch.clock.advance(later)
    assert watch.ask(seconds=None) is sign


async def test_a_regular_interval_is_not_a_sign_of_refusal() -> None:
    """Bazel 7.1 to 7.3 ask at each use: one of many early questions counts, until there were none for ten minutes."""
    watch = Watch()
    watch.ask()
    signs = []
    for _ in range(50):
        await watch.clock.advance(60)
        signs.append(watch.ask(seconds=12 * 3600))
    assert signs == [True] + [False] * 49
    await watch.clock.advance(601)
    assert watch.ask(seconds=12 * 3600)


async def ask(bound: Bound, parent: str = str(BAZEL)) -> tuple[str, str | None]:
    """Ask as the helper does; give the token, and its expiry."""
    head = f"POST /v1/get HTTP/1.1\r\nHost: x\r\nContent-Length: {len(URI)}\r\nX-Credproxy-Parent: {parent}\r\n"
    answer = await talk(bound, head.encode() + b"Connection: close\r\n\r\n" + URI)
    found = json.loads(answer.partition(b"\r\n\r\n")[2])
    await settle()
    return found["headers"]["Authorization"][0].removeprefix("Bearer "), found.get("expires")


async def call(bound: Bound, parent: str = str(BAZEL)) -> tuple[str, str]:
    """Ask for a token that names its end; give that as the time of day."""
    token, expires = await ask(bound, parent)
    assert expires is not None
    return token, expires[11:19]


async def test_a_refused_answer_is_renewed_in_the_background(bound: Bound) -> None:
    """CL-31: the old token at once, for five seconds only; then the new one, with its whole life."""
    async with world() as w, daemon(w, bound):
        w.provider.life = 3600
        assert await call(bound) == ("tok1", "00:59:00")
        await w.clock.advance(60)
        assert await call(bound) == ("tok1", "00:01:05")
        assert len(w.provider.runs) == 2
        await w.clock.advance(5)
        assert await call(bound) == ("tok2", "01:00:00")
        await w.clock.advance(300)
        assert await call(bound) == ("tok2", "01:00:00")
        assert len(w.provider.runs) == 2


async def test_another_helpers_answer_without_an_end_is_renewed_as_well(bound: Bound) -> None:
    """It is in memory for ten minutes, and may have been refused long before."""
    async with world() as w, daemon(w, bound):
        w.provider.life = None
        assert await ask(bound) == ("tok1", None)
        await w.clock.advance(60)
        assert await ask(bound) == ("tok1", "2026-01-01T00:01:05Z")
        assert w.provider.anew == [False, True]
        assert await ask(bound) == ("tok2", None)


@pytest.mark.parametrize("parent", ["", "0", "1", "-5", "x", "4" * 11, "\xb2"])
async def test_an_unknown_parent_process_counts_as_none(bound: Bound, parent: str) -> None:
    """Whatever the header holds, the question is answered; children of init have no server."""
    async with world() as w, daemon(w, bound):
        w.provider.life = 3600
        for _ in range(2):
            assert (await call(bound, parent))[0] == "tok1"
            await w.clock.advance(60)
        assert len(w.provider.runs) == 1
