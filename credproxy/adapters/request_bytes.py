"""A request as bytes for the wire, for callers that send it themselves, such as an event loop."""

import re

from credproxy.core.ask.credential import reveal
from credproxy.core.ask.http import VALUES, Request
from credproxy.core.ask.proxy import proxy_of


_URL = re.compile(r"(https?)://([^/?#]*)([!-\"$-~]*)(?:#[!-~]*)?")
"""Scheme, authority, path with query. A fragment is not sent."""

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")

_USUAL = frozenset({"Accept", "Accept-Encoding", "Authorization", "If-Range", "Range", "User-Agent"})
"""Names that need no check."""


def written(request: Request) -> bytes:
    """Give the bytes of a request without a body: with its whole URL if it is sent to a proxy.

    Raises:
        ValueError: a path, a host or a header cannot be sent; the message does not quote it, as it may be a secret.
    """
    url = _URL.fullmatch(request.url)
    if url is None:
        message = "got a path that cannot be sent"
        raise ValueError(message)
    scheme, host, place = url.groups()
    target = place if place[:1] == "/" else f"/{place}"
    fields = [("Host", host), *[(name, reveal(value)) for name, value in request.headers]]
    if scheme == "http" and (proxy := proxy_of(request.dial.proxy)) is not None:
        target = request.url
        if proxy.authorization is not None:
            fields.append(("Proxy-Authorization", reveal(proxy.authorization)))
    if VALUES.fullmatch("".join([value for _, value in fields])) is None:
        raise _unfit()
    for name, _ in fields[1:]:
        if name not in _USUAL and _NAME.fullmatch(name) is None:
            raise _unfit()
    lines = "\r\n".join([f"{name}: {value}" for name, value in fields])
    return f"{request.method} {target} HTTP/1.1\r\n{lines}\r\n\r\n".encode("latin-1")


def _unfit() -> ValueError:
    return ValueError("got a header that cannot be sent")
