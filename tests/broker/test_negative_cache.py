"""How long a failure is remembered."""

import pytest

from credproxy.broker.lookup import key_of
from credproxy.broker.negative_cache import Negative
from credproxy.core.ask.credential import Caller
from credproxy.core.errors import Code, Failure


KEY = key_of(Caller(), ("k",))


def _seconds(code: Code, *, sample: float = 0.5, times: int = 1, retry_after: float | None = None) -> list[float]:
    """How long each of several failures in a row is remembered."""
    negative, now, seconds = Negative(lambda: sample), 100.0, []
    for _ in range(times):
        negative.add(KEY, Failure(code, "m", retry_after=retry_after), now=now, authority="reg.test")
        record = next(iter(negative.current(now)), None)
        seconds.append(0.0 if record is None else round(record.until - now, 3))
        now += seconds[-1] + 0.01
    return seconds


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (Code.BAD_CREDENTIALS, [10, 10, 10]),
        (Code.DENIED, [10, 10, 10]),
        (Code.NO_CHALLENGE, [30, 30]),
        (Code.REALM_REFUSED, [30, 30]),
        (Code.TLS_FAILED, [30, 30]),
        (Code.UPSTREAM_UNAVAILABLE, [1, 2, 4, 8, 16, 30, 30]),
        (Code.BAD_TOKEN, [1, 2, 4]),
        (Code.HELPER_FAILED, [2, 4, 8, 16, 30, 30]),
        (Code.INTERNAL, [2, 4, 8]),
        (Code.CREDENTIAL_UNREADABLE, [2, 4, 8, 8]),
        (Code.EXPIRED_ON_ARRIVAL, [5, 5]),
        (Code.OVERLOADED, [1, 1]),
        (Code.CONFIG_INVALID, [0, 0]),
        (Code.POLICY_DENIED, [0, 0]),
    ],
)
def test_5_3_classes(code: Code, expected: list[float]) -> None:
    """The table of docs/design/faults.md#memory-of-failures: the first time, and how it grows per failure in a row."""
    assert _seconds(code, times=len(expected)) == expected


@pytest.mark.parametrize(("sample", "seconds"), [(0.0, 8.0), (0.5, 10.0), (1.0, 12.0)])
def test_5_3_jitter(sample: float, seconds: float) -> None:
    """+-20 %."""
    assert _seconds(Code.DENIED, sample=sample) == [seconds]


@pytest.mark.parametrize(
    ("retry_after", "sample", "seconds"),
    [(None, 0.0, 1.0), (0.0, 0.0, 1.0), (30.0, 0.0, 30.0), (30.0, 1.0, 36.0), (1e9, 1.0, 300.0)],
    ids=["none", "zero", "exact", "upwards", "clamped"],
)
def test_a_429_is_remembered_as_long_as_it_asked_for(retry_after: float, sample: float, seconds: float) -> None:
    """U2: clamp 1-300 s, jitter upwards only."""
    assert _seconds(Code.RATE_LIMITED, sample=sample, retry_after=retry_after) == [seconds]


def test_an_open_breaker_does_not_count_as_a_failure_of_the_key() -> None:
    """No request was sent: the time that the breaker names is remembered, and does not grow."""
    assert _seconds(Code.UPSTREAM_UNAVAILABLE, retry_after=4.0, times=3) == [4, 4, 4]


def test_a_failure_shows_the_time_that_is_left() -> None:
    """``retry_after`` counts down; afterwards nothing is remembered."""
    negative = Negative(lambda: 0.5)
    first = negative.add(KEY, Failure(Code.DENIED, "m"), now=100.0, authority="reg.test")
    later = negative.get(KEY, 107.0)
    assert later is not None
    assert (first.retry_after, later.retry_after, negative.get(KEY, 110.0)) == (10.0, 3.0, None)


def test_a_success_makes_the_next_failure_the_first() -> None:
    """The growth ends with a success."""
    negative = Negative(lambda: 0.5)
    for now in (0.0, 10.0):
        negative.add(KEY, Failure(Code.HELPER_FAILED, "m"), now=now, authority="reg.test")
    negative.forgive(KEY)
    assert negative.add(KEY, Failure(Code.HELPER_FAILED, "m"), now=20.0, authority="reg.test").retry_after == 2.0


def test_a_failure_of_long_ago_is_not_in_a_row() -> None:
    """After five quiet minutes the growth starts from the beginning."""
    negative = Negative(lambda: 0.5)
    for now in (0.0, 10.0):
        negative.add(KEY, Failure(Code.HELPER_FAILED, "m"), now=now, authority="reg.test")
    assert negative.add(KEY, Failure(Code.HELPER_FAILED, "m"), now=400.0, authority="reg.test").retry_after == 2.0


def test_dropping_by_authority() -> None:
    """Only the given authority is forgotten."""
    negative = Negative(lambda: 0.5)
    other = key_of(Caller(), ("other",))
    negative.add(KEY, Failure(Code.DENIED, "m"), now=0.0, authority="a.test")
    negative.add(other, Failure(Code.DENIED, "m"), now=0.0, authority="b.test")
    negative.drop(lambda authority: authority == "a.test")
    assert (negative.get(KEY, 0.0), negative.get(other, 0.0) is not None) == (None, True)
