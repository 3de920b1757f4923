"""A token bucket."""

from credproxy.core.token_bucket import Bucket


def test_a_few_at_once_and_then_so_many_a_second() -> None:
    """Full at first; a token comes back in its time, and no more than the bucket holds."""
    bucket = Bucket(2.0, 3.0, now=100.0)
    waits = []
    for now in (100.0, 100.0, 100.0, 100.0, 100.25, 100.5):
        waits.append(bucket.wait(now))
        if not waits[-1]:
            bucket.take()
    assert waits == [0, 0, 0, 0.5, 0.25, 0]
    for _ in range(3):
        assert bucket.wait(1000.0) == 0
        bucket.take()
    assert bucket.wait(1000.0) == 0.5
