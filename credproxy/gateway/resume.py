"""How a body that broke off is continued: which bytes are requested again, and whether the answer continues the first.

``img`` does not repeat a truncated download: without this, a cut connection would fail the build
(docs/design/clients.md#the-gateway, U15). The blob's digest decides what the bytes are. A second answer with the entity
tag of the first continues where that broke off. Any other one is read whole, and is right if its digest is. So a
registry may change tags and servers, and no client gets a second half that belongs to something else.
"""

import re
from dataclasses import dataclass
from http import HTTPStatus

from credproxy.gateway.incoming import Headers, values


_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18}|\*)", re.IGNORECASE)
_PASSING = frozenset({408, 425, 429})


@dataclass(frozen=True, slots=True)
class ByteRange:
    """What the client was promised: bytes ``start`` to ``end``, inclusive, of one representation.

    Attributes:
        total: of the representation; None if the registry did not say.
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


def promised(status: int, headers: Headers, *, length: int | None) -> ByteRange | None:
    """Read the first answer; None for one that cannot be continued: without a length, or with several ranges."""
    if length is None or length == 0:
        return None
    if status == HTTPStatus.OK:
        return ByteRange(0, length - 1, length, _one(headers, "ETag"), _one(headers, "Content-Encoding"))
    found = content_range(headers)
    if status != HTTPStatus.PARTIAL_CONTENT or found is None or found[1] - found[0] + 1 != length:
        return None
    return ByteRange(*found, _one(headers, "ETag"), _one(headers, "Content-Encoding"))


@dataclass(frozen=True, slots=True)
class Rest:
    """A second answer that can continue the first.

    Attributes:
        before: bytes of it that come before the missing ones.
        same: it is the same representation as the first one, as far as is known.
        told: its server says so, by a strong entity tag: its digest need not be checked.
    """

    before: int
    same: bool = True
    told: bool = True


def may_pass(status: int) -> bool:
    """Whether another try may get a different answer."""
    return status in _PASSING or status >= HTTPStatus.INTERNAL_SERVER_ERROR


def misses(status: int) -> bool:
    """Whether an answer says nothing against the blob itself: another range of it, or none, or all of it."""
    return status in {HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE}


def again(span: ByteRange, moved: int, *, whole: bool) -> Headers:
    """The fields that ask for the rest, after ``moved`` bytes; none if the whole body is requested.

    ``If-Range`` takes no weak entity tag: RFC 9110, section 13.1.5.
    """
    if whole:
        return ()
    rest = (("Range", f"bytes={span.start + moved}-{span.end}"),)
    return (*rest, ("If-Range", span.etag)) if span.etag and not span.etag.startswith("W/") else rest


def continues(span: ByteRange, moved: int, *, status: int, headers: Headers, length: int | None) -> Rest | None:
    """How the second answer continues the first; None if it cannot.

    A server without ranges sends everything again, and what has arrived already is skipped. It may also send everything
    because of ``If-Range``, if it has something else now: it is the same only if its entity tag says so.
    """
    etag = _one(headers, "ETag")
    if _one(headers, "Content-Encoding") != span.coding:
        return None
    changed = _changed(span.etag, etag)
    if status == HTTPStatus.OK:
        fits = length is not None and (length > span.end if span.total is None else length == span.total)
        known = span.total is not None and bool(etag or not span.etag)
        told = known and etag == span.etag and etag.startswith('"')
        return Rest(span.start + moved, same=known and not changed, told=told) if fits else None
    found = content_range(headers)
    # The rest of another representation proves nothing: the bytes before it are needed, too.
    if status != HTTPStatus.PARTIAL_CONTENT or found is None or length != span.length - moved or changed:
        return None
    first, last, total = found
    same_total = total is None or span.total is None or total == span.total
    return Rest(0) if (first, last) == (span.start + moved, span.end) and same_total else None


def _changed(before: str, now: str) -> bool:
    if before.startswith("W/"):
        before, now = before.removeprefix("W/"), now.removeprefix("W/")
    # A tag that was strong and is weak now says that the bytes are different (RFC 9110, section 8.8.1).
    return bool(before and now) and before != now


def content_range(headers: Headers) -> tuple[int, int, int | None] | None:
    """Give the first and last byte of a part, and the total length if its server says it; None if it does not say which it is."""
    found = _RANGE.fullmatch(_one(headers, "Content-Range"))
    if found is None or int(found[1]) > int(found[2]):
        return None
    return int(found[1]), int(found[2]), None if found[3] == "*" else int(found[3])


def _one(headers: Headers, name: str) -> str:
    return next(iter(values(headers, name)), "").strip()
