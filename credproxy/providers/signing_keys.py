"""Access keys, ready to sign with: each is looked up once a second at most, however many objects are asked about."""

from dataclasses import dataclass
from typing import Final, NamedTuple

from cachetools import LRUCache

from credproxy.core.ask.aws_keys import HINT, AwsKeys, aws_keys
from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import Login
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.target import Target
from credproxy.ports.clock import Clock
from credproxy.ports.signing import AwsSigner, AwsSigning
from credproxy.ports.source import Source


KEPT: Final = 1.0
"""Seconds: as late as a changed file is seen."""

_MOST: Final = 64


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One access key, and what signs with it; ``login`` is what it was read from."""

    login: Login
    keys: AwsKeys
    signing: AwsSigning


class KeyFound(NamedTuple):
    """The result of a look: ``key`` is None if there is none after all; boot-clock seconds until which it is used."""

    key: SigningKey | None
    until: float


class SigningKeys:
    """The keys of one source.

    Args:
        source: where they are.
        signer: signs.
        clock: says when to look again.
        required: it is an error if there is none after all.
    """

    def __init__(self, source: Source, signer: AwsSigner, *, clock: Clock, required: bool) -> None:
        self._source = source
        self._signer = signer
        self._clock = clock
        self._required = required
        self._looked: LRUCache[Identity, KeyFound] = LRUCache(_MOST)
        self._flushes = 0

    def known(self, identity: Identity) -> KeyFound | None:
        """What the last look found, if it is at most a second old."""
        found = self._looked.get(identity)
        return found if found is not None and self._clock.boot() < found.until else None

    async def look(self, identity: Identity, target: Target, *, anew: bool) -> KeyFound:
        """Look a key up; once more after a flush meanwhile. Raises Failed as its source, or if what is there is not an access key."""
        while True:
            flushes = self._flushes
            key = await self._read(identity, target, anew=anew)
            if flushes == self._flushes:
                break
        found = self._looked[identity] = KeyFound(key, self._clock.boot() + KEPT)
        return found

    def forget(self) -> None:
        """Look again."""
        self._flushes += 1
        self._looked.clear()

    async def _read(self, identity: Identity, target: Target, *, anew: bool) -> SigningKey | None:
        login = await self._source.read(identity, target, anew=anew)
        if login is not None:
            return SigningKey(login, aws_keys(login.stored, str(identity)), await self._signer.ready())
        if self._required:
            raise unreadable(str(identity), "holds no access key", hint=HINT)
        return None
