"""The three forms of a date in HTTP: IMF-fixdate, that of RFC 850, and that of C's ``asctime``.

::

    Sun, 06 Nov 1994 08:49:37 GMT
    Sunday, 06-Nov-94 08:49:37 GMT
    Sun Nov  6 08:49:37 1994           names no zone, and means UTC like the others

Source: RFC 9110, section 5.6.7.
"""

from datetime import UTC
from email.utils import parsedate_to_datetime


def http_date(text: str) -> float | None:
    """POSIX seconds of a date; None for a text that is not one."""
    try:
        found = parsedate_to_datetime(text.strip())
        # Without a zone it would otherwise be read as local time, hours off.
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError, IndexError, TypeError):  # the standard library's parser, given garbage
        return None
