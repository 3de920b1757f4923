"""Limits the memory of all bodies that are held whole: manifests in both directions, and small uploads.

Each may have a few megabytes, and a build asks for hundreds at once. One sandbox gets a quarter, or its clients that do
not read would block the others. Source: ports.forwarder.Room.
"""

import asyncio
from collections import Counter, deque
from typing import NamedTuple

from credproxy.core.errors import Code, failed
from credproxy.ports.clock import Clock


MEMORY = 64 * 1024 * 1024
"""Bytes of all bodies that are held whole."""

WAIT = 10.0
"""Seconds that a request waits for memory; a client repeats a request that is then refused."""


class _Waiter(NamedTuple):
    size: int
    account: str | None
    served: asyncio.Future[None]


class Memory:
    """Lends bytes in the order of requests, so that a large body is not passed over for ever.

    Args:
        clock: for waiting.
        size: bytes in total; an account gets a quarter of them, or one body if that is larger.
    """

    def __init__(self, clock: Clock, size: int = MEMORY) -> None:
        self._clock = clock
        self.size = self.free = size
        self.share = size // 4
        self._held: Counter[str | None] = Counter()
        self._waiting: deque[_Waiter] = deque()

    def room(self, account: str | None = None) -> "HeldRoom":
        """Give a room for one request of an account, empty at first; an account of None has no share as its limit."""
        return HeldRoom(self, account)

    async def lend(self, count: int, account: str | None) -> None:
        """Lend this many bytes as soon as they are free.

        Raises:
            Failed(overloaded): they were not free within WAIT seconds.
        """
        entry = _Waiter(count, account, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._serve()
        if entry.served.done():
            return
        try:
            async with self._clock.timeout(WAIT):
                await entry.served
        except BaseException as error:  # also when cancelled: bytes that nobody waits for would be held for ever
            whose = "of this sandbox or user " if self._has_its_share(count, account) else ""
            self._withdraw(entry)
            if not isinstance(error, TimeoutError):
                raise
            most = self.share if whose else self.size
            message = f"{most} bytes are held for manifests {whose}already, and none became free for {WAIT:g} s"
            raise failed(Code.OVERLOADED, message, hint="ask again, with fewer --jobs", retry_after=1.0) from None

    def give_back(self, count: int, account: str | None) -> None:
        """Take back this many bytes."""
        self.free += count
        self._held[account] -= count
        if not self._held[account]:
            del self._held[account]
        self._serve()

    def _withdraw(self, entry: _Waiter) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
            self._serve()  # the next one in the queue may need less
        else:
            self.give_back(entry.size, entry.account)  # it was served at the same moment

    def _has_its_share(self, count: int, account: str | None) -> bool:
        held = self._held[account]
        return account is not None and held > 0 and held + count > self.share

    def _serve(self) -> None:
        for entry in tuple(self._waiting):
            if self._has_its_share(entry.size, entry.account):
                continue  # it waits for its own share, and does not block others
            if entry.size > self.free:
                return
            self._waiting.remove(entry)
            self.free -= entry.size
            self._held[entry.account] += entry.size
            if not entry.served.done():
                entry.served.set_result(None)


class HeldRoom:
    """The memory that one request holds; ``close`` gives it back. Source: ports.forwarder.Room."""

    def __init__(self, memory: Memory, account: str | None) -> None:
        self._memory = memory
        self._account = account
        self.held = 0

    async def hold(self, count: int) -> None:
        """Hold this many bytes more. Raises Failed(overloaded)."""
        await self._memory.lend(count, self._account)
        self.held += count

    def close(self) -> None:
        """Give everything back."""
        held, self.held = self.held, 0
        if held:
            self._memory.give_back(held, self._account)
