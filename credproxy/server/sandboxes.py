"""A share of the actions socket for each sandbox: none of them can keep it from the others (R24, T16).

A sandbox is known by its mount namespace. A build action downloads a layer with two requests; who asks without end is
slowed down first, and refused in the end. Callers in the daemon's own namespace are the user's, and have the socket's own
bounds alone; those whose namespace cannot be read share one place. Whoever makes namespaces inside of a sandbox has a
share for each of them: so all shares together leave some of the daemon's downloads to its user.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from cachetools import LRUCache

from credproxy.broker.bucket import Bucket
from credproxy.core.errors import Code, failed
from credproxy.ports import Clock
from credproxy.server.peer import Peer


PER_SECOND = 100.0
BURST = 1000.0
AT_ONCE = 32
"""Requests of one sandbox at the same time: half of the downloads that the daemon has room for."""

ALL_AT_ONCE = 56
"""Of all sandboxes: the rest of the 64 downloads is the user's."""

_PATIENCE = 8.5
_MOUNT = 1
"""Where a peer's mount namespace stands among its namespaces."""

_MOST = 1024
"""Sandboxes that are remembered: a flood of new ones pushes out old ones, and grows nothing."""


class _Share:
    def __init__(self, now: float) -> None:
        self.bucket = Bucket(PER_SECOND, BURST, now)
        self.places = asyncio.Semaphore(AT_ONCE)


class Sandboxes:
    """What each sandbox has used of its share.

    Args:
        clock: fills the buckets.
        own: the daemon's namespaces; None where there are none to compare.
    """

    def __init__(self, clock: Clock, own: tuple[str, ...] | None) -> None:
        self._clock = clock
        self._own = own
        self._shares: LRUCache[str, _Share] = LRUCache(_MOST)
        self._places = asyncio.Semaphore(ALL_AT_ONCE)

    def name(self, peer: Peer) -> str | None:
        """What to call the sandbox of a peer; None for the user's own processes, and where none can be told apart."""
        if self._own is None or (peer.namespaces is not None and peer.namespaces[_MOUNT] == self._own[_MOUNT]):
            return None
        return "" if peer.namespaces is None else peer.namespaces[_MOUNT]

    @contextlib.asynccontextmanager
    async def admit(self, peer: Peer) -> AsyncIterator[None]:
        """Let one request in, as soon as its sandbox has a place.

        Raises:
            Failed(overloaded): its sandbox asks too often, or has too much under way.
        """
        sandbox = self.name(peer)
        if sandbox is None:
            yield
            return
        share = self._share(sandbox)
        wait = share.bucket.wait(self._clock.boot())
        if wait > 0:
            message = f"this sandbox asks more than {PER_SECOND:g} times a second"
            raise failed(Code.OVERLOADED, message, "ask less often", max(1.0, wait))
        share.bucket.take()
        async with (
            self._place(share.places, f"{AT_ONCE} requests of this sandbox are under way"),
            self._place(self._places, f"{ALL_AT_ONCE} requests of sandboxes are under way"),
        ):
            yield

    @contextlib.asynccontextmanager
    async def _place(self, places: asyncio.Semaphore, taken: str) -> AsyncIterator[None]:
        try:
            async with self._clock.timeout(_PATIENCE):
                await places.acquire()
        except TimeoutError:
            raise failed(Code.OVERLOADED, taken, "wait for their ends", 1.0) from None
        try:
            yield
        finally:
            places.release()

    def _share(self, sandbox: str) -> _Share:
        known = self._shares.get(sandbox)
        if known is None:
            known = self._shares[sandbox] = _Share(self._clock.boot())
        return known
