"""Files that a login is made from beside the one that it is in: only whether they have changed is of interest."""

from collections.abc import Hashable

from credproxy.ports.clock import Clock
from credproxy.ports.files import Files, FileVersion
from credproxy.sources.watched_file import Looks


class OtherFiles:
    """Their versions, looked at once a second like every other file: there is a question for each object.

    Args:
        files: are looked at.
        clock: says when.
    """

    def __init__(self, files: Files, clock: Clock) -> None:
        self._files = files
        self._looks = Looks(clock)
        self._paths: tuple[str, ...] = ()
        self._versions: tuple[FileVersion | None, ...] = ()

    async def stamps(self, paths: tuple[str, ...]) -> tuple[Hashable, ...]:
        """Give what changes with each of these, None for one that is not there. Raises Failed(credential_unreadable)."""
        if self._paths != paths:
            self._paths, self._versions = paths, (None,) * len(paths)
            self._looks.forget()
        if paths:
            await self._looks.look(self._look)
        return tuple(version and version.stamp for version in self._versions)

    def forget(self) -> None:
        """The next question looks."""
        self._looks.forget()

    async def _look(self) -> None:
        paths = self._paths
        found = tuple([await self._files.version(path) for path in paths])
        if paths == self._paths:
            self._versions = found
