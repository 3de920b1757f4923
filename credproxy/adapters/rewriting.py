"""Files that are replaced by one process at a time, completely or not at all.

::

    NAME         what is stored           0600, replaced by rename
    .NAME.new    what will replace it     made before it is needed, so that there is space for it
    .NAME.lock   who may do so          flock, and a note for the next holder; it stays

Source: rename(2), flock(2), fsync(2): a name is on the disk once its directory is.
"""

import fcntl
import os
from pathlib import Path
from typing import Final

from credproxy.adapters.directories import sync_folder
from credproxy.ports.files import FileVersion


LARGEST: Final = 32 * 1024
"""Bytes that are reserved: twice the longest token that is accepted."""

_NOTE: Final = 256
_PRIVATE: Final = 0o600


class HeldLock:
    """An open lock file. Every method blocks."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.note = os.pread(descriptor, _NOTE, 0)

    def mark(self, note: bytes) -> None:
        """Replace the note. Raises OSError."""
        os.pwrite(self._descriptor, note, 0)
        os.ftruncate(self._descriptor, len(note))
        os.fsync(self._descriptor)
        self.note = note

    def close(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)


def hold(path: str) -> HeldLock | None:
    """Lock a lock file; None if another process, or another call, holds it. Raises OSError."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, _PRIVATE)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(descriptor), os.stat(path)):  # noqa: PTH116  somebody may have deleted it meanwhile
            return HeldLock(descriptor)
    except (BlockingIOError, FileNotFoundError):
        os.close(descriptor)
        return None
    except OSError:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


class Place:
    """A file that will replace another one. Every method blocks.

    Args:
        path: of the file to be replaced; the target of a link is replaced, and not the link.

    Raises:
        OSError: the file cannot be made, or there is no space.
    """

    def __init__(self, path: str) -> None:
        self._path = os.path.realpath(path)
        folder, name = os.path.split(self._path)
        self._new = os.path.join(folder, f".{name}.new")  # noqa: PTH118  realpath gave a string
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        self._descriptor = os.open(self._new, flags, _PRIVATE)
        try:
            os.fchmod(self._descriptor, _PRIVATE)
            # Not posix_fallocate, which macOS does not have: writing zeros reserves the space as well.
            os.pwrite(self._descriptor, bytes(LARGEST), 0)
        except OSError:
            self.close()
            raise

    def commit(self, content: bytes) -> FileVersion:
        """Replace the file. Raises OSError: it is unchanged."""
        os.pwrite(self._descriptor, content, 0)
        os.ftruncate(self._descriptor, len(content))
        os.fsync(self._descriptor)
        about = os.fstat(self._descriptor)
        place = Path(self._new).rename(self._path)
        self._new = ""
        sync_folder(place.parent)
        return FileVersion(
            mtime_ns=about.st_mtime_ns, inode=about.st_ino, size=about.st_size, mode=about.st_mode, uid=about.st_uid
        )

    def close(self) -> None:
        """Delete the replacement, unless it was used."""
        os.close(self._descriptor)
        if self._new:
            Path(self._new).unlink(missing_ok=True)
