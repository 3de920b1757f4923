"""The log of a daemon that the helper started: a file of bounded size, with the three before it.

Nothing else manages that file: journald keeps a service's log, and people who redirect stderr to a file of their own
chose it, so that one is never touched.
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
"""Files before the one that is written: ``daemon.log.1`` is the youngest."""

_STREAMS = (1, 2)
_MODE = 0o600


class LogFile:
    """Writes to a descriptor, and puts another file behind it before the one there grows too large.

    Args:
        out: writes to standard error.
        path: of the file that may be rotated; where standard error is anything else, nothing but writing happens.
        limit: bytes.
    """

    def __init__(self, out: Descriptor, path: Path, *, limit: int = LIMIT) -> None:
        self._out = out
        self._path = path
        self._limit = limit
        self._ours = _is_regular(out.number) and _same(out.number, path)

    def write(self, text: str) -> None:
        """Write a text whole. Raises OSError, also where there is no room and none can be made."""
        if (
            self._ours
            and os.fstat(self._out.number).st_size + len(text.encode("utf-8", "backslashreplace")) + 1 > self._limit
        ):
            self._rotate()
        self._out.write(text)

    def _rotate(self) -> None:
        # Daemons of other sockets write to the same file: one of them renames, the others find that it did.
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
        # The new file first: where it cannot be made, nothing has been renamed.
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
        except BaseException:  # whatever it was, the descriptor would be lost
            os.close(fresh)
            raise
        self._turn_to(fresh)

    def _turn_to(self, fresh: int) -> None:
        """Let standard error, and standard output where it was the same file, be this one; ``fresh`` is closed."""
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
