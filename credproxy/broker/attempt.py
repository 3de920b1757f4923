"""What one attempt to send a request says: about its origin, and whether another may follow."""

from http import HTTPStatus

from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, Failure


Attempt = Response | Failure

_FINAL = frozenset({501, 505})
"""The 5xx that say what a server cannot do; every other one, such as the 520 to 527 of a proxy, may pass."""


def is_throttled(outcome: Attempt) -> bool:
    """Whether the server said 429, too many requests."""
    return isinstance(outcome, Response) and outcome.status == HTTPStatus.TOO_MANY_REQUESTS


def may_pass(outcome: Attempt) -> bool:
    """Whether the same request may succeed a little later."""
    if isinstance(outcome, Response):
        return outcome.status == HTTPStatus.REQUEST_TIMEOUT or (
            outcome.status >= HTTPStatus.INTERNAL_SERVER_ERROR and outcome.status not in _FINAL
        )
    return outcome.code is Code.UPSTREAM_UNAVAILABLE and not outcome.unanswered


def verdict_of(outcome: Attempt) -> bool | None:
    """Whether the origin is well, for its breaker: a 4xx except 408 is a good answer. None: the outcome says nothing about it.

    A bad certificate or a pause is such. Source: docs/design/faults.md#circuit-breaker.
    """
    if isinstance(outcome, Response):
        return outcome.status < HTTPStatus.INTERNAL_SERVER_ERROR and outcome.status != HTTPStatus.REQUEST_TIMEOUT
    return {Code.ANSWER_TOO_LARGE: True, Code.UPSTREAM_UNAVAILABLE: False}.get(outcome.code)


def is_repeatable(request: Request, outcome: Attempt) -> bool:
    """Whether the request may be sent again: it must not spend a refresh token twice. One that never left has spent nothing."""
    return request.repeatable or (isinstance(outcome, Failure) and outcome.unsent)
