"""Logins in a netrc file: exact hosts only, since its ``default`` entry would configure every host there is (P-7)."""

import contextlib
import io
import netrc

from credproxy.core.credential import Identity, Secret, UserPassword
from credproxy.core.errors import Failed
from credproxy.core.login import Login, login_of
from credproxy.core.stored import unreadable
from credproxy.core.target import Form, Target
from credproxy.ports import Clock, Files, FileVersion


_LOOK = 1.0
"""Seconds between looks at the file: a login is seen within one."""


class _Text(netrc.netrc):
    """The standard library's parser on a text: its constructor would open the file itself, and block."""

    def __init__(self, path: str, text: str) -> None:
        self.hosts: dict[str, tuple[str, str, str]] = {}
        self.macros: dict[str, list[str]] = {}
        self._parse(path, io.StringIO(text), default_netrc=False)  # type: ignore[attr-defined]  # typeshed leaves it out


class Netrc:
    """One netrc file. Source: ports.Source, netrc(5).

    Args:
        path: of the file, or None for none.
    """

    def __init__(self, path: str | None, *, files: Files, clock: Clock) -> None:
        self._path = path
        self._files = files
        self._clock = clock
        self._looked = float("-inf")
        self._version: FileVersion | None = None
        self._machines: frozenset[str] = frozenset()

    async def locate(self, target: Target, repository: str | None) -> Identity | None:
        """Name the machine's entry; None where the file has none, or is not there."""
        del repository
        if self._path is None or target.form is Form.LITERAL:
            return None
        if self._clock.boot() - self._looked >= _LOOK:
            await self._look(self._path)
        if target.host not in self._machines:
            return None
        return Identity("netrc", target.host, self._version and self._version.stamp)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the login, read from the file each time. Raises Failed(credential_unreadable)."""
        del target, anew
        assert self._path is not None
        since = self._clock.boot()
        entry = (await self._parse(self._path)).get(identity.entry)
        if entry is None:
            return None
        login, account, password = entry
        stored = UserPassword(login or account, Secret(password))
        return login_of(stored, since=since, boot=self._clock.boot(), wall=self._clock.wall())

    def forget(self) -> None:
        """The next question looks at the file."""
        self._looked, self._version = float("-inf"), None

    async def hosts(self) -> frozenset[str]:
        """The machines that are named."""
        if self._path is not None:
            await self._look(self._path)
        return self._machines

    async def _look(self, path: str) -> None:
        version = await self._files.version(path)
        self._looked = self._clock.boot()
        if version == self._version:
            return
        # A file that no longer parses keeps its last good machines: read() then says what is wrong with it (DC-3).
        with contextlib.suppress(Failed):
            self._machines = frozenset(await self._parse(path))
        self._version = version

    async def _parse(self, path: str) -> dict[str, tuple[str, str, str]]:
        content = await self._files.read(path)
        if content is None:
            return {}
        try:
            hosts = _Text(path, content.decode("utf-8", "surrogateescape")).hosts
        except netrc.NetrcParseError as error:
            raise unreadable(f"the netrc file {path!r}", f"cannot be parsed at line {error.lineno}") from None
        return {host.lower(): entry for host, entry in hosts.items() if host != "default"}
