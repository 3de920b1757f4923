"""An era: what ends with the configuration under which it came, and what goes on."""

import asyncio
import gc
import weakref

from credproxy.broker.answers import Answer
from credproxy.broker.broker_settings import BrokerSettings
from credproxy.broker.era import Era
from credproxy.broker.runway import MANNED
from credproxy.core.policy.policy import Policy
from credproxy.core.policy.routing import Router
from tests.broker.world import World, token, world
from tests.fakes import settle


def _left(w: World) -> "weakref.ref[Era]":
    """Begin a new era; give a weak reference to the previous one."""
    old = weakref.ref(w.broker._era)
    w.broker.swap(w.table)
    return old


async def _gone(old: "weakref.ref[Era]") -> bool:
    await settle()
    gc.collect()
    return old() is None


async def test_an_era_that_is_over_ends_by_itself() -> None:
    """Nothing keeps it alive: neither its grants and failures, nor answers that are still in use."""
    async with world() as w:
        answer = await w.answer()
        entry = w.broker.cache.entries()[0]
        old = _left(w)
        assert await _gone(old)
        assert (entry.dropped, answer.fresh(), token(answer)) == (True, False, "tok1")


async def test_an_era_goes_with_its_last_flight() -> None:
    """Its waiters are served by it; it exists until then, and not afterwards."""
    async with world() as w:
        w.provider.delay = 2
        task = w.asking()
        await settle()
        old = _left(w)
        assert not await _gone(old)
        await w.clock.advance(2)
        assert token(task.result()) == "tok1"
        del task
        assert await _gone(old)


async def test_a_question_ends_in_the_era_that_it_began_in() -> None:
    """It was decided there: its exchange has that era's limit, and is not used in the next one."""
    async with world(options=BrokerSettings(flight_timeout=3)) as w:
        w.provider.plan_delay, w.provider.delay = 1, 2
        late = w.asking()
        await settle()
        w.broker.swap(w.table, options=BrokerSettings(flight_timeout=30))
        w.provider.plan_delay = 0
        await w.clock.advance(1)
        assert w.provider.terms[-1].deadline == w.clock.boot() + 3
        newer = w.asking()
        await w.clock.advance(2)
        answer = late.result()
        assert isinstance(answer, Answer)
        assert (token(answer), answer.fresh(), token(newer.result())) == ("tok1", False, "tok2")
        assert [entry.uses for entry in w.broker.status().entries] == [1]


async def test_questions_of_an_era_that_is_over_share_an_exchange() -> None:
    """Forty that were being decided during a reload are one exchange, not forty."""
    async with world() as w:
        w.provider.plan_delay, w.provider.delay = 1, 1
        tasks = [w.asking() for _ in range(40)]
        await settle()
        w.broker.swap(w.table)
        await w.clock.advance(2)
        assert {token(task.result()) for task in tasks} == {"tok1"}
        assert len(w.provider.runs) == 1


async def test_what_is_under_way_is_bounded_for_all_eras_together() -> None:
    """A reload does not double what upstreams get at once."""
    async with world() as w:
        w.provider.delay = 2
        old = [w.asking(f"https://r{number}.test/v2/a/b/blobs/x") for number in range(MANNED)]
        await settle()
        w.broker.swap(w.table)
        newer = w.asking()
        await settle()
        assert (w.provider.active, len(w.broker.status().flights)) == (MANNED, MANNED + 1)
        await w.clock.advance(4)
        assert all(isinstance(task.result(), Answer) for task in (*old, newer))


async def test_the_end_waits_for_exchanges_of_earlier_eras() -> None:
    """P5: callers from before the reload are answered, too."""
    async with world() as w:
        w.provider.delay = 2
        task = w.asking()
        await settle()
        w.broker.swap(w.table)
        draining = asyncio.ensure_future(w.broker.drain(5))
        await settle()
        assert not draining.done()
        await w.clock.advance(2)
        await draining
        assert token(task.result()) == "tok1"


async def test_what_was_evicted_is_counted_through_a_reload() -> None:
    """The status is about the process, although the new limits count from the reload on."""
    async with world(options=BrokerSettings(entries=1)) as w:
        await w.answer("https://a.test/v2/a/b/blobs/x")
        await w.answer("https://b.test/v2/a/b/blobs/x")
        w.broker.swap(w.table, options=BrokerSettings(entries=2))
        await w.answer("https://a.test/v2/a/b/blobs/x")
        await w.answer("https://b.test/v2/a/b/blobs/x")
        status = w.broker.status()
        assert (status.generation, status.cached, status.evicted) == (2, 2, 1)


async def test_an_era_keeps_the_policy_and_options_that_it_is_not_given() -> None:
    """Table, policy and options are swapped in one step, so that no question meets a mixture."""
    async with world(options=BrokerSettings(empty_ttl=5)) as w:
        policy = Policy((), Router(()))
        assert w.broker.policy is not policy
        w.broker.swap(w.table, policy)
        w.broker.swap(w.table)
        assert w.broker.policy is policy
        w.provider.key = lambda _: None
        answer = await w.answer()
        assert answer.expires == int(w.clock.wall()) + 5


async def test_a_flush_is_of_the_era_in_force() -> None:
    """What an earlier one still has in flight serves its waiters, flush or not."""
    async with world() as w:
        w.provider.delay = 2
        task = w.asking()
        await settle()
        w.broker.swap(w.table)
        assert w.broker.flush() == 0
        w.provider.delay = 0
        assert token(await w.answer()) == "tok2"
        await w.clock.advance(2)
        assert (token(task.result()), w.broker.status().cached) == ("tok1", 1)
