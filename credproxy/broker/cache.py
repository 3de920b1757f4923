"""Grants in memory: the least recently used go first, bounded by their number and by their bytes.

Those of build actions may fill a quarter of it, and beyond that push out one another: actions must not push out the
user's grants (T16).

Expiry is not this module's concern: the reader judges it on the clock that runs through suspend. cachetools' own
timers are monotonic, which stands still in suspend, and its LRUCache keeps each key in two dictionaries.
"""

from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

from credproxy.broker.entry import Entry
from credproxy.broker.lookup import Key


SHARE = 4
"""Build actions have this fraction of the cache (1/n)."""


class Cache:
    """Entries by key. When a bound is reached, the least recently used is evicted.

    Args:
        entries: the bound of their number.
        size: the bound of their bytes.
        evicted: where counting begins.
    """

    def __init__(self, entries: int, size: int, *, evicted: int = 0) -> None:
        self._found: OrderedDict[Key, Entry] = OrderedDict()
        self._of_actions: OrderedDict[Key, Entry] = OrderedDict()
        self._entries = entries
        self._limit = size
        self._size_of_actions = 0
        self.size = 0
        self.evicted = evicted

    def __len__(self) -> int:
        return len(self._found)

    def get(self, key: Key) -> Entry | None:
        """Give the entry and mark it as used."""
        entry = self._found.get(key)
        if entry is not None:
            self._found.move_to_end(key)
            if entry.caller.for_actions:
                self._of_actions.move_to_end(key)
        return entry

    def peek(self, key: Key) -> Entry | None:
        """Give the entry without changing its place in the order."""
        return self._found.get(key)

    def put(self, entry: Entry) -> None:
        """Store an entry in place of the one with its key; evict until the bounds hold."""
        self.drop(entry.key)
        if entry.caller.for_actions:
            self._make_room_for_action(entry)
        while self._found and (len(self._found) >= self._entries or self.size + entry.size > self._limit):
            self._evict(self._found)
        self._found[entry.key] = entry
        self.size += entry.size
        if entry.caller.for_actions:
            self._of_actions[entry.key] = entry
            self._size_of_actions += entry.size

    def drop(self, key: Key) -> None:
        """Take an entry out, if it is there."""
        entry = self._found.pop(key, None)
        if entry is not None:
            self._gone(entry)

    def drop_all(self, wanted: Callable[[str], bool]) -> int:
        """Remove entries of the authorities that ``wanted`` selects, or of more than one authority; return how many."""
        entries = [entry for entry in self.entries() if not entry.authority or wanted(entry.authority)]
        for entry in entries:
            self.drop(entry.key)
        return len(entries)

    def halve(self) -> int:
        """Evict the least recently used half, rounded up; return how many."""
        count = (len(self._found) + 1) // 2
        for _ in range(count):
            self._evict(self._found)
        return count

    def entries(self) -> list[Entry]:
        """Every entry, in arbitrary order, without marking any as used."""
        return list(dict.values(self._found))  # in order of use this would take ten times as long

    def latest(self, count: int) -> list[Entry]:
        """The entries that were used last, the latest first; repeats by the front within a second do not count."""
        return list(islice(reversed(self._found.values()), count))

    def _make_room_for_action(self, entry: Entry) -> None:
        most, limit = max(1, self._entries // SHARE), self._limit // SHARE
        while self._of_actions and (len(self._of_actions) >= most or self._size_of_actions + entry.size > limit):
            self._evict(self._of_actions)

    def _evict(self, among: OrderedDict[Key, Entry]) -> None:
        self.drop(next(iter(among)))
        self.evicted += 1

    def _gone(self, entry: Entry) -> None:
        entry.dropped = True
        self.size -= entry.size
        if self._of_actions.pop(entry.key, None) is not None:
            self._size_of_actions -= entry.size
