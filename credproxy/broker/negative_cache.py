"""Failures, remembered briefly, so that a burst of questions does not become a burst of failing exchanges.

A failure is never an answer and never outlives five minutes (RFC 2308). The credential's version is part of every
key, so that a new login is tried at once. Source: docs/design/faults.md#memory-of-failures, TX-11.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from cachetools import LRUCache

from credproxy.broker.lookup import Key
from credproxy.core.ask.lifetime import clamp
from credproxy.core.errors import Code, Failure
from credproxy.ports.clock import Sample


CEILING = 300.0
"""Seconds; nothing is remembered for longer."""

_RECORDS = 10_000
_RECORDS_OF_ACTIONS = 2_500
"""Separate, because a build action that asks for what fails would push out the user's, and each would need a new exchange."""


@dataclass(frozen=True, slots=True)
class _Class:
    first: float
    last: float = 0.0
    """The upper end of doubling per consecutive failure; 0 for no doubling."""


_LOGIN = _Class(10.0)
_REGISTRY = _Class(30.0)
_NETWORK = _Class(1.0, 30.0)
_PROGRAM = _Class(2.0, 30.0)

# Codes that are not listed are decided without I/O, and not remembered.
_CLASSES = {
    Code.BAD_CREDENTIALS: _LOGIN,
    Code.DENIED: _LOGIN,
    Code.EXPIRED_ON_ARRIVAL: _Class(5.0),
    Code.NOT_FOUND: _REGISTRY,
    Code.NO_CHALLENGE: _REGISTRY,
    Code.UNSUPPORTED_SCHEME: _REGISTRY,
    Code.POISONED_CHALLENGE: _REGISTRY,
    Code.REALM_REFUSED: _REGISTRY,
    Code.DOWNGRADE: _REGISTRY,
    Code.REDIRECT_REFUSED: _REGISTRY,
    Code.ADDRESS_REFUSED: _REGISTRY,
    Code.ANSWER_TOO_LARGE: _REGISTRY,
    Code.TLS_FAILED: _REGISTRY,
    Code.USE_GATEWAY: _REGISTRY,  # its grant will be as wide the next time
    Code.UPSTREAM_UNAVAILABLE: _NETWORK,
    Code.BAD_TOKEN: _NETWORK,
    Code.HELPER_FAILED: _PROGRAM,
    Code.HELPER_NOT_RUNNABLE: _PROGRAM,
    Code.INTERNAL: _PROGRAM,
    # A keyring has no version that a new login would change, and a login must be seen within 10 s: 8 s plus jitter.
    Code.CREDENTIAL_UNREADABLE: _Class(2.0, 8.0),
    Code.OVERLOADED: _Class(1.0),
}


@dataclass(frozen=True, slots=True)
class Remembered:
    """A failure, until when (boot-clock seconds) it is shared, and its number in a row."""

    failure: Failure
    until: float
    row: int
    authority: str

    def shown(self, now: float) -> Failure:
        """The failure with the seconds that are left."""
        return replace(self.failure, retry_after=max(0.1, round(self.until - now, 1)))


class Negative:
    """Failures by key. ``now`` is boot-clock seconds throughout."""

    def __init__(self, sample: Sample) -> None:
        self._sample = sample
        self._users: LRUCache[Key, Remembered] = LRUCache(_RECORDS)
        self._actions: LRUCache[Key, Remembered] = LRUCache(_RECORDS_OF_ACTIONS)

    def add(self, key: Key, failure: Failure, *, now: float, authority: str, for_actions: bool = False) -> Failure:
        """Remember a failure; return it as it is to be shown, with ``retry_after`` if it is remembered."""
        records = self._actions if for_actions else self._users
        known = records.get(key)
        # If the breaker refused, it says when to ask again: no attempt was made that could count.
        refused = failure.code is Code.UPSTREAM_UNAVAILABLE and failure.retry_after is not None
        row = known.row if known is not None and now < known.until + CEILING else 0
        row += not refused
        seconds = self._seconds(failure, row)
        if not seconds:
            return failure
        record = Remembered(failure, now + min(CEILING, seconds), row, authority)
        records[key] = record
        return record.shown(now)

    def get(self, key: Key, now: float) -> Failure | None:
        """Return what is remembered; None means: try."""
        record = self._users.get(key) or self._actions.get(key)
        return record.shown(now) if record is not None and now < record.until else None

    def forgive(self, key: Key) -> None:
        """It worked: the next failure is the first again."""
        self._users.pop(key, None)
        self._actions.pop(key, None)

    def drop(self, wanted: Callable[[str], bool]) -> None:
        """Forget the failures of the authorities that ``wanted`` selects."""
        for records in (self._users, self._actions):
            keys = [key for key, record in records.items() if wanted(record.authority)]
            for key in keys:
                del records[key]

    def current(self, now: float) -> Iterator[Remembered]:
        """Everything that is shared at the moment."""
        return (record for record in [*self._users.values(), *self._actions.values()] if now < record.until)

    def _seconds(self, failure: Failure, row: int) -> float:
        if failure.code is Code.RATE_LIMITED:
            # Asking before the time that the server named would prolong it: jitter goes upwards only (TX-10).
            return clamp(failure.retry_after or 1.0, 1.0, high=CEILING) * (1 + 0.2 * self._sample())
        kind = _CLASSES.get(failure.code)
        if kind is None:
            return 0.0
        seconds = min(kind.last, kind.first * 2.0 ** min(row - 1, 10)) if kind.last else kind.first
        if failure.code in {Code.UPSTREAM_UNAVAILABLE, Code.OVERLOADED} and failure.retry_after is not None:
            seconds = clamp(failure.retry_after, 1.0, high=30.0)
        return seconds * (0.8 + 0.4 * self._sample())
