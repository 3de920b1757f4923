"""The three forms of a date in HTTP: IMF-fixdate, that of RFC 850, and that of C's ``asctime``.

::

    Sun, 06 Nov 1994 08:49:37 GMT
    Sunday, 06-Nov-94 08:49:37 GMT
    Sun Nov  6 08:49:37 1994           names no zone, and means UTC like the others

Source: RFC 9110, section 5.6.7.
"""

from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime


SKEWED = 60.0
"""Seconds by which two clocks may differ before it is reported."""

_DIGITS = 10
"""of an Age that are read: a longer number is not a plausible age."""


def http_date(text: str) -> float | None:
    """POSIX seconds of a date; None for a text that is not one."""
    try:
        found = parsedate_to_datetime(text.strip())
        # Without a zone it would otherwise be read as local time, hours off.
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):  # the standard library's parser, given garbage
        return None


def server_time(headers: Sequence[tuple[str, str]]) -> float | None:
    """POSIX seconds on the server's clock when it answered; None if it does not say.

    That is its ``Date``, and what a cache on the way adds to that as ``Age``. Source: RFC 9110, section 6.6.1; RFC 9111,
    section 5.1.
    """
    named = {name.lower(): value.strip() for name, value in reversed(headers)}
    date, age = http_date(named.get("date", "")), named.get("age", "0")
    if date is None:
        return None
    return date + (float(age[:_DIGITS]) if age.isascii() and age.isdigit() else 0.0)


def clock_ahead(headers: Sequence[tuple[str, str]], wall: float) -> float | None:
    """Seconds by which a clock that showed ``wall`` when the request was sent is ahead of the server's; None if unknown."""
    time = server_time(headers)
    return None if time is None else wall - time
