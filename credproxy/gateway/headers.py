"""Which header fields pass the gateway; every other one stops here.

Lists of what passes, not of what does not: a client's ``Authorization``, forwarding headers and our own names never
leave, and a registry's cookies, challenges and server versions never arrive.
"""

import re
from math import ceil
from urllib.parse import urlsplit

from credproxy.core.errors import Code, failed
from credproxy.core.retry_after import retry_after
from credproxy.gateway.asked import Asked, Headers, values


_READ = ("Accept", "Accept-Encoding", "If-Match", "If-None-Match", "If-Range", "Range", "User-Agent")
_WRITE = ("Accept", "Content-Encoding", "Content-Range", "Content-Type", "User-Agent")

_ANSWER = frozenset(
    {
        "accept-ranges",
        "content-encoding",
        "content-range",
        "content-type",
        "docker-content-digest",
        "docker-distribution-api-version",
        "etag",
        "last-modified",
        "oci-chunk-min-length",
        "oci-filters-applied",
        "oci-subject",
        "range",
    }
)

_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_NEXT = re.compile(r'<([^<>\s]+)>\s*;\s*rel="?next"?')
_LENGTH = re.compile(r"[0-9]{1,18}")


def upward(asked: Asked, *, writing: bool) -> Headers:
    """Fields of a request that go to the registry, without the length, which belongs to whoever sends the body.

    Raises:
        Failed(bad_request): a value with a control character; aiohttp's parser refuses most of them before.
    """
    passed = [(name, value) for name in (_WRITE if writing else _READ) for value in asked.all(name)]
    for name, value in passed:
        if _VALUE.fullmatch(value) is None:
            raise failed(Code.BAD_REQUEST, f"the header {name} holds a control character")
    return tuple(passed)


def downward(headers: Headers) -> Headers:
    """Fields of an answer that go to the client; its length is the server's business, its places are the gateway's."""
    return tuple((name, value) for name, value in headers if name.lower() in _ANSWER and _VALUE.fullmatch(value))


def announced(headers: Headers) -> int | None:
    """The Content-Length of an answer to HEAD; None where there is none or no number."""
    found = values(headers, "Content-Length")
    return int(found[0]) if len(found) == 1 and _LENGTH.fullmatch(found[0]) else None


def refused(headers: Headers) -> Headers:
    """Fields of a refusal that go to the client: how long the whole is, and when to ask again."""
    found = tuple(("Content-Range", value) for value in values(headers, "Content-Range")[:1] if _VALUE.fullmatch(value))
    pause = retry_after(headers, None)
    # In seconds whatever its form was: img reads no dates.
    return found if pause is None else (*found, ("Retry-After", str(ceil(pause))))


def next_page(headers: Headers, path: str) -> Headers:
    """The ``Link`` to the next page of a list, if it leads to the same list: only its query is taken over."""
    for value in values(headers, "Link"):
        found = _NEXT.match(value) if _VALUE.fullmatch(value) else None
        if found is None:
            continue
        try:
            link = urlsplit(found[1])
        except ValueError:
            continue
        if link.path == path and link.query:
            return (("Link", f'<{path}?{link.query}>; rel="next"'),)
    return ()
