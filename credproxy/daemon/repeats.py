"""Identical lines: ten a second are written, more are counted (T17), so that nobody fills a disk by asking."""

from collections.abc import Callable, MutableMapping

import structlog


Event = MutableMapping[str, object]

PER_SECOND = 10
_KINDS = 1000
"""Different lines that are counted in a second; what comes beyond them is left to the queue's bound."""


class Repeats:
    """A processor. Stands before whatever makes lines differ, such as the time.

    Args:
        now: seconds of any clock that does not go back.
        tell: writes an event that stands for others; they differ from it by ``repeated`` alone, their number.

    Attributes:
        collapsed: lines that were counted instead of written.
    """

    def __init__(self, now: Callable[[], float], tell: Callable[[Event], None]) -> None:
        self._now = now
        self._tell = tell
        self._second = 0
        self._seen: dict[str, int] = {}
        self._held: dict[str, Event] = {}
        self.collapsed = 0

    def __call__(self, logger: object, method: str, event: Event) -> Event:
        """Let an event pass, or count it."""
        del logger, method
        second = int(self._now())
        if second != self._second:
            self._second = second
            self.settle()
        line = repr(event)
        if line not in self._seen and len(self._seen) >= _KINDS:
            return event
        count = self._seen[line] = self._seen.get(line, 0) + 1
        if count <= PER_SECOND:
            return event
        self.collapsed += 1
        self._held.setdefault(line, event)
        raise structlog.DropEvent

    def settle(self) -> None:
        """Tell what was counted so far, and begin anew."""
        seen, held = self._seen, self._held
        self._seen, self._held = {}, {}
        for line, event in held.items():
            event["repeated"] = seen[line] - PER_SECOND
            self._tell(event)
