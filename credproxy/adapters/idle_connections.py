"""Idle connections, kept for the next request with the same key; safe to use from many threads."""

import threading
from collections.abc import Hashable

from credproxy.adapters.awaited_socket import AwaitedSocket


PER_KEY = 16
"""Connections that are kept per origin; Bazel runs about as many downloads at once."""

KEPT = 64
"""Connections that are kept in total: each is a descriptor (PY10)."""


class Idle:
    """Idle connections by key."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kept: dict[Hashable, list[AwaitedSocket]] = {}
        self._resting: set[AwaitedSocket] = set()

    def take(self, key: Hashable) -> AwaitedSocket | None:
        """Give a connection that is still usable, or None."""
        while True:
            with self._lock:
                kept = self._kept.get(key)
                if kept is None:
                    return None
                connection = kept.pop()
                if not kept:
                    del self._kept[key]
                self._resting.discard(connection)
            if connection.quiet():
                return connection
            connection.close()

    def keep(self, key: Hashable, connection: AwaitedSocket) -> None:
        """Keep a connection whose last response was read to its end; if that is one too many, close another one."""
        with self._lock:
            kept = self._kept.pop(key, None) or []
            self._kept[key] = kept  # the most recently used origin is the last to lose a connection
            kept.append(connection)
            surplus = kept.pop(0) if len(kept) > PER_KEY else self._oldest()
        if surplus is not None:
            surplus.close()

    def sweep(self) -> bool:
        """Close connections that were not used since the previous sweep; tell whether any are left."""
        with self._lock:
            old = [one for kept in self._kept.values() for one in kept if one in self._resting]
            left = {key: [one for one in kept if one not in self._resting] for key, kept in self._kept.items()}
            self._kept = {key: kept for key, kept in left.items() if kept}
            self._resting = {one for kept in self._kept.values() for one in kept}
        for connection in old:
            connection.close()
        return bool(self._resting)

    def close(self) -> None:
        """Close all."""
        with self._lock:
            all_kept, self._kept = self._kept, {}
            self._resting.clear()
        for kept in all_kept.values():
            for connection in kept:
                connection.close()

    def _oldest(self) -> AwaitedSocket | None:
        if sum(map(len, self._kept.values())) <= KEPT:
            return None
        key = next(iter(self._kept))
        kept = self._kept[key]
        oldest = kept.pop(0)
        if not kept:
            del self._kept[key]
        return oldest
