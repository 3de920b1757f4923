"""A share of the actions socket for each sandbox, so that none can keep the others out (R24, T16).

A sandbox is named by its outermost namespace, see ``server.nesting``. A build action downloads a layer with two requests;
a caller that asks without end is first slowed down, then refused. Callers outside any sandbox are the user's, and have
only the socket's own bounds; those whose namespaces cannot be read share one share. All shares together leave some of the
daemon's downloads to its user.

If there are many users, each has a share of the slots, like a sandbox. How often a user asks is not counted: behind
a user there are whole builds.

A request takes its slot when it is complete. One whose body streams takes a slot of another kind: a body that never comes
keeps nobody from downloading. A request waits for its registry without a thread, so there are many slots; one registry has
half of them at most, because one that never answers would otherwise stop all others.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from weakref import WeakValueDictionary

from cachetools import LRUCache

from credproxy.core.errors import Code, failed
from credproxy.core.token_bucket import Bucket
from credproxy.ports.clock import Clock
from credproxy.server.peer import Peer


PER_SECOND = 100.0
BURST = 1000.0
AT_ONCE = 64
"""Requests of one sandbox at the same time."""

ALL_AT_ONCE = 192
"""Of all sandboxes: half of the connections of all callers."""

UPLOADS_AT_ONCE = 32
"""Requests of one sandbox whose bodies stream at the same time."""

ALL_UPLOADS_AT_ONCE = 96
"""Of all sandboxes."""

# How many seconds a request waits for a slot: a user's as long as for one of the downloads, since a build has more
# requests than there are slots.
_OF_SANDBOXES = "sandbox", "sandboxes", 8.5
_OF_USERS = "user", "users", 30.0

_MOST = 1024
"""Sandboxes that are remembered: a flood of new ones pushes out old ones, and memory does not grow."""


_UNBOUND: AbstractAsyncContextManager[None] = nullcontext()


class _Share:
    def __init__(self, now: float) -> None:
        self.bucket = Bucket(PER_SECOND, BURST, now=now)
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
        # By account and registry: each lives as long as a request holds or awaits one of its slots.
        self._halves: WeakValueDictionary[tuple[str, str], asyncio.Semaphore] = WeakValueDictionary()

    def admit(self, peer: Peer, *, whole: bool = True, registry: str = "") -> AbstractAsyncContextManager[None]:
        """Admit one request, as soon as its sandbox has a slot.

        Args:
            peer: the caller.
            whole: the request's body is here, or it has none.
            registry: that it is for, as it says itself; "" for none.

        Raises:
            Failed(overloaded): its sandbox asks too often, or it or its user has too much under way.
        """
        account = peer.charged
        return _UNBOUND if account is None else self._bound(peer, account, whole=whole, registry=registry)

    @asynccontextmanager
    async def _bound(self, peer: Peer, account: str, *, whole: bool, registry: str) -> AsyncIterator[None]:
        share = self._share(account)
        if peer.sandbox is not None:
            self._count(share)
        who, all_who, patience = _OF_SANDBOXES if peer.sandbox is not None else _OF_USERS
        if whole:
            mine, every, of_each, of_all, what = share.places, self._places, AT_ONCE, ALL_AT_ONCE, "requests"
        else:
            mine, every, of_each, of_all, what = (
                share.uploads,
                self._uploads,
                UPLOADS_AT_ONCE,
                ALL_UPLOADS_AT_ONCE,
                "uploads",
            )
        places = (
            (self._half(f"{what} of {account}", registry, of_each), of_each // 2, f"this {who} for one registry"),
            (mine, of_each, f"this {who}"),
            (self._half(what, registry, of_all), of_all // 2, f"{all_who} for one registry"),
            (every, of_all, all_who),
        )
        held: list[asyncio.Semaphore] = []
        try:
            for place, most, whose in places:
                await self._take(place, patience, (most, what, whose))
                held.append(place)
            yield
        finally:
            for place in held:
                place.release()

    def _half(self, whose: str, registry: str, most: int) -> asyncio.Semaphore:
        known = self._halves.get((whose, registry))
        if known is None:
            known = self._halves[whose, registry] = asyncio.Semaphore(most // 2)
        return known

    def _count(self, share: _Share) -> None:
        wait = share.bucket.wait(self._clock.boot())
        if wait > 0:
            message = f"this sandbox asks more than {PER_SECOND:g} times a second"
            raise failed(Code.OVERLOADED, message, hint="ask less often", retry_after=max(1.0, wait))
        share.bucket.take()

    async def _take(self, place: asyncio.Semaphore, patience: float, under_way: tuple[int, str, str]) -> None:
        if not place.locked():
            await place.acquire()  # at once: a timer would cost more
            return
        try:
            async with self._clock.timeout(patience):
                await place.acquire()
        except TimeoutError:
            message = "{} {} of {} are under way".format(*under_way)
            raise failed(Code.OVERLOADED, message, hint="wait until some have ended", retry_after=1.0) from None

    def _share(self, account: str) -> _Share:
        known = self._shares.get(account)
        if known is None:
            known = self._shares[account] = _Share(self._clock.boot())
        return known
