"""Renewal before expiry: for grants that are still wanted, a few at a time, by one scheduler."""

from structlog.testing import capture_logs

from credproxy.broker.answers import Answer
from credproxy.core.errors import Code, failed
from tests.broker.world import World, token, world
from tests.fakes import settle


async def _use(w: World, times: int, uri: str = "https://reg.test/v2/a/b/blobs/x") -> None:
    for _ in range(times):
        assert isinstance(await w.ask(uri), Answer)


def _host(number: int) -> str:
    return f"https://r{number}.test/v2/a/b/blobs/x"


async def test_what_was_used_twice_is_renewed_when_its_window_opens() -> None:
    """A = 75 s of 300: renewed at +225 without a question; the next question finds the new token."""
    async with world() as w:
        await _use(w, 1)
        await w.clock.advance(110)
        await _use(w, 1)
        await w.clock.advance(114.9)
        assert len(w.provider.runs) == 1
        await w.clock.advance(0.2)
        assert (len(w.provider.runs), token(await w.ask())) == (2, "tok2")
        assert w.looks() == ["miss", "fresh", "fresh"]


async def test_what_was_used_once_is_not_renewed() -> None:
    """A URI that was asked once may never be asked again."""
    async with world() as w:
        w.provider.life = 60
        await _use(w, 1)
        await w.clock.advance(59)
        assert len(w.provider.runs) == 1


async def test_what_was_not_used_lately_is_not_renewed() -> None:
    """Last used longer ago than max(2A, 120 s) = 150 s: it does not seem to be needed."""
    async with world() as w:
        await _use(w, 5)
        await w.clock.advance(299)
        assert len(w.provider.runs) == 1


async def test_repeats_from_the_front_count_as_use() -> None:
    """What the front answers by itself counts as much."""
    async with world() as w:
        w.provider.life = 60
        first = await w.ask()
        assert isinstance(first, Answer)
        assert not first.fresh(), "the second question must bring the plan that a renewal runs"
        again = await w.ask()
        assert isinstance(again, Answer)
        assert again.fresh()
        await w.clock.advance(46)
        assert len(w.provider.runs) == 2


async def test_renewal_ends_when_there_are_no_more_questions() -> None:
    """A key of 60 s tokens is renewed until 120 s after its last use, and then dropped."""
    async with world() as w:
        w.provider.life = 60
        await _use(w, 3)
        await w.clock.advance(600)
        assert len(w.provider.runs) == 2
        assert w.broker.status().cached == 0


async def test_what_is_asked_all_the_time_never_makes_anybody_wait() -> None:
    """An hour of questions over 300 s tokens: every one after the first is answered from memory."""
    async with world() as w:
        w.provider.delay = 1
        await w.answer()
        for _ in range(360):
            await w.clock.advance(10)
            assert isinstance(await w.ask(), Answer)
        assert set(w.looks()[1:]) == {"fresh"}
        assert len(w.provider.runs) <= 1 + 3600 / 225


async def test_empty_answers_are_not_renewed() -> None:
    """``{}`` costs an exchange again only for the next question."""
    async with world() as w:
        w.provider.empty, w.provider.life = True, 60
        await _use(w, 3)
        await w.clock.advance(59)
        assert len(w.provider.runs) == 1


async def test_a_failed_renewal_backs_off() -> None:
    """5.6, 11.3, 22.5 s between the tries; a success ends it."""
    async with world() as w:
        await _use(w, 1)
        await w.clock.advance(120)
        await _use(w, 2)
        w.provider.error = failed(Code.UPSTREAM_UNAVAILABLE, "down")
        await w.clock.advance(105.1)
        seen = []
        for _ in range(70):
            seen.append(len(w.provider.runs))
            await w.clock.advance(1)
        assert [seen.index(count) for count in (2, 3, 4, 5)] == [0, 6, 17, 40]


async def test_backing_off_needs_no_timer_of_its_own() -> None:
    """After a failed renewal that a question began, the scheduler sleeps until the next try."""
    async with world() as w:
        await _use(w, 1)
        await w.clock.advance(200)
        await _use(w, 2)
        w.provider.error = failed(Code.UPSTREAM_UNAVAILABLE, "down")
        await w.clock.advance(25.5)
        entry = next(iter(w.broker.cache.entries()))
        assert entry.upkeep is not None
        entry.upkeep.retry_at += 30
        await w.clock.advance(6)
        assert w.broker._renewal._heap[0][0] == entry.upkeep.retry_at


async def test_a_refused_login_is_not_asked_again_in_the_background_while_it_is_remembered() -> None:
    """TX-11: a 401 in the background counts as much as one in the foreground (GitLab bans)."""
    async with world() as w:
        w.provider.life = 60
        await _use(w, 3)
        w.provider.error = failed(Code.BAD_CREDENTIALS, "no")
        await w.clock.advance(54)
        assert len(w.provider.runs) == 2
        await w.clock.advance(2)
        assert len(w.provider.runs) == 3


async def test_four_at_once_and_two_a_second() -> None:
    """A hundred tokens of one build come due together: their renewal is spread."""
    async with world() as w:
        for number in range(100):
            await _use(w, 2, _host(number))
        await w.clock.advance(200)
        for number in range(100):
            await _use(w, 1, _host(number))
        w.provider.delay = 1
        starts = []
        w.provider.seen = lambda: starts.append(w.clock.boot())
        await w.clock.advance(24)
        assert starts == []
        await w.clock.advance(20.9)
        assert len(starts) == 41
        assert all(later - earlier >= 0.99 for earlier, later in zip(starts, starts[3:], strict=False))
        w.provider.delay = 10
        await w.clock.advance(10)
        assert w.provider.peak == 4


async def test_after_a_suspend_renewals_are_spread_over_half_a_minute() -> None:
    """C3: timers stood still; the first question notices, and what is overdue is not renewed in one burst."""
    draws = iter(range(10_000))
    async with world() as w:
        w.provider.life = 3600
        for number in range(40):
            await _use(w, 2, _host(number))
        await w.clock.advance(1700)
        for number in range(40):
            await _use(w, 1, _host(number))
        await w.clock.advance(900)
        w.broker._renewal._sample = lambda: (next(draws) % 40) / 40
        w.clock.suspend(150)
        starts = []
        w.provider.seen = lambda: starts.append(w.clock.boot())
        with capture_logs() as logs:
            other = await w.ask("https://other.test/v2/a/b/blobs/x")
            await w.ask("https://other.test/v2/a/b/blobs/x")
            await settle()
        assert isinstance(other, Answer)
        assert [entry["event"] for entry in logs] == ["exchanged", "slept"]
        resumed = w.clock.boot()
        await w.clock.advance(35)
        renewed = [start - resumed for start in starts[1:]]
        assert len(renewed) == 40
        assert renewed[3] >= 1.0
        assert max(renewed) >= 20


async def test_what_expired_in_the_suspend_is_dropped_and_not_renewed() -> None:
    """C3: eight hours later the old tokens are not needed; they are dropped without an exchange."""
    async with world() as w:
        for number in range(40):
            await _use(w, 3, _host(number))
        w.clock.suspend(8 * 3600)
        await w.ask(_host(0))
        await w.ask(_host(0))
        await w.clock.advance(61)
        assert (len(w.provider.runs), w.broker.status().cached) == (41, 1)


async def test_too_much_under_way_puts_renewal_off() -> None:
    """If flights without waiters are at their limit, a renewal waits for a second, and displaces none."""
    async with world() as w:
        await _use(w, 1)
        await w.clock.advance(200)
        await _use(w, 2)
        w.provider.delay = 29
        for number in range(16):
            await w.failure(_host(number), patience=0.1)
        await w.clock.advance(24)
        assert [len(w.provider.runs), len(w.broker.status().flights)] == [17, 16]
        await w.clock.advance(6)
        assert len(w.provider.runs) == 18


async def test_a_flush_lets_go_of_what_was_scheduled() -> None:
    """Secrets do not outlive a flush in the scheduler's heap."""
    async with world() as w:
        await _use(w, 2)
        assert len(w.broker._renewal._heap) == 1
        w.broker.flush()
        assert w.broker._renewal._heap == []
        await w.clock.advance(300)
        assert len(w.provider.runs) == 1


async def test_the_heap_does_not_grow_with_what_was_replaced() -> None:
    """Entries that are long gone leave the heap before their time when they are too many."""
    async with world() as w:
        w.provider.life = 12 * 3600.0
        for _ in range(1200):
            await _use(w, 2)
            w.broker.cache.drop(next(iter(w.broker.cache.entries())).key)
        assert len(w.broker._renewal._heap) < 1100
