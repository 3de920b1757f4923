"""Expired and unused grants leave the memory within a minute."""

from tests.broker.world import World, token, world


def _host(number: int) -> str:
    return f"https://r{number}.test/v2/a/b/blobs/x"


async def _fill(w: World, count: int) -> None:
    for number in range(count):
        await w.ask(_host(number))


async def test_what_has_expired_is_dropped() -> None:
    """A token of 300 s, used once, is gone a minute after its end at the latest, without a question."""
    async with world() as w:
        await _fill(w, 1)
        await w.clock.advance(299)
        assert w.broker.status().cached == 1
        await w.clock.advance(61)
        assert w.broker.status().cached == 0


async def test_what_was_not_used_for_half_an_hour_is_dropped() -> None:
    """min(L, 30 min) without use: a token is not kept unused; each use restarts the half hour."""
    async with world() as w:
        w.provider.life = 12 * 3600.0
        await _fill(w, 2)
        await w.clock.advance(1000)
        await _fill(w, 1)
        await w.clock.advance(860)
        assert w.broker.status().cached == 1
        await w.clock.advance(939)
        assert w.broker.status().cached == 1
        await w.clock.advance(61)
        assert w.broker.status().cached == 0


async def test_a_wall_clock_that_ends_a_token_has_it_dropped() -> None:
    """An absolute expiry is judged on both clocks."""
    async with world() as w:
        w.provider.wall_life = 300
        await _fill(w, 1)
        w.clock.step_wall(3600)
        await w.clock.advance(60)
        assert w.broker.status().cached == 0


async def test_what_is_dropped_leaves_the_scheduler_too() -> None:
    """The scheduler's entry for its renewal does not keep an unused token."""
    async with world() as w:
        w.provider.life = 12 * 3600.0
        await _fill(w, 1)
        await _fill(w, 1)
        assert len(w.broker._renewal._heap) == 1
        await w.clock.advance(1861)
        assert (w.broker.status().cached, w.broker._renewal._heap) == (0, [])


async def test_a_pass_over_many_lets_others_work_in_between() -> None:
    """Thousands of entries do not block the loop: a question is answered before the pass is over."""
    async with world() as w:
        await _fill(w, 1200)
        w.clock.suspend(300)
        passing = w.group.create_task(w.broker._sweep._pass())
        await w.clock.sleep(0)
        assert (w.broker.status().cached, passing.done()) == (700, False)
        w.provider.life = 3600
        assert token(await w.answer(_host(1))) == "tok1201"
        await passing
        assert [entry.subject for entry in w.broker.status().entries] == ["registry 'r1.test'"]


async def test_what_was_replaced_during_a_pass_is_not_touched() -> None:
    """A newer grant of a key survives the pass that would have dropped the older one."""
    async with world() as w:
        await _fill(w, 501)
        w.clock.suspend(300)
        passing = w.group.create_task(w.broker._sweep._pass())
        await w.clock.sleep(0)
        assert token(await w.answer(_host(500))) == "tok502"
        await passing
        assert [entry.subject for entry in w.broker.status().entries] == ["registry 'r500.test'"]
