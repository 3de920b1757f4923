"""What other credential helpers print: read as real ones write it, and no more leniently (T27, T31).

EngFlow's own library emits ``null`` for unknown values, others write fractions of a second; a value that no
header may carry is always refused.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime

import msgspec

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.empty import empty_answer
from credproxy.core.ask.message import header_problem
from credproxy.core.redact import mask_name
from credproxy.core.unreadable_json import UNREADABLE


_HEADERS = 32
_VALUE = 16 * 1024
_VALUES = 64 * 1024
"""Bytes of one value and of all: more than any server accepts, so it is not a credential (T27)."""


class HelperAnswerError(Exception):
    """What is wrong with an answer; never quotes it."""


_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class HelperAnswer:
    """Headers as in a Grant, and the POSIX second of expiry if one was given."""

    headers: tuple[tuple[str, tuple[Secret, ...]], ...]
    expires: float | None


def parse_helper_answer(output: bytes) -> HelperAnswer:
    """Read one answer.

    Raises:
        HelperAnswerError: not a JSON object of the protocol, a header that may not be sent, an unreadable ``expires``.
    """
    if not output.strip():
        raise HelperAnswerError("it printed nothing")
    try:
        printed: object = msgspec.json.decode(output)
    except UNREADABLE:
        raise HelperAnswerError("its answer is not one JSON object") from None
    if not isinstance(printed, dict):
        raise HelperAnswerError("its answer is not one JSON object")
    headers, expires = printed.get("headers"), printed.get("expires")
    if headers is not None and not isinstance(headers, dict):
        raise _unlike("an object of lists", "headers")
    if expires is not None and not isinstance(expires, str):
        raise _unlike("a time of RFC 3339", "expires")
    found: dict[str, list[str]] = {}
    for name, values in (headers or {}).items():
        texts = [value for value in values if isinstance(value, str)] if isinstance(values, list) else None
        if texts is None or len(texts) != len(values):
            raise _unlike("a list of strings", name)
        found[name] = texts
    return HelperAnswer(_headers(found), _expires(expires))


def _unlike(wanted: str, name: str) -> HelperAnswerError:
    """Where a value is of another type; the value is not shown, and the name only if it can be that of a header."""
    return HelperAnswerError(
        f"wanted {wanted} for {mask_name(name)!r}" if _NAME.fullmatch(name) else f"wanted {wanted}"
    )


def _headers(printed: dict[str, list[str]]) -> tuple[tuple[str, tuple[Secret, ...]], ...]:
    if len(printed) > _HEADERS:
        raise HelperAnswerError(f"its answer has more than {_HEADERS} headers")
    sizes = [len(value) for values in printed.values() for value in values]
    if max(sizes, default=0) > _VALUE or sum(sizes) > _VALUES:
        raise HelperAnswerError(f"its answer has more than {_VALUE} bytes in a header, or {_VALUES} in all")
    kept: dict[str, tuple[str, tuple[Secret, ...]]] = {}
    for name, values in printed.items():
        # Several values of Authorization make clients fail; the first one is what they would have used (CL-20).
        wanted = [value.strip() for value in (values[:1] if name.lower() == "authorization" else values)]
        problem = header_problem(name, wanted if any(wanted) else ())  # an empty one is reported as such below
        if problem is None and name.lower() in kept:
            problem = f"the header {name!r} occurs twice"
        if problem is not None:
            raise HelperAnswerError(f"its answer cannot be used: {problem}")
        if wanted:
            kept[name.lower()] = (name, tuple(Secret(value) for value in wanted))
    headers = tuple(kept.values())
    empty = empty_answer(headers)
    if empty is not None:
        raise HelperAnswerError(f"its answer holds no credential: {empty}")
    return headers


def _expires(text: str | None) -> float | None:
    if text is None:
        return None
    try:
        when = datetime.fromisoformat(text)
    except ValueError:
        raise HelperAnswerError("its 'expires' is not a time of RFC 3339") from None
    if when.tzinfo is None:
        raise HelperAnswerError("its 'expires' has no time zone")
    return when.astimezone(UTC).timestamp()
