"""What upstreams taught us: what a registry asks for, which method its token server takes, rotated refresh tokens.

It belongs to the process. A reload builds new providers, which continue to use it; a flush forgets it. Nothing is answered
from what was learned under other settings: a registry is found by its origin together with every setting that its challenge
depends on. A rotated refresh token is found by a keyed digest of the stored token, so it serves for as long as
exactly that token is stored, whatever else changes in its file, and for no other login.
"""

import asyncio
import contextlib
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from cachetools import LRUCache

from credproxy.core.ask.credential import Secret, Stored
from credproxy.core.errors import Code, Failure
from credproxy.exchange.discovery import AskedRegistry, Found
from credproxy.exchange.registry_token import TokenMethod
from credproxy.providers.refused_logins import RefusedLogins


_REGISTRIES = 1024
"""Registries that are remembered: a wildcard rule may match any number of names."""

_LONGER = 1.0
"""Seconds of patience that are worth another ping."""

_ROTATIONS = 1024
"""Refresh tokens that are remembered."""


@dataclass(slots=True)
class Ping:
    """The ping of one side, held while it is under way.

    Callers that waited while it failed share the failure: ``refusals`` has risen. One that can wait longer than the one that failed, at
    ``patience``, tries again itself if the failure may pass.
    """

    held: asyncio.Lock = field(default_factory=asyncio.Lock)
    refusals: int = 0
    refusal: Failure | None = None
    patience: float = 0.0

    def shared(self, refusals: int, patience: float) -> Failure | None:
        """The failure shared by a caller that began to wait at that count, with that patience; None if there is none."""
        failure = self.refusal
        if failure is None or self.refusals == refusals:
            return None
        passing = failure.code is Code.UPSTREAM_UNAVAILABLE and patience > self.patience + _LONGER
        return None if passing else failure


@dataclass(slots=True)
class LearnedRegistry:
    """What a registry asks for, until when that is valid, and the method its token server takes by kind of login.

    Build actions ping apart from the user, who does not wait for a ping of theirs that hangs or is throttled (T16).
    """

    pings: tuple[Ping, Ping] = field(default_factory=lambda: (Ping(), Ping()))
    found: Found | None = None
    until: float = 0.0
    methods: dict[type[Stored] | None, TokenMethod] = field(default_factory=dict)


@dataclass(slots=True)
class Rotation:
    """What became of one stored refresh token at one token server.

    Attributes:
        registry: authority of the registry that it was used for last.
        server: authority of the token server.
        token: what replaced it, or None.
        steady: the server gave a token and no new refresh token. Until then, and where it rotates, one exchange at a
            time may use it (``using``): a refresh token that is spent twice may cost the login (RFC 9700, section 4.14).
            Build actions queue separately before that (``actions_using``), so that the user waits for one of
            their exchanges and not for all (T16).
    """

    registry: str
    server: str
    token: Secret | None = None
    steady: bool = False
    using: asyncio.Lock = field(default_factory=asyncio.Lock)
    actions_using: asyncio.Lock = field(default_factory=asyncio.Lock)

    @contextlib.asynccontextmanager
    async def alone(self, *, for_actions: bool) -> AsyncIterator[None]:
        """Use it exclusively."""
        async with contextlib.AsyncExitStack() as held:
            if for_actions:
                await held.enter_async_context(self.actions_using)
            await held.enter_async_context(self.using)
            yield

    def note(self, used: Secret, given: Secret | None) -> None:
        """Process the answer to a request that was made with the refresh token ``used``."""
        rotated = given is not None and given != used
        self.steady = not rotated
        if rotated:
            self.token = given


class Learned:
    """All of it, bounded; the least recently used goes first.

    Args:
        key: random bytes of this process: a refresh token is identified by its keyed digest.

    Attributes:
        refused: logins that token servers refuse.
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self.refused = RefusedLogins(key)
        self._registries: LRUCache[AskedRegistry, LearnedRegistry] = LRUCache(_REGISTRIES)
        self._rotations: LRUCache[tuple[str, str, bytes], Rotation] = LRUCache(_ROTATIONS)

    def registry(self, registry: AskedRegistry) -> LearnedRegistry:
        """What was learned about a registry under these settings; empty at first."""
        known = self._registries.get(registry)
        if known is None:
            known = self._registries[registry] = LearnedRegistry()
        return known

    def rotation(self, found: Found, stored: Secret, *, registry: str) -> Rotation:
        """What became of a stored refresh token.

        Args:
            found: the token endpoint; its query does not matter.
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
        """Drop what belongs to the authorities that ``wanted`` selects.

        A refresh token belongs to the registry that it was used for last, and to its token server. Refusals are all
        forgotten: that costs one try each.
        """
        self.refused.forget()
        for registry in [one for one in self._registries if wanted(one.target.authority)]:
            del self._registries[registry]
        for slot, rotation in list(self._rotations.items()):
            if wanted(rotation.registry) or wanted(rotation.server):
                del self._rotations[slot]
