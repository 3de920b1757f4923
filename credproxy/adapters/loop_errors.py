"""Logs errors of the event loop: class and place, never a text (PY17, PY24), and floods only in part."""

import asyncio
import errno
from collections.abc import Callable

import structlog

from credproxy.core.errors import is_shortage
from credproxy.core.raised_at import raised_at


_SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})

_QUIET = 10.0
"""Seconds between two lines about a shortage: asyncio reports each connection of its backlog, and again a second later
(F9)."""

log = structlog.get_logger("credproxy.daemon")


class LoopErrors:
    """An exception handler of an event loop.

    Args:
        now: seconds of a clock that does not go back.
        short: called when memory has run out.
    """

    def __init__(self, now: Callable[[], float], short: Callable[[], object] = lambda: None) -> None:
        self._now = now
        self._short = short
        self._told = float("-inf")
        self._unreported = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        """Handle one error."""
        del loop
        error = context.get("exception")
        if isinstance(error, OSError) and error.errno in _SHORTAGES:
            self._shortage(errno.errorcode[error.errno])
            return
        raised = error if isinstance(error, BaseException) else None
        if is_shortage(raised):
            self._short()
        name = None if raised is None else type(raised).__name__
        log.error("event loop error", error=name, place=raised_at(raised), about=str(context.get("message")))

    def _shortage(self, name: str) -> None:
        # The loop itself tries again after a second; nothing more can be done.
        if self._now() - self._told < _QUIET:
            self._unreported += 1
            return
        log.error("no connection can be accepted", error=name, unreported=self._unreported, hint="credproxy doctor")
        self._told, self._unreported = self._now(), 0
