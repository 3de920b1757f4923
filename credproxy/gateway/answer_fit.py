"""Whether a good answer is one to the request that was sent; a client may take the body for what it asked for.

curl, for one, writes to its file whatever a 206 holds, and nothing for a 304.
"""

import re
from http import HTTPStatus

from credproxy.gateway.incoming import Headers, values
from credproxy.gateway.resume import content_range


_ONE_RANGE = re.compile(r"bytes=[ \t]*(?:([0-9]{1,18})-([0-9]{1,18})?|-([0-9]{1,18}))[ \t]*", re.IGNORECASE)
_SEVERAL = "multipart/byteranges"


def fits(status: int, headers: Headers, *, length: int | None, asked: Headers) -> bool:
    """Whether an answer has what was asked for: all of it, the part that was wanted, or that nothing has changed.

    Args:
        status: of the answer.
        headers: of the answer.
        length: bytes of its body; None if unknown, or if it has none because of HEAD.
        asked: the fields of the request.
    """
    if status == HTTPStatus.NOT_MODIFIED:
        return bool(values(asked, "If-None-Match"))
    ranges = values(asked, "Range")
    if status == HTTPStatus.PARTIAL_CONTENT and ranges:
        return _is_part(ranges, headers, length)
    return status == HTTPStatus.OK


def _is_part(ranges: tuple[str, ...], headers: Headers, length: int | None) -> bool:
    """RFC 9110, section 15.3.7: one part says which it is, several are only for who asked for several."""
    wanted = _ONE_RANGE.fullmatch(ranges[0]) if len(ranges) == 1 else None
    found = content_range(headers)
    if found is None:
        several = any(value.lower().startswith(_SEVERAL) for value in values(headers, "Content-Type"))
        return wanted is None and (several or bool(values(headers, "Content-Range")))
    first, last, total = found
    if length is not None and length != last - first + 1:
        return False
    return wanted is None or _within(wanted, first, last, total)


def _within(wanted: re.Match[str], first: int, last: int, total: int | None) -> bool:
    """Whether a part begins where it was asked to; it may end earlier, as a server may send less at a time."""
    begin, end, suffix = wanted.groups()
    if suffix is not None:
        return total is None or first == max(0, total - int(suffix))
    return first == int(begin) and (end is None or last <= int(end))
