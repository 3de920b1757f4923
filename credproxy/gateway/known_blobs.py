"""Blobs that are known to exist: a build asks about the same base layers again and again.

Only blobs named by digest, and only that they exist: bytes with a digest cannot change, but tags and manifests' names
can, and "not there" ends with the next upload. Policy has decided before a look-up here.
"""

from typing import NamedTuple

from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.gateway.incoming import Headers
from credproxy.ports.clock import Clock


KEEP = 300.0
"""Seconds for which a deletion by others, or a login's loss of rights, may go unnoticed."""

MOST = 10_000


class BlobKey(NamedTuple):
    """One blob in one repository, as one user sees it."""

    uid: int
    registry: Authority
    repository: RepositoryName
    digest: str


class KnownBlob(NamedTuple):
    """The answer to a HEAD."""

    headers: Headers
    length: int
    until: float


class KnownBlobs:
    """Known blobs by repository and user."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: dict[BlobKey, KnownBlob] = {}  # in the order in which they expire

    def get(self, place: BlobKey) -> KnownBlob | None:
        """Look up a blob; None if it is unknown or too old."""
        known = self._known.get(place)
        return known if known is not None and self._clock.boot() < known.until else None

    def put(self, place: BlobKey, headers: Headers, *, length: int) -> None:
        """Remember a blob and its size in bytes."""
        self._known.pop(place, None)
        self._known[place] = KnownBlob(headers, length, self._clock.boot() + KEEP)
        if len(self._known) > MOST:
            del self._known[next(iter(self._known))]

    def drop(self, place: BlobKey) -> None:
        """Forget a blob, which may have been deleted."""
        self._known.pop(place, None)

    def clear(self) -> None:
        """Forget all, after a flush or a new configuration."""
        self._known.clear()
