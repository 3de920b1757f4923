"""Checking bytes against a digest. Source: OCI image specification, descriptor.md, "Digests"."""

import hashlib
from collections.abc import Callable
from typing import Protocol


class _Hash(Protocol):
    def update(self, data: "bytes | bytearray | memoryview", /) -> None: ...

    def hexdigest(self) -> str: ...


_ALGORITHMS: dict[str, Callable[[], _Hash]] = {"sha256": hashlib.sha256, "sha512": hashlib.sha512}
"""Those that the specification registers."""


class Checksum:
    """Takes bytes in order; made by ``checksum``.

    Attributes:
        differs: some of them differ from what was seen before, see ``expect``.
    """

    def __init__(self, made: _Hash, expected: str) -> None:
        self._made = made
        self._expected = expected
        self._count = self._at = 0
        self._seen = b""
        self.differs = False

    def expect(self, at: int, seen: bytes) -> None:
        """Compare the bytes from an offset on with what was seen there before."""
        self._at, self._seen = at, seen

    def update(self, data: "bytes | bytearray | memoryview") -> None:
        """Take the next bytes."""
        self._made.update(data)
        first, last = max(self._count, self._at), min(self._count + len(data), self._at + len(self._seen))
        if first < last:
            now, before = data[first - self._count : last - self._count], self._seen[first - self._at : last - self._at]
            self.differs = self.differs or now != before
        self._count += len(data)

    def right(self) -> bool:
        """Whether the bytes taken are exactly those of the digest."""
        return self._made.hexdigest() == self._expected


def checksum(digest: str) -> Checksum | None:
    """Begin for a digest, ``algorithm:hex``; None for an algorithm that is not known here."""
    algorithm, _, expected = digest.partition(":")
    made = _ALGORITHMS.get(algorithm)
    return None if made is None else Checksum(made(), expected)


def is_of(body: bytes, digest: str) -> bool:
    """Whether a body is exactly what a digest names; False for an algorithm that is not known here."""
    found = checksum(digest)
    if found is None:
        return False
    found.update(body)
    return found.right()
