"""The keyring of this system: the Secret Service on Linux, elsewhere what the ``keyring`` library finds."""

import asyncio
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from cachetools import LRUCache

from credproxy.adapters.own_metadata import is_not_installed
from credproxy.adapters.secret_service import SecretService
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.login import PROGRAM_KEEP
from credproxy.core.ask.stored import locked, unreadable
from credproxy.core.kinds.sources.keyring import LIBRARY
from credproxy.ports.clock import Clock
from credproxy.ports.keyrings import Keyring, KeyringFound, KeyringItem
from credproxy.ports.processes import Command, Processes


_PROGRAM = str(Path(__file__).with_name("keyring_program.py"))
_TIMEOUT = 10.0
_KNOWN = 256


def keyring_of(environ: Mapping[str, str], *, clock: Clock, uid: int, processes: Processes) -> Keyring:
    """Give the keyring of this system."""
    system: str = sys.platform  # else mypy takes one of the two for unreachable
    return SecretService(environ, clock=clock, uid=uid) if system == "linux" else LibraryKeyring(processes, clock=clock)


@dataclass(frozen=True, slots=True)
class _KnownSecret:
    until: float
    found: KeyringFound
    secret: Secret | None = field(default=None, repr=False)


class LibraryKeyring:
    """The keyring of macOS or of Windows. Source: ports.keyrings.Keyring.

    The library blocks, and a locked keychain may open a window, so a separate program asks it, with a time limit. Its
    answer is remembered like that of any program.

    Args:
        processes: runs the program.
        clock: limits how long the answer is remembered.
    """

    def __init__(self, processes: Processes, *, clock: Clock) -> None:
        self._processes = processes
        self._clock = clock
        self._known: LRUCache[tuple[str, str | None], _KnownSecret] = LRUCache(_KNOWN)

    async def search(self, service: str, username: str | None, *, anew: bool = False) -> KeyringFound:
        """Look for a secret. Raises Failed: credential_unreadable, helper_failed, helper_not_runnable."""
        before = self._known.get((service, username))
        if before is None or anew or self._clock.boot() >= before.until:
            known = await self._asked(service, username)
            if before is not None and known.found.items:
                known = _numbered(known, before)
            self._known[service, username] = before = known
        return before.found

    async def reveal(self, item: KeyringItem) -> Secret | None:
        """Give the secret that the search read; None if it is no longer remembered, so that the next search asks again."""
        return next((known.secret for known in self._known.values() if item in known.found.items), None)

    async def rewrite(self, service: str, username: str, *, label: str, secret: Secret) -> None:
        """Put another secret in the place of one. Raises as ``search``; credential_unreadable."""
        del label  # the library has none
        answer = await self._run({"service": service, "username": username, "secret": secret.reveal()})
        if answer.get("absent"):
            raise locked("the keyring", f"takes nothing: {await _absent(answer)}")
        for key in [key for key in self._known if key[0] == service]:
            del self._known[key]

    async def _asked(self, service: str, username: str | None) -> _KnownSecret:
        until = self._clock.boot() + PROGRAM_KEEP
        answer = await self._run({"service": service, "username": username})
        if answer.get("absent"):
            return _KnownSecret(until, KeyringFound(absent=await _absent(answer)))
        if answer.get("secret") is None:
            return _KnownSecret(until, KeyringFound())
        item = KeyringItem(f"{service}\n{username}", str(answer.get("username") or ""))
        return _KnownSecret(until, KeyringFound((item,)), Secret(str(answer["secret"])))

    async def _run(self, question: Mapping[str, str | None]) -> dict[str, object]:
        argv, told = (sys.executable, "-I", _PROGRAM), json.dumps(question).encode()
        done = await self._processes.run(Command(argv, stdin=told, timeout=_TIMEOUT, secure=False, concurrency=1))
        if done.status != 0:
            said = f"does not answer: {done.complaint[-200:]}" if done.complaint else "does not answer"
            raise unreadable("the keyring", said, hint="unlock it, and see what it has in its own program")
        answer: dict[str, object] = json.loads(done.stdout)
        return answer


async def _absent(answer: Mapping[str, object]) -> str:
    """Why there is no keyring."""
    if answer["absent"] != "library":
        return str(answer["absent"])
    return await asyncio.to_thread(is_not_installed, LIBRARY)  # it reads how this copy was installed


def _numbered(known: _KnownSecret, before: _KnownSecret) -> _KnownSecret:
    """Count up if the secret has changed: the library does not tell when it was stored."""
    last = max((item.changed for item in before.found.items), default=0)
    same = known.secret == before.secret
    items = tuple(replace(item, changed=last + (not same)) for item in known.found.items)
    return _KnownSecret(known.until, replace(known.found, items=items), known.secret)
