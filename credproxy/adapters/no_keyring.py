"""Stands in for the keyring of a user without one, such as a system service."""

from typing import Final

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.stored import locked
from credproxy.ports.keyrings import KeyringFound, KeyringItem


_NONE = "there is none"


class NoKeyring:
    """Holds nothing. Source: ports.keyrings.Keyring."""

    async def search(self, service: str, username: str | None, *, anew: bool = False) -> KeyringFound:
        """Report that there is no keyring."""
        del service, username, anew
        return KeyringFound(absent=_NONE)

    async def reveal(self, item: KeyringItem) -> Secret | None:
        """There is no secret to give."""
        del item
        return None

    async def rewrite(self, service: str, username: str, *, label: str, secret: Secret) -> None:
        """Refuse."""
        del service, username, label, secret
        raise locked("the keyring", f"takes nothing: {_NONE}")


NO_KEYRING: Final = NoKeyring()
