"""A request as bytes for the wire, for callers that send it themselves, such as an event loop."""

import re
from urllib.parse import urlsplit

from credproxy.core.ask.credential import reveal
from credproxy.core.ask.http import Request
from credproxy.core.ask.proxy import proxy_of


_TARGET = re.compile(r"[!-~]+")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[\t -~\x80-\xff]*")
"""No character that would end a line, and so begin another field. Source: RFC 9110, section 5.5."""


def written(request: Request) -> bytes:
    """Give the bytes of a request without a body: with its whole URL if it is sent to a proxy.

    Raises:
        ValueError: a path, a host or a header cannot be sent; the message does not quote it, as it may be a secret.
    """
    url = urlsplit(request.url)
    proxy = proxy_of(request.dial.proxy) if url.scheme == "http" else None
    target = request.url if proxy is not None else (url.path or "/") + (f"?{url.query}" if url.query else "")
    if _TARGET.fullmatch(target) is None:
        message = "got a path that cannot be sent"
        raise ValueError(message)
    lines = [f"{request.method} {target} HTTP/1.1", _line("Host", url.netloc)]
    lines += [_line(name, reveal(value)) for name, value in request.headers]
    if proxy is not None and proxy.authorization is not None:
        lines.append(_line("Proxy-Authorization", reveal(proxy.authorization)))
    return "\r\n".join([*lines, "", ""]).encode("latin-1")


def _line(name: str, value: str) -> str:
    if _NAME.fullmatch(name) is None or _VALUE.fullmatch(value) is None:
        message = "got a header that cannot be sent"
        raise ValueError(message)
    return f"{name}: {value}"
