"""The memory that bodies held whole may take, all of them together: manifests in both directions, and small uploads.

Each may have a few megabytes, and a build asks for hundreds at once. Source: ports.Room.
"""

import asyncio
from collections import deque

from credproxy.core.errors import Code, failed
from credproxy.ports import Clock


MEMORY = 64 * 1024 * 1024
"""Bytes of all bodies that are held whole."""

WAIT = 10.0
"""Seconds that one waits for the others to leave; a client repeats what it is told then."""


class Memory:
    """Bytes that are lent, in the order in which they are asked for: a large body is not passed by for ever.

    Args:
        clock: for the wait.
        size: bytes in all.
    """

    def __init__(self, clock: Clock, size: int = MEMORY) -> None:
        self._clock = clock
        self.size = self.free = size
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()

    def room(self) -> "Room":
        """The share of one request, nothing at first."""
        return Room(self)

    async def lend(self, count: int) -> None:
        """Lend so many bytes as soon as they are free.

        Raises:
            Failed(overloaded): they are not within WAIT seconds.
        """
        if not self._waiting and count <= self.free:
            self.free -= count
            return
        entry = (count, asyncio.get_running_loop().create_future())
        self._waiting.append(entry)
        try:
            async with self._clock.timeout(WAIT):
                await entry[1]
        except BaseException as error:  # cancelled as well: bytes that nobody waits for would be held for ever
            self._withdraw(entry)
            if not isinstance(error, TimeoutError):
                raise
            message = f"{self.size} bytes are held for manifests, and none became free for {WAIT:g} s"
            raise failed(Code.OVERLOADED, message, "ask again, with fewer --jobs", 1.0) from None

    def give_back(self, count: int) -> None:
        """Take back so many bytes."""
        self.free += count
        self._serve()

    def _withdraw(self, entry: tuple[int, asyncio.Future[None]]) -> None:
        if entry in self._waiting:
            self._waiting.remove(entry)
            self._serve()  # who stood behind it may need less
        else:
            self.give_back(entry[0])  # it was served in the same moment

    def _serve(self) -> None:
        while self._waiting and self._waiting[0][0] <= self.free:
            count, waiting = self._waiting.popleft()
            self.free -= count
            if not waiting.done():
                waiting.set_result(None)


class Room:
    """What one request holds; ``close`` gives it back. Source: ports.Room."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self.held = 0

    async def hold(self, count: int) -> None:
        """Hold so many bytes more. Raises Failed(overloaded)."""
        await self._memory.lend(count)
        self.held += count

    def close(self) -> None:
        """Hold nothing any more."""
        held, self.held = self.held, 0
        self._memory.give_back(held)
