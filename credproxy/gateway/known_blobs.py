"""Blobs that are known to be there: a build asks about the same base layers again and again.

Only what a digest names, and only that it exists: bytes with that digest cannot change, but tags and manifests' names can,
and "not there" ends with the next upload. Policy has decided before anything is looked up here.
"""

from typing import NamedTuple

from cachetools import LRUCache

from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.gateway.incoming import Headers
from credproxy.ports import Clock


KEEP = 300.0
"""Seconds: as long a deletion by others may go unnoticed, and a login that lost its rights."""

MOST = 10_000


class BlobKey(NamedTuple):
    """One blob in one repository, as one user sees it."""

    uid: int
    registry: Authority
    repository: RepositoryName
    digest: str


class KnownBlob(NamedTuple):
    """What a HEAD is answered with."""

    headers: Headers
    length: int
    until: float


class KnownBlobs:
    """Blobs by place."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: LRUCache[BlobKey, KnownBlob] = LRUCache(MOST)

    def get(self, place: BlobKey) -> KnownBlob | None:
        """What is known, while it is believed."""
        known = self._known.get(place)
        return known if known is not None and self._clock.boot() < known.until else None

    def put(self, place: BlobKey, headers: Headers, *, length: int) -> None:
        """Remember a blob of that many bytes."""
        self._known[place] = KnownBlob(headers, length, self._clock.boot() + KEEP)

    def drop(self, place: BlobKey) -> None:
        """It may be gone."""
        self._known.pop(place, None)

    def clear(self) -> None:
        """Forget all: a flush, or another configuration."""
        self._known.clear()
