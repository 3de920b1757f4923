"""A stored login that changes by being used, in the hands of one process at a time. Shared by sources that can be written.

What is about to be sent is put down first, as a digest in the lock file: if we end before the answer is there, whoever has
the next turn knows that the token may be spent, and can say so.
"""

import contextlib
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Final

from credproxy.core.ask.credential import Secret, secret_of
from credproxy.core.ask.login import Login
from credproxy.core.errors import Code, failed
from credproxy.ports import Clock, Files, Lock


_PAUSE: Final = 0.05
"""Seconds between two looks whether another process has let go."""

Write = Callable[[Secret], Awaitable[None]]


class KeptTurn:
    """One turn. Source: ports.Turn.

    Args:
        lock: held.
        login: as it is stored now.
        write: stores another secret in its place, for good.
    """

    def __init__(self, lock: Lock, login: Login | None, *, write: Write) -> None:
        self._lock = lock
        self._write = write
        self.login = login
        self._digest = b"" if login is None else _digest(secret_of(login.stored))
        self.doubtful = bool(self._digest) and lock.note == self._digest

    async def sent(self) -> None:
        """Leave the digest of what is sent."""
        await self._lock.mark(self._digest)

    async def settled(self) -> None:
        """Leave nothing."""
        await self._lock.mark(b"")

    async def store(self, secret: Secret) -> None:
        """Write; the note is of the old secret, and so says nothing of the new one."""
        await self._write(secret)


def lock_of(path: str) -> str:
    """The lock file of a file, beside it."""
    folder, _, name = path.rpartition("/")
    return f"{folder}/.{name}.lock"


@contextlib.asynccontextmanager
async def alone(path: str, *, files: Files, clock: Clock, until: float, name: str) -> AsyncIterator[Lock]:
    """Hold a lock file, as soon as others let it go.

    Args:
        path: of the lock file.
        files: locks.
        clock: waits.
        until: boot-clock second.
        name: of the login, for the message.

    Raises:
        Failed: upstream_unavailable: somebody else had it all the time; credential_unreadable.
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
    """Of a random text, so that nobody can guess it."""
    return hashlib.sha256(secret.reveal().encode(errors="surrogateescape")).hexdigest().encode()
