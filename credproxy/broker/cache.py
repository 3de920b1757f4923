"""Grants in memory: the least recently used go first, bounded by their number and by their bytes.

Expiry is not this module's business: who reads judges it on the clock that runs through suspend. cachetools' own
timers are monotonic, which stands still in suspend, and its TLRUCache drops in silence what has expired already.
"""

from collections.abc import Callable, Hashable, Iterator

from cachetools import Cache as PlainCache, LRUCache

from credproxy.core.credential import Grant, Origin
from credproxy.ports import Plan


SHORTEST_GAP = 1.0
"""Seconds between a grant's arrival and the next exchange for its key, as long as it is valid."""


class Key:
    """Generation, who asks, and the provider's key. Holds no secret (SEC-17).

    Its hash is taken once: a look-up needs it four times, and it goes through three nested dataclasses.
    """

    __slots__ = ("_hash", "generation", "origin", "rest")

    def __init__(self, generation: int, origin: Origin, rest: tuple[Hashable, ...]) -> None:
        self.generation = generation
        self.origin = origin
        self.rest = rest
        self._hash = hash((generation, origin, rest))

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (
            isinstance(other, Key)
            and self._hash == other._hash
            and self.rest == other.rest
            and self.origin == other.origin
            and self.generation == other.generation
        )


class Entry:
    """One grant, and what is known of its use.

    Attributes:
        authority: the host that was asked about; "" once the grant has served more than one.
        plan: of the latest question: what a renewal runs. None until the second use, because what is used once is
            never renewed, and a plan is a third of what a hundred thousand entries weigh.
        subject, detail: of its plan, for ``status``.
        rule: the ``match`` of its host rule.
        window: seconds before hard expiry at which renewal begins, drawn once (SPIRE draws at each look, and too early).
        size: bytes that count against the cache's bound.
        arrived: boot-clock seconds.
        uses: hand-outs of this key, those of its earlier grants included.
        used: boot-clock seconds of the last one.
        failures: renewals that failed since the grant arrived.
        retry_at: boot-clock seconds before which no renewal is tried in the background; a second at least, because a
            token of 5 s is within its window for all its life, and each read would renew it.
        warned: it was logged that this one is handed out although its renewal fails.
        dropped: it is in the cache no more; what was made of it is not to be repeated.
    """

    __slots__ = (
        "arrived", "authority", "detail", "dropped", "failures", "grant", "key", "plan", "retry_at", "rule", "size", "subject", "used", "uses", "warned", "window",
    )  # fmt: skip

    def __init__(
        self, key: Key, plan: Plan, grant: Grant, *, authority: str, rule: str, window: float, now: float
    ) -> None:
        self.key = key
        self.plan: Plan | None = None
        self.subject = plan.subject
        self.detail = plan.detail
        self.grant = grant
        self.authority = authority
        self.rule = rule
        self.window = window
        self.arrived = now
        self.used = now
        self.uses = 0
        self.failures = 0
        self.retry_at = now + SHORTEST_GAP
        self.warned = False
        self.dropped = False
        self.size = _size(grant, key)

    def serve(self, plan: Plan, authority: str) -> None:
        """Note the latest question."""
        if self.uses:
            self.plan = plan
        if self.authority != authority:
            self.authority = ""


class Cache:
    """Entries by key. A bound that is met evicts the least recently used."""

    def __init__(self, entries: int, size: int) -> None:
        self._lru: LRUCache[Key, Entry] = LRUCache(entries)
        self._limit = size
        self._entries = entries
        self.size = 0
        self.evicted = 0

    def __len__(self) -> int:
        return len(self._lru)

    def get(self, key: Key) -> Entry | None:
        """Give the entry and mark it as used."""
        try:
            return self._lru[key]
        except KeyError:
            return None

    def peek(self, key: Key) -> Entry | None:
        """Give the entry without changing its place in the order."""
        return PlainCache.__getitem__(self._lru, key) if key in self._lru else None

    def put(self, entry: Entry) -> None:
        """Store an entry in place of the one with its key; evict until the bounds hold."""
        self.drop(entry.key)
        while self._lru and (len(self._lru) >= self._entries or self.size + entry.size > self._limit):
            _, oldest = self._lru.popitem()
            self._gone(oldest)
            self.evicted += 1
        self._lru[entry.key] = entry
        self.size += entry.size

    def drop(self, key: Key) -> None:
        """Take an entry out, if it is there."""
        entry = self._lru.pop(key, None)
        if entry is not None:
            self._gone(entry)

    def drop_all(self, wanted: Callable[[str], bool]) -> int:
        """Take out what belongs to the authorities that are wanted, or to more than one; give how many."""
        entries = [entry for entry in self.entries() if not entry.authority or wanted(entry.authority)]
        for entry in entries:
            self.drop(entry.key)
        return len(entries)

    def rebound(self, entries: int, size: int) -> None:
        """Begin anew, empty, with other bounds."""
        self.drop_all(lambda _: True)
        self._lru = LRUCache(entries)
        self._entries, self._limit = entries, size

    def entries(self) -> Iterator[Entry]:
        """Every entry, in no order that matters, none of them marked as used."""
        return (PlainCache.__getitem__(self._lru, key) for key in list(self._lru))

    def _gone(self, entry: Entry) -> None:
        entry.dropped = True
        self.size -= entry.size


def _size(grant: Grant, key: Key) -> int:
    """Bytes of the texts alone: what grows with tokens and URIs. An entry's fixed part is bounded by their number."""
    headers = sum(len(name) + sum(len(value.reveal()) for value in values) for name, values in grant.headers)
    return headers + len(grant.note) + _length(key.rest)


def _length(part: Hashable) -> int:
    if isinstance(part, (str, bytes)):
        return len(part)
    if isinstance(part, (tuple, frozenset)):
        return sum(map(_length, part))
    return 8
