"""Stores secrets in the keyring of this system, and deletes them; only the command line does so, and it may block."""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from credproxy.adapters.keyring_program import native
from credproxy.adapters.own_metadata import is_not_installed
from credproxy.adapters.secret_service import NoKeyringError, SecretService
from credproxy.core.ask.credential import Secret
from credproxy.core.kinds.sources.keyring import LIBRARY
from credproxy.ports.clock import Clock


class WritableKeyring(Protocol):
    """A keyring that takes secrets.

    Raises:
        NoKeyringError: there is no keyring, or nothing can be stored in it yet.
        LockedKeyringError: the keyring is locked.
        Failed(credential_unreadable): the keyring does not answer.
    """

    def usable(self) -> None:
        """Check whether something could be stored."""
        ...

    def store(self, attributes: Mapping[str, str], label: str, *, secret: Secret) -> None:
        """Store a secret, replacing one with the same attributes: ``service`` and ``username``."""
        ...

    def erase(self, attributes: Mapping[str, str]) -> int:
        """Delete all secrets with these attributes, which must include ``service``; give their number."""
        ...


def writable_keyring(environ: Mapping[str, str], *, clock: Clock, uid: int) -> WritableKeyring:
    """Give the keyring of this system."""
    system: str = sys.platform  # else mypy takes one of the two for unreachable
    return _SessionKeyring(SecretService(environ, clock=clock, uid=uid)) if system == "linux" else NativeKeyring()


@dataclass(frozen=True)
class _SessionKeyring:
    """The Secret Service, without an event loop around it. Source: WritableKeyring."""

    service: SecretService

    def usable(self) -> None:
        """See SecretService."""
        asyncio.run(self.service.usable())

    def store(self, attributes: Mapping[str, str], label: str, *, secret: Secret) -> None:
        """See SecretService."""
        asyncio.run(self.service.store(attributes, label, secret=secret))

    def erase(self, attributes: Mapping[str, str]) -> int:
        """See SecretService."""
        return asyncio.run(self.service.erase(attributes))


class NativeKeyring:
    """The keyring of macOS or Windows, through the library. Source: WritableKeyring."""

    def usable(self) -> None:
        """Check that the library finds the system's own keyring."""
        _backend()

    def store(self, attributes: Mapping[str, str], label: str, *, secret: Secret) -> None:
        """Store a secret; the library has no labels."""
        del label
        _backend().set_password(attributes["service"], attributes["username"], secret.reveal())

    def erase(self, attributes: Mapping[str, str]) -> int:
        """Delete them one after the other: the library finds one at a time."""
        backend, service, count = _backend(), attributes["service"], 0
        while (found := backend.get_credential(service, attributes.get("username"))) is not None:
            backend.delete_password(service, found.username)
            count += 1
        return count


class _NativeLogin(Protocol):
    username: str


class _NativeBackend(Protocol):
    def get_credential(self, service: str, username: str | None) -> _NativeLogin | None: ...

    def set_password(self, service: str, username: str, password: str) -> None: ...

    def delete_password(self, service: str, username: str) -> None: ...


def _backend() -> _NativeBackend:
    try:
        import keyring  # type: ignore[import-not-found,unused-ignore]  # noqa: PLC0415  on systems other than Linux
    except ImportError:
        raise NoKeyringError(is_not_installed(LIBRARY)) from None
    backend: _NativeBackend = keyring.get_keyring()
    module = type(backend).__module__
    if not native(module):
        raise NoKeyringError(f"{module} is not the keyring of this system")
    return backend
