"""T16: what build actions cause has its own share, and blocks them before it blocks the daemon's user."""

import asyncio

import pytest

from credproxy.broker.answers import Answer
from credproxy.broker.cache import Cache
from credproxy.broker.entry import Entry
from credproxy.broker.lookup import Key, Lookup, key_of
from credproxy.broker.negative_cache import Negative
from credproxy.broker.rate_limit import ALL_BURST, BURST, PER_SECOND, Budget
from credproxy.broker.runway import MANNED, MANNED_PER_UPSTREAM, QUEUED, UNMANNED
from credproxy.core.ask.credential import Caller, Grant, Lifetime, Secret
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, Failure, failed
from tests.broker.world import Told, World, never, world
from tests.fakes import FakeClock, settle


ACTIONS = Caller("gateway", 0)


def _host(number: int) -> str:
    return f"https://r{number}.test/v2/a/b/blobs/x"


async def _ask(w: World, uri: str, sandbox: str | None = "mnt:[2]", patience: float = 8.5) -> Told:
    """Ask as a build action; a failure is given as a value."""
    try:
        return await w.broker.ask(Question(parse_uri(uri), ACTIONS, sandbox=sandbox), patience)
    except Failed as error:
        return error.failure


def _asking(w: World, uri: str, sandbox: str | None = "mnt:[2]", patience: float = 8.5) -> asyncio.Task[Told]:
    return w.group.create_task(_ask(w, uri, sandbox, patience))


async def test_a_sandbox_that_asks_for_a_thousand_repositories_causes_fifty_exchanges() -> None:
    """Then five a second; the refusal says whose budget is exhausted, and when to come back."""
    async with world() as w:
        results = [await _ask(w, _host(number)) for number in range(1000)]
        assert len(w.provider.runs) == BURST
        refused = results[-1]
        assert isinstance(refused, Failure)
        assert (refused.code, refused.retry_after, "this sandbox" in refused.message) == (Code.RATE_LIMITED, 1.0, True)
        await w.clock.advance(2.0)
        for number in range(1000, 1050):
            await _ask(w, _host(number))
        assert len(w.provider.runs) == BURST + 2 * PER_SECOND


async def test_what_is_in_memory_or_under_way_costs_a_sandbox_nothing() -> None:
    """Answers, waiting for another caller's exchange, and remembered failures."""
    async with world() as w:
        for _ in range(200):
            assert isinstance(await _ask(w, _host(1)), Answer)
        w.provider.delay = 1
        waiting = [_asking(w, _host(2)) for _ in range(200)]
        await settle()
        await w.clock.advance(1)
        assert all(isinstance(task.result(), Answer) for task in waiting)
        w.provider.delay, w.provider.error = 0, failed(Code.DENIED, "no")
        refused = [await _ask(w, _host(3)) for _ in range(200)]
        assert {failure.code for failure in refused if isinstance(failure, Failure)} == {Code.DENIED}
        assert len(w.provider.runs) == 3


async def test_one_sandbox_does_not_spend_what_another_has_nor_the_users() -> None:
    """The user, and a caller outside any sandbox, can ask as before."""
    async with world() as w:
        for number in range(100):
            await _ask(w, _host(number))
        assert isinstance(await _ask(w, _host(200), sandbox="mnt:[3]"), Answer)
        for number in range(300, 400):
            assert isinstance(await _ask(w, _host(number), sandbox=None), Answer)
            assert isinstance(await w.ask(_host(number)), Answer)


async def test_namespaces_made_inside_of_a_sandbox_gain_little() -> None:
    """Each looks like another sandbox, so all of them together have a limit as well."""
    budget = Budget(FakeClock())
    for number in range(int(ALL_BURST)):
        budget.charge(f"mnt:[{number}]")
    with pytest.raises(Failed, match="all sandboxes together") as caught:
        budget.charge("mnt:[9999]")
    assert (caught.value.failure.code, caught.value.failure.retry_after) == (Code.RATE_LIMITED, 1.0)
    budget.charge(None)


async def test_a_sandbox_without_budget_is_served_what_is_valid_and_renews_nothing() -> None:
    """A read in the advisory window causes a renewal in the background: that is an exchange like any other."""
    async with world() as w:
        await _ask(w, _host(0))
        for number in range(1, 60):
            await _ask(w, _host(number))
        count = len(w.provider.runs)
        await w.clock.advance(1.0)  # gives five
        for number in range(100, 105):
            await _ask(w, _host(number))
        entry = w.broker.cache.entries()[0]
        entry.lifetime = Lifetime(w.clock.boot() - 250, w.clock.boot() + 50)
        entry.used = w.clock.boot()
        assert isinstance(await _ask(w, _host(0)), Answer)
        assert len(w.provider.runs) == count + 5


async def test_actions_have_half_of_the_places_for_exchanges() -> None:
    """For one upstream and in total; the user's exchanges begin at once beside any number that hang."""
    async with world() as w:
        w.provider.delay, w.provider.upstream = 20, "https://slow.test"
        hanging = [_asking(w, _host(number), None) for number in range(30)]
        await settle()
        assert w.provider.active == MANNED_PER_UPSTREAM // 2
        w.provider.upstream = "https://other.test"
        hanging += [_asking(w, _host(number), None) for number in range(30, 60)]
        w.provider.upstream = ""
        hanging += [_asking(w, _host(number), None) for number in range(60, 90)]
        await settle()
        assert w.provider.active == MANNED // 2
        w.provider.delay, w.provider.upstream = 0, "https://slow.test"
        for number in range(100, 100 + MANNED_PER_UPSTREAM):
            assert isinstance(await w.ask(_host(number)), Answer)
        for task in hanging:
            task.cancel()


async def test_actions_that_connect_and_leave_cancel_nothing_of_the_users() -> None:
    """Flights without waiters have separate limits: eight for actions, sixteen for the user."""
    async with world() as w:
        w.provider.delay = 25
        for number in range(UNMANNED):
            assert isinstance(await w.failure(_host(number), patience=0.5), Failure)
        for number in range(100, 130):
            task = _asking(w, _host(number), None)
            await settle()
            task.cancel()
            await settle()
        flights = [flight.subject for flight in w.broker.status().flights]
        assert flights[:UNMANNED] == [f"registry 'r{number}.test'" for number in range(UNMANNED)]
        assert len(flights) == UNMANNED + UNMANNED // 2
        await w.clock.advance(25)
        assert w.looks().count("miss") == UNMANNED + 30
        assert isinstance(await w.ask(_host(0)), Answer)
        assert w.provider.runs.count("r0.test") == 1


async def test_a_queue_of_actions_neither_fills_the_users_nor_stops_renewals() -> None:
    """Half of the queue is the user's; a renewal only waits for the user's queue."""
    async with world() as w:
        await w.answer(_host(9999))
        await w.answer(_host(9999))
        w.provider.delay = 100
        waiting = [_asking(w, _host(number), None, patience=300) for number in range(MANNED // 2 + QUEUED // 2 + 5)]
        await settle()
        refused = [task.result() for task in waiting if task.done()]
        assert [failure.code for failure in refused if isinstance(failure, Failure)] == [Code.OVERLOADED] * 5
        assert len(w.provider.runs) == 1 + MANNED // 2
        await w.clock.advance(200)
        await w.answer(_host(9999))
        await w.clock.advance(40)
        assert "queued" in [flight.phase for flight in w.broker.status().flights]
        assert w.provider.runs.count("r9999.test") == 2
        for task in waiting:
            task.cancel()


def _entry(name: str, origin: Caller, size: int = 100) -> Entry:
    plan = never(name)
    key = key_of(origin, plan.key)
    grant = Grant((("A", (Secret("x" * (size - 1)),)),), Lifetime(0.0, 300.0))
    return Entry.of(Lookup(key, origin, "reg.test", "", plan), grant, now=0.0)


@pytest.mark.parametrize(("entries", "size"), [(40, 1_000_000), (100_000, 4000)], ids=["by number", "by bytes"])
def test_actions_push_out_one_another_and_not_what_the_user_has_in_memory(entries: int, size: int) -> None:
    """They have a quarter of the memory, by entries and by bytes; what they used last stays."""
    cache = Cache(entries, size)
    users = [_entry(f"user {number}", Caller()) for number in range(30)]
    for entry in users:
        cache.put(entry)
    actions = [_entry(f"action {number}", ACTIONS) for number in range(10)]
    for entry in actions:
        cache.put(entry)
    assert cache.get(actions[0].key) is actions[0]
    for number in range(10, 19):
        cache.put(_entry(f"action {number}", ACTIONS))
    assert [entry.dropped for entry in users] == [False] * 30
    assert (len(cache), cache.size, cache.evicted) == (40, 4000, 9)
    assert cache.get(actions[0].key) is actions[0]
    for entry in users:
        cache.put(_entry(entry.subject + "'", Caller()))
    assert (len(cache), cache.size) == (40, 4000)


def test_failures_of_actions_do_not_push_out_those_of_the_user() -> None:
    """Otherwise each failing question of the user would be a new exchange."""
    negative = Negative(lambda: 0.5)
    mine = Key(b"mine")
    negative.add(mine, Failure(Code.DENIED, "no"), now=0.0, authority="reg.test")
    for number in range(20_000):
        negative.add(
            Key(str(number).encode()), Failure(Code.DENIED, "no"), now=0.0, authority="reg.test", for_actions=True
        )
    assert negative.get(mine, 1.0) is not None
    assert (negative.get(Key(b"0"), 1.0), negative.get(Key(b"19999"), 1.0) is None) == (None, False)
    assert len(list(negative.current(1.0))) == 2501
    negative.forgive(Key(b"19999"))
    assert (negative.get(Key(b"19999"), 1.0), len(list(negative.current(1.0)))) == (None, 2500)
    negative.drop(lambda _: True)
    assert list(negative.current(1.0)) == []


async def test_renewals_of_actions_entries_leave_half_for_the_users() -> None:
    """Two at once and one a second, of four and two."""
    async with world() as w:
        for number in range(20):
            for _ in range(2):
                assert isinstance(await _ask(w, _host(number), None), Answer)
        await w.clock.advance(200)
        for number in range(20):
            await _ask(w, _host(number), None)
        w.provider.delay = 20
        before = len(w.provider.runs)
        await w.clock.advance(28)
        assert (len(w.provider.runs) - before, w.broker.status().renewing) == (2, 2)
