"""Retry-After in each form that RFC 9110 allows, and in invalid ones."""

import os
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.http_date import http_date
from credproxy.core.ask.retry_after import LONGEST_PAUSE, retry_after


NOW = 784111777.0
"""Sun, 06 Nov 1994 08:49:37 GMT, the example of RFC 9110."""


@pytest.fixture
def _far_from_greenwich() -> Iterator[None]:
    """A local time that is hours away from UTC."""
    before = os.environ.get("TZ")
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    yield
    if before is None:
        del os.environ["TZ"]
    else:
        os.environ["TZ"] = before
    time.tzset()


@pytest.mark.usefixtures("_far_from_greenwich")
@pytest.mark.parametrize(
    "text",
    [
        "Sun, 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-94 08:49:37 GMT",
        "Sun Nov  6 08:49:37 1994",
        " Sun, 06 Nov 1994 08:49:37 GMT\t",
    ],
    ids=["imf-fixdate", "rfc850", "asctime", "with whitespace"],
)
def test_each_form_of_a_date_is_read_as_utc_wherever_this_machine_is(text: str) -> None:
    """Source: RFC 9110, section 5.6.7; asctime names no zone."""
    assert http_date(text) == NOW


@pytest.mark.parametrize(
    "text", ["", "soon", "-", "Sun, 99 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 999999999 08:49:37 GMT", "1994"]
)
def test_an_invalid_date_gives_none(text: str) -> None:
    """Garbage from a server raises nothing."""
    assert http_date(text) is None


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (("7",), 7.0),
        ((" 7\t",), 7.0),
        (("007",), 7.0),
        (("0",), 0.0),
        (("99999999999999999999",), LONGEST_PAUSE),
        (("00000000000000000007",), 7.0),
        (("Sun, 06 Nov 1994 08:49:49 GMT",), 12.0),
        (("Sunday, 06-Nov-94 08:49:49 GMT",), 12.0),
        (("Sun Nov  6 08:49:49 1994",), 12.0),
        (("Sun, 06 Nov 1994 08:49:00 GMT",), 0.0),
        (("Sun, 06 Nov 2094 08:49:00 GMT",), LONGEST_PAUSE),
        (("3", "9"), 9.0),
        (("3, 9",), 9.0),
        (("soon", "9"), 9.0),
        (("Sun, 06 Nov 1994 08:49:49 GMT", "3"), 12.0),
        (("-7",), None),
        (("+7",), None),
        (("7.5",), None),
        (("\u0667",), None),
        (("7 s",), None),
        (("soon",), None),
        (("",), None),
        ((), None),
    ],
    ids=str,
)
def test_the_pause_is_what_the_longest_readable_value_says(lines: tuple[str, ...], seconds: float | None) -> None:
    """Seconds, the three dates, several lines, white space; anything else is ignored. Source: TX-10."""
    assert retry_after(tuple(("Retry-After", line) for line in lines), NOW) == seconds


def test_a_date_counts_from_the_date_of_its_own_response() -> None:
    """Our clock is six minutes ahead: by it the date has passed, but the server means 20 s."""
    headers = (
        ("date", "Sun, 06 Nov 1994 08:49:37 GMT"),
        ("retry-after", "Sun, 06 Nov 1994 08:49:57 GMT"),
    )
    assert retry_after(headers, NOW + 360) == 20.0


def test_without_a_readable_date_of_the_response_our_own_clock_stands_in() -> None:
    """A server need not have a clock (RFC 9110, section 6.6.1)."""
    headers = (("Date", "today"), ("Retry-After", "Sun, 06 Nov 1994 08:49:57 GMT"))
    assert retry_after(headers, NOW + 5) == 15.0


def test_a_date_is_ignored_if_the_time_is_unknown() -> None:
    """Neither side gave a time, so there is nothing to count from."""
    assert retry_after((("Retry-After", "Sun, 06 Nov 1994 08:49:57 GMT"),), None) is None


@given(st.lists(st.text(max_size=40), max_size=3))
def test_no_value_gets_out_of_bounds_or_raises(lines: list[str]) -> None:
    """It is read from a server, so it may be anything."""
    found = retry_after(tuple(("Retry-After", line) for line in lines), NOW)
    assert found is None or 0.0 <= found <= LONGEST_PAUSE
