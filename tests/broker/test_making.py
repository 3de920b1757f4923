"""Answers that are made from what many share: one look for all, no place of a running exchange, and the same rules as for others."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import pytest
from structlog.testing import capture_logs

from credproxy.broker.answers import Answer
from credproxy.broker.broker import Broker
from credproxy.broker.rate_limit import BURST, PER_SECOND
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.runway import MANNED_PER_UPSTREAM, QUEUED, TURNS
from credproxy.broker.table import Table
from credproxy.core.ask.credential import Caller, Grant, Lifetime, Secret
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.policy.routing import Router
from credproxy.ports.provider import Plan
from credproxy.ports.terms import Terms
from tests.broker.world import Told, token
from tests.fakes import FakeClock, FakeHttp, FakeMetrics, settle


@dataclass
class Signs:
    """Signs each URL with one key for every host, which takes ``delay`` seconds to look up and is good for a second."""

    clock: FakeClock
    delay: float = 1.0
    looks: list[bool] = field(default_factory=list)  # of each: whether the last answer was refused
    made: list[str] = field(default_factory=list)
    until: float = float("-inf")
    problem: Failed | None = None
    broken: Exception | None = None
    seen: Callable[[], None] = lambda: None
    gate: asyncio.Event = field(default_factory=asyncio.Event)  # open, unless a test closes it
    key: str = "one"

    async def plan(self, question: Question) -> Plan | None:
        """Always the same way."""
        path = question.target.path

        async def look(terms: Terms) -> Grant:
            self.looks.append(terms.anew)
            await self.clock.sleep(self.delay)
            await self.gate.wait()
            if self.problem is not None:
                raise Failed(self.problem.failure)
            self.until = self.clock.boot() + 1.0
            return Grant((), Lifetime(self.clock.boot()))

        def make() -> Grant | None:
            if self.clock.boot() >= self.until:
                return None
            if self.broken is not None:
                raise self.broken
            self.made.append(path)
            self.seen()
            headers = (("Authorization", (Secret(f"Bearer {path} {len(self.looks)}"),)),)
            return Grant(headers, Lifetime(self.clock.boot(), self.clock.boot() + 300.0))

        async def run(terms: Terms) -> Grant:
            await look(terms)
            grant = make()
            assert grant is not None
            return grant

        basis = Plan((self.key,), "the key", "source:fake", look)
        return Plan((path,), f"signature for {path}", "source:fake", run, basis=basis, make=make)

    async def check(self, plan: Plan, target: object) -> None:
        """Nothing is wrong."""
        del plan, target

    def reasons(self, question: Question) -> tuple[str, ...]:
        """There are none."""
        del question
        return ()

    def forget(self, wanted: Callable[[str], bool]) -> None:
        """Forget the key."""
        del wanted
        self.until = float("-inf")


@dataclass
class World:
    """The broker with that provider."""

    broker: Broker
    signs: Signs
    clock: FakeClock
    table: Table
    metrics: FakeMetrics
    group: asyncio.TaskGroup

    def asking(
        self, path: str, *, patience: float = 8.5, uid: int = 0, sandbox: str | None = None
    ) -> asyncio.Task[Told]:
        """Ask in a task of its own; a failure is given as a value."""
        caller = Caller("helper", uid) if sandbox is None else Caller("gateway", uid)
        question = Question(parse_uri(f"https://b.test{path}"), caller, sandbox=sandbox)

        async def ask() -> Told:
            try:
                return await self.broker.ask(question, patience)
            except Failed as error:
                return error.failure

        return self.group.create_task(ask())

    async def ask(self, path: str, *, sandbox: str | None = None) -> Told:
        """Ask, and let time pass."""
        task = self.asking(path, sandbox=sandbox)
        await settle()
        while not task.done():
            await self.clock.advance(0.25)
        return task.result()


@contextlib.asynccontextmanager
async def world() -> AsyncIterator[World]:
    """A running broker."""
    clock, metrics = FakeClock(), FakeMetrics()
    signs = Signs(clock)
    signs.gate.set()
    upstream = RepeatingClient(FakeHttp(), clock=clock, sample=lambda: 0.5)
    table = Table(Router([]), {}, fallback=[signs])
    broker = Broker(table, clock=clock, sample=lambda: 0.5, metrics=metrics, upstream=upstream)
    async with asyncio.TaskGroup() as group, broker:
        yield World(broker, signs, clock, table, metrics, group)


async def _done(tasks: list[asyncio.Task[Told]]) -> list[Told]:
    return await asyncio.gather(*tasks)


async def test_more_objects_than_the_queue_holds_wait_for_one_look() -> None:
    """Each gets its own signature and none is ``overloaded``; what they wait for takes one slot and no place in the queue."""
    async with world() as w:
        count = QUEUED + MANNED_PER_UPSTREAM + 100
        tasks = [w.asking(f"/{number}") for number in range(count)]
        await settle()
        (flight,) = w.broker.status().flights
        assert (flight.subject, flight.phase, flight.waiters) == ("the key", "flying", count)
        await w.clock.advance(1.0)
        told = await _done(tasks)
        assert [token(answer) for answer in told] == [f"/{number} 1" for number in range(count)]
        assert (w.signs.looks, len(w.signs.made), w.broker.status().cached) == ([False], count, count)


async def test_with_the_key_at_hand_an_object_waits_for_nothing() -> None:
    """It is answered before the loop turns, is kept like any other answer, and is counted and logged as an exchange."""
    async with world() as w:
        await w.ask("/first")
        question = Question(parse_uri("https://b.test/second"), Caller())
        with capture_logs() as events, pytest.raises(StopIteration) as ended:
            w.broker.ask(question).send(None)
        assert token(ended.value.value) == "/second 1"
        (exchanged,) = [event for event in events if event["event"] == "exchanged"]
        assert exchanged["subject"] == "signature for /second"
        assert w.broker.status().flights == []
        await w.ask("/second")
        assert w.signs.made == ["/first", "/second"]
        seen = Counter(str(event[1]) for event in w.metrics.seen if event[0] == "cache")
        assert (seen["miss"], seen["fresh"]) == (2, 1)


async def test_others_are_answered_between_those_that_waited() -> None:
    """A few are made in one turn of the loop: ten thousand at once would hold everybody up for seconds."""
    async with world() as w:
        await w.ask("/kept")
        await w.clock.advance(2.0)
        tasks = [w.asking(f"/{number}") for number in range(10 * TURNS)]
        await settle()
        turns: Counter[int] = Counter()
        turn = 0

        def count() -> None:
            turns[turn] += 1

        w.signs.seen = count
        advancing = w.group.create_task(w.clock.advance(1.0))
        while not all(task.done() for task in tasks):
            await w.clock.sleep(0)
            turn += 1
        await advancing
        assert max(turns.values()) <= TURNS
        assert sum(turns.values()) == 10 * TURNS


async def test_two_users_wait_for_two_looks() -> None:
    """What is found for one is nobody else's (T10)."""
    async with world() as w:
        tasks = [w.asking(f"/{number}", uid=number % 2) for number in range(20)]
        await settle()
        assert [flight.waiters for flight in w.broker.status().flights] == [10, 10]
        await w.clock.advance(1.0)
        assert all(isinstance(answer, Answer) for answer in await _done(tasks))


async def test_nobody_waits_behind_what_another_user_waits_for() -> None:
    """T3: whose thousands have their turns at the same time as another user's one."""
    async with world() as w:
        w.signs.gate.clear()
        tasks = [w.asking(f"/{number}", uid=1) for number in range(10 * TURNS)]
        await settle()
        tasks.append(w.asking("/other", uid=2))
        await settle()
        await w.clock.advance(1.0)
        w.signs.gate.set()
        await _done(tasks)
        assert w.signs.made.index("/other") <= 2 * TURNS


async def test_one_that_leaves_cancels_nobody() -> None:
    """F11: not even the one that came first."""
    async with world() as w:
        tasks = [w.asking(f"/{number}") for number in range(3)]
        await settle()
        tasks[0].cancel()
        await w.clock.advance(1.0)
        assert [task.cancelled() for task in tasks] == [True, False, False]
        assert (w.signs.looks, w.signs.made) == ([False], ["/1", "/2"])


async def test_a_failed_look_is_shared_and_remembered_once() -> None:
    """Whichever object is asked about next; a flush forgets it, also one of another host."""
    async with world() as w:
        w.signs.problem = failed(Code.CREDENTIAL_UNREADABLE, "the session has expired", hint="aws sso login")
        with capture_logs() as events:
            tasks = [w.asking(f"/{number}") for number in range(50)]
            await settle()
            await w.clock.advance(1.0)
            told = await _done(tasks)
        assert {failure.message for failure in told if isinstance(failure, Failure)} == {"the session has expired"}
        assert [event["event"] for event in events].count("exchange failed") == 1
        again = await w.ask("/another")
        assert isinstance(again, Failure)
        assert (again.code, len(w.signs.looks)) == (Code.CREDENTIAL_UNREADABLE, 1)
        explained = await w.broker.explain(Question(parse_uri("https://b.test/third"), Caller()))
        assert explained.problem is not None
        assert explained.problem.message == "the session has expired"
        w.signs.problem = None
        w.broker.flush("elsewhere.test")
        assert token(await w.ask("/another")) == "/another 2"


async def test_the_flight_that_an_object_waits_for_is_explained() -> None:
    """It is the key's."""
    async with world() as w:
        task = w.asking("/1")
        await settle()
        explained = await w.broker.explain(Question(parse_uri("https://b.test/1"), Caller()))
        assert explained.flight is not None
        assert explained.flight.subject == "the key"
        await w.clock.advance(1.0)
        await task


async def test_patience_ends_while_the_look_goes_on() -> None:
    """As with every exchange; the next call finds the key."""
    async with world() as w:
        w.signs.delay = 10.0
        task = w.asking("/1", patience=2.0)
        await settle()
        await w.clock.advance(2.0)
        failure = task.result()
        assert isinstance(failure, Failure)
        assert (failure.code, failure.message) == (
            Code.STILL_TRYING,
            "the key has not answered for 2.0 s; still trying, run the build again",
        )
        await w.clock.advance(8.0)
        assert token(await w.ask("/1")) == "/1 1"


async def test_a_look_that_ages_before_all_had_their_turn_is_repeated_once_for_the_rest() -> None:
    """Nobody takes a flight for one object."""
    async with world() as w:
        w.signs.delay = 0.25
        tasks = [w.asking(f"/{number}") for number in range(100)]
        await settle()

        def age() -> None:
            if len(w.signs.made) == 40:
                w.signs.until = float("-inf")

        w.signs.seen = age
        await w.clock.advance(1.0)
        assert all(isinstance(answer, Answer) for answer in await _done(tasks))
        assert (w.signs.looks, len(w.signs.made)) == ([False, False], 100)


async def test_two_that_wait_for_the_same_object_get_one_signature() -> None:
    """The second finds what was made for the first."""
    async with world() as w:
        tasks = [w.asking("/1"), w.asking("/1")]
        await settle()
        await w.clock.advance(1.0)
        assert [token(answer) for answer in await _done(tasks)] == ["/1 1", "/1 1"]
        assert w.signs.made == ["/1"]


async def test_a_refused_answer_is_made_from_another_look() -> None:
    """The key may have been changed: what is remembered of it does not count."""
    async with world() as w:
        answer = await w.ask("/1")
        assert isinstance(answer, Answer)
        assert answer.refused()
        assert token(await w.ask("/1")) == "/1 2"
        assert w.signs.looks == [False, True]


async def test_each_object_costs_a_sandbox_as_much_as_an_exchange() -> None:
    """T16: whether it waits for the key or not; two that wait for the same object pay once."""
    async with world() as w:
        waiting = int(BURST) // 2
        tasks = [w.asking("/same", sandbox="mnt:[2]") for _ in range(2 * waiting)]
        tasks += [w.asking(f"/{number}", sandbox="mnt:[2]") for number in range(1, waiting)]
        await settle()
        assert [task for task in tasks if task.done()] == []
        await w.clock.advance(1.0)
        assert all(isinstance(answer, Answer) for answer in await _done(tasks))
        w.signs.until = float("inf")
        told = [await w.ask(f"/more/{number}", sandbox="mnt:[2]") for number in range(100)]
        refused = [failure.code for failure in told if isinstance(failure, Failure)]
        # What was paid in the second that the look took is there again, five of them.
        assert refused == [Code.RATE_LIMITED] * (100 - waiting - int(PER_SECOND))


@pytest.mark.parametrize(
    ("broken", "code"),
    [
        (ValueError("a bug"), Code.INTERNAL),
        (failed(Code.EXPIRED_ON_ARRIVAL, "the key is over"), Code.EXPIRED_ON_ARRIVAL),
    ],
)
async def test_what_cannot_be_made_costs_one_answer(broken: Exception, code: Code) -> None:
    """A bug of a provider is contained as in a flight, and a failure is remembered for that object."""
    async with world() as w:
        await w.ask("/1")
        w.signs.broken = broken
        for _ in range(2):
            failure = await w.ask("/2")
            assert isinstance(failure, Failure)
            assert failure.code is code
        w.signs.broken = None
        assert isinstance(await w.ask("/3"), Answer)
        assert [str(event[1]) for event in w.metrics.seen if event[0] == "cache"].count("negative") == 1


async def test_nothing_is_made_while_memory_is_short() -> None:
    """C6: as no exchange begins then."""
    async with world() as w:
        await w.ask("/1")
        w.broker.relieve()
        failure = await w.ask("/2")
        assert isinstance(failure, Failure)
        assert failure.code is Code.OVERLOADED


async def test_a_question_ends_in_its_era() -> None:
    """P12: those that wait are answered, and nothing of it is kept."""
    async with world() as w:
        tasks = [w.asking(f"/{number}") for number in range(5)]
        await settle()
        w.broker.swap(w.table)
        await w.clock.advance(1.0)
        assert all(isinstance(answer, Answer) for answer in await _done(tasks))
        assert w.broker.status().cached == 0


async def test_who_stops_waits_for_those_that_have_not_had_their_turn() -> None:
    """A restart costs no call."""
    async with world() as w:
        tasks = [w.asking(f"/{number}") for number in range(10 * TURNS)]
        await settle()
        left: list[int] = []
        draining = w.group.create_task(w.broker.drain(5.0))
        draining.add_done_callback(lambda _: left.append(sum(not task.done() for task in tasks)))
        await w.clock.advance(1.0)
        await draining
        assert left == [0]
        assert all(isinstance(task.result(), Answer) for task in tasks)
