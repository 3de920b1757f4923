"""Invariants that hold for any events in any order. Source: docs/design/faults.md#invariants."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Coroutine, Hashable
from dataclasses import replace
from functools import partial
from itertools import pairwise

import hypothesis.strategies as st
import pytest
import structlog
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from credproxy.broker.answers import Answer
from credproxy.broker.broker import Broker
from credproxy.broker.broker_settings import BrokerSettings
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.table import Table
from credproxy.core.ask.credential import Grant
from credproxy.core.ask.lifetime import State, remaining, state
from credproxy.core.ask.target import Question
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.policy.routing import Router
from credproxy.ports.provider import Plan
from credproxy.ports.terms import Terms
from tests.broker.world import question, token
from tests.fakes import FakeClock, FakeHttp, FakeMetrics, FakeProvider, settle


KEYS = st.integers(0, 3)
MIN_GAP = 0.8
"""Seconds between two exchanges for a key: the shortest failure is remembered for 1 s - 20 %."""


class _Watched(FakeProvider):
    """Knows what each token is valid for, and which flights there are."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__(clock)
        self.epoch = self.most = self.clock_was_set = 0
        self.flying: Counter[tuple[int, Hashable]] = Counter()
        self.starts: dict[Hashable, list[float]] = defaultdict(list)
        self.grants: dict[str, Grant] = {}

    async def plan(self, question: Question) -> Plan | None:
        """Plan by the current configuration: a question keeps the one that it began with."""
        plan = await super().plan(question)
        return None if plan is None else replace(plan, run=partial(self._watched, plan, (self.epoch, plan.key)))

    async def _watched(self, plan: Plan, place: tuple[int, Hashable], terms: Terms) -> Grant:
        self.flying[place] += 1
        self.most = max(self.most, self.flying[place])
        self.starts[place, self.clock_was_set].append(self.clock.boot())
        try:
            grant = await plan.run(terms)
        finally:
            self.flying[place] -= 1
        if grant.headers:
            self.grants[grant.headers[0][1][0].reveal()] = grant
        return grant


class Invariants(RuleBasedStateMachine):
    """A broker, a clock with all faults of clocks, and a provider with any behaviour."""

    def __init__(self) -> None:
        super().__init__()
        structlog.configure(processors=[_silent])
        self.loop = asyncio.new_event_loop()
        self.clock = FakeClock()
        self.provider = _Watched(self.clock)
        self.asks: list[asyncio.Task[None]] = []
        self.stop = asyncio.Event()
        self.draws = 0
        self.table = Table(Router([]), {}, fallback=[self.provider])
        self.broker = Broker(
            self.table,
            clock=self.clock,
            sample=self._sample,
            metrics=FakeMetrics(),
            upstream=RepeatingClient(FakeHttp(), clock=self.clock, sample=self._sample),
            options=BrokerSettings(entries=4),
        )
        self.main = self.loop.create_task(self._live())
        self._do(settle())

    def _sample(self) -> float:
        self.draws = (self.draws * 31 + 7) % 97
        return self.draws / 97

    async def _live(self) -> None:
        async with self.broker:
            await self.stop.wait()

    def _do(self, work: Coroutine[object, object, None]) -> None:
        self.loop.run_until_complete(work)

    @rule(key=KEYS, patience=st.sampled_from([0.0, 0.5, 3.0, 8.5]))
    def ask(self, key: int, patience: float) -> None:
        """A caller asks; what is in the cache is given without waiting."""
        self._do(self._ask(key, patience))

    async def _ask(self, key: int, patience: float) -> None:
        asked = question(f"https://r{key}.test/v2/a/b/blobs/x")
        entry = next(
            (entry for entry in self.broker.cache.entries() if entry.subject == f"registry 'r{key}.test'"), None
        )
        at_once = entry is not None and (
            remaining(entry.lifetime, self.clock.boot(), wall=self.clock.wall()) > 1
            and state(entry.lifetime, entry.window, boot=self.clock.boot(), wall=self.clock.wall())
            in {State.FRESH, State.ADVISORY}
        )
        task = self.loop.create_task(self._judged(self.broker.ask(asked, patience)))
        if at_once:
            await asyncio.sleep(0)  # noqa: TID251  one turn of the loop, and no more
            assert task.done(), "a read of something fresh had to wait"
        self.asks.append(task)
        await settle()

    async def _judged(self, work: Coroutine[object, object, Answer]) -> None:
        try:
            handout = await work
        except Failed:
            return
        if not handout.headers:
            return
        boot, wall = self.clock.boot(), self.clock.wall()
        left = remaining(self.provider.grants[f"Bearer {token(handout)}"].lifetime, boot, wall=wall)
        assert left > 0, "handed out past its expiry"
        assert handout.expires is not None
        assert handout.expires <= wall + left, "shown to live longer than it does"
        assert handout.good_until <= boot + 1

    @rule(seconds=st.sampled_from([0.1, 1.0, 4.0, 9.0, 31.0, 250.0, 2000.0]))
    def advance(self, seconds: float) -> None:
        """Time passes."""
        self._do(self.clock.advance(seconds))

    @rule(seconds=st.sampled_from([-3600.0, -4.0, 4.0, 3600.0]))
    def step_wall(self, seconds: float) -> None:
        """The wall clock is set: what has ended by its new time is exchanged again, however short ago that was done."""
        self.clock.step_wall(seconds)
        self.provider.clock_was_set += 1

    @rule(seconds=st.sampled_from([20.0, 280.0, 8 * 3600.0]))
    def suspend(self, seconds: float) -> None:
        """The machine sleeps."""
        self.clock.suspend(seconds)

    @rule(
        life=st.sampled_from([5.0, 30.0, 300.0, 3600.0]),
        delay=st.sampled_from([0.0, 1.0, 11.0, 40.0]),
        error=st.sampled_from([None, None, Code.UPSTREAM_UNAVAILABLE, Code.DENIED, Code.RATE_LIMITED, KeyError()]),
        wall=st.booleans(),
    )
    def change(self, *, life: float, delay: float, error: Code | KeyError | None, wall: bool) -> None:
        """The registry changes its behaviour."""
        self.provider.life, self.provider.delay = life, delay
        self.provider.wall_life = life if wall else None
        self.provider.error = failed(error, "m", retry_after=3.0) if isinstance(error, Code) else error

    @rule()
    def flush(self) -> None:
        """The memory is flushed."""
        self.broker.flush()
        self.provider.epoch += 1

    @rule()
    def reload(self) -> None:
        """The configuration is reloaded."""
        self.broker.swap(self.table)
        self.provider.epoch += 1

    @rule(data=st.data())
    def leave(self, data: st.DataObject) -> None:
        """A caller goes away."""
        waiting = [task for task in self.asks if not task.done()]
        if waiting:
            data.draw(st.sampled_from(waiting)).cancel()
            self._do(settle())

    @invariant()
    def nothing_broke(self) -> None:
        """No assertion of a caller failed, and the broker lives."""
        assert not self.main.done()
        for task in self.asks:
            if task.done() and not task.cancelled():
                task.result()
        self.asks = [task for task in self.asks if not task.done()]

    @invariant()
    def exchanges_keep_their_distance(self) -> None:
        """Exchanges for a key in any window <= 1 + elapsed / MIN_GAP."""
        for starts in self.provider.starts.values():
            assert all(later - earlier >= MIN_GAP for earlier, later in pairwise(starts))

    @invariant()
    def one_flight_per_key(self) -> None:
        """At most one exchange for a key at a time."""
        assert self.provider.most <= 1

    @invariant()
    def limits_hold(self) -> None:
        """The cache stays within its bounds."""
        assert len(self.broker.cache) <= 4
        assert self.broker.cache.size == sum(entry.size for entry in self.broker.cache.entries())

    def teardown(self) -> None:
        """Every failure is eventually retried; then everything ends, and nothing is left."""
        self.provider.error, self.provider.delay, self.provider.life = None, 0.0, 300.0
        try:
            self._do(self.clock.advance(400))
            self._do(self._ends_well())
        finally:
            self.stop.set()
            self._do(settle())
            self.loop.close()
            structlog.reset_defaults()
        assert self.main.done()
        assert not self.provider.active

    async def _ends_well(self) -> None:
        for key in range(4):
            asking = self.loop.create_task(self.broker.ask(question(f"https://r{key}.test/v2/a/b/blobs/x"), 8.5))
            await settle()
            # A question just when a renewal is due may wait for it, and time passes here only if the test lets it.
            for _ in range(9):
                if not asking.done():
                    await self.clock.advance(1.0)
            assert asking.done(), "an answer took longer than its patience"
            assert token(await asking)


def _silent(logger: object, method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    del logger, method, event
    raise structlog.DropEvent


@pytest.mark.timeout(60)  # a hundred runs of forty steps
def test_whatever_happens_in_whatever_order() -> None:
    """One flight per key, nothing past its expiry, bounded calls, no wait for what is fresh, retries for ever."""
    run_state_machine_as_test(Invariants, settings=settings(stateful_step_count=40))
