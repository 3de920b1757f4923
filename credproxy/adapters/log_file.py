"""The log of a daemon that the helper started: a file of limited size, with three older ones.

No other program manages that file. journald keeps a service's log, and a file that a user redirected stderr to is never
touched.
"""

import contextlib
import fcntl
import os
import stat
from itertools import pairwise
from pathlib import Path

from credproxy.adapters.log_queue import Descriptor


LIMIT = 16 * 1024 * 1024
"""Bytes of one file."""

KEPT = 3
"""Older files that are kept: ``daemon.log.1`` is the newest of them."""

_STREAMS = (1, 2)
_MODE = 0o600


class LogFile:
    """Writes to a descriptor, and replaces the file behind it before that grows too large.

    Args:
        out: writes to standard error.
        path: of the file that may be rotated; if standard error is anything else, it is only written to.
        limit: bytes.
    """

    def __init__(self, out: Descriptor, path: Path, *, limit: int = LIMIT) -> None:
        self._out = out
        self._path = path
        self._limit = limit
        self._ours = _is_regular(out.number) and _same(out.number, path)

    def write(self, text: str) -> None:
        """Write a whole text. Raises OSError, also if the disk is full and rotating does not help."""
        if (
            self._ours
            and os.fstat(self._out.number).st_size + len(text.encode("utf-8", "backslashreplace")) + 1 > self._limit
        ):
            self._rotate()
        self._out.write(text)

    def _rotate(self) -> None:
        # Daemons of other sockets write to the same file: one of them renames it, and the others notice.
        full = os.dup(self._out.number)
        try:
            fcntl.flock(full, fcntl.LOCK_EX)
            if _same(full, self._path):
                self._begin()
            else:
                self._turn_to(os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC))
        finally:
            fcntl.flock(full, fcntl.LOCK_UN)  # not left to close(): a shell may still have the same open file
            os.close(full)

    def _begin(self) -> None:
        # Make the new file first: if that fails, nothing has been renamed.
        beside = self._path.with_name(self._path.name + ".new")
        beside.unlink(missing_ok=True)
        fresh = os.open(
            beside, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, _MODE
        )
        names = [self._path, *(self._path.with_name(f"{self._path.name}.{number}") for number in range(1, KEPT + 1))]
        try:
            for younger, older in reversed(list(pairwise(names))):
                with contextlib.suppress(FileNotFoundError):
                    younger.rename(older)
            beside.rename(self._path)
        except BaseException:  # after any exception: the descriptor would be lost
            os.close(fresh)
            raise
        self._turn_to(fresh)

    def _turn_to(self, fresh: int) -> None:
        """Point standard error, and standard output if it was the same file, to this one; ``fresh`` is closed."""
        before = os.fstat(self._out.number)
        try:
            for number in {self._out.number, *_STREAMS}:
                with contextlib.suppress(OSError):  # a closed standard output stays closed
                    if os.path.samestat(os.fstat(number), before):
                        os.dup2(fresh, number)
        finally:
            os.close(fresh)


def _is_regular(number: int) -> bool:
    try:
        found = os.fstat(number)
    except OSError:
        return False
    return stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid()


def _same(number: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(number), path.lstat())
    except OSError:
        return False
