"""What upstreams taught us: what a registry asks for, which method its token server takes, rotated refresh tokens.

It belongs to the process. A reload builds new providers, which go on with it; a flush forgets it. Nothing is answered
from what other settings taught: the place of a registry is its origin together with every setting that its challenge
depends on. A rotated refresh token is found by a keyed digest of the token that is stored, so it serves for as long as
that very token is stored, whatever else changes in its file, and for no other login.
"""

import asyncio
import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass, field

from cachetools import LRUCache

from credproxy.core.credential import Secret, Stored
from credproxy.core.errors import Failure
from credproxy.exchange.discovery import Found, Registry
from credproxy.exchange.registry_token import Method


_REGISTRIES = 1024
"""Registries that are remembered: a wildcard rule may match any number of names."""

_ROTATIONS = 1024
"""Refresh tokens that are remembered."""


@dataclass(slots=True)
class Known:
    """What a registry asks for, until when that is believed, and the method its token server takes by kind of login.

    ``pinging`` is held during a ping. Who waited for it while it failed shares the failure: ``refusals`` has risen.
    """

    pinging: asyncio.Lock = field(default_factory=asyncio.Lock)
    found: Found | None = None
    until: float = 0.0
    methods: dict[type[Stored] | None, Method] = field(default_factory=dict)
    refusals: int = 0
    refusal: Failure | None = None


@dataclass(slots=True)
class Rotation:
    """What became of one stored refresh token at one token server.

    Attributes:
        registry: authority of the registry that it was used for last.
        server: authority of the token server.
        token: what replaced it, or None.
        steady: the server gave a token and no new refresh token. Until then, and where it rotates, one exchange at a
            time may use it (``using``): a refresh token that is spent twice may cost the login (RFC 9700, section 4.14).
    """

    registry: str
    server: str
    token: Secret | None = None
    steady: bool = False
    using: asyncio.Lock = field(default_factory=asyncio.Lock)

    def note(self, used: Secret, given: Secret | None) -> None:
        """Take in the answer to a request that was made with the refresh token ``used``."""
        rotated = given is not None and given != used
        self.steady = not rotated
        if rotated:
            self.token = given


class Learned:
    """All of it, bounded; what was used longest ago goes first.

    Args:
        key: random bytes of this process: a refresh token is known by its keyed digest.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._registries: LRUCache[Registry, Known] = LRUCache(_REGISTRIES)
        self._rotations: LRUCache[tuple[str, str, bytes], Rotation] = LRUCache(_ROTATIONS)

    def registry(self, registry: Registry) -> Known:
        """What a registry taught under these settings; empty at first."""
        known = self._registries.get(registry)
        if known is None:
            known = self._registries[registry] = Known()
        return known

    def rotation(self, found: Found, stored: Secret, registry: str) -> Rotation:
        """What became of a stored refresh token.

        Args:
            found: the token endpoint; its query is of no account.
            stored: the refresh token as its source gives it.
            registry: authority that it is used for.
        """
        digest = hmac.digest(self._key, stored.reveal().encode(errors="surrogateescape"), hashlib.sha256)
        slot = (found.realm.partition("?")[0], found.service, digest)
        rotation = self._rotations.get(slot)
        if rotation is None:
            rotation = self._rotations[slot] = Rotation(registry, found.authority)
        rotation.registry = registry
        return rotation

    def forget(self, wanted: Callable[[str], bool]) -> None:
        """Drop what belongs to the authorities that are wanted.

        A refresh token belongs to the registry that it was used for last, and to its token server.
        """
        for registry in [one for one in self._registries if wanted(one.target.authority)]:
            del self._registries[registry]
        for slot, rotation in list(self._rotations.items()):
            if wanted(rotation.registry) or wanted(rotation.server):
                del self._rotations[slot]
