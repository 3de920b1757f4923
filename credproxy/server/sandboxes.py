"""A share of the actions socket for each sandbox: none of them can keep it from the others (R24, T16).

A sandbox is named by its outermost namespace, see ``server.nesting``. A build action downloads a layer with two requests;
a caller that asks without end is slowed down first, and refused in the end. Callers outside of any sandbox are the user's, and have
the socket's own bounds alone; those whose namespaces cannot be read share one place. All shares together leave some of the
daemon's downloads to its user.

Where there are many users, each has a share of the places, as a sandbox has. How often a user asks is not counted: behind
one there are whole builds.

A request takes its place when it is whole. One whose body streams takes a place of another kind: a body that never comes
keeps no download from anybody.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from cachetools import LRUCache

from credproxy.core.bucket import Bucket
from credproxy.core.errors import Code, failed
from credproxy.ports import Clock
from credproxy.server.peer import Peer


PER_SECOND = 100.0
BURST = 1000.0
AT_ONCE = 32
"""Requests of one sandbox at the same time: half of the downloads that the daemon has room for."""

ALL_AT_ONCE = 56
"""Of all sandboxes: the rest of the 64 downloads is the user's."""

UPLOADS_AT_ONCE = 16
"""Requests of one sandbox whose bodies stream at the same time."""

ALL_UPLOADS_AT_ONCE = 28
"""Of all sandboxes."""

# Who waits for a place, and for how many seconds: a user as long as for one of the downloads, since a build has more
# requests than there are places.
_OF_SANDBOXES = "sandbox", "sandboxes", 8.5
_OF_USERS = "user", "users", 30.0

_MOST = 1024
"""Sandboxes that are remembered: a flood of new ones pushes out old ones, and grows nothing."""


class _Share:
    def __init__(self, now: float) -> None:
        self.bucket = Bucket(PER_SECOND, BURST, now)
        self.places = asyncio.Semaphore(AT_ONCE)
        self.uploads = asyncio.Semaphore(UPLOADS_AT_ONCE)


class Sandboxes:
    """What each sandbox has used of its share.

    Args:
        clock: fills the buckets.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._shares: LRUCache[str, _Share] = LRUCache(_MOST)
        self._places = asyncio.Semaphore(ALL_AT_ONCE)
        self._uploads = asyncio.Semaphore(ALL_UPLOADS_AT_ONCE)

    @contextlib.asynccontextmanager
    async def admit(self, peer: Peer, *, whole: bool = True) -> AsyncIterator[None]:
        """Let one request in, as soon as its sandbox has a place.

        Args:
            peer: the caller.
            whole: the request's body is here, or it has none.

        Raises:
            Failed(overloaded): its sandbox asks too often, or it or its user has too much under way.
        """
        if peer.charged is None:
            yield
            return
        share = self._share(peer.charged)
        if peer.sandbox is not None:
            self._count(share)
        who, all_who, patience = _OF_SANDBOXES if peer.sandbox is not None else _OF_USERS
        if whole:
            mine, own = share.places, f"{AT_ONCE} requests of this {who} are under way"
            every, all_of_them = self._places, f"{ALL_AT_ONCE} requests of {all_who} are under way"
        else:
            mine, own = share.uploads, f"{UPLOADS_AT_ONCE} uploads of this {who} are under way"
            every, all_of_them = self._uploads, f"{ALL_UPLOADS_AT_ONCE} uploads of {all_who} are under way"
        async with self._place(mine, own, patience), self._place(every, all_of_them, patience):
            yield

    def _count(self, share: _Share) -> None:
        wait = share.bucket.wait(self._clock.boot())
        if wait > 0:
            message = f"this sandbox asks more than {PER_SECOND:g} times a second"
            raise failed(Code.OVERLOADED, message, "ask less often", max(1.0, wait))
        share.bucket.take()

    @contextlib.asynccontextmanager
    async def _place(self, places: asyncio.Semaphore, taken: str, patience: float) -> AsyncIterator[None]:
        try:
            async with self._clock.timeout(patience):
                await places.acquire()
        except TimeoutError:
            raise failed(Code.OVERLOADED, taken, "wait for their ends", 1.0) from None
        try:
            yield
        finally:
            places.release()

    def _share(self, account: str) -> _Share:
        known = self._shares.get(account)
        if known is None:
            known = self._shares[account] = _Share(self._clock.boot())
        return known
