"""Short of memory, the daemon forgets grants before the kernel ends it (C6)."""

from collections.abc import Callable

from credproxy.ports import Clock


EVERY = 5.0
ENOUGH = 0.9
"""Of the bound: above ``memory.high`` the kernel slows every allocation down, and with it every answer."""


async def relieve_in_time(used: Callable[[], float | None], relieve: Callable[[], object], clock: Clock) -> None:
    """Look every five seconds until cancelled, and relieve where it is needed.

    Args:
        used: gives the memory in use as a fraction of what is granted; None where nothing bounds it.
        relieve: gives memory back.
        clock: for the pause.
    """
    while (fraction := used()) is not None:
        if fraction >= ENOUGH:
            relieve()
        await clock.sleep(EVERY)
