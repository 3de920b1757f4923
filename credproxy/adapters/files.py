"""Small files, read off the event loop and within limits (C8).

A home directory may lie on a network that hangs: four threads and two seconds are all that such a file gets.
"""

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from credproxy.adapters.exposed import exposures
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.ownership import Exposure
from credproxy.ports import FileVersion, Judged


LIMIT = 1024 * 1024
"""Bytes: a docker configuration of a thousand registries is far below."""

TIMEOUT = 2.0
"""Seconds."""

_ABSENT = {errno.ENOENT, errno.ENOTDIR, errno.EISDIR}

T = TypeVar("T")


class SystemFiles:
    """Files of this machine. Source: ports.Files.

    Args:
        timeout: seconds that one file gets.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="files")

    def close(self) -> None:
        """Let the threads end; one that hangs in a dead file system is left behind."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def version(self, path: str) -> FileVersion | None:
        """None where nothing, or a directory, is at the path.

        Raises:
            Failed(credential_unreadable): it cannot be looked at, or not in time.
        """
        return await self._off_loop(path, _version)

    async def read(self, path: str) -> bytes | None:
        """The content; None where nothing, or a directory, is at the path.

        Raises:
            Failed(credential_unreadable): no regular file, over LIMIT, unreadable, or not in time.
        """
        return await self._off_loop(path, _read)

    async def judged(self, path: str, home: str) -> Judged | None:
        """The content, and who else could have written it. Raises as ``read``."""

        def work(path: str) -> Judged | None:
            found = _open_and_read(path)
            return None if found is None else Judged(found[0], exposures(path, home, found[1]))

        return await self._off_loop(path, work)

    async def exposures(self, path: str, home: str) -> tuple[Exposure, ...]:
        """Who else could write a file that is there."""
        return await self._off_loop(path, lambda path: exposures(path, home)) or ()

    async def _off_loop(self, path: str, work: Callable[[str], T | None]) -> T | None:
        waiting = asyncio.get_running_loop().run_in_executor(self._threads, work, path)
        try:
            # Not asyncio.timeout: a loop that is late, with ten thousand callers to serve, finds its alarm and the content
            # at the same moment, and would blame the file.
            await asyncio.wait({waiting}, timeout=self._timeout)
        finally:
            late = waiting.cancel()
        if late:
            raise _unreadable(path, f"did not answer within {self._timeout:g} s")
        try:
            return waiting.result()
        except OSError as error:
            if error.errno in _ABSENT:
                return None
            raise _unreadable(path, os.strerror(error.errno or 0).lower()) from None


def _version(path: str) -> FileVersion | None:
    found = Path(path).stat()
    if stat.S_ISDIR(found.st_mode):
        return None
    return FileVersion(
        mtime_ns=found.st_mtime_ns, inode=found.st_ino, size=found.st_size, mode=found.st_mode, uid=found.st_uid
    )


def _read(path: str) -> bytes | None:
    found = _open_and_read(path)
    return None if found is None else found[0]


def _open_and_read(path: str) -> tuple[bytes, os.stat_result] | None:
    # Without O_NONBLOCK, opening a FIFO would wait for a writer and hold one of four threads for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        about = os.fstat(descriptor)
        if stat.S_ISDIR(about.st_mode):
            return None
        if not stat.S_ISREG(about.st_mode):
            raise _unreadable(path, "is no regular file")
        content = file.read(LIMIT + 1)
    if len(content) > LIMIT:
        raise _unreadable(path, f"is larger than {LIMIT} bytes")
    return content, about


def _unreadable(path: str, problem: str) -> Failed:
    return failed(Code.CREDENTIAL_UNREADABLE, f"the file {path!r} {problem}", f"look at it: ls -l {path}")
