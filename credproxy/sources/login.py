"""What ``credproxy login`` has stored: a file says which logins there are and where each secret is."""

import asyncio
from dataclasses import dataclass

from credproxy.core.ask.credential import Identity, Secret, Stored
from credproxy.core.ask.login import Login, login_of
from credproxy.core.ask.stored import from_text, unreadable
from credproxy.core.ask.target import Form, Target
from credproxy.core.errors import Code, Failure, failed
from credproxy.core.formats.login_file import (
    EMPTY,
    LoginIndex,
    StoredLogin,
    parse_logins,
    sealed_name,
    service_of,
)
from credproxy.core.kinds.sources.login import shared_name
from credproxy.ports import Clock, Command, Files, Keyring, Processes
from credproxy.sources.watched_file import Watched


class FromLogin:
    """The logins of this user. Source: ports.Source, core/formats/login_file.py.

    Args:
        path: of the file; None for a user without a home directory.
        files: read it.
        keyring: holds secrets.
        processes: run the program that decrypts others.
        clock: judges ages.
        uid: of the user, for whom secrets are encrypted.
    """

    def __init__(
        self, path: str | None, *, files: Files, keyring: Keyring, processes: Processes, clock: Clock, uid: int
    ) -> None:
        self._file: Watched[LoginIndex] = Watched(
            path,
            EMPTY,
            parse=lambda content: parse_logins(content, f"the file of logins {path!r}"),
            name="credproxy login",
            files=files,
            clock=clock,
        )
        self._keyring = keyring
        self._processes = processes
        self._clock = clock
        self._uid = uid
        self._opened: dict[str, _Decrypted] = {}
        self._opening = asyncio.Lock()

    async def locate(self, target: Target, repository: str | None) -> Identity | None:
        """Name the login that is stored for the host, or for a path on it; None if there is none."""
        if target.form is Form.LITERAL:
            return None
        await self._file.look()
        path = target.path if repository is None else repository
        found = self._file.content.find(shared_name(target.authority), path)
        return None if found is None else Identity("login", found[0], found[1].id)

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give it; None if somebody logged out meanwhile.

        Raises:
            Failed: credential_unreadable; helper_failed, helper_not_runnable for one that has to be decrypted.
        """
        del anew  # it changes together with the file, which has been checked
        since = self._clock.boot()
        entry = self._file.content.logins.get(identity.entry)
        if entry is None:
            return None
        again = f"log in again: credproxy login {identity.entry}"
        secret = await self._secret(identity.entry, entry, again)
        if secret is None:
            raise unreadable(f"the login for {target.authority!r}", "has gone from the keyring", hint=again)
        stored: Stored = from_text(
            secret.reveal(), entry.username or None, where=f"the login for {identity.entry!r}", hint=again
        )
        return login_of(stored, since=since, boot=self._clock.boot(), wall=self._clock.wall())

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the login unless a program has to decrypt it."""
        entry = self._file.content.logins.get(identity.entry)
        known = self._opened.get(identity.entry)
        if entry is not None and entry.kept == "systemd-creds" and (known is None or known.id != entry.id):
            await self._processes.find(_decrypting(identity.entry, entry.sealed, self._uid))
            return None
        return await self.read(identity, target)

    def trouble(self, target: Target) -> Failure | None:
        """Why the file cannot be read."""
        del target
        return self._file.failure

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say that there is no login; without a home directory there cannot be one."""
        if self._file.path is None:
            return ()
        return (f"credproxy login has stored none for {target.authority!r}",)

    def forget(self) -> None:
        """Make the next question look at the file."""
        self._file.forget()
        self._opened.clear()

    async def _secret(self, key: str, entry: StoredLogin, again: str) -> Secret | None:
        match entry.kept:
            case "file":
                return Secret(entry.secret)
            case "keyring":
                return await self._in_keyring(key, entry)
            case "systemd-creds":
                return await self._decrypted(key, entry, again)

    async def _in_keyring(self, key: str, entry: StoredLogin) -> Secret | None:
        found = await self._keyring.search(service_of(key), entry.username)
        if found.absent:
            again = f"credproxy login {key} --store file"
            raise unreadable(
                f"the login for {key!r}", f"lies in the keyring, which is not there: {found.absent}", hint=again
            )
        if found.locked and not found.items:
            raise unreadable(f"the login for {key!r}", "cannot be read: the keyring is locked", hint=_UNLOCK)
        newest = max(found.items, key=lambda item: (item.changed, item.place), default=None)
        return None if newest is None else await self._keyring.reveal(newest)

    async def _decrypted(self, key: str, entry: StoredLogin, again: str) -> Secret:
        async with self._opening:  # one run for forty repositories of one login
            known = self._opened.get(key)
            if known is None or known.id != entry.id:
                done = await self._processes.run(_decrypting(key, entry.sealed, self._uid))
                if done.status != 0:
                    said = f"systemd-creds does not decrypt the login for {key!r}: {done.complaint[-200:]}"
                    raise failed(Code.HELPER_FAILED, said, hint=again)
                known = self._opened[key] = _Decrypted(entry.id, Secret(done.stdout.decode("utf-8", "replace")))
        return known.secret


@dataclass(frozen=True, slots=True)
class _Decrypted:
    """A decrypted login, and its identity."""

    id: str
    secret: Secret


_TIMEOUT = 10.0
_UNLOCK = "unlock it: log in to your desktop, or gnome-keyring-daemon --unlock; or log in with --store file"


def _decrypting(key: str, sealed: str, uid: int) -> Command:
    """The program that decrypts a secret; since systemd 256, a secret encrypted for a user alone is marked as such."""
    user = ("--user",) if uid else ()
    argv = ("systemd-creds", "decrypt", *user, f"--name={sealed_name(key)}", "-", "-")
    return Command(argv, stdin=sealed.encode(), timeout=_TIMEOUT)
