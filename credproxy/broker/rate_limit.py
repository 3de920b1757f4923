"""How many new exchanges build actions may cause: each is made with the user's login, and limited on the user's account.

A question that is answered from memory, from a remembered failure or by an exchange under way costs nothing.
Every process may make namespaces inside its sandbox, and each looks like another sandbox: so all of them
together have a budget as well, which a build with many sandboxes does not notice.
"""

from cachetools import LRUCache

from credproxy.core.errors import Code, failed
from credproxy.core.token_bucket import Bucket
from credproxy.ports.clock import Clock


PER_SECOND = 5.0
BURST = 50.0
"""For one sandbox: each image of a build has a key, and a sandbox fetches for one action."""

ALL_PER_SECOND = 25.0
ALL_BURST = 250.0

_MOST = 1024
"""Sandboxes that are remembered; a flood of new ones is bounded by what all have together."""


class Budget:
    """What each sandbox may still cause."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._each: LRUCache[str, Bucket] = LRUCache(_MOST)
        self._all = Bucket(ALL_PER_SECOND, ALL_BURST, now=clock.boot())

    def charge(self, sandbox: str | None) -> None:
        """Pay for one exchange; a caller in no sandbox pays nothing.

        Raises:
            Failed(rate_limited): with the seconds until one can be paid for.
        """
        if sandbox is None:
            return
        now = self._clock.boot()
        own = self._each.get(sandbox)
        if own is None:
            own = self._each[sandbox] = Bucket(PER_SECOND, BURST, now=now)
        wait = own.wait(now)
        if wait > 0:
            message = f"this sandbox causes more than {PER_SECOND:g} new token exchanges a second"
            raise failed(
                Code.RATE_LIMITED,
                message,
                hint="ask again later, for fewer repositories at once",
                retry_after=max(1.0, wait),
            )
        wait = self._all.wait(now)
        if wait > 0:
            message = f"all sandboxes together cause more than {ALL_PER_SECOND:g} new token exchanges a second"
            raise failed(
                Code.RATE_LIMITED,
                message,
                hint="ask again later, or run fewer actions at once",
                retry_after=max(1.0, wait),
            )
        own.take()
        self._all.take()
