"""Logins that token servers refuse, whatever is asked for: each is tried once in ten seconds, not for every repository.

Servers lock accounts after a few refusals, and a build asks about hundreds of repositories at once. Some servers say 401
when a login lacks a permission, so one refusal proves nothing, and a login that was accepted lately is never held back. What
build actions are refused for is counted apart: they choose what is asked for, and would otherwise decide what the user gets.
"""

import hashlib
import hmac
from dataclasses import dataclass
from typing import NamedTuple

from cachetools import LRUCache

from credproxy.core.ask.credential import IdentityToken, Stored, UserPassword
from credproxy.core.errors import Failure


REFUSALS = 3
"""Consecutive refusals, for different repositories, before a login is held back: fewer than lock an account."""

HELD = 10.0
"""Seconds between two tries after that: a login that works again is noticed within them."""

PROVEN = 300.0
"""Seconds for which a login that was accepted is beyond doubt."""

_MOST = 1024
"""Logins that are remembered."""


class Tried(NamedTuple):
    """One login at one token server."""

    server: str
    digest: bytes


@dataclass(slots=True)
class _Refusals:
    count: int = 0
    until: float = float("-inf")
    failure: Failure | None = None


class RefusedLogins:
    """What happened to logins. ``now`` is boot-clock seconds throughout.

    Args:
        key: random bytes of this process: a login is identified by its keyed digest.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._sides: tuple[LRUCache[Tried, _Refusals], ...] = (LRUCache(_MOST), LRUCache(_MOST))
        self._proven: LRUCache[Tried, float] = LRUCache(_MOST)

    def tried(self, server: str, login: Stored | None) -> Tried | None:
        """Identify a login at a token server; None for a login without a secret."""
        if isinstance(login, UserPassword):
            parts = (login.username, login.password.reveal())
        elif isinstance(login, IdentityToken):
            parts = ("", login.token.reveal())
        else:
            return None
        said = "\0".join(parts).encode("utf-8", "surrogateescape")
        return Tried(server, hmac.digest(self._key, said, hashlib.sha256))

    def standing(self, tried: Tried, now: float, *, for_actions: bool) -> Failure | None:
        """The refusal that holds a login back; None if it may be tried, and others then wait for that try."""
        if self._is_proven(tried, now):
            return None
        for side in self._sides[: 1 + for_actions]:  # what the user was refused applies to all
            record = side.get(tried)
            if record is not None and record.count >= REFUSALS and now < record.until:
                return record.failure
        own = self._sides[for_actions].get(tried)
        if own is not None and own.count >= REFUSALS:
            own.until = now + HELD  # one tries, and others do not try in parallel
        return None

    def refused(self, tried: Tried, failure: Failure, *, now: float, for_actions: bool) -> None:
        """A server refused it."""
        if self._is_proven(tried, now):
            return
        record = self._sides[for_actions].setdefault(tried, _Refusals())
        record.count += 1
        record.until, record.failure = now + HELD, failure

    def taken(self, tried: Tried, now: float) -> None:
        """A server accepted it."""
        self._proven[tried] = now + PROVEN
        for side in self._sides:
            side.pop(tried, None)

    def forget(self) -> None:
        """A flush: each may be tried again."""
        self._proven.clear()
        for side in self._sides:
            side.clear()

    def _is_proven(self, tried: Tried, now: float) -> bool:
        return now < self._proven.get(tried, float("-inf"))
