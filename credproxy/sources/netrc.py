"""Logins in a netrc file: exact hosts only, since its ``default`` entry would configure every host there is (P-7)."""

import structlog

from credproxy.core.credential import Identity
from credproxy.core.errors import Failed, Failure
from credproxy.core.login import Login, login_of
from credproxy.core.netrc import Netrc as Content, parse_netrc
from credproxy.core.target import Form, Target
from credproxy.ports import Clock, Files, FileVersion


_LOOK = 1.0
"""Seconds between looks at the file: a login is seen within one."""

_LOGGED = 8
"""Mistakes of one file that are logged: a file of another kind, given by mistake, may have thousands."""

_NOTHING = Content({}, {}, ())

log = structlog.get_logger("credproxy.sources")


class Netrc:
    """One netrc file. Source: ports.Source, core/netrc.py.

    A file that can no longer be read leaves the last good copy in force (DC-3). A file that can be read is believed: an
    entry with a mistake in it is an error for its machine alone.

    Args:
        path: of the file, or None for none.
    """

    def __init__(self, path: str | None, *, files: Files, clock: Clock) -> None:
        self._path = path
        self._files = files
        self._clock = clock
        self._looked = float("-inf")
        self._version: FileVersion | None = None
        self._content = _NOTHING
        self._failure: Failure | None = None

    async def locate(self, target: Target, repository: str | None) -> Identity | None:
        """Name the machine's entry; None where the file has none, is not there, or was never readable.

        Raises:
            Failed(credential_unreadable): the file names the machine, and its entry cannot be used.
        """
        del repository
        if self._path is None or target.form is Form.LITERAL:
            return None
        if self._clock.boot() - self._looked >= _LOOK:
            await self._look(self._path)
        if target.host in self._content.broken:
            raise Failed(self._content.broken[target.host])
        if target.host not in self._content.logins:
            return None
        return Identity("netrc", target.host, self._version and self._version.stamp)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the login that ``locate`` named; None where the file has changed since and has it no more."""
        del target, anew
        stored, now = self._content.logins.get(identity.entry), self._clock.boot()
        return None if stored is None else login_of(stored, since=now, boot=now, wall=self._clock.wall())

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the login, as ``read``."""
        return await self.read(identity, target)

    def trouble(self, target: Target) -> Failure | None:
        """Why the file cannot be read, so that which machines it names is not known, or only of an older copy."""
        del target
        return self._failure

    def looked(self, target: Target) -> tuple[str, ...]:
        """Name the file, and whether it is there."""
        if self._path is None:
            return ("no netrc file is looked at",)
        if self._failure is not None:
            return (f"the netrc file cannot be read: {self._failure.message}",)
        if self._version is None:
            return (f"the netrc file {self._path!r} is not there",)
        return (f"the netrc file {self._path!r} names no machine {target.host!r}",)

    def forget(self) -> None:
        """The next question looks at the file."""
        self._looked, self._version = float("-inf"), None

    async def _look(self, path: str) -> None:
        try:
            version = await self._files.version(path)
            # A changed mode does not make another version, so what could not be read is tried again.
            if version is None or version != self._version or self._failure is not None:
                content = None if version is None else await self._files.read(path)
                self._take(path, version, content)
        except Failed as error:
            self._spoiled(path, error.failure)
        self._looked = self._clock.boot()

    def _take(self, path: str, version: FileVersion | None, content: bytes | None) -> None:
        read = _NOTHING if content is None else parse_netrc(content, f"the netrc file {path!r}")
        if self._failure is not None:
            log.info("netrc file can be read again", path=path)
        self._version, self._content, self._failure = version, read, None
        for mistake in read.mistakes[:_LOGGED]:
            log.warning("netrc file has a mistake", path=path, line=mistake.line, problem=mistake.problem)

    def _spoiled(self, path: str, failure: Failure) -> None:
        if failure != self._failure:  # it is looked at each second, and said once
            log.error("netrc file cannot be read", path=path, reason=failure.message, hint=failure.hint)
        self._failure = failure
