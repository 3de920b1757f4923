"""The machine as ``doctor`` sees it: only reads, and changes nothing."""

import os
import shutil
from pathlib import Path
from shlex import quote

from credproxy.adapters.file_exposure import way
from credproxy.adapters.root_uids import roots
from credproxy.doctor.machine import READ_LIMIT, Obstacle, PathState


_LEAST = 64 * 1024
"""Bytes below which a disk counts as full: a log and a file of logins take that."""


class ThisMachine:
    """Files of this machine, as this user sees them. Source: doctor.machine.Machine."""

    @property
    def uid(self) -> int:
        """The effective uid, whose rights count."""
        return os.geteuid()

    @property
    def roots(self) -> frozenset[int]:
        """The uids that root's files may appear to have."""
        return roots()

    def look(self, path: str) -> PathState:
        """Look at a path."""
        try:
            found = Path(path).stat()
        except (OSError, ValueError):
            return PathState(path)
        return PathState(
            path, found.st_mode, found.st_uid, os.access(path, os.R_OK), os.access(path, os.X_OK), found.st_size
        )

    def lineage(self, path: str) -> tuple[PathState, ...]:
        """The file itself, with links followed, then each link and directory on the way back to the root."""
        try:
            *before, last = way(Path(path).absolute())
        except (OSError, ValueError):
            return ()
        return (
            self.look(str(last.path)),
            *(PathState(str(place), about.st_mode, about.st_uid) for place, about in reversed(before)),
        )

    def read(self, path: str) -> bytes | None:
        """The content, at most 1 MiB."""
        if not self.look(path).is_file:  # a FIFO would wait for a writer
            return None
        try:
            with Path(path).open("rb") as file:
                return file.read(READ_LIMIT)
        except OSError:
            return None

    def obstacle(self, path: str) -> Obstacle | None:
        """Why no file can be made in a folder, which need not exist yet. Asks, and tries nothing: doctor changes nothing."""
        place = Path(path)
        folder = next((str(each) for each in (place, *place.parents) if each.exists()), "/")
        try:
            found = os.statvfs(folder)
        except OSError:
            return None
        if found.f_flag & os.ST_RDONLY:
            return Obstacle(folder, "is on a file system that can only be read", f"findmnt --target {quote(folder)}")
        # What is not a disk may count nothing.
        if found.f_blocks and found.f_bavail * found.f_frsize < _LEAST:
            return Obstacle(folder, "is on a file system that is full", f"df {quote(folder)}")
        if found.f_files and not found.f_favail:
            return Obstacle(folder, "is on a file system that has no room for another file", f"df -i {quote(folder)}")
        if not os.access(folder, os.W_OK | os.X_OK):
            return Obstacle(folder, "cannot be written to by you", f"ls -ld {quote(folder)}")
        return None

    def which(self, name: str, path: str | None = None) -> str | None:
        """Find a program."""
        return shutil.which(name, path=path)
