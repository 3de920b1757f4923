"""An aiohttp session that is closed only after the last request that uses it has ended."""

from types import TracebackType

import aiohttp


class Session:
    """Lends its session to requests, one ``async with`` for each."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self._session = session
        self._users = 0
        self._retired = False

    async def __aenter__(self) -> aiohttp.ClientSession:
        self._users += 1
        return self._session

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._users -= 1
        if self._retired and not self._users:
            await self._session.close()

    async def retire(self) -> None:
        """Lend it no more; close it now, or when its last request ends."""
        self._retired = True
        if not self._users:
            await self._session.close()

    async def close(self) -> None:
        """Close it now, even while it is in use: the daemon is stopping."""
        await self._session.close()
