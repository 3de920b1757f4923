"""How a body that broke off goes on: which bytes are asked for again, and whether the answer continues the first.

Nobody else does this, and ``img`` does not repeat a truncated download: without it a cut connection is a failed build
(clients.md 3.4, U15). A blob is named by its digest, which the client verifies; what is judged here is whether the second
answer is the same representation, so that no client ever assembles two halves that do not belong together.
"""

import re
from dataclasses import dataclass

from credproxy.gateway.asked import Headers, values


_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)")
_OK, _PARTIAL = 200, 206


@dataclass(frozen=True, slots=True)
class Span:
    """What the client was promised: bytes ``start`` to ``end``, inclusive, of one representation.

    Attributes:
        total: of the representation; None where the registry did not say.
        etag: its entity tag, as sent; "" without one.
        coding: its content coding; ranges count coded bytes.
    """

    start: int
    end: int
    total: int | None
    etag: str
    coding: str

    @property
    def length(self) -> int:
        """Bytes."""
        return self.end - self.start + 1


def promised(status: int, headers: Headers, length: int | None) -> Span | None:
    """Read the first answer; None for one that cannot go on: without a length, or of several ranges."""
    if length is None or length == 0:
        return None
    if status == _OK:
        return Span(0, length - 1, length, _one(headers, "ETag"), _one(headers, "Content-Encoding"))
    found = _content_range(headers)
    if status != _PARTIAL or found is None or found[1] - found[0] + 1 != length:
        return None
    return Span(*found, _one(headers, "ETag"), _one(headers, "Content-Encoding"))


def again(span: Span, moved: int) -> Headers:
    """The fields that ask for the rest, after ``moved`` bytes.

    ``If-Range`` takes no weak entity tag: RFC 9110, section 13.1.5.
    """
    rest = (("Range", f"bytes={span.start + moved}-{span.end}"),)
    return (*rest, ("If-Range", span.etag)) if span.etag and not span.etag.startswith("W/") else rest


def continues(span: Span, moved: int, status: int, headers: Headers, length: int | None) -> int | None:
    """How many bytes of the second answer lie before those that are missing; None if it is something else.

    A server without ranges sends everything once more, and what is there already is skipped. It may also send everything
    because it was asked with ``If-Range`` and has something else now: then its entity tag must say that it has not.
    """
    etag = _one(headers, "ETag")
    if _one(headers, "Content-Encoding") != span.coding or _changed(span.etag, etag):
        return None
    if status == _OK:
        same = length is not None and length == span.total and bool(etag or not span.etag)
        return span.start + moved if same else None
    found = _content_range(headers)
    if status != _PARTIAL or found is None or length != span.length - moved:
        return None
    first, last, total = found
    same_total = total is None or span.total is None or total == span.total
    return 0 if (first, last) == (span.start + moved, span.end) and same_total else None


def _changed(before: str, now: str) -> bool:
    if before.startswith("W/"):
        before, now = before.removeprefix("W/"), now.removeprefix("W/")
    # A tag that was strong and is weak now says that the bytes are others (RFC 9110, section 8.8.1).
    return bool(before and now) and before != now


def _content_range(headers: Headers) -> tuple[int, int, int | None] | None:
    found = _RANGE.fullmatch(_one(headers, "Content-Range"))
    if found is None or int(found[1]) > int(found[2]):
        return None
    return int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3])


def _one(headers: Headers, name: str) -> str:
    return next(iter(values(headers, name)), "").strip()
