"""How much of something scarce each of many may hold at once."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator


class Shares:
    """Places by name; a name that nobody holds or waits for takes no memory.

    Args:
        most: places of each name.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._places: dict[str, asyncio.Semaphore] = {}
        self._users: Counter[str] = Counter()

    @property
    def names(self) -> int:
        """How many names there are at the moment."""
        return len(self._places)

    @contextlib.asynccontextmanager
    async def hold(self, name: str, wait: float) -> AsyncIterator[None]:
        """Hold one place of a name; wait for it for so many seconds. Raises TimeoutError."""
        places = self._places.setdefault(name, asyncio.Semaphore(self.most))
        self._users[name] += 1
        try:
            if places.locked():
                async with asyncio.timeout(wait):
                    await places.acquire()
            else:
                await places.acquire()  # at once
            try:
                yield
            finally:
                places.release()
        finally:
            self._users[name] -= 1
            if not self._users[name]:
                del self._users[name], self._places[name]
