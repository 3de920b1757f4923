"""What ``credproxy login`` has stored: a file says which logins there are and where each secret is."""

import contextlib
from collections.abc import AsyncIterator

import structlog

from credproxy.core.ask.credential import Identity, Secret, Stored, secret_of
from credproxy.core.ask.login import Login, login_of
from credproxy.core.ask.stored import TOKEN_USER, from_text, unreadable
from credproxy.core.ask.target import Form, Target
from credproxy.core.errors import Failed, Failure
from credproxy.core.formats.login_file import EMPTY, LoginIndex, StoredLogin, apart_lock, parse_logins
from credproxy.core.kinds.sources.login import ignores_case, shared_name, shared_path
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files, Lock
from credproxy.ports.keyrings import Keyring
from credproxy.ports.processes import Processes
from credproxy.ports.source import Turn
from credproxy.sources.login_secrets import LoginSecrets
from credproxy.sources.turns import KeptTurn, alone, lock_of
from credproxy.sources.watched_file import Watched


_OTHERS = 40.0
"""Seconds to wait for a command that logs in or out, which may wait thirty for a program."""

log = structlog.get_logger("credproxy.sources")


class FromLogin:
    """The logins of this user. Source: ports.source.Source, ports.source.Rewritable, core/formats/login_file.py.

    Args:
        path: of the file; None for a user without a home directory.
        key: of the login that is meant; None for that of the host that is asked about.
        files: read it.
        keyring: holds secrets.
        processes: run the program that decrypts others.
        clock: judges ages.
        uid: of the user, for whom secrets are encrypted.
    """

    def __init__(
        self,
        path: str | None,
        key: str | None = None,
        *,
        files: Files,
        keyring: Keyring,
        processes: Processes,
        clock: Clock,
        uid: int,
    ) -> None:
        self._file: Watched[LoginIndex] = Watched(
            path,
            EMPTY,
            parse=lambda content: parse_logins(content, f"the file of logins {path!r}"),
            name="credproxy login",
            files=files,
            clock=clock,
        )
        self._secrets = LoginSecrets(path, files=files, keyring=keyring, processes=processes, uid=uid)
        self._key = key
        self._files = files
        self._clock = clock

    async def locate(self, target: Target, repository: str | None) -> Identity | None:
        """Name the login that is stored for the host, or for a path on it; None if there is none."""
        if target.form is Form.LITERAL:
            return None
        await self._file.look()
        path = shared_path(target) if repository is None else repository
        logins = self._file.content
        if self._key is None:
            found = logins.find(shared_name(target.authority), path, fold=ignores_case(target.authority))
        else:
            found = (self._key, logins.logins[self._key]) if self._key in logins.logins else None
        return None if found is None else Identity("login", found[0], found[1].id)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give it; None if somebody logged out meanwhile.

        Raises:
            Failed: credential_unreadable; helper_failed, helper_not_runnable for one that has to be decrypted.
        """
        del target
        entry = self._file.content.logins.get(identity.entry)
        return None if entry is None else await self._login(identity.entry, entry, anew=anew)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the login unless a program has to decrypt it."""
        entry = self._file.content.logins.get(identity.entry)
        if entry is not None and not await self._secrets.is_known(identity.entry, entry):
            return None
        return await self.read(identity, target)

    @contextlib.asynccontextmanager
    async def turn(self, identity: Identity, target: Target, *, until: float) -> AsyncIterator[Turn]:
        """Take exclusive hold of a login. Its identity changes when somebody logs in, and not by its turns.

        Raises:
            Failed: credential_unreadable, helper_failed, helper_not_runnable, upstream_unavailable.
        """
        del target
        key, path = identity.entry, self._file.path
        if path is None:
            raise _gone(key)
        async with (
            self._alone(apart_lock(path, key), identity, until=until) as lock,
            contextlib.AsyncExitStack() as stack,
        ):
            # Logging in and out takes this lock: so entry and secret belong together, and the trial overwrites no newer login.
            async with self._alone(lock_of(path), identity, until=until):
                entry = await self._now(key)
                login = await self._login(key, entry, anew=True)
                replacing = self._secrets.replacing(key, entry, now=secret_of(login.stored))
                replace = await stack.enter_async_context(replacing)

            async def write(secret: Secret) -> None:
                async with self._alone(lock_of(path), identity, until=self._clock.boot() + _OTHERS):
                    if await self._is_in_force(key, entry):
                        await replace(secret)
                    else:
                        log.info("login was replaced while it was renewed", credential=str(identity))

            yield KeptTurn(lock, login, write=write)

    def trouble(self, target: Target) -> Failure | None:
        """Why the file cannot be read."""
        del target
        return self._file.failure

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say that there is no login; without a home directory there cannot be one."""
        if self._file.path is None:
            return ()
        return (f"credproxy login has stored none for {self._key or target.authority!r}",)

    def forget(self) -> None:
        """Make the next question look at the file."""
        self._file.forget()
        self._secrets.forget()

    def _alone(self, lock: str, identity: Identity, *, until: float) -> contextlib.AbstractAsyncContextManager[Lock]:
        return alone(lock, files=self._files, clock=self._clock, until=until, name=str(identity))

    async def _now(self, key: str) -> StoredLogin:
        """A login that rotates, as the file has it at this moment. Raises Failed(credential_unreadable)."""
        self._file.forget()
        await self._file.look()
        if self._file.failure is not None:
            raise Failed(self._file.failure)
        entry = self._file.content.logins.get(key)
        if entry is None:
            raise _gone(key)
        if not entry.rotates:
            said = "was stored for a rule of another kind"
            raise unreadable(f"the login for {key!r}", said, hint=f"log in again: credproxy login {key}")
        return entry

    async def _is_in_force(self, key: str, entry: StoredLogin) -> bool:
        """Whether nobody has logged in or out since. Raises Failed(credential_unreadable)."""
        self._file.forget()
        await self._file.look()
        after = self._file.content.logins.get(key)
        return after is not None and after.id == entry.id

    async def _login(self, key: str, entry: StoredLogin, *, anew: bool) -> Login:
        since, again = self._clock.boot(), f"log in again: credproxy login {key}"
        secret = await self._secrets.read(key, entry, anew=anew)
        if secret is None:
            raise unreadable(f"the login for {key!r}", "has gone from the keyring", hint=again)
        # One that rotates is a refresh token for every caller: no password, and no token for a header.
        username = TOKEN_USER if entry.rotates else entry.username or None
        stored: Stored = from_text(secret.reveal(), username, where=f"the login for {key!r}", hint=again)
        return login_of(stored, since=since, boot=self._clock.boot(), wall=self._clock.wall())


def _gone(key: str) -> Failed:
    return unreadable(f"the login for {key!r}", "is not stored any more", hint=f"log in again: credproxy login {key}")
