"""How checks look at files: satisfied by shape, by the real machine and by a fake one."""

import stat
from dataclasses import dataclass
from typing import Protocol

from credproxy.core.ownership import Exposure, exposure


READ_LIMIT = 1024 * 1024
"""Bytes: the daemon reads no larger file."""


@dataclass(frozen=True, slots=True)
class PathState:
    """What is at a path, behind links.

    Attributes:
        mode: ``st_mode``, whole; 0 where nothing is, or nothing may be seen.
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
        """Whether anything is."""
        return self.mode != 0

    @property
    def is_file(self) -> bool:
        """A regular one."""
        return stat.S_ISREG(self.mode)

    @property
    def is_directory(self) -> bool:
        """A directory."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_socket(self) -> bool:
        """A socket."""
        return stat.S_ISSOCK(self.mode)

    @property
    def bits(self) -> str:
        """The permissions as ``chmod`` takes them."""
        return f"{stat.S_IMODE(self.mode):04o}"

    @property
    def open_to_others(self) -> bool:
        """Whether anybody else may do anything with it."""
        return bool(self.mode & 0o077)


class Machine(Protocol):
    """This machine's files, read only; nothing raises."""

    @property
    def uid(self) -> int:
        """Of this user."""
        ...

    @property
    def roots(self) -> frozenset[int]:
        """By which uids root's files are shown (``core.ownership.shown_roots``)."""
        ...

    def look(self, path: str) -> PathState:
        """What is at a path."""
        ...

    def lineage(self, path: str) -> tuple[PathState, ...]:
        """The file itself, behind links, then each link and directory on the way back to the root."""
        ...

    def read(self, path: str) -> bytes | None:
        """The content, at most 1 MiB; None where it cannot be read."""
        ...

    def which(self, name: str, path: str | None = None) -> str | None:
        """Find a program on a search path; None for this process's own."""
        ...


def replaceable(machine: Machine, path: str) -> Exposure | None:
    """How others could replace the file at a path, or a directory on the way to it (T29): the gravest way."""
    places = machine.lineage(path)
    me, roots = machine.uid, machine.roots
    found = [exposure(place.path, owner=place.uid, mode=place.mode, me=me, roots=roots) for place in places]
    ways = sorted(filter(None, found), key=lambda way: not way.grave)
    return ways[0] if ways else None
