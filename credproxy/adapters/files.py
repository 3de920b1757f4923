"""Small files, read outside the event loop and within limits (C8).

A home directory may be on a network file system that hangs: such a file gets four threads and two seconds at most.
"""

import asyncio
import errno
import os
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shlex import quote
from typing import TypeVar

from credproxy.adapters.file_exposure import exposures
from credproxy.adapters.rewriting import HeldLock, Place, hold
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.ownership import Exposure
from credproxy.ports.files import FileVersion, Judged, Lock, Reserved


LIMIT = 1024 * 1024
"""Bytes: a docker configuration of a thousand registries is far smaller."""

TIMEOUT = 2.0
"""Seconds."""

_ABSENT = {errno.ENOENT, errno.ENOTDIR}

_NOT_FILES = {errno.ENXIO, errno.ENODEV, errno.EOPNOTSUPP}
"""Errors of the system on opening a socket, or a device without a driver."""

T = TypeVar("T")
W = TypeVar("W")


class SystemFiles:
    """Files of this machine. Source: ports.files.Files.

    Args:
        timeout: seconds for one file.
    """

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="files")

    def close(self) -> None:
        """Let the threads end; one that hangs in a dead file system is abandoned."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def version(self, path: str) -> FileVersion | None:
        """None if nothing, or /dev/null, is at the path.

        Raises:
            Failed(credential_unreadable): not a regular file, or it cannot be inspected, or not in time.
        """
        return await self._off_loop(path, _version)

    async def read(self, path: str) -> bytes | None:
        """The content; None if nothing, or /dev/null, is at the path.

        Raises:
            Failed(credential_unreadable): not a regular file, over LIMIT, unreadable, or not in time.
        """
        return await self._off_loop(path, _read)

    async def judged(self, path: str, home: str) -> Judged | None:
        """The content, and who else could have written it. Raises the same as ``read``, and for a link that leads nowhere."""
        return await self._off_loop(path, lambda path: _judged(path, home))

    async def exposures(self, path: str, home: str) -> tuple[Exposure, ...]:
        """Who else could write an existing file."""
        return await self._off_loop(path, lambda path: exposures(path, home)) or ()

    async def lock(self, path: str) -> Lock | None:
        """Hold a lock file; None if somebody else does. Raises Failed(credential_unreadable)."""
        held = await self._whole(path, lambda: hold(path))
        return None if held is None else _SystemLock(self, path, held)

    async def reserve(self, path: str) -> Reserved:
        """Reserve the space for a replacement beside a file. Raises Failed(credential_unreadable)."""
        return _SystemReserved(self, path, await self._whole(path, lambda: Place(path)))

    async def _whole(self, path: str, work: Callable[[], W]) -> W:
        """Do something that must not be left half done: a cancelled task waits for its end, but no longer than one file takes."""
        waiting = asyncio.get_running_loop().run_in_executor(self._threads, work)
        try:
            return await asyncio.shield(waiting)
        except asyncio.CancelledError:
            await asyncio.wait({waiting}, timeout=self._timeout)
            raise
        except OSError as error:
            raise _unwritten(path, error) from None

    async def _off_loop(self, path: str, work: Callable[[str], T | None]) -> T | None:
        waiting = asyncio.get_running_loop().run_in_executor(self._threads, lambda: _at_once(path, work))
        try:
            # Not asyncio.timeout: a loop that is late, with ten thousand callers to serve, sees its timer and the
            # content at the same moment, and would blame the file.
            await asyncio.wait({waiting}, timeout=self._timeout)
        finally:
            late = waiting.cancel()
        if late:
            said = f"did not answer within {self._timeout:g} s"
            raise _unreadable(path, said, "its file system hangs: df shows which one; or use another path")
        return waiting.result()


class _SystemLock:
    """Source: ports.files.Lock."""

    def __init__(self, files: SystemFiles, path: str, held: HeldLock) -> None:
        self._files = files
        self._path = path
        self._held = held

    @property
    def note(self) -> bytes:
        return self._held.note

    async def mark(self, note: bytes) -> None:
        await self._files._whole(self._path, lambda: self._held.mark(note))  # noqa: SLF001  they are one adapter

    def close(self) -> None:
        self._held.close()


class _SystemReserved:
    """Source: ports.files.Reserved."""

    def __init__(self, files: SystemFiles, path: str, place: Place) -> None:
        self._files = files
        self._path = path
        self._place = place

    async def commit(self, content: bytes) -> FileVersion:
        return await self._files._whole(self._path, lambda: self._place.commit(content))  # noqa: SLF001  likewise

    async def close(self) -> None:
        await self._files._whole(self._path, self._place.close)  # noqa: SLF001  likewise


def _version(path: str) -> FileVersion | None:
    found = Path(path).stat()
    if not _holds_text(path, found):
        return None
    return FileVersion(
        mtime_ns=found.st_mtime_ns, inode=found.st_ino, size=found.st_size, mode=found.st_mode, uid=found.st_uid
    )


def _read(path: str) -> bytes | None:
    found = _open_and_read(path)
    return None if found is None else found[0]


def _judged(path: str, home: str) -> Judged | None:
    try:
        found = _open_and_read(path)
    except OSError as error:
        if error.errno in _ABSENT:
            _refuse_broken_way(path)
        raise
    return None if found is None else Judged(found[0], exposures(path, home, end=found[1]))


def _refuse_broken_way(path: str) -> None:
    """Refuse a missing file whose way says that there should be one: what it denies must not be forgotten.

    A link that leads nowhere, such as one into a disk that is not mounted; or a file where its directory should be.
    """
    # The nearest step that is there: nothing below a link that leads nowhere can be looked at.
    step = next(step for step in (Path(path), *Path(path).parents) if os.path.lexists(step))
    if not step.exists():
        raise _unreadable(
            path,
            "is a link that leads nowhere"
            if step == Path(path)
            else f"cannot be reached: the link {str(step)!r} leads nowhere",
            f"bring back what it leads to, or move it away: mv {quote(str(step))} {quote(str(step))}.link",
        )
    if step.is_file():
        raise _unreadable(
            path,
            f"cannot be reached: {str(step)!r} is a file, and no directory",
            f"move it away: mv {quote(str(step))} {quote(str(step))}.file",
        )


def _open_and_read(path: str) -> tuple[bytes, os.stat_result] | None:
    # Without O_NONBLOCK, opening a FIFO would wait for a writer and block one of four threads for ever.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        about = os.fstat(descriptor)
        # Checked before making a file object, which is impossible for a directory.
        if not _holds_text(path, about):
            return None
        with os.fdopen(descriptor, "rb", closefd=False) as file:
            content = file.read(LIMIT + 1)
    finally:
        os.close(descriptor)
    if len(content) > LIMIT:
        raise _unreadable(path, f"is larger than {LIMIT} bytes", "keep only what is needed in it")
    return content, about


def read_file(path: str) -> bytes | None:
    """Give the content, without an event loop; None if nothing, or /dev/null, is at the path.

    Raises:
        Failed(credential_unreadable): not a regular file, over LIMIT, or unreadable.
    """
    return _at_once(path, _read)


def read_judged(path: str, home: str) -> Judged | None:
    """Give the content, and who else could have written it; see ``SystemFiles.judged``."""
    return _at_once(path, lambda path: _judged(path, home))


def _at_once(path: str, work: Callable[[str], T | None]) -> T | None:
    try:
        return work(path)
    except OSError as error:
        if error.errno in _ABSENT:
            return None
        raise _unopened(path, error) from None


def _unopened(path: str, error: OSError) -> Failed:
    if error.errno in _NOT_FILES:
        return _irregular(path)
    said = f"cannot be opened: {os.strerror(error.errno or 0).lower()}"
    if _only_its_mode(path, error):
        return _unreadable(path, said, f"chmod u+r {quote(path)}")
    return _unreadable(path, said, f"see which part of the path is at fault: namei -l {quote(path)}")


def _unwritten(path: str, error: OSError) -> Failed:
    said = f"cannot be written: {os.strerror(error.errno or 0).lower()}"
    folder = quote(str(Path(path).parent))
    return _unreadable(
        path, said, f"it and its directory have to be yours, with space left: ls -ld {folder}; df {folder}"
    )


def _only_its_mode(path: str, error: OSError) -> bool:
    """Whether the file is the caller's own, and only its mode keeps the caller from reading it."""
    try:
        about = Path(path).stat()
    except OSError:
        return False
    return error.errno == errno.EACCES and about.st_uid == os.geteuid() and not about.st_mode & stat.S_IRUSR


def _is_empty(path: str) -> bool:
    try:
        return next(Path(path).iterdir(), None) is None
    except OSError:
        return False


def _holds_text(path: str, found: os.stat_result) -> bool:
    """False for /dev/null, which people use to say "none"."""
    if stat.S_ISCHR(found.st_mode) and found.st_rdev == Path(os.devnull).stat().st_rdev:
        return False
    if stat.S_ISDIR(found.st_mode):  # docker makes a directory if a container mounts a file that does not exist
        raise _unreadable(
            path,
            "is a directory",
            f"a file is wanted there; if docker made it because there was none: rmdir {quote(path)}"
            if _is_empty(path)
            else f"a file is wanted there; see what the directory holds: ls -la {quote(path)}",
        )
    if not stat.S_ISREG(found.st_mode):
        raise _irregular(path)
    return True


def _irregular(path: str) -> Failed:
    return _unreadable(path, "is not a regular file", f"put a file in its place: ls -l {quote(path)}")


def _unreadable(path: str, problem: str, hint: str) -> Failed:
    return failed(Code.CREDENTIAL_UNREADABLE, f"the file {path!r} {problem}", hint=hint)
