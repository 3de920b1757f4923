"""A file with logins that another program writes, checked once a second."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Generic, TypeVar

import structlog

from credproxy.core.errors import Failed, Failure
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files, FileVersion


LOOK = 1.0
"""Seconds between looks: a login is seen within one."""

T = TypeVar("T")

log = structlog.get_logger("credproxy.sources")


class Looks:
    """Decides when to look again: once a second, and once for all who ask meanwhile. Each look crosses a thread and parses.

    One that is cancelled does not count: the next in line looks.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._at = float("-inf")
        self._count = 0
        self._one = asyncio.Lock()

    def due(self) -> bool:
        """Whether the last look is a second old."""
        return self._clock.boot() - self._at >= LOOK

    async def look(self, action: Callable[[], Awaitable[T]]) -> T | None:
        """Look, or wait until somebody else has; None if this caller did not. Raises what ``action`` raises."""
        if not self.due():
            return None
        async with self._one:
            if not self.due():
                return None
            count = self._count
            found = await action()
            if count == self._count:  # else somebody wants what is newer than this
                self._at = self._clock.boot()
            return found

    def forget(self) -> None:
        """Look at the next question."""
        self._at = float("-inf")
        self._count += 1


class Watched(Generic[T]):
    """The last readable content of a file; a file that can no longer be read leaves that in force (DC-3).

    Args:
        path: of the file; None for none.
        nothing: the content that a missing file stands for.
        parse: reads its content; may raise Failed.
        name: of the file's kind, for the log, such as ``netrc``.

    Attributes:
        path: likewise.
        content: its last readable content.
        version: of the file whose content that is; None if there is none.
        failure: why it cannot be read now.
    """

    def __init__(
        self, path: str | None, nothing: T, *, parse: Callable[[bytes], T], name: str, files: Files, clock: Clock
    ) -> None:
        self.path = path
        self.content = self._nothing = nothing
        self.version: FileVersion | None = None
        self.failure: Failure | None = None
        self._parse = parse
        self._name = name
        self._files = files
        self._looks = Looks(clock)
        self._forgotten = False

    async def look(self) -> bool:
        """Check the file, unless that was done within the last second; tell whether it was read for this caller."""
        path = self.path
        if path is None or not self._looks.due():
            return False
        return bool(await self._looks.look(lambda: self._checked(path)))

    def forget(self) -> None:
        """Make the next question read the file. Until that has been done the version stays: a copy without one is none."""
        self._looks.forget()
        self._forgotten = True

    async def _checked(self, path: str) -> bool:
        try:
            return await self._read(path)
        except Failed as error:
            self._spoiled(path, error.failure)
            return False

    async def _read(self, path: str) -> bool:
        version = await self._files.version(path)
        # A changed mode does not change the version, so an unreadable file is tried again.
        if version is not None and version == self.version and self.failure is None and not self._forgotten:
            return False
        content = None if version is None else await self._files.read(path)
        self.content = self._nothing if content is None else self._parse(content)
        if self.failure is not None:
            log.info("logins can be read again", of=self._name, path=path)
        self.version, self.failure, self._forgotten = version, None, False
        return content is not None

    def _spoiled(self, path: str, failure: Failure) -> None:
        if failure != self.failure:  # checked each second, but logged once
            log.error("logins cannot be read", of=self._name, path=path, reason=failure.message, hint=failure.hint)
        self.failure = failure
