"""When a connection is silent, and how long its caller takes for a request's head (T16).

A caller is not trusted to say anything: only bytes that have arrived count. A head that drips is silence, and so is a
request whose small body has not arrived.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic

from aiohttp import StreamReader

from credproxy.server.connection_limit import ConnectionLimit, Holder, HolderKey


HEAD = 2.0
"""Seconds that a caller has for a request's head: from its first byte on, the first one from accept on."""

Arrived = Sequence[tuple[object, StreamReader]]
"""Heads that have arrived and were not looked at, each with its body."""


class Attendance(Generic[HolderKey]):
    """What one connection does, told to the shares that it is counted in.

    Args:
        shares: know the connection already.
        key: its name there.
        late: ends it: its head took too long.
    """

    __slots__ = ("_arriving", "_begun", "_key", "_late", "_shares", "_timer")

    def __init__(self, shares: ConnectionLimit[HolderKey], key: HolderKey, late: Callable[[], object]) -> None:
        self._shares = shares
        self._key = key
        self._late = late
        self._arriving: StreamReader | None = None
        self._begun = False
        self._timer: asyncio.TimerHandle | None = None
        self._await_head()

    def received(self, heads: Arrived) -> None:
        """Bytes have arrived, and were parsed."""
        if self._begun:
            return
        if self._arriving is None and heads:
            self.close()
            self._arriving = heads[0][1]
        if self._arriving is None:
            if self._timer is None:
                self._await_head()
        elif self._arriving.is_eof():
            self.begin()

    def begin(self) -> None:
        """A request is under way, from here on also one whose body still streams."""
        self._begun = True
        self._shares.begin(self._key)

    def end(self, heads: Arrived) -> None:
        """A request is answered to its last byte; the next one may have come with it."""
        self._begun, self._arriving = False, None
        self._shares.end(self._key)
        if heads:
            self.received(heads)

    def move(self, holder: Holder) -> None:
        """It has proven whose it is."""
        self._shares.move(self._key, holder)

    def close(self) -> None:
        """Wait for no head any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _await_head(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEAD, self._late)
