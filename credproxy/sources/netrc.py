"""Logins in a netrc file: exact hosts only, because its ``default`` entry would match every host (P-7)."""

import structlog

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import Login, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Form, Target
from credproxy.core.errors import Failed, Failure
from credproxy.core.formats.netrc import NetrcFile as Content, parse_netrc
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.sources.watched_file import Watched


_LOGGED = 8
"""Mistakes per file that are logged: a file of another kind may have thousands."""

_NOTHING = Content({}, {}, ())

log = structlog.get_logger("credproxy.sources")


class Netrc:
    """One netrc file. Source: ports.source.Source, core/formats/netrc.py.

    A file that can no longer be read leaves the last good copy in force (DC-3). A readable file is in force: a faulty
    entry is an error for its own machine only.

    Args:
        path: of the file, or None for none.
    """

    def __init__(self, path: str | None, *, files: Files, clock: Clock) -> None:
        self._clock = clock
        self._file = Watched(
            path,
            _NOTHING,
            parse=lambda content: parse_netrc(content, f"the netrc file {path!r}"),
            name="netrc",
            files=files,
            clock=clock,
        )

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the machine's entry; None if the file has none, is not there, or was never readable.

        Raises:
            Failed(credential_unreadable): the file names the machine, and its entry cannot be used.
        """
        del repository
        if target.form is Form.LITERAL:
            return None
        if await self._file.look():
            self._tell_mistakes()
        content, version = self._file.content, self._file.version
        if target.host in content.broken:
            raise Failed(content.broken[target.host])
        if target.host not in content.logins:
            return None
        return Identity("netrc", f"{self._file.path}#{target.host}", version and version.stamp)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the login that ``locate`` named; None if the file has changed since and no longer has it."""
        del identity, anew
        stored, now = self._file.content.logins.get(target.host), self._clock.boot()
        return None if stored is None else login_of(stored, since=now, boot=now, wall=self._clock.wall())

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the login, as ``read``."""
        return await self.read(identity, target)

    def trouble(self, target: Target) -> Failure | None:
        """Why the file cannot be read, so that its machines are unknown, or known only from an older copy."""
        del target
        return self._file.failure

    def looked(self, target: Target) -> tuple[str, ...]:
        """Name the file, and whether it exists."""
        path, failure = self._file.path, self._file.failure
        if path is None:
            return ("no netrc file is looked at",)
        if failure is not None:
            return (f"the netrc file cannot be read: {failure.message}",)
        if self._file.version is None:
            return (f"the netrc file {path!r} is not there",)
        return (f"the netrc file {path!r} names no machine {target.host!r}",)

    def forget(self) -> None:
        """Make the next question look at the file."""
        self._file.forget()

    def _tell_mistakes(self) -> None:
        for mistake in self._file.content.mistakes[:_LOGGED]:
            log.warning("netrc file has a mistake", path=self._file.path, line=mistake.line, problem=mistake.problem)
