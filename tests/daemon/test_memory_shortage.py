"""Memory is given back before the kernel takes it."""

import asyncio

from credproxy.daemon.memory_shortage import EVERY, relieve_in_time
from tests.fakes import FakeClock, settle


async def test_near_the_bound_memory_is_given_back_and_below_it_nothing_is() -> None:
    """C6: Once for each check that finds memory short."""
    clock, fractions, relieved = FakeClock(), iter([0.5, 0.9, 1.4, 0.89, None]), []
    watch = asyncio.ensure_future(
        relieve_in_time(lambda: next(fractions), lambda: relieved.append(clock.boot()), clock=clock)
    )
    begun = clock.boot()
    for _ in range(4):
        await settle()
        await clock.advance(EVERY)
    await watch
    assert relieved == [begun + EVERY, begun + 2 * EVERY]
