"""The memory that bodies held whole may take, all of them together: manifests in both directions, and small uploads.

Each may have a few megabytes, and a build asks for hundreds at once. One sandbox has a quarter, or its readers that do not
read would keep the others waiting. Source: ports.Room.
"""

import asyncio
from collections import Counter, deque
from typing import NamedTuple

from credproxy.core.errors import Code, failed
from credproxy.ports import Clock


MEMORY = 64 * 1024 * 1024
"""Bytes of all bodies that are held whole."""

WAIT = 10.0
"""Seconds that one waits for the others to leave; a client repeats what it is told then."""


class _Waiter(NamedTuple):
    size: int
    account: str | None
    served: asyncio.Future[None]


class Memory:
    """Bytes that are lent, in the order in which they are asked for: a large body is not passed by for ever.

    Args:
        clock: for the wait.
        size: bytes in all; an account has a quarter of them, or one body if that is larger.
    """

    def __init__(self, clock: Clock, size: int = MEMORY) -> None:
        self._clock = clock
        self.size = self.free = size
        self.share = size // 4
        self._held: Counter[str | None] = Counter()
        self._waiting: deque[_Waiter] = deque()

    def room(self, account: str | None = None) -> "HeldRoom":
        """What one request holds, nothing at first, and on whose account; None is bound to no share."""
        return HeldRoom(self, account)

    async def lend(self, count: int, account: str | None) -> None:
        """Lend so many bytes as soon as they are free.

        Raises:
            Failed(overloaded): they are not within WAIT seconds.
        """
        entry = _Waiter(count, account, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        self._serve()
        if entry.served.done():
            return
        try:
            async with self._clock.timeout(WAIT):
                await entry.served
        except BaseException as error:  # cancelled as well: bytes that nobody waits for would be held for ever
            whose = "of this sandbox or user " if self._has_its_share(count, account) else ""
            self._withdraw(entry)
            if not isinstance(error, TimeoutError):
                raise
            most = self.share if whose else self.size
            message = f"{most} bytes are held for manifests {whose}already, and none became free for {WAIT:g} s"
            raise failed(Code.OVERLOADED, message, hint="ask again, with fewer --jobs", retry_after=1.0) from None

    def give_back(self, count: int, account: str | None) -> None:
        """Take back so many bytes."""
        self.free += count
        self._held[account] -= count
        if not self._held[account]:
            del self._held[account]
        self._serve()

    def _withdraw(self, entry: _Waiter) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
            self._serve()  # who stood behind it may need less
        else:
            self.give_back(entry.size, entry.account)  # it was served in the same moment

    def _has_its_share(self, count: int, account: str | None) -> bool:
        held = self._held[account]
        return account is not None and held > 0 and held + count > self.share

    def _serve(self) -> None:
        for entry in tuple(self._waiting):
            if self._has_its_share(entry.size, entry.account):
                continue  # it waits for its own, and keeps nobody else waiting
            if entry.size > self.free:
                return
            self._waiting.remove(entry)
            self.free -= entry.size
            self._held[entry.account] += entry.size
            if not entry.served.done():
                entry.served.set_result(None)


class HeldRoom:
    """What one request holds; ``close`` gives it back. Source: ports.Room."""

    def __init__(self, memory: Memory, account: str | None) -> None:
        self._memory = memory
        self._account = account
        self.held = 0

    async def hold(self, count: int) -> None:
        """Hold so many bytes more. Raises Failed(overloaded)."""
        await self._memory.lend(count, self._account)
        self.held += count

    def close(self) -> None:
        """Hold nothing any more."""
        held, self.held = self.held, 0
        if held:
            self._memory.give_back(held, self._account)
