"""Statuses that may pass by themselves, whoever answered with them (TX-10)."""

from email.utils import parsedate_to_datetime

from credproxy.core.errors import Code, Failed, failed
from credproxy.core.http import Response
from credproxy.core.lifetime import clamp


def transient(response: Response, subject: str) -> Failed | None:
    """Give the failure for a 429 or a 5xx that is left after all attempts; None for any other status.

    501 is final: the server has no such method (TX-9).
    """
    if response.status == 429:  # noqa: PLR2004
        return failed(
            Code.RATE_LIMITED,
            f"{subject} asks to come back later",
            "too many requests were made with this login",
            retry_after(response),
        )
    if response.status >= 500 and response.status != 501:  # noqa: PLR2004
        return failed(
            Code.UPSTREAM_UNAVAILABLE, f"{subject} answered {response.status}", "it is the server's fault and may pass"
        )
    return None


def retry_after(response: Response) -> float:
    """Seconds of a ``Retry-After``, either form, clamped to 1-300; 1 where it is missing or unreadable."""
    text = next(iter(response.all("Retry-After")), "").strip()
    if text.isascii() and text.isdigit():
        return clamp(float(text[:9]), 1.0, 300.0)
    try:
        when = parsedate_to_datetime(text)
    except ValueError:
        return 1.0
    return 1.0 if when.tzinfo is None else clamp(when.timestamp() - response.wall, 1.0, 300.0)
