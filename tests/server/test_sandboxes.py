"""R24, T16: a sandbox cannot block the actions socket for others, nor for the user."""

import asyncio
import gc
from contextlib import AsyncExitStack

import pytest

from credproxy.carrier.passed_peer import PassedPeer
from credproxy.core.errors import Code, Failed
from credproxy.server.nesting import UNKNOWN
from credproxy.server.peer import Peer
from credproxy.server.sandboxes import (
    ALL_AT_ONCE,
    ALL_UPLOADS_AT_ONCE,
    AT_ONCE,
    BURST,
    PER_SECOND,
    UPLOADS_AT_ONCE,
    Sandboxes,
)
from tests.fakes import FakeClock, settle


def peer(sandbox: str | None) -> Peer:
    """A caller in that sandbox; None for one outside any."""
    return Peer(4711, 1000, sandbox=sandbox)


async def ask(sandboxes: Sandboxes, caller: Peer, times: int = 1, registry: str = "") -> None:
    """Be let in and leave, so many times."""
    for _ in range(times):
        async with sandboxes.admit(caller, registry=registry):
            pass


async def test_a_sandbox_that_asks_without_end_is_refused_and_others_are_not() -> None:
    """A burst is fine; then a limited number per second, and the refusal says when to come back."""
    clock = FakeClock()
    sandboxes = Sandboxes(clock)
    await ask(sandboxes, peer("user:[2]"), int(BURST))
    with pytest.raises(Failed) as caught:
        await ask(sandboxes, peer("user:[2]"))
    assert caught.value.failure.code is Code.OVERLOADED
    assert caught.value.failure.retry_after == 1.0
    await ask(sandboxes, peer("user:[3]"))
    await clock.advance(1.0)
    await ask(sandboxes, peer("user:[2]"), int(PER_SECOND))
    with pytest.raises(Failed):
        await ask(sandboxes, peer("user:[2]"))


async def test_the_user_outside_of_any_sandbox_has_no_share() -> None:
    """The socket's limits are enough; the same holds for all callers if namespaces are unknown."""
    await ask(Sandboxes(FakeClock()), peer(None), int(BURST) + 10)


async def test_callers_that_cannot_be_told_apart_share_one_place() -> None:
    """A caller gains nothing by hiding its namespace."""
    sandboxes = Sandboxes(FakeClock())
    await ask(sandboxes, peer(UNKNOWN), int(BURST))
    with pytest.raises(Failed):
        await ask(sandboxes, peer(UNKNOWN))


async def test_uploads_that_stream_keep_no_place_from_downloads() -> None:
    """A body that never comes has a place of another kind: for a sandbox, and for all of them."""
    clock = FakeClock()
    sandboxes = Sandboxes(clock)
    async with AsyncExitStack() as held:
        for number in range(ALL_UPLOADS_AT_ONCE):
            caller = peer(f"user:[{number // UPLOADS_AT_ONCE}]")
            await held.enter_async_context(sandboxes.admit(caller, whole=False, registry=f"{number % 2}.test"))
        for caller, told in ((peer("user:[0]"), "uploads of this sandbox"), (peer("user:[9]"), "uploads of sandboxes")):
            refused = asyncio.ensure_future(upload(sandboxes, caller))
            await clock.advance(9.0)
            with pytest.raises(Failed, match=told):
                await refused
            await ask(sandboxes, caller, AT_ONCE)


async def upload(sandboxes: Sandboxes, caller: Peer) -> None:
    """Be let in with a body that is still to come."""
    async with sandboxes.admit(caller, whole=False):
        pass


async def test_requests_above_the_share_wait_for_a_place_and_not_for_ever() -> None:
    """A stalled download holds its place; the next one waits a while, and gets in when another one ends."""
    clock = FakeClock()
    sandboxes = Sandboxes(clock)
    async with AsyncExitStack() as held, asyncio.TaskGroup() as group:
        for number in range(AT_ONCE - 1):
            await held.enter_async_context(sandboxes.admit(peer("user:[2]"), registry=f"{number % 2}.test"))
        async with AsyncExitStack() as last:
            await last.enter_async_context(sandboxes.admit(peer("user:[2]")))
            waiting = group.create_task(ask(sandboxes, peer("user:[2]")))
            await settle()
            assert not waiting.done()
            await ask(sandboxes, peer("user:[3]"))
        await waiting
        await held.enter_async_context(sandboxes.admit(peer("user:[2]")))
        refused = asyncio.ensure_future(ask(sandboxes, peer("user:[2]")))
        await clock.advance(9.0)
        with pytest.raises(Failed, match="requests of this sandbox are under way"):
            await refused


async def test_each_of_many_users_has_a_share_of_the_places_and_asks_as_often_as_it_likes() -> None:
    """The system service: one user's stalled downloads keep no place from another's."""
    clock = FakeClock()
    sandboxes = Sandboxes(clock)
    alice, bob = (PassedPeer(4711, uid, account=f"uid {uid}") for uid in (1000, 1001))
    await ask(sandboxes, alice, int(BURST) + 10)
    async with AsyncExitStack() as held:
        for number in range(AT_ONCE):
            await held.enter_async_context(sandboxes.admit(alice, registry=f"{number % 2}.test"))
        refused = asyncio.ensure_future(ask(sandboxes, alice))
        await ask(sandboxes, bob)
        await clock.advance(29.0)
        assert not refused.done()
        await clock.advance(2.0)
        with pytest.raises(Failed, match="requests of this user are under way"):
            await refused


async def test_a_caller_that_has_shown_the_token_of_a_port_is_the_user() -> None:
    """Its connection was unproven when it came."""
    await ask(Sandboxes(FakeClock()), PassedPeer(None, 1000, account="unproven", port=5151), int(BURST) + 10)


async def test_many_sandboxes_leave_room_for_the_user() -> None:
    """A process that makes a namespace for each request has a share for each, and not the whole daemon."""
    clock = FakeClock()
    sandboxes = Sandboxes(clock)
    async with AsyncExitStack() as held:
        for number in range(ALL_AT_ONCE):
            await held.enter_async_context(sandboxes.admit(peer(f"user:[{number + 2}]"), registry=f"{number % 2}.test"))
        refused = asyncio.ensure_future(ask(sandboxes, peer("user:[1000]")))
        await settle()
        await ask(sandboxes, peer(None))
        await clock.advance(9.0)
        with pytest.raises(Failed, match="requests of sandboxes are under way"):
            await refused
    await ask(sandboxes, peer("user:[1000]"))


async def test_a_registry_that_never_answers_leaves_half_of_the_places_to_others() -> None:
    """S11: of a sandbox's and of all together, for every caller; an unused registry is forgotten."""
    clock = FakeClock()
    sandboxes = Sandboxes(clock)
    async with AsyncExitStack() as held:
        for number in range(ALL_AT_ONCE // 2):
            caller = peer(f"user:[{number // (AT_ONCE // 2)}]")
            await held.enter_async_context(sandboxes.admit(caller, registry="slow.test"))
        for caller, told in (
            (peer("user:[0]"), "32 requests of this sandbox for one registry are under way"),
            (peer("user:[9]"), "96 requests of sandboxes for one registry are under way"),
        ):
            refused = asyncio.ensure_future(ask(sandboxes, caller, registry="slow.test"))
            await ask(sandboxes, caller, registry="quick.test")
            await clock.advance(9.0)
            with pytest.raises(Failed, match=told):
                await refused
            del refused
    gc.collect()  # its traceback holds what it waited for
    assert not sandboxes._halves
