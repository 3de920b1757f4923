"""Which header fields pass the gateway; every other one stops here.

Lists of what passes, not of what does not: a client's ``Authorization``, forwarding headers and our own names never
leave, and a registry's cookies, challenges and server versions never arrive.
"""

import re
from urllib.parse import urlsplit

from credproxy.core.errors import Code, failed
from credproxy.gateway.asked import Asked, Headers, values


_READ = ("Accept", "Accept-Encoding", "If-Match", "If-None-Match", "If-Range", "Range", "User-Agent")
_WRITE = ("Accept", "Content-Encoding", "Content-Length", "Content-Range", "Content-Type", "User-Agent")

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
        "retry-after",
    }
)

_VALUE = re.compile(r"[\t -~\x80-\xff]*")
_NEXT = re.compile(r'<([^<>\s]+)>\s*;\s*rel="?next"?')


def upward(asked: Asked, *, writing: bool) -> Headers:
    """Fields of a request that go to the registry.

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
    return int(found[0]) if len(found) == 1 and found[0].isascii() and found[0].isdigit() else None


def next_page(headers: Headers, path: str) -> Headers:
    """The ``Link`` to the next page of a list, if it leads to the same list: only its query is taken over."""
    for value in values(headers, "Link"):
        found = _NEXT.match(value)
        link = None if found is None else urlsplit(found[1])
        if link is not None and link.path == path and link.query:
            return (("Link", f'<{path}?{link.query}>; rel="next"'),)
    return ()
