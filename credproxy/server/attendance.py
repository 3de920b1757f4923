"""When a connection is silent, and how long its caller takes for a request's head (T16).

Nothing a caller says is trusted: only bytes that have arrived count. A head that drips counts as silence, and so does a
request whose small body has not arrived.
"""

import asyncio
from collections.abc import Callable, Sequence
from typing import Generic

from aiohttp import StreamReader

from credproxy.server.connection_limit import ConnectionLimit, Holder, HolderKey


HEAD = 2.0
"""Seconds that a caller has for a request's head: counted from its first byte, for the first request from accept."""

Arrived = Sequence[tuple[object, StreamReader]]
"""Heads that have arrived but were not processed, each with its body."""


class Attendance(Generic[HolderKey]):
    """Tells the shares that count a connection what it does.

    Args:
        shares: already know the connection.
        key: its name there.
        late: closes it because its head took too long.
    """

    __slots__ = ("_arriving", "_begun", "_key", "_late", "_shares", "_timer")

    def __init__(self, shares: ConnectionLimit[HolderKey], key: HolderKey, *, late: Callable[[], object]) -> None:
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
        """A request is under way, including one whose body still streams."""
        if not self._begun:
            self._begun = True
            self._shares.begin(self._key)

    def end(self, heads: Arrived) -> None:
        """A request is answered to its last byte; the next one may have come with it."""
        self._begun, self._arriving = False, None
        self._shares.end(self._key)
        if heads:
            self.received(heads)

    def move(self, holder: Holder) -> None:
        """The connection has proven whose it is."""
        self._shares.move(self._key, holder)

    def close(self) -> None:
        """Stop waiting for a head."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _await_head(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEAD, self._late)
