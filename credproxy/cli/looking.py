"""The machine as ``doctor`` sees it: only reads, and changes nothing."""

import os
import shutil
from pathlib import Path

from credproxy.adapters.file_exposure import way
from credproxy.adapters.root_uids import roots
from credproxy.doctor.machine import READ_LIMIT, PathState


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

    def which(self, name: str, path: str | None = None) -> str | None:
        """Find a program."""
        return shutil.which(name, path=path)
