"""Whether bytes are those that a digest names."""

import hashlib
import itertools

import pytest
from hypothesis import given, strategies as st

from credproxy.core.checksum import checksum


BODY = bytes(range(100))


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_bytes_are_right_if_their_digest_is(algorithm: str) -> None:
    """All of them, in order, and no other."""
    for body, expected in ((BODY, True), (BODY[:-1], False), (BODY + b"!", False), (BODY[::-1], False)):
        check = checksum(f"{algorithm}:{hashlib.new(algorithm, BODY).hexdigest()}")
        assert check is not None
        check.update(body[:40])
        check.update(memoryview(body)[40:])
        assert check.right() is expected


def test_an_algorithm_that_is_not_registered_proves_nothing() -> None:
    """The specification leaves its names open."""
    assert checksum("blake3:" + "a" * 64) is None
    assert checksum("sha1:" + "a" * 40) is None


@given(st.lists(st.integers(1, 100), max_size=5), st.integers(0, 99), st.integers(0, 100), st.integers(0, 99))
def test_bytes_that_were_seen_before_are_compared(cuts: list[int], at: int, length: int, odd: int) -> None:
    """Wherever the pieces begin and end: a difference is noticed where it occurs, and nowhere else."""
    seen = bytearray(BODY[at : at + length])
    other = bytearray(BODY)
    other[odd] ^= 1
    check = checksum("sha256:" + "a" * 64)
    assert check is not None
    check.expect(at, bytes(seen))
    edges = [0, *sorted(min(cut, 100) for cut in cuts), 100]
    for first, last in itertools.pairwise(edges):
        check.update(memoryview(bytes(other))[first:last])
    assert check.differs is (at <= odd < at + len(seen))
