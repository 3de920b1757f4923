"""When memory is short, the daemon drops grants before the kernel ends it (C6)."""

from collections.abc import Callable

from credproxy.ports.clock import Clock


EVERY = 5.0
ENOUGH = 0.9
"""Fraction of the bound: above ``memory.high`` the kernel slows every allocation down, and with it every answer."""


async def relieve_in_time(used: Callable[[], float | None], relieve: Callable[[], object], *, clock: Clock) -> None:
    """Check every five seconds until cancelled, and relieve when needed.

    Args:
        used: gives the memory in use as a fraction of what is granted; None if nothing bounds it.
        relieve: frees memory.
        clock: for the pause.
    """
    while (fraction := used()) is not None:
        if fraction >= ENOUGH:
            relieve()
        await clock.sleep(EVERY)
