"""A secret in the keyring of the user's session, which libsecret, keyring and go-keyring store in the same way."""

import asyncio

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import Login, login_of
from credproxy.core.ask.stored import from_text, unreadable
from credproxy.core.ask.target import Target
from credproxy.core.errors import Failed, Failure
from credproxy.core.kinds.sources.keyring import KeyringSource
from credproxy.ports.clock import Clock
from credproxy.ports.keyrings import Keyring, KeyringFound, KeyringItem
from credproxy.sources.watched_file import LOOK


REFUSED_LOOK = 10.0
"""Seconds between two searches that refusals cause."""

UNLOCK = (
    "unlock it: log in to your desktop, or gnome-keyring-daemon --unlock; a machine without a desktop takes "
    '{ source = "systemd-credential" }, or { source = "file" } with mode 0600'
)
"""What a user does, and the alternative if nobody ever unlocks a keyring."""


class FromKeyring:
    """The keyring's secret for one service. Source: ports.source.Source, ports.keyrings.Keyring.

    The keyring is searched once a second at most; a search reads no secret. If the session has no keyring, the next
    source is asked. A locked keyring may have the intended secret, so no other source is asked.

    Args:
        settings: name the service and the user.
        keyring: the keyring to search.
        clock: for its login.
    """

    def __init__(self, settings: KeyringSource, keyring: Keyring, *, clock: Clock) -> None:
        self._settings = settings
        self._keyring = keyring
        self._clock = clock
        self._looking = asyncio.Lock()
        self._looked = self._doubted = float("-inf")
        self._flushes = 0
        self._found = KeyringFound()
        self._failure: Failure | None = None

    async def locate(self, target: Target, repository: str | None) -> Identity | None:
        """Name the secret; None if there is none of this service, or no keyring.

        Raises:
            Failed(credential_unreadable): the keyring is locked or does not answer, or there are several logins.
        """
        del target, repository
        await self._look()
        item = self._item()
        return None if item is None else Identity("keyring", self._name, (item.place, item.changed))

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the login. Raises Failed(credential_unreadable)."""
        del identity, target
        since = self._clock.boot()
        if anew and since - self._doubted >= REFUSED_LOOK:
            self._doubted = since
            self.forget()
            await self._look()
        item = self._item()
        secret = None if item is None else await self._keyring.reveal(item)
        if item is None or secret is None:
            return None
        username = self._settings.username or item.username or None
        stored = from_text(
            secret.reveal(), username, where=f"the secret of {self._name!r} in the keyring", hint=self._store
        )
        return login_of(stored, since=since, boot=self._clock.boot(), wall=self._clock.wall())

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the login, as ``read``: no program is started."""
        return await self.read(identity, target)

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say what was found instead of the secret."""
        del target
        if self._found.absent:
            return (f"the keyring is not looked at: {self._found.absent}",)
        return (f"the keyring has no secret of {self._name!r}",)

    def forget(self) -> None:
        """Make the next question search the keyring."""
        self._flushes += 1
        self._looked = float("-inf")

    @property
    def _name(self) -> str:
        service, username = self._settings.service, self._settings.username
        return service if username is None else f"{username}@{service}"

    @property
    def _store(self) -> str:
        user = f" username {self._settings.username}" if self._settings.username is not None else ""
        return f"store it anew: secret-tool store --label x service {self._settings.service}{user}"

    async def _look(self) -> None:
        async with self._looking:  # one search serves all questions that arrive meanwhile
            if self._clock.boot() - self._looked >= LOOK:
                flushes = self._flushes
                try:
                    self._found = await self._keyring.search(self._settings.service, self._settings.username)
                    self._failure = None
                except Failed as error:
                    self._found, self._failure = KeyringFound(), error.failure
                if flushes == self._flushes:  # else what is newer than this is wanted
                    self._looked = self._clock.boot()
        if self._failure is not None:
            raise Failed(self._failure)

    def _item(self) -> KeyringItem | None:
        """The item to use; if several programs have stored one under the same user name, the newest."""
        found = self._found
        if found.locked and not found.items:
            raise unreadable(f"the secret of {self._name!r}", "cannot be read: the keyring is locked", hint=UNLOCK)
        names = {item.username for item in found.items}
        # gh and others store the active login without a user name, beside one for each user.
        wanted = "" if "" in names else next(iter(names), "")
        if len(names) > 1 and "" not in names and self._settings.username is None:
            shown = ", ".join(map(repr, sorted(names)))
            raise unreadable(
                f"the keyring has several logins of {self._name!r}: {shown}, of which its rule",
                "names none",
                hint=f'name one: {{ source = "keyring", service = "{self._settings.service}", username = "NAME" }}',
            )
        items = [item for item in found.items if self._settings.username is not None or item.username == wanted]
        return max(items, key=lambda item: (item.changed, item.place), default=None)
