"""The memory for bodies that are held whole: lent in order, waited for within a limit, always given back."""

import asyncio

import pytest

from credproxy.core.errors import Code, Failed
from credproxy.gateway.body_memory import WAIT, Memory
from tests.fakes import FakeClock, settle


async def test_what_is_free_is_lent_at_once_and_given_back() -> None:
    """A room may be enlarged; closing it twice gives nothing back twice."""
    memory = Memory(FakeClock(), 100)
    room = memory.room()
    await room.hold(60)
    await room.hold(40)
    assert (room.held, memory.free) == (100, 0)
    room.close()
    room.close()
    assert (room.held, memory.free) == (0, 100)


async def test_waiters_are_served_in_order() -> None:
    """A later small one does not overtake a large one, which would otherwise wait for ever."""
    memory = Memory(FakeClock(), 100)
    first = memory.room()
    await first.hold(80)
    order: list[str] = []

    async def wait(name: str, count: int) -> None:
        await memory.room().hold(count)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        group.create_task(wait("large", 90))
        await settle()
        group.create_task(wait("small", 10))
        await settle()
        assert order == []
        first.close()
    assert order == ["large", "small"]
    assert memory.free == 0


async def test_a_caller_that_waits_too_long_gets_an_error_and_holds_nothing() -> None:
    """Overloaded, with the time to ask again; the next one in the queue is served if it needs less."""
    clock = FakeClock()
    memory = Memory(clock, 100)
    await memory.room().hold(80)
    async with asyncio.TaskGroup() as group:
        large = group.create_task(_refused(memory, 90))
        await settle()
        small = group.create_task(memory.room().hold(20))
        await clock.advance(WAIT - 0.1)
        assert not large.done()
        await clock.advance(0.2)
        assert small.done()
    failure = large.result().failure
    assert (failure.code, failure.retry_after) == (Code.OVERLOADED, 1.0)
    assert failure.message == "100 bytes are held for manifests already, and none became free for 10 s"
    assert memory.free == 0


async def test_a_caller_that_leaves_while_it_waits_holds_nothing() -> None:
    """Cancelled before it was served, and at the very moment of being served."""
    memory = Memory(FakeClock(), 100)
    holder = memory.room()
    await holder.hold(100)
    for served in (False, True):
        task = asyncio.ensure_future(memory.room().hold(100))
        await settle()
        if served:
            holder.close()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert memory.free == 100


async def test_a_sandbox_gets_a_quarter_and_does_not_block_others() -> None:
    """S8: its own requests wait for one another; other callers are served, also later ones."""
    clock = FakeClock()
    memory = Memory(clock, 400)
    first = memory.room("a")
    await first.hold(60)
    await memory.room("a").hold(40)
    async with asyncio.TaskGroup() as group:
        served = group.create_task(memory.room("a").hold(60))
        refused = group.create_task(_refused(memory, 10, "a"))
        await settle()
        await memory.room("b").hold(100)
        await memory.room().hold(200)
        assert (memory.free, served.done()) == (0, False)
        first.close()
        await settle()
        assert (memory.free, served.done(), refused.done()) == (0, True, False)
        await clock.advance(WAIT + 0.1)
    failure = refused.result().failure
    assert (
        failure.message
        == "100 bytes are held for manifests of this sandbox or user already, and none became free for 10 s"
    )


async def test_one_body_larger_than_a_share_is_held_if_there_is_no_other() -> None:
    """A share limits the number of bodies, but always allows one."""
    memory = Memory(FakeClock(), 100)
    room = memory.room("a")
    await room.hold(90)
    room.close()
    assert memory.free == 100


async def _refused(memory: Memory, count: int, account: str | None = None) -> Failed:
    with pytest.raises(Failed) as caught:
        await memory.room(account).hold(count)
    return caught.value
