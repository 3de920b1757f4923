"""The one place where an unexpected exception is contained (docs/design/faults.md#containment).

Only around provider code: a bug there costs one answer. A bug in the broker itself ends the process.
"""

import asyncio
from collections.abc import Callable
from types import TracebackType

import structlog

from credproxy.core.errors import BUG, SHORT_OF_MEMORY, Failed, is_shortage
from credproxy.core.raised_at import raised_at
from credproxy.ports.clock import Clock


_QUIET = 60.0
"""Seconds for which one place is logged once: a bug that every question hits must not fill the disk."""

log = structlog.get_logger("credproxy.broker")


class Bugs:
    """A context manager that turns unexpected exceptions into Failed(internal), and counts them.

    Args:
        clock: for the pauses between log lines.
        short: called when there was no memory left, which is not a bug: that becomes Failed(overloaded) (C6).
    """

    def __init__(self, clock: Clock, short: Callable[[], object]) -> None:
        self._clock = clock
        self._short = short
        self._logged: dict[str, float] = {}
        self.count = 0

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Let Failed pass, and anything that is not an Exception; contain the rest.

        A CancelledError that nobody asked for is also a bug: one from an inner task, let through by mistake.
        """
        del kind, traceback
        if isinstance(error, asyncio.CancelledError):
            task = asyncio.current_task()
            unasked = task is not None and not task.cancelling()
        else:
            unasked = isinstance(error, Exception) and not isinstance(error, Failed)
        if error is not None and unasked:
            self._contain(error)

    def _contain(self, error: BaseException) -> None:
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        if is_shortage(error):
            self._short()
            raise Failed(SHORT_OF_MEMORY) from None
        self.count += 1
        place, now = raised_at(error), self._clock.boot()
        if now - self._logged.get(place, -_QUIET) >= _QUIET:
            self._logged[place] = now
            log.error("provider bug", error=type(error).__name__, place=place, count=self.count)
        raise Failed(BUG) from None
