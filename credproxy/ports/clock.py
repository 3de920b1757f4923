"""Time, waiting and chance."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol


class Clock(Protocol):
    """Time and waiting. ``boot`` runs through suspend (CLOCK_BOOTTIME); timers of the loop do not (PY19)."""

    def boot(self) -> float:
        """Seconds since boot, suspend included: every validity is judged on it."""
        ...

    def wall(self) -> float:
        """POSIX seconds: only for what is shown to clients and for absolute expiries."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait; a fake clock returns when it is advanced."""
        ...

    def timeout(self, seconds: float) -> AbstractAsyncContextManager[object]:
        """Raise TimeoutError inside the block after that many seconds (asyncio.timeout's contract)."""
        ...


Sample = Callable[[], float]
"""Draws from [0, 1): jitter. Seeded in tests."""
