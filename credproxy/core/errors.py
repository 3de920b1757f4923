"""The closed list of what can go wrong, by who is at fault.

::

    Failed(Failure)                 one exception; its code says which of these it is (Unfit: raised before serving)
      the caller     bad_request not_found method_not_allowed too_large peer_refused policy_denied use_gateway
      this machine   config_invalid credential_unreadable helper_failed helper_not_runnable
      the login      bad_credentials denied
      the registry   no_challenge unsupported_scheme poisoned_challenge realm_refused downgrade redirect_refused
                     address_refused bad_token expired_on_arrival answer_too_large tls_failed
      may pass       upstream_unavailable rate_limited overloaded still_trying
      us             internal

Clients and dashboards depend on the code; a new one needs a line in docs/reference/api.md.
"""

from dataclasses import dataclass
from enum import StrEnum
from http import HTTPStatus


class Code(StrEnum):
    """One code of the closed list. The value is what clients see."""

    BAD_REQUEST = "bad_request"
    NOT_FOUND = "not_found"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    TOO_LARGE = "too_large"
    PEER_REFUSED = "peer_refused"
    POLICY_DENIED = "policy_denied"
    USE_GATEWAY = "use_gateway"
    CONFIG_INVALID = "config_invalid"
    CREDENTIAL_UNREADABLE = "credential_unreadable"
    HELPER_FAILED = "helper_failed"
    HELPER_NOT_RUNNABLE = "helper_not_runnable"
    BAD_CREDENTIALS = "bad_credentials"
    DENIED = "denied"
    NO_CHALLENGE = "no_challenge"
    UNSUPPORTED_SCHEME = "unsupported_scheme"
    POISONED_CHALLENGE = "poisoned_challenge"
    REALM_REFUSED = "realm_refused"
    DOWNGRADE = "downgrade"
    REDIRECT_REFUSED = "redirect_refused"
    ADDRESS_REFUSED = "address_refused"
    BAD_TOKEN = "bad_token"  # noqa: S105  a code, not a secret
    EXPIRED_ON_ARRIVAL = "expired_on_arrival"
    ANSWER_TOO_LARGE = "answer_too_large"
    TLS_FAILED = "tls_failed"
    UPSTREAM_UNAVAILABLE = "upstream_unavailable"
    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    STILL_TRYING = "still_trying"
    INTERNAL = "internal"


FETCH = "have the gateway on the same socket fetch it: GET /v1/fetch?url=URL, percent-encoded"
"""The remedy where a build action asks for the credential of an object that only the gateway can have."""

GATEWAY = "use the gateway on the same socket, which fetches it for the action: credproxy bazelrc --actions"
"""The hint of ``use_gateway``."""

_STATUS = {
    Code.BAD_REQUEST: HTTPStatus.BAD_REQUEST,
    Code.NOT_FOUND: HTTPStatus.NOT_FOUND,
    Code.METHOD_NOT_ALLOWED: HTTPStatus.METHOD_NOT_ALLOWED,
    Code.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    Code.PEER_REFUSED: HTTPStatus.FORBIDDEN,
    Code.POLICY_DENIED: HTTPStatus.FORBIDDEN,
    Code.USE_GATEWAY: HTTPStatus.FORBIDDEN,
    Code.CONFIG_INVALID: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.UPSTREAM_UNAVAILABLE: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.RATE_LIMITED: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.OVERLOADED: HTTPStatus.SERVICE_UNAVAILABLE,
    Code.STILL_TRYING: HTTPStatus.GATEWAY_TIMEOUT,
    Code.INTERNAL: HTTPStatus.INTERNAL_SERVER_ERROR,
}


_MAY_PASS = frozenset({Code.UPSTREAM_UNAVAILABLE, Code.RATE_LIMITED, Code.OVERLOADED, Code.STILL_TRYING})


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong, as a value that may be kept and shown to several waiters.

    Attributes:
        code: from the closed list.
        message: lower case, no final period, names from outside quoted; never a secret, never an upstream's body.
        hint: the next step for the person who reads it; may be empty.
        retry_after: seconds until the next attempt, if known; for a remembered failure, until it is
            forgotten. Clients are told ``pause``.
        unsent: the request never left, so sending it once more cannot do anything twice.
        inside: the message names things on this machine, and is for its user only (T19); see ``core/ask/disclosure.py``.
        unanswered: the other side has the request, and the time for its answer is over: it is not sent again.
    """

    code: Code
    message: str
    hint: str = ""
    retry_after: float | None = None
    inside: bool = False
    unanswered: bool = False
    unsent: bool = False

    @property
    def may_pass(self) -> bool:
        """True if waiting alone may help. Any other failure is also remembered, but only a change fixes it."""
        return self.code in _MAY_PASS

    @property
    def pause(self) -> float | None:
        """``retry_after`` as a client may be told it: a final refusal is remembered, but must not invite repeats."""
        return self.retry_after if self.may_pass else None

    @property
    def status(self) -> int:
        """The HTTP status on the JSON API. Source: docs/reference/api.md."""
        return _STATUS.get(self.code, HTTPStatus.BAD_GATEWAY)


class Failed(Exception):  # noqa: N818  it carries a Failure; "FailedError" would say less
    """Raised wherever a Failure ends the work. Raise a new one per waiter (PY28)."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(f"{failure.code}: {failure.message}")
        self.failure = failure


BUG = Failure(Code.INTERNAL, "credproxy hit a bug of its own", "see the daemon's log")
"""What a caller is told of an exception that nobody expected."""

SHORT_OF_MEMORY = Failure(
    Code.OVERLOADED,
    "credproxy is short of memory",
    "ask again in a second; a drop-in with MemoryHigh= grants its service more",
    1.0,
)
"""What is cached is still answered (C6)."""


def is_shortage(error: BaseException | None) -> bool:
    """Whether an exception tells of a lack of memory, also for the stack of a thread: Python raises a RuntimeError then."""
    return isinstance(error, MemoryError) or (
        isinstance(error, RuntimeError) and error.args == ("can't start new thread",)
    )


class Unfit(Failed):
    """This process cannot serve the way it was started, and starting it again the same way would not help (P13)."""


def in_words(error: OSError) -> str:
    """What the system says, and of which file, if it says that."""
    place = "" if error.filename is None else f": {error.filename!r}"
    return f"{(error.strerror or 'the system gives no reason').lower()}{place}"


def failed(
    code: Code, message: str, *, hint: str = "", retry_after: float | None = None, inside: bool = False
) -> Failed:
    """Give the exception to raise, from the fields of its Failure."""
    return Failed(Failure(code, message, hint, retry_after, inside))
