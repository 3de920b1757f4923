"""One exchange per key: which callers may leave, what is shared, and how many flights there are at once."""

import asyncio
import contextvars
import gc

import pytest

from credproxy.broker.answers import Answer
from credproxy.broker.flight import Flight
from credproxy.broker.runway import MANNED, MANNED_PER_UPSTREAM, QUEUED, UNMANNED
from credproxy.core.errors import Code, Failed, Failure, failed
from tests.broker.world import Told, World, question, token, world
from tests.fakes import settle


async def _waiting(w: World, count: int) -> list[asyncio.Task[Told]]:
    tasks = [w.asking() for _ in range(count)]
    await settle()
    return tasks


def _host(number: int) -> str:
    return f"https://r{number}.test/v2/a/b/blobs/x"


async def test_normal() -> None:
    """F11, case 1: all who wait share one exchange."""
    async with world() as w:
        w.provider.delay = 1
        tasks = await _waiting(w, 10)
        await w.clock.advance(1)
        assert ({token(task.result()) for task in tasks}, len(w.provider.runs)) == ({"tok1"}, 1)
        assert w.broker.status().flights == []


async def test_leader_cancelled() -> None:
    """T-94; F11, case 2: the first waiter is cancelled, and the nine others are served by the same exchange."""
    async with world() as w:
        w.provider.delay = 1
        tasks = await _waiting(w, 10)
        tasks[0].cancel()
        await w.clock.advance(1)
        assert [task.cancelled() for task in tasks] == [True] + [False] * 9
        assert ({token(task.result()) for task in tasks[1:]}, len(w.provider.runs)) == ({"tok1"}, 1)


async def test_follower_cancelled() -> None:
    """F11, case 3: cancelling a follower cancels no one else."""
    async with world() as w:
        w.provider.delay = 1
        tasks = await _waiting(w, 3)
        tasks[1].cancel()
        await w.clock.advance(1)
        assert [task.cancelled() for task in tasks] == [False, True, False]


async def test_all_cancelled() -> None:
    """P8; F11, case 4: after all callers have left, the exchange goes on, and its result serves the next question."""
    async with world() as w:
        w.provider.delay = 1
        for task in await _waiting(w, 3):
            task.cancel()
        await w.clock.advance(1)
        assert (token(await w.ask()), len(w.provider.runs)) == ("tok1", 1)


async def test_shared_failure() -> None:
    """F11, case 5; PY28: all who wait get the same failure, each as an exception of its own."""
    async with world() as w:
        w.provider.delay, w.provider.error = 1, failed(Code.DENIED, "no")
        errors: list[Failed] = []

        async def ask() -> None:
            with pytest.raises(Failed) as caught:
                await w.broker.ask(question(), 8.5)
            errors.append(caught.value)

        tasks = [w.group.create_task(ask()) for _ in range(5)]
        await settle()
        await w.clock.advance(1)
        assert all(task.done() for task in tasks)
        assert (len({id(error) for error in errors}), len({error.failure for error in errors})) == (5, 1)
        assert ([error.__cause__ for error in errors], len(w.provider.runs)) == ([None] * 5, 1)


async def test_failure_with_all_cancelled() -> None:
    """F11, case 6: a failure without waiters is remembered, and no warning is printed."""
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    async with world() as w:
        w.provider.delay, w.provider.error = 1, failed(Code.DENIED, "no")
        for task in await _waiting(w, 3):
            task.cancel()
        await w.clock.advance(1)
        assert ((await w.failure()).code, len(w.provider.runs)) == (Code.DENIED, 1)
    gc.collect()
    await settle()
    assert complaints == []


async def test_nothing_is_left_of_a_flight_for_the_collector() -> None:
    """A hundred thousand of them would leave their pages full of holes."""
    async with world() as w:
        gc.collect()
        gc.disable()
        try:
            for number in range(5):
                await w.ask(f"https://r{number}.left.test/v2/a/b/blobs/x")
            w.provider.terms.clear()
            mine = {f"registry 'r{number}.left.test'" for number in range(5)}
            left = [one.plan.subject for one in gc.get_objects() if isinstance(one, Flight)]
            assert mine.isdisjoint(left)
        finally:
            gc.enable()


async def test_waiter_deadline() -> None:
    """F11, case 7: one waiter's time is over; the other, with more patience, gets the result."""
    async with world() as w:
        w.provider.delay = 5
        hasty, patient = w.asking(patience=1), w.asking(patience=8)
        await w.clock.advance(1)
        result = hasty.result()
        assert isinstance(result, Failure)
        assert (result.code, patient.done()) == (Code.STILL_TRYING, False)
        await w.clock.advance(4)
        assert (token(patient.result()), len(w.provider.runs)) == ("tok1", 1)


async def test_a_reload() -> None:
    """F11, case 8: a reload meanwhile does not disturb waiting callers."""
    async with world() as w:
        w.provider.delay = 1
        tasks = await _waiting(w, 3)
        w.broker.swap(w.table)
        await w.clock.advance(1)
        assert {token(task.result()) for task in tasks} == {"tok1"}
        assert w.broker.status().cached == 0


class _Unheard(BaseException):
    """What no provider should raise."""


async def test_a_base_exception_ends_the_broker_and_all_waiting() -> None:
    """P10: only an Exception is contained. For anything else, waiters get an error, and the broker's owner gets the exception."""
    told: list[Told] = []
    with pytest.raises(BaseExceptionGroup) as caught:  # noqa: PT012  the broker's own end is what raises
        async with world() as w:
            w.provider.delay, w.provider.error = 1, _Unheard()
            task = w.asking()
            task.add_done_callback(lambda done: told.append(done.result()))
            await settle()
            await w.clock.advance(1)
            await settle()
    assert caught.value.subgroup(_Unheard) is not None
    assert isinstance(told[0], Failure)
    assert told[0].code is Code.INTERNAL


async def test_an_unrequested_cancellation_is_a_bug_like_any_other() -> None:
    """P10: a provider that lets some inner task's CancelledError through harms only its own answer."""
    async with world() as w:
        w.provider.error = asyncio.CancelledError()
        assert (await w.failure()).code is Code.INTERNAL
        status = w.broker.status()
        assert (status.flights, status.bugs, len(status.failures)) == ([], 1, 1)


async def test_ten_thousand_callers_of_one_key_are_one_exchange() -> None:
    """P9: 10,000 callers at once, exactly one exchange, no error."""
    async with world() as w:
        w.provider.delay = 0.2
        tasks = [w.asking() for _ in range(10_000)]
        await settle()
        await w.clock.advance(0.2)
        assert ({token(task.result()) for task in tasks}, len(w.provider.runs)) == ({"tok1"}, 1)


async def test_nothing_of_a_request_leaks_into_its_flight() -> None:
    """PY1: the flight runs in a context of its own, since it outlives the request that began it."""
    variable: contextvars.ContextVar[str] = contextvars.ContextVar("variable", default="unset")
    seen: list[str] = []
    async with world() as w:
        w.provider.seen = lambda: seen.append(variable.get())
        variable.set("of the request")
        await w.answer()
        assert seen == ["unset"]


async def test_terms_tell_the_deadline_and_the_shortest_patience() -> None:
    """TX-27: deadline = start + 30 s; patience = the earliest deadline among those who still wait."""
    async with world() as w:
        w.provider.delay = 10
        start = w.clock.boot()
        patient, hasty = w.asking(patience=8), w.asking(patience=2)
        await settle()
        terms = w.provider.terms[0]
        assert (terms.deadline - start, terms.patience - start) == (30, 2)
        await w.clock.advance(2)
        assert (hasty.done(), terms.patience - start) == (True, 8)
        await w.clock.advance(6)
        assert (patient.done(), terms.patience - start) == (True, 30)


async def test_5_6_at_most_32_flights_have_waiters() -> None:
    """The 33rd waits for its turn, and has it as soon as one lands."""
    async with world() as w:
        w.provider.delay = 1
        tasks = [w.asking(_host(number)) for number in range(MANNED + 1)]
        await settle()
        assert (w.provider.active, [f.phase for f in w.broker.status().flights].count("queued")) == (MANNED, 1)
        await w.clock.advance(2)
        assert (w.provider.peak, all(isinstance(task.result(), Answer) for task in tasks)) == (MANNED, True)


async def test_5_6_at_most_16_exchanges_of_one_upstream() -> None:
    """A slow upstream cannot take every place; others go past its queue."""
    async with world() as w:
        w.provider.delay, w.provider.upstream = 1, "https://slow.test"
        tasks = [w.asking(_host(number)) for number in range(MANNED_PER_UPSTREAM + 4)]
        await settle()
        assert w.provider.active == MANNED_PER_UPSTREAM
        w.provider.delay, w.provider.upstream = 0, "https://other.test"
        assert isinstance(await w.ask(_host(99)), Answer)
        await w.clock.advance(2)
        assert all(isinstance(task.result(), Answer) for task in tasks)


async def test_5_6_waiters_of_a_flight_are_free() -> None:
    """Joining a flight needs no place, even when none is left."""
    async with world() as w:
        w.provider.delay = 1
        tasks = [w.asking(_host(number)) for number in range(MANNED)]
        await settle()
        tasks += [w.asking(_host(0)) for _ in range(50)]
        await w.clock.advance(1)
        assert all(isinstance(task.result(), Answer) for task in tasks)


async def test_5_6_a_flight_counts_its_time_from_its_start() -> None:
    """A flight's 30 s start when it leaves the queue."""
    async with world() as w:
        w.provider.delay = 6
        tasks = [w.asking(_host(number), patience=100) for number in range(MANNED + 1)]
        await w.clock.advance(6)
        assert w.provider.terms[-1].deadline == w.clock.boot() + 30
        await w.clock.advance(6)
        assert all(isinstance(task.result(), Answer) for task in tasks)


async def test_5_6_the_queue_is_served_in_order() -> None:
    """5.6, H11: first come, first served."""
    async with world() as w:
        w.provider.delay, w.provider.upstream = 1, "program:/opt/helper"
        tasks = [w.asking(_host(number), patience=100) for number in range(40)]
        await w.clock.advance(3)
        assert w.provider.runs == [f"r{number}.test" for number in range(40)]
        assert all(task.done() for task in tasks)


async def test_5_6_a_full_queue_sheds_load() -> None:
    """Above 2,048 in the queue the answer is ``overloaded`` with retry_after 1, at once."""
    async with world() as w:
        w.provider.delay = 1
        tasks = [w.asking(_host(number), patience=200) for number in range(MANNED + QUEUED)]
        await settle()
        result = await w.ask(_host(9999))
        assert isinstance(result, Failure)
        assert (result.code, result.retry_after) == (Code.OVERLOADED, 1.0)
        for task in tasks:
            task.cancel()
        await settle()
        assert [flight.phase for flight in w.broker.status().flights].count("queued") == 0


async def test_5_6_a_caller_that_waits_too_long_in_the_queue_gets_an_error() -> None:
    """A caller whose exchange never began is told that it is waiting for its turn, and it leaves the queue."""
    async with world() as w:
        w.provider.delay = 25
        tasks = [w.asking(_host(number), patience=20) for number in range(MANNED)]
        await settle()
        failure = await w.failure(_host(99), patience=2)
        assert (failure.code, failure.message, failure.retry_after) == (
            Code.OVERLOADED,
            "registry 'r99.test' is waiting for its turn behind other exchanges",
            1.0,
        )
        assert "queued" not in [flight.phase for flight in w.broker.status().flights]
        assert not any(task.done() for task in tasks)


async def test_5_6_at_most_16_flights_have_no_waiters_and_they_do_not_block_others() -> None:
    """A flight that all callers have left frees its place; above 16 of them the oldest is cancelled."""
    async with world() as w:
        w.provider.delay = 25
        tasks = [w.asking(_host(number), patience=number + 1) for number in range(UNMANNED + 2)]
        await w.clock.advance(UNMANNED + 2)
        assert all(task.done() for task in tasks)
        assert [flight.subject for flight in w.broker.status().flights] == [
            f"registry 'r{number}.test'" for number in range(2, UNMANNED + 2)
        ]
        w.provider.delay = 0
        assert isinstance(await w.ask(_host(99)), Answer)
        assert (w.provider.active, w.provider.ended) == (UNMANNED, 1)


async def test_5_6_a_queue_of_callers_that_leave_does_not_push_out_what_is_nearly_there() -> None:
    """Forty callers of a helper that takes 11 s leave at 8.5 s: the 16 that had begun go on, and end."""
    async with world() as w:
        w.provider.delay, w.provider.upstream = 11, "program:/opt/helper"
        tasks = [w.asking(_host(number)) for number in range(40)]
        await w.clock.advance(8.5)
        codes = [result.code for task in tasks if isinstance(result := task.result(), Failure)]
        assert (codes.count(Code.STILL_TRYING), codes.count(Code.OVERLOADED)) == (16, 24)
        await w.clock.advance(3)
        assert (w.provider.ended, len(w.provider.runs)) == (16, 16)


async def test_a_flight_that_was_left_may_be_joined_again() -> None:
    """A new question while the exchange goes on waits for that one."""
    async with world() as w:
        w.provider.delay = 11
        assert (await w.failure()).code is Code.STILL_TRYING
        again = w.asking()
        await settle()
        assert [(flight.phase, flight.waiters) for flight in w.broker.status().flights] == [("flying", 1)]
        await w.clock.advance(3)
        assert (token(again.result()), len(w.provider.runs)) == ("tok1", 1)


async def test_drain_waits_for_waiters_but_not_for_ever() -> None:
    """P5: exchanges with waiters get their second; then remaining waiters are told that the daemon stops."""
    async with world() as w:
        w.provider.delay = 0.5
        quick = w.asking()
        await settle()
        w.provider.delay = 100
        slow = w.asking("https://slow.test/v2/a/b/blobs/x")
        drained = w.group.create_task(w.broker.drain(1.0))
        await w.clock.advance(0.9)
        assert (quick.done(), drained.done()) == (True, False)
        await w.clock.advance(0.1)
        assert drained.done()
    result = slow.result()
    assert isinstance(result, Failure)
    assert (result.code, result.message) == (Code.OVERLOADED, "credproxy is stopping")


async def test_a_stopped_broker_starts_nothing() -> None:
    """P5: a question after the end gets that error, and so does a queued one."""
    async with world() as w:
        w.provider.delay = 100
        tasks = [w.asking(_host(number)) for number in range(MANNED + 1)]
        await settle()
    results = [task.result() for task in tasks]
    results.append(await w.ask(_host(99)))
    assert {result.code for result in results if isinstance(result, Failure)} == {Code.OVERLOADED}
    assert (w.provider.active, len(results)) == (0, MANNED + 2)
