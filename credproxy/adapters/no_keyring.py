"""Stands in for the keyring of a user without one, such as a system service."""

from typing import Final

from credproxy.core.ask.credential import Secret
from credproxy.ports import KeyringFound, KeyringItem


class NoKeyring:
    """Holds nothing. Source: ports.Keyring."""

    async def search(self, service: str, username: str | None) -> KeyringFound:
        """Report that there is no keyring."""
        del service, username
        return KeyringFound(absent="there is none")

    async def reveal(self, item: KeyringItem) -> Secret | None:
        """There is no secret to give."""
        del item
        return None


NO_KEYRING: Final = NoKeyring()
