"""How many of a socket's connections each holder has, and which one is closed for a newcomer (T3, T16).

It touches no sockets: it is told of arrivals, of requests that begin and end, and of departures, and says which one has to go.
"""

from collections import Counter
from collections.abc import Hashable
from typing import Generic, NamedTuple, TypeVar


HolderKey = TypeVar("HolderKey", bound=Hashable)


class Holder(NamedTuple):
    """The account on which a connection is counted.

    Attributes:
        name: tells holders apart.
        bound: it has at most one share. The daemon's own user, whose processes are in no sandbox, is not bound.
        most: connections that it has at most, if that is less than a share.
    """

    name: str
    bound: bool = True
    most: int | None = None


OWN = Holder("", bound=False)
"""The daemon's own user, outside any sandbox."""


class Admission(NamedTuple, Generic[HolderKey]):
    """What becomes of a newcomer.

    Attributes:
        admitted: whether it is let in.
        ended: the silent connection that is closed for it; None if there was room.
    """

    admitted: bool
    ended: HolderKey | None = None


class ConnectionLimit(Generic[HolderKey]):
    """The connections of one socket.

    A connection is silent while it has no complete request under way. If there is no room, a newcomer replaces
    the connection that has been silent longest, of the holder that has most. It never takes one from a holder
    that has as few as its own holder, and never one that has a request under way.

    Args:
        limit: connections of all holders.
        share: of one bound holder; a quarter of the limit if None.
        pool: of all bound holders together; the limit less one share if None.
    """

    def __init__(self, limit: int, share: int | None = None, *, pool: int | None = None) -> None:
        self.limit = limit
        self.share = max(1, limit // 4) if share is None else share
        self.pool = max(1, limit - self.share) if pool is None else pool
        self._of: dict[HolderKey, Holder] = {}
        self._held: Counter[Holder] = Counter()
        self._bound = 0
        self._silent: dict[Holder, dict[HolderKey, None]] = {}

    @property
    def open(self) -> int:
        """How many connections there are."""
        return len(self._of)

    def held(self) -> dict[str, int]:
        """How many connections each holder has, by its name."""
        return {holder.name: count for holder, count in self._held.items()}

    def arrive(self, key: HolderKey, holder: Holder, *, silent: bool = True) -> Admission[HolderKey]:
        """Admit a new connection, if there is room for it or room can be made.

        Args:
            key: names the connection; unknown so far.
            holder: whose it is.
            silent: whether it may be closed for another one until its first request begins.
        """
        ended = None
        if (crowd := self._crowd(holder)) is not None:
            ended = self.oldest(*crowd)
            if ended is None:
                return Admission(admitted=False)
            self.leave(ended)
        self._of[key] = holder
        self._count(holder, 1)
        if silent:
            self.end(key)
        return Admission(admitted=True, ended=ended)

    def begin(self, key: HolderKey) -> None:
        """It has a complete request under way. Does nothing for a connection that has left."""
        holder = self._of.get(key)
        if holder is not None and (silent := self._silent.get(holder)):
            silent.pop(key, None)

    def end(self, key: HolderKey) -> None:
        """It no longer has a request under way. One that was already silent keeps its age."""
        holder = self._of.get(key)
        if holder is not None:
            self._silent.setdefault(holder, {}).setdefault(key)

    def move(self, key: HolderKey, holder: Holder) -> None:
        """It has proven whose it is; ``arrive`` bounds the connections, so there is no limit to check here."""
        before = self._of.get(key)
        if before is None or before == holder:
            return
        silent = key in self._silent.get(before, {})
        self.leave(key)
        self._of[key] = holder
        self._count(holder, 1)
        if silent:
            self.end(key)

    def leave(self, key: HolderKey) -> None:
        """It is closed. May be called twice, and for a connection that was not admitted."""
        holder = self._of.pop(key, None)
        if holder is None:
            return
        self._count(holder, -1)
        if (silent := self._silent.get(holder)) is not None:
            silent.pop(key, None)
            if not silent:
                del self._silent[holder]

    def _count(self, holder: Holder, change: int) -> None:
        self._bound += change * holder.bound
        self._held[holder] += change
        if not self._held[holder]:
            del self._held[holder]

    def _crowd(self, holder: Holder) -> list[Holder] | None:
        """Which holders may have to make room for a newcomer of that holder, the largest first; None if there is room."""
        mine = self._held.get(holder, 0)
        if holder.bound and mine >= (self.share if holder.most is None else min(holder.most, self.share)):
            return [holder]
        pooled = holder.bound and self._bound >= self.pool
        if not pooled and len(self._of) < self.limit:
            return None
        larger = (
            (count, other)
            for other, count in self._held.items()
            if (other.bound or not pooled) and (count > mine or other == holder)
        )
        return [other for _, other in sorted(larger, key=lambda found: found[0], reverse=True)]

    def oldest(self, *crowd: Holder) -> HolderKey | None:
        """The connection that has been silent longest, of the first of these holders that has a silent one."""
        for holder in crowd:
            for key in self._silent.get(holder, ()):
                return key
        return None
