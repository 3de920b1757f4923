"""Which account holds how many connections that carriers serve, and which has to give one up for a newcomer (T3, T16).

Like ``server.connection_limit``, for a door that passes its connections on: it counts, but does not know which are silent. So
it names the account that has to give one up, and counts that one as gone until it hears that it is.
"""

from collections import Counter
from typing import NamedTuple


PENDING = 64
"""Connections of one account that are due to be closed but are not gone yet; above that, a newcomer is turned away."""

ENOUGH = 32
"""Connections of all accounts that are due to be closed but are not gone yet; above that, a newcomer should wait."""

Account = str | None
"""A name; None is the daemon's own user, whose processes are in no sandbox, and which is not bound to a share."""


class Verdict(NamedTuple):
    """What becomes of a newcomer; ``spare`` is the account that has to give one up, after the newcomer was passed on."""

    admitted: bool
    spare: tuple[Account] | None = None


class Accounts:
    """The connections of one door.

    Args:
        limit: connections of all accounts. One has a quarter, all of them together three quarters; the rest is the user's.
        every: there is no user to keep the rest for, so all accounts together have the limit.
    """

    def __init__(self, limit: int, *, every: bool = False) -> None:
        self.limit = limit
        self.share = max(1, limit // 4)
        self.pool = limit if every else max(1, limit - self.share)
        self._held: Counter[Account] = Counter()
        self._pending: Counter[Account] = Counter()

    @property
    def open(self) -> int:
        """How many connections there are, including those that have to go."""
        return self._held.total() + self._pending.total()

    @property
    def behind(self) -> bool:
        """Whether closing connections has fallen behind."""
        return self._pending.total() >= ENOUGH

    def held(self) -> dict[str, int]:
        """How many connections each account has; "" is the user's own."""
        return {account or "": count for account, count in self._held.items() if count}

    def arrive(self, account: Account) -> Verdict:
        """Admit a newcomer, if there is room for it or room can be made."""
        crowded = self._crowded(account)
        if crowded is None:
            self._held[account] += 1
            return Verdict(admitted=True)
        for largest in crowded if self.open < self.limit + PENDING else ():
            if self._pending[largest] < PENDING:
                self._held[account] += 1
                self._held[largest] -= 1
                self._pending[largest] += 1
                return Verdict(admitted=True, spare=(largest,))
        return Verdict(admitted=False)

    def leave(self, account: Account) -> None:
        """One is closed: the one that had to go, if there was one."""
        counts = self._pending if self._pending[account] else self._held
        counts[account] -= 1
        if counts[account] <= 0:
            del counts[account]

    def kept(self, account: Account) -> None:
        """No connection could be closed: each of them has a request under way."""
        if self._pending[account]:
            self._pending[account] -= 1
            self._held[account] += 1

    def move(self, before: Account, now: Account) -> None:
        """One connection has proven whose it is."""
        self._held[before] -= 1
        self._held[now] += 1

    def _crowded(self, account: Account) -> list[Account] | None:
        """Which accounts may have to give one up, the largest first, never the user; None if there is room."""
        mine = self._held[account]
        if account is not None and mine >= self.share:
            return [account]
        bound = self._held.total() - self._held[None]
        pooled = account is not None and bound >= self.pool
        if not pooled and self._held.total() < self.limit:
            return None
        larger = [
            (count, one) for one, count in self._held.items() if one is not None and (count > mine or one == account)
        ]
        return [one for _, one in sorted(larger, key=lambda found: found[0], reverse=True)]
