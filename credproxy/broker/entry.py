"""One grant in memory.

There may be a hundred thousand, so an entry holds what its own question needs and nothing twice: the names of its
headers are shared, and what only a renewal needs is allocated at the second use. The structs stay out of the garbage
collector's sight, since nothing that they hold leads back to them.
"""

from collections.abc import Mapping
from functools import lru_cache
from sys import intern
from typing import Self

from msgspec import Struct

from credproxy.broker.lookup import Key, Lookup
from credproxy.core.ask.credential import Caller, Grant, Lifetime, Secret
from credproxy.core.ask.lifetime import advisory, length
from credproxy.ports.provider import Plan


SHORTEST_GAP = 1.0
"""Seconds from the start of one exchange to that of the next for its key, as long as its grant is valid."""


class Upkeep(Struct, gc=False, eq=False):
    """What keeps a grant fresh.

    Attributes:
        plan: of the latest question, which a renewal runs.
        window: seconds before hard expiry at which renewal begins, drawn once (SPIRE draws at each check, which is too early).
        retry_at: boot-clock seconds before which no renewal is tried in the background.
        failures: renewals that failed since the grant arrived.
        warned: it was logged that it is handed out although its renewal fails.
        doubted: a client may have seen it refused.
    """

    plan: Plan
    window: float
    retry_at: float
    failures: int = 0
    warned: bool = False
    doubted: bool = False


class Entry(Struct, gc=False, eq=False):
    """One grant, and what is known about its use.

    Attributes:
        key: see there.
        caller: that asked.
        subject, detail: of its plan, for ``status``.
        rule: the ``match`` of its host rule.
        authority: the host that was asked about; "" once the grant has served more than one.
        lifetime, note: of the grant.
        used: boot-clock seconds of the last hand-out.
        names, values: of its headers, one name for each value.
        uses: hand-outs of this key, including those of its earlier grants.
        direct: of the grant.
        upkeep: since the second use; an entry used once may never be asked for again, and is not renewed.
        dropped: it is no longer in the cache; answers made from it must not be repeated.
    """

    key: Key
    caller: Caller
    subject: str
    detail: Mapping[str, str]
    rule: str
    authority: str
    lifetime: Lifetime
    note: str
    used: float
    names: tuple[str, ...]
    values: tuple[Secret, ...]
    uses: int = 0
    direct: bool = False
    upkeep: Upkeep | None = None
    dropped: bool = False

    @classmethod
    def of(cls, lookup: Lookup, grant: Grant, *, now: float) -> Self:
        """Make the entry of a grant that has just arrived."""
        pairs = [(name, value) for name, values in grant.headers for value in values]
        return cls(
            key=lookup.key,
            caller=_shared_caller(lookup.caller),
            subject=lookup.plan.subject,
            detail=lookup.plan.detail,
            rule=lookup.rule,
            authority=intern(lookup.authority),
            lifetime=grant.lifetime,
            note=grant.note,
            used=now,
            names=_shared_names(tuple(name for name, _ in pairs)),
            values=tuple(value for _, value in pairs),
            direct=grant.direct,
        )

    @property
    def headers(self) -> tuple[tuple[str, tuple[Secret, ...]], ...]:
        """The headers as in the Grant."""
        if len(self.names) == 1:
            return ((self.names[0], self.values),)
        return tuple(
            (name, tuple(value for other, value in zip(self.names, self.values, strict=True) if other == name))
            for name in dict.fromkeys(self.names)
        )

    @property
    def empty(self) -> bool:
        """True for "there is no credential"."""
        return not self.names

    @property
    def window(self) -> float:
        """Seconds before hard expiry at which renewal begins, or would begin."""
        return advisory(length(self.lifetime), 0.5) if self.upkeep is None else self.upkeep.window

    @property
    def size(self) -> int:
        """Bytes of the texts only, which grow with tokens. The fixed part of entries is bounded by their number."""
        return len(self.note) + sum(map(len, self.names)) + sum(len(value.reveal()) for value in self.values)


@lru_cache(maxsize=256)
def _shared_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """The one copy of equal names."""
    return names


@lru_cache(maxsize=256)
def _shared_caller(caller: Caller) -> Caller:
    """The one copy of equal callers: each request comes with its own."""
    return caller
