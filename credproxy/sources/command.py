"""A secret that a program prints."""

import hashlib
import hmac
from collections.abc import Callable

from credproxy.core.credential import Identity, Stored
from credproxy.core.errors import Code, failed
from credproxy.core.settings import CommandSource
from credproxy.core.stored import from_text, unreadable
from credproxy.core.target import Target
from credproxy.ports import Clock, Command, Processes


class CommandOutput:
    """One program's output. Source: ports.Source.

    It is remembered for ``keep`` seconds. The identity's version is a counter that rises when a later run printed
    something else, because no file tells that it would (P-1).

    Args:
        key: random bytes of this process; what is compared is a keyed digest, so no output is kept for it.
    """

    def __init__(
        self, settings: CommandSource, *, processes: Processes, clock: Clock, key: Callable[[], bytes]
    ) -> None:
        self._settings = settings
        self._processes = processes
        self._clock = clock
        self._key = key()
        self._digest = b""
        self._count = 0
        self._known: tuple[float, Stored] | None = None

    async def locate(self, target: Target, repository: str | None) -> Identity | None:
        """Name the program."""
        del target, repository
        return Identity("command", self._settings.argv[0], self._count)

    async def read(self, identity: Identity, target: Target) -> Stored | None:
        """Run it. Raises Failed: credential_unreadable, helper_failed, helper_not_runnable."""
        del identity, target
        if self._known is not None and self._clock.boot() < self._known[0]:
            return self._known[1]
        program = self._settings.argv[0]
        done = await self._processes.run(Command(self._settings.argv, timeout=self._settings.timeout))
        if done.status != 0:
            raise failed(
                Code.HELPER_FAILED,
                f"the program {program!r} ended with status {done.status}: {done.complaint[-300:]}",
                f"run it by hand: {' '.join(self._settings.argv)}",
            )
        try:
            text = done.stdout.decode()
        except UnicodeDecodeError:
            raise unreadable(f"the output of {program!r}", "is not UTF-8 text") from None
        stored = from_text(text, self._settings.username, f"the output of {program!r}")
        self._note(done.stdout)
        self._known = (self._clock.boot() + self._settings.keep, stored)
        return stored

    def forget(self) -> None:
        """The next read runs the program."""
        self._known = None

    def _note(self, output: bytes) -> None:
        digest = hmac.digest(self._key, output, hashlib.sha256)
        if self._digest and digest != self._digest:
            self._count += 1
        self._digest = digest
