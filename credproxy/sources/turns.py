"""A stored login that changes by being used: one process has it at a time. Shared by sources that can be written.

A digest of what will be sent is first written to the lock file: if this process ends before the answer arrives, the
next turn knows that the token may be spent, and can say so.
"""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from credproxy.core.ask.credential import Secret, secret_of
from credproxy.core.ask.login import Login
from credproxy.core.errors import Code, failed
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files, Lock


_PAUSE: Final = 0.05
"""Seconds between two attempts to take a lock from another process."""

Write = Callable[[Secret], Awaitable[None]]


class KeptTurn:
    """One turn. Source: ports.source.Turn.

    Args:
        lock: the held lock.
        login: as it is stored now.
        write: replaces the stored secret permanently.
    """

    def __init__(self, lock: Lock, login: Login | None, *, write: Write) -> None:
        self._lock = lock
        self._write = write
        self.login = login
        self._digest = b"" if login is None else _digest(secret_of(login.stored))
        self.doubtful = bool(self._digest) and lock.note == self._digest

    async def sent(self) -> None:
        """Write the digest of what is sent."""
        await self._lock.mark(self._digest)

    async def settled(self) -> None:
        """Clear the note."""
        await self._lock.mark(b"")

    async def store(self, secret: Secret) -> None:
        """Write the new secret; the note is about the old one, and does not affect it."""
        await self._write(secret)


def lock_of(path: str) -> str:
    """The lock file of a file, beside it."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.lock"


@contextlib.asynccontextmanager
async def alone(path: str, *, files: Files, clock: Clock, until: float, name: str) -> AsyncIterator[Lock]:
    """Hold a lock file, as soon as others release it.

    Args:
        path: of the lock file.
        files: locks the file.
        clock: for waiting.
        until: boot-clock second.
        name: of the login, for the message.

    Raises:
        Failed: upstream_unavailable: another process held it all the time; credential_unreadable.
    """
    while (lock := await files.lock(path)) is None:
        if clock.boot() >= until:
            message = f"another process has been renewing the login of {name} all the time"
            raise failed(Code.UPSTREAM_UNAVAILABLE, message, hint=f"if this goes on, see which one: fuser -v {path}")
        await clock.sleep(_PAUSE)
    try:
        yield lock
    finally:
        lock.close()


def _digest(secret: Secret) -> bytes:
    """Digest a token; tokens are random, so it cannot be guessed from the digest."""
    return hashlib.sha256(secret.reveal().encode(errors="surrogateescape")).hexdigest().encode()
