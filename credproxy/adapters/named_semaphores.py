"""Limits how much of a scarce resource each of many users may hold at once."""

import asyncio
import contextlib
from collections.abc import AsyncIterator


class NamedSemaphores:
    """A semaphore per name; a name that is not held or waited for takes no memory.

    Args:
        most: places per name.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self._shares: dict[str, _NamedSemaphore] = {}

    async def take(self, name: str, wait: float) -> None:
        """Take one place of a name, until ``give_back``; wait up to this many seconds. Raises TimeoutError."""
        share = self._shares.get(name)
        if share is None:
            share = self._shares[name] = _NamedSemaphore(self.most)
        share.users += 1
        try:
            await acquired(share.places, wait)
        except BaseException:  # also when cancelled: a place that was not taken must not be counted
            self._leave(name, share)
            raise

    @contextlib.asynccontextmanager
    async def place(self, name: str, wait: float) -> AsyncIterator[None]:
        """Hold one place of a name, as ``take`` and ``give_back``."""
        await self.take(name, wait)
        try:
            yield
        finally:
            self.give_back(name)

    def give_back(self, name: str) -> None:
        """End one ``take``."""
        share = self._shares[name]
        share.places.release()
        self._leave(name, share)

    def _leave(self, name: str, share: "_NamedSemaphore") -> None:
        share.users -= 1
        if not share.users:
            del self._shares[name]


class _NamedSemaphore:
    __slots__ = ("places", "users")

    def __init__(self, most: int) -> None:
        self.places = asyncio.Semaphore(most)
        self.users = 0


async def acquired(places: asyncio.Semaphore, wait: float) -> None:
    """Acquire; wait up to this many seconds. Raises TimeoutError. Sets no timer if a place is free."""
    if not places.locked():
        await places.acquire()
        return
    async with asyncio.timeout(wait):
        await places.acquire()
