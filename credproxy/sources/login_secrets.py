"""Reads the secrets of logins wherever ``credproxy login`` stored them, and writes those that change by being used."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.stored import locked, unreadable
from credproxy.core.errors import Code, failed
from credproxy.core.formats.login_file import StoredLogin, apart, label_of, sealed_name, service_of
from credproxy.ports.files import Files
from credproxy.ports.keyrings import Keyring
from credproxy.ports.processes import Command, Completed, Processes
from credproxy.sources.turns import Write


_TIMEOUT = 10.0


class LoginSecrets:
    """Reads and writes them.

    Args:
        path: of the file of logins; None for a user without a home directory.
        files: has what is kept apart.
        keyring: has others.
        processes: decrypt others.
        uid: of the user, for whom secrets are encrypted.
    """

    def __init__(self, path: str | None, *, files: Files, keyring: Keyring, processes: Processes, uid: int) -> None:
        self._path = path or ""
        self._files = files
        self._keyring = keyring
        self._processes = processes
        self._user = ("--user",) if uid else ()  # what is encrypted for a user alone says so since systemd 256
        self._opened: dict[str, _Decrypted] = {}
        self._opening = asyncio.Lock()

    async def read(self, key: str, login: StoredLogin, *, anew: bool = False) -> Secret | None:
        """Give a secret; None if it has gone from the keyring.

        Raises:
            Failed: credential_unreadable; helper_failed, helper_not_runnable for one that has to be decrypted.
        """
        match login.kept:
            case "file":
                return Secret(await self._text(key, login, login.secret))
            case "keyring":
                return await self._in_keyring(key, login, anew=anew)
            case "systemd-creds":
                return await self._decrypted(key, await self._text(key, login, login.sealed))

    async def is_known(self, key: str, login: StoredLogin) -> bool:
        """Whether ``read`` starts no program. Raises Failed(helper_not_runnable): it would, and there is none."""
        known = self._opened.get(key)
        if login.kept != "systemd-creds" or (known and known.sealed == await self._text(key, login, login.sealed)):
            return True
        await self._processes.find(self._decrypting(key, login.sealed))
        return False

    @contextlib.asynccontextmanager
    async def replacing(self, key: str, login: StoredLogin, *, now: Secret) -> AsyncIterator[Write]:
        """Give a function that replaces a secret; the new one is kept for good when it returns.

        Whatever may fail is tried before, with the present secret.

        Args:
            key: of the login.
            login: one that rotates.
            now: the present secret.

        Raises:
            Failed: credential_unreadable, helper_failed, helper_not_runnable: it could not be written.
        """
        if login.kept == "keyring":
            await self._keep(key, login, now)

            async def write(secret: Secret) -> None:
                await self._keep(key, login, secret)

            yield write
            return
        if login.kept == "systemd-creds":
            await self._encrypted(key, now)
        place = await self._files.reserve(apart(self._path, login))

        async def commit(secret: Secret) -> None:
            sealed = await self._encrypted(key, secret) if login.kept == "systemd-creds" else f"{secret.reveal()}\n"
            await place.commit(sealed.encode())

        try:
            yield commit
        finally:
            await place.close()

    def forget(self) -> None:
        """Make the next question decrypt again."""
        self._opened.clear()

    async def _text(self, key: str, login: StoredLogin, within: str) -> str:
        """The text within the file of logins, or that of the file beside it."""
        if not login.rotates:
            return within
        place = apart(self._path, login)
        content = await self._files.read(place)
        if content is None:
            raise unreadable(
                f"the login for {key!r}",
                f"has gone: {place!r} is not there",
                hint=f"log in again: credproxy login {key}",
            )
        try:
            return content.decode()
        except UnicodeDecodeError:
            raise unreadable(
                f"the file {place!r}", "is not UTF-8 text", hint=f"log in again: credproxy login {key}"
            ) from None

    async def _keep(self, key: str, login: StoredLogin, secret: Secret) -> None:
        await self._keyring.rewrite(service_of(key), login.username, label=label_of(key), secret=secret)

    async def _in_keyring(self, key: str, login: StoredLogin, *, anew: bool) -> Secret | None:
        found = await self._keyring.search(service_of(key), login.username, anew=anew)
        if found.absent:
            said = f"lies in the keyring, which is not there: {found.absent}"
            raise unreadable(f"the login for {key!r}", said, hint=f"credproxy login {key} --store file")
        if found.locked and not found.items:
            raise locked(f"the login for {key!r}", "cannot be read: the keyring is locked")
        newest = max(found.items, key=lambda item: (item.changed, item.place), default=None)
        return None if newest is None else await self._keyring.reveal(newest)

    async def _decrypted(self, key: str, sealed: str) -> Secret:
        async with self._opening:  # forty repositories of one login are one run
            known = self._opened.get(key)
            if known is None or known.sealed != sealed:
                done = await self._processes.run(self._decrypting(key, sealed))
                if done.status != 0:
                    raise _refused("decrypt", key, done)
                known = self._opened[key] = _Decrypted(sealed, Secret(done.stdout.decode("utf-8", "replace")))
        return known.secret

    async def _encrypted(self, key: str, secret: Secret) -> str:
        argv = ("systemd-creds", "encrypt", *self._user, f"--name={sealed_name(key)}", "-", "-")
        done = await self._processes.run(Command(argv, stdin=secret.reveal().encode(), timeout=_TIMEOUT))
        if done.status != 0:
            raise _refused("encrypt", key, done)
        return done.stdout.decode("ascii", "replace")

    def _decrypting(self, key: str, sealed: str) -> Command:
        """The program that opens a secret."""
        argv = ("systemd-creds", "decrypt", *self._user, f"--name={sealed_name(key)}", "-", "-")
        return Command(argv, stdin=sealed.encode(), timeout=_TIMEOUT)


@dataclass(frozen=True, slots=True)
class _Decrypted:
    """A decrypted secret, and what it was decrypted from."""

    sealed: str
    secret: Secret


def _refused(what: str, key: str, done: Completed) -> Exception:
    said = f"systemd-creds does not {what} the login for {key!r}: {done.complaint[-200:]}"
    return failed(Code.HELPER_FAILED, said, hint=f"log in again: credproxy login {key}")
