"""R24, T16: no sandbox keeps the actions socket from the others, nor from its user."""

import asyncio
from contextlib import AsyncExitStack

import pytest

from credproxy.core.errors import Code, Failed
from credproxy.server.peer import Peer
from credproxy.server.sandboxes import ALL_AT_ONCE, AT_ONCE, BURST, PER_SECOND, Sandboxes
from tests.fakes import FakeClock, settle


OWN = ("user:[1]", "mnt:[1]", "pid:[1]")


def peer(mount: str | None) -> Peer:
    """A caller in that mount namespace; None where it cannot be read."""
    return Peer(4711, 1000, None if mount is None else ("user:[1]", mount, "pid:[2]"))


async def ask(sandboxes: Sandboxes, caller: Peer, times: int = 1) -> None:
    """Be let in and leave, so many times."""
    for _ in range(times):
        async with sandboxes.admit(caller):
            pass


async def test_a_sandbox_that_asks_without_end_is_refused_and_others_are_not() -> None:
    """A burst is fine; then so many a second, and the refusal says when to come back."""
    clock = FakeClock()
    sandboxes = Sandboxes(clock, OWN)
    await ask(sandboxes, peer("mnt:[2]"), int(BURST))
    with pytest.raises(Failed) as caught:
        await ask(sandboxes, peer("mnt:[2]"))
    assert caught.value.failure.code is Code.OVERLOADED
    assert caught.value.failure.retry_after == 1.0
    await ask(sandboxes, peer("mnt:[3]"))
    await clock.advance(1.0)
    await ask(sandboxes, peer("mnt:[2]"), int(PER_SECOND))
    with pytest.raises(Failed):
        await ask(sandboxes, peer("mnt:[2]"))


async def test_the_users_own_namespace_has_no_share_of_its_own() -> None:
    """It is not a sandbox: the socket's bounds are enough for it; so is everybody where namespaces are unknown."""
    await ask(Sandboxes(FakeClock(), OWN), peer("mnt:[1]"), int(BURST) + 10)
    await ask(Sandboxes(FakeClock(), None), peer(None), int(BURST) + 10)


async def test_callers_that_cannot_be_told_apart_share_one_place() -> None:
    """Whoever hides its namespace gains nothing by it."""
    sandboxes = Sandboxes(FakeClock(), OWN)
    await ask(sandboxes, peer(None), int(BURST))
    with pytest.raises(Failed):
        await ask(sandboxes, peer(None))


async def test_requests_above_the_share_wait_for_a_place_and_not_for_ever() -> None:
    """A stalled download holds its place; the next one waits a while, and gets in when another one ends."""
    clock = FakeClock()
    sandboxes = Sandboxes(clock, OWN)
    async with AsyncExitStack() as held, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE - 1):
            await held.enter_async_context(sandboxes.admit(peer("mnt:[2]")))
        async with AsyncExitStack() as last:
            await last.enter_async_context(sandboxes.admit(peer("mnt:[2]")))
            waiting = group.create_task(ask(sandboxes, peer("mnt:[2]")))
            await settle()
            assert not waiting.done()
            await ask(sandboxes, peer("mnt:[3]"))
        await waiting
        await held.enter_async_context(sandboxes.admit(peer("mnt:[2]")))
        refused = asyncio.ensure_future(ask(sandboxes, peer("mnt:[2]")))
        await clock.advance(9.0)
        with pytest.raises(Failed, match="requests of this sandbox are under way"):
            await refused


async def test_many_sandboxes_leave_room_for_the_user() -> None:
    """A process that makes a namespace for each request has a share for each, and not the whole daemon."""
    clock = FakeClock()
    sandboxes = Sandboxes(clock, OWN)
    async with AsyncExitStack() as held:
        for number in range(ALL_AT_ONCE):
            await held.enter_async_context(sandboxes.admit(peer(f"mnt:[{number + 2}]")))
        refused = asyncio.ensure_future(ask(sandboxes, peer("mnt:[1000]")))
        await settle()
        await ask(sandboxes, peer("mnt:[1]"))
        await clock.advance(9.0)
        with pytest.raises(Failed, match="requests of sandboxes are under way"):
            await refused
    await ask(sandboxes, peer("mnt:[1000]"))
