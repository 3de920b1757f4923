"""The one place that reads the clock (PY19)."""

import asyncio
import time
from collections.abc import Callable


# CLOCK_MONOTONIC stands still while a Linux laptop sleeps, and would serve expired tokens after it.
# macOS has no CLOCK_BOOTTIME; its CLOCK_MONOTONIC counts sleep.
_BOOT: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class SystemClock:
    """Time as the system tells it. Source: ports.clock.Clock, clock_gettime(2)."""

    def __init__(self) -> None:
        self._gettime: Callable[[int], float] = time.clock_gettime

    def boot(self) -> float:
        """Seconds since boot, suspend included."""
        return self._gettime(_BOOT)

    def wall(self) -> float:
        """POSIX seconds."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait on the loop's timer, which does not run in suspend."""
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float) -> asyncio.Timeout:
        """The loop's own timer; see ports.clock.Clock."""
        return asyncio.timeout(seconds)


def monotonic_usec() -> int:
    """Microseconds on the clock of systemd's own messages. Source: sd_notify(3) MONOTONIC_USEC."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
