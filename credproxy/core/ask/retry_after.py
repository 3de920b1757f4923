"""How long a server asks to be left alone. Source: RFC 9110, sections 10.2.3 and 6.6.1."""

import re

from credproxy.core.ask.http_date import http_date, server_time
from credproxy.core.ask.lifetime import clamp


LONGEST_PAUSE = 300.0
"""Seconds that a Retry-After may ask for (TX-10)."""

_SECONDS = re.compile(r"[0-9]+(?:[ \t]*,[ \t]*[0-9]+)*")
"""Delta-seconds; several if a proxy has joined field lines into one."""

_DIGITS = 10
"""Digits of a number that are read: nothing longer is below ``LONGEST_PAUSE``, and the largest is quickly a number."""


def retry_after(headers: tuple[tuple[str, str], ...], wall: float | None) -> float | None:
    """Seconds that a response asks to wait, from 0 to 300; None if it does not say, or not in a valid form.

    A date counts from the response's own ``Date``, because the clocks of the two sides may differ by more than the pause.
    Of several values the longest counts: asking too early would be throttled again.

    Args:
        headers: field lines, names in any case.
        wall: POSIX seconds at which the request was sent, for a response without ``Date``; None if unknown.
    """
    time = server_time(headers)
    now = wall if time is None else time
    values = (value.strip() for name, value in headers if name.lower() == "retry-after")
    found = (_seconds(value, now) for value in values)
    return max((seconds for seconds in found if seconds is not None), default=None)


def _seconds(value: str, now: float | None) -> float | None:
    if _SECONDS.fullmatch(value):
        numbers = [number.strip().lstrip("0") or "0" for number in value.split(",")]
        return min(LONGEST_PAUSE, max(float(number[:_DIGITS]) for number in numbers))
    date = http_date(value)
    return None if date is None or now is None else clamp(date - now, 0.0, high=LONGEST_PAUSE)
