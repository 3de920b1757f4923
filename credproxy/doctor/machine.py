"""How checks read files: a protocol for the real machine and for a fake one."""

import stat
from dataclasses import dataclass
from typing import Protocol

from credproxy.core.ownership import Exposure, exposure


READ_LIMIT = 1024 * 1024
"""Bytes: the daemon does not read a larger file."""


@dataclass(frozen=True, slots=True)
class PathState:
    """What is at a path, with links followed.

    Attributes:
        mode: the whole ``st_mode``; 0 if there is nothing, or nothing visible.
        uid: its owner.
        readable, runnable: by this user.
        size: in bytes.
    """

    path: str
    mode: int = 0
    uid: int = 0
    readable: bool = False
    runnable: bool = False
    size: int = 0

    @property
    def there(self) -> bool:
        """Whether anything is there."""
        return self.mode != 0

    @property
    def is_file(self) -> bool:
        """Whether it is a regular file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        """Whether it is a directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_everybodys(self) -> bool:
        """Whether it is a directory in which everybody may make files, such as /tmp: its mode must stay as it is."""
        return self.is_directory and bool(self.mode & stat.S_ISVTX) and bool(self.mode & 0o022)

    @property
    def is_socket(self) -> bool:
        """Whether it is a socket."""
        return stat.S_ISSOCK(self.mode)

    @property
    def bits(self) -> str:
        """The permissions as ``chmod`` takes them."""
        return f"{stat.S_IMODE(self.mode):04o}"

    @property
    def open_to_others(self) -> bool:
        """Whether anybody else has any permission."""
        return bool(self.mode & 0o077)


@dataclass(frozen=True, slots=True)
class Obstacle:
    """Why nothing can be written below a folder.

    Attributes:
        folder: the nearest one that exists.
        problem: what is said of it, as in "its file system is full".
        remedy: the command that shows it.
    """

    folder: str
    problem: str
    remedy: str


class Machine(Protocol):
    """This machine's files, read only; no method raises."""

    @property
    def uid(self) -> int:
        """The uid of this user."""
        ...

    @property
    def roots(self) -> frozenset[int]:
        """The uids that root's files may appear to have (``core.ownership.shown_roots``)."""
        ...

    def look(self, path: str) -> PathState:
        """Look at a path."""
        ...

    def lineage(self, path: str) -> tuple[PathState, ...]:
        """The file itself, with links followed, then each link and directory on the way back to the root."""
        ...

    def read(self, path: str) -> bytes | None:
        """The content, at most 1 MiB; None if it cannot be read."""
        ...

    def obstacle(self, path: str) -> Obstacle | None:
        """Why no file can be made in a folder, which need not exist yet; None if one can."""
        ...

    def which(self, name: str, path: str | None = None) -> str | None:
        """Find a program on a search path; None for this process's own."""
        ...


def replaceable(machine: Machine, path: str) -> Exposure | None:
    """How others could replace the file at a path, or a directory on the way to it (T29): the worst way."""
    places = machine.lineage(path)
    me, roots = machine.uid, machine.roots
    found = [exposure(place.path, owner=place.uid, mode=place.mode, me=me, roots=roots) for place in places]
    ways = sorted(filter(None, found), key=lambda way: not way.grave)
    return ways[0] if ways else None
