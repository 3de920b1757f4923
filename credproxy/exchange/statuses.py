"""Temporary failures by status, whichever server answers with them (TX-10)."""

from http import HTTPStatus

from credproxy.core.ask.http import Response
from credproxy.core.errors import Code, Failed, failed


def transient(response: Response, subject: str) -> Failed | None:
    """Give the failure for a 408, a 429 or a 5xx that is left after all attempts; None for any other status.

    501 is final: the server has no such method (TX-9).
    """
    if response.status == HTTPStatus.TOO_MANY_REQUESTS:
        return failed(
            Code.RATE_LIMITED,
            f"{subject} asks to come back later",
            hint="too many requests were made with this login",
        )
    if response.status == HTTPStatus.REQUEST_TIMEOUT or (
        response.status >= HTTPStatus.INTERNAL_SERVER_ERROR and response.status != HTTPStatus.NOT_IMPLEMENTED
    ):  # as in RFC 9110
        return failed(
            Code.UPSTREAM_UNAVAILABLE,
            f"{subject} answered {response.status}",
            hint="it is the server's fault and may pass",
        )
    return None
