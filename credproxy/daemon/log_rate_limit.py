"""Lines of one kind: ten a second are written, further ones are counted (T17), so that callers cannot fill a disk.

A kind is the event with its level, socket, code and class of error: words from closed lists, which no caller can make up. A
path, a registry or a reason does not make another kind, or a flood would only have to vary them.
"""

from collections.abc import Callable, MutableMapping

import structlog


Event = MutableMapping[str, object]

PER_SECOND = 10
_KIND = ("event", "level", "socket", "code", "error")

_EACH = frozenset({"handed out", "exchanged"})
"""Lines that are worth having one by one: of these, as of debug lines, only identical ones are counted.
Each of them costs a hand-out or an exchange, which have bounds of their own."""

_LINES = 1000
"""Different lines of that sort that are counted in a second; further ones are left to the queue's bound."""


class Repeats:
    """A processor. It comes before anything that makes lines differ, such as the time.

    Args:
        now: seconds of any clock that does not go back.
        tell: writes an event that represents others: what they have in common, and ``repeated``, their number.

    Attributes:
        collapsed: lines that were counted instead of written.
    """

    def __init__(self, now: Callable[[], float], tell: Callable[[Event], None]) -> None:
        self._now = now
        self._tell = tell
        self._second = 0
        self._kinds = _Counts()
        self._lines = _Counts(most=_LINES)
        self.collapsed = 0

    def __call__(self, logger: object, method: str, event: Event) -> Event:
        """Let an event pass, or count it."""
        del logger
        second = int(self._now())
        if second != self._second:
            self._second = second
            self.settle()
        if method == "debug" or event.get("event") in _EACH:
            passes = self._lines.take(hash(repr(event)), event)
        else:
            passes = self._kinds.take(hash(repr([event.get(key) for key in _KIND])), event)
        if passes:
            return event
        self.collapsed += 1
        raise structlog.DropEvent

    def settle(self) -> None:
        """Report what was counted so far, and start again."""
        for event in (*self._kinds.drain(), *self._lines.drain()):
            self._tell(event)


class _Counts:
    """How often each kind occurred in this second, and what the counted lines have in common.

    A kind is identified by its hash: a line may be long, and nobody can choose Python's salt.

    Args:
        most: kinds that are counted; further ones pass. None if the kinds are from a closed list.
    """

    def __init__(self, most: int | None = None) -> None:
        self._most = most
        self._seen: dict[int, int] = {}
        self._held: dict[int, Event] = {}

    def take(self, kind: int, event: Event) -> bool:
        """Whether one more of that kind is written."""
        if kind not in self._seen and self._most is not None and len(self._seen) >= self._most:
            return True
        count = self._seen[kind] = self._seen.get(kind, 0) + 1
        if count <= PER_SECOND:
            return True
        held = self._held.setdefault(kind, dict(event))
        for key in [key for key, value in held.items() if event.get(key) != value]:
            del held[key]
        return False

    def drain(self) -> list[Event]:
        """The lines that represent those that were counted; counting starts again."""
        seen, held = self._seen, self._held
        self._seen, self._held = {}, {}
        return [{**event, "repeated": seen[kind] - PER_SECOND} for kind, event in held.items()]
