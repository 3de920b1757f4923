"""Reading and writing files."""

from dataclasses import dataclass, field
from typing import Protocol

from credproxy.core.ask.stored import unreadable
from credproxy.core.ownership import Exposure


@dataclass(frozen=True, slots=True)
class FileVersion:
    """Changes whenever a file may have: compared, never interpreted. ``mode`` and ``uid`` are for warnings."""

    mtime_ns: int
    inode: int
    size: int
    mode: int = field(default=0, compare=False)
    uid: int = field(default=0, compare=False)

    @property
    def stamp(self) -> tuple[int, int, int]:
        """What is compared, as it goes into an Identity."""
        return (self.mtime_ns, self.inode, self.size)


@dataclass(frozen=True, slots=True)
class Judged:
    """A file that is trusted only if nobody else could have written it: its content, and who could have."""

    content: bytes = field(repr=False)
    exposures: tuple[Exposure, ...]

    def trusted(self, path: str) -> bytes:
        """Give the content. Raises Failed(credential_unreadable): others could have written it, and so chosen the login."""
        for one in self.exposures:
            if one.grave:
                raise unreadable(f"the file {path!r}", f"is not trusted: it {one.problem}", hint=one.remedy)
        return self.content


class Lock(Protocol):
    """A file that only we hold, among all processes, with a few bytes in it. Its methods are called one at a time."""

    @property
    def note(self) -> bytes:
        """What its last holder has left in it."""
        ...

    async def mark(self, note: bytes) -> None:
        """Leave other bytes there; they are on the disk when it returns. Raises Failed(credential_unreadable)."""
        ...

    def close(self) -> None:
        """Let it go."""
        ...


class Reserved(Protocol):
    """A place beside a file, with the space for another content. Its methods are called one at a time."""

    async def commit(self, content: bytes) -> FileVersion:
        """Put this in the place of the file, in one step; it is on the disk when it returns, and private (0600).

        A task that is cancelled meanwhile waits for its end. Raises Failed(credential_unreadable): the file is as it was.
        """
        ...

    async def close(self) -> None:
        """Give the place up, where nothing was committed."""
        ...


class Files(Protocol):
    """Reads small files off the event loop, within 2 s and 1 MiB (C8), and writes those that it is told to."""

    async def version(self, path: str) -> FileVersion | None:
        """None if nothing (or /dev/null) is at the path. Raises Failed(credential_unreadable) otherwise."""
        ...

    async def read(self, path: str) -> bytes | None:
        """The content; None if nothing (or /dev/null) is there. Raises Failed(credential_unreadable)."""
        ...

    async def judged(self, path: str, home: str) -> Judged | None:
        """The content as for ``read``, and what is wrong with the very file that was read, and on the way to it.

        Args:
            path: of the file.
            home: the directories above it are not judged; "" for none.

        Raises:
            Failed(credential_unreadable): as for ``read``, and a link on the way leads nowhere.
        """
        ...

    async def exposures(self, path: str, home: str) -> tuple[Exposure, ...]:
        """What is wrong with a file and on the way to it; nothing if there is no file. Raises Failed(credential_unreadable)."""
        ...

    async def lock(self, path: str) -> Lock | None:
        """Hold a file, which is made where none is, until it is closed or this process ends; None: another holds it.

        Raises:
            Failed(credential_unreadable): it can be neither made nor written.
        """
        ...

    async def reserve(self, path: str) -> Reserved:
        """Take what is needed to replace a file, so that nothing is missing when that has to be done.

        The caller holds the file's lock, since a file has only one such place. Raises Failed(credential_unreadable).
        """
        ...
