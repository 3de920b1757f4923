"""A request as the standard library's client writes it, kept until somebody sends it: who waits may be an event loop."""

import http.client
from urllib.parse import urlsplit

from credproxy.core.credential import reveal
from credproxy.core.http import Request
from credproxy.core.proxy import proxy_of


class _Writer(http.client.HTTPConnection):
    """Connects to nobody, and keeps what it is told to send."""

    kept = b""

    def send(self, data: object) -> None:
        """Keep it."""
        assert isinstance(data, bytes)  # as all that belongs to a request without a body
        self.kept += data


def written(request: Request) -> bytes:
    """Give the bytes of a request without a body: with its whole URL where a proxy is asked for it.

    Raises:
        ValueError, http.client.HTTPException: a host or a header that cannot be sent.
    """
    url, writer = urlsplit(request.url), _Writer("")
    proxy = proxy_of(request.dial.proxy) if url.scheme == "http" else None
    target = request.url if proxy is not None else (url.path or "/") + (f"?{url.query}" if url.query else "")
    writer.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    writer.putheader("Host", url.netloc)
    for name, value in request.headers:
        writer.putheader(name, reveal(value))
    if proxy is not None and proxy.authorization is not None:
        writer.putheader("Proxy-Authorization", reveal(proxy.authorization))
    writer.endheaders()
    return writer.kept
