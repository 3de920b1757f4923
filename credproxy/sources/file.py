"""A secret in a separate file."""

import contextlib
from collections.abc import AsyncIterator, Hashable

from credproxy.core.ask.credential import Identity, Secret
from credproxy.core.ask.login import Login, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import from_text, unreadable
from credproxy.core.ask.target import Target
from credproxy.core.kinds.sources.file import FileSource
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.source import Turn
from credproxy.sources.secret_file import missing, read_secret_file
from credproxy.sources.turns import KeptTurn, alone, lock_of


class File:
    """The content of one file, read for each exchange and not kept. Source: ports.source.Source, ports.source.Rewritable.

    Args:
        settings: name the file.
        files: reads it.
        clock: for its login.
        home: the directories above it are not judged; "" for none.
        optional: other sources are asked after it: a missing file is then "not mine".
    """

    def __init__(
        self, settings: FileSource, files: Files, *, clock: Clock, home: str = "", optional: bool = False
    ) -> None:
        self._settings = settings
        self._files = files
        self._clock = clock
        self._home = home
        self._optional = optional
        self._named: Identity | None = None  # while it is written: its identity meanwhile
        self._written: tuple[Hashable, Hashable] = (None, None)  # version that we wrote, and the one it counts as

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the file and its version, so that a rewritten one is another credential, unless we wrote it."""
        del target, repository
        if self._named is not None:
            return self._named
        path = self._settings.path
        version = await self._files.version(path)
        if version is None and self._optional:
            return None
        if version is None:
            raise missing(path, self._hint)
        written, before = self._written
        return Identity("file", path, before if version.stamp == written else version.stamp)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give its content. Raises Failed(credential_unreadable)."""
        del identity, target, anew
        path, since = self._settings.path, self._clock.boot()
        content = await read_secret_file(self._files, path, home=self._home, hint=self._hint)
        try:
            text = content.decode()
        except UnicodeDecodeError:
            raise unreadable(f"the file {path!r}", "is not UTF-8 text", hint=self._hint) from None
        stored = from_text(text, self._settings.username, where=f"the file {path!r}", hint=self._hint)
        return login_of(stored, since=since, boot=self._clock.boot(), wall=self._clock.wall())

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give its content, as ``read``."""
        return await self.read(identity, target)

    @contextlib.asynccontextmanager
    async def turn(self, identity: Identity, target: Target, *, until: float) -> AsyncIterator[Turn]:
        """Take exclusive hold of the file. Raises Failed: credential_unreadable, upstream_unavailable."""
        path = self._settings.path
        async with alone(lock_of(path), files=self._files, clock=self._clock, until=until, name=f"file:{path}") as lock:
            place = await self._files.reserve(path)
            try:
                missing = await self._files.version(path) is None
                now = None if missing else await self.locate(target, None)
                login = None if now is None else await self.read(now, target)
                # A different login, stored since the question was planned, must not be taken for this one.
                self._named = now if now == identity else None

                async def write(secret: Secret) -> None:
                    version = await place.commit(f"{secret.reveal()}\n".encode())
                    if self._named is not None:
                        self._written = version.stamp, self._named.version

                yield KeptTurn(lock, login, write=write)
            finally:
                self._named = None
                await place.close()

    def looked(self, target: Target) -> tuple[str, ...]:
        """If it is optional: that the file is missing, the only reason for ``locate`` to give None."""
        del target
        return (f"the file {self._settings.path!r} is not there",) if self._optional else ()

    @property
    def _hint(self) -> str:
        return f"write the secret, one line of UTF-8 text, to {self._settings.path}, mode 0600"
