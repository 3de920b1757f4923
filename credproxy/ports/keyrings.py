"""The keyring of the user's session."""

from dataclasses import dataclass
from typing import Protocol

from credproxy.core.ask.credential import Secret


@dataclass(frozen=True, slots=True)
class KeyringItem:
    """A secret of the keyring, without the secret.

    Attributes:
        place: what the keyring calls it.
        username: the attribute of that name; "" for none.
        changed: rises when it is stored again: POSIX seconds where the keyring tells them.
    """

    place: str
    username: str = ""
    changed: int = 0


@dataclass(frozen=True, slots=True)
class KeyringFound:
    """What a search found.

    Attributes:
        items: that can be read.
        locked: how many there are that cannot, as long as the keyring is locked.
        absent: why there is no keyring to search, as ``no session bus: ...``; "" if there is one.
    """

    items: tuple[KeyringItem, ...] = ()
    locked: int = 0
    absent: str = ""


class Keyring(Protocol):
    """The keyring of the user's session. Never opens a window, and never falls back to a file of plain text."""

    async def search(self, service: str, username: str | None, *, anew: bool = False) -> KeyringFound:
        """Look for secrets by their attributes; with ``anew``, ignore what is remembered.

        Raises:
            Failed(credential_unreadable): it does not answer.
        """
        ...

    async def reveal(self, item: KeyringItem) -> Secret | None:
        """Read one; None if it has gone meanwhile. Raises Failed(credential_unreadable)."""
        ...

    async def rewrite(self, service: str, username: str, *, label: str, secret: Secret) -> None:
        """Replace the secret with these attributes; the new one is kept for good when this returns.

        Raises:
            Failed(credential_unreadable): there is no keyring, it is locked or does not answer, and the old one is still there.
        """
        ...
