"""The tunnel for TLS through an HTTP proxy, and the failures that are the proxy's own."""

import http.client
import socket

from credproxy.adapters.interim_responses import SteadyResponse
from credproxy.core.ask.credential import reveal
from credproxy.core.ask.proxy import Proxy


TUNNEL = 5.0
"""Seconds for a proxy to connect; it looks up the name and dials for us."""


class ProxyError(OSError):
    """A proxy could not be used, or refused the request.

    Attributes:
        status: of its answer; 0 if there was none.
        cause: what happened to the connection instead, or None.
    """

    def __init__(self, status: int = 0, cause: Exception | None = None) -> None:
        super().__init__("the proxy did not connect")
        self.status = status
        self.cause = cause


def tunnel(sock: socket.socket, proxy: Proxy, *, host: str, port: int) -> None:
    """Ask the proxy at the other end of a socket to connect it to a host. Source: RFC 9110, section 9.3.6.

    Raises:
        ProxyError: it did not.
    """
    place = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    asking = http.client.HTTPConnection(proxy.host, proxy.port)
    asking.sock = sock
    before = sock.gettimeout()
    sock.settimeout(TUNNEL)
    try:
        asking.putrequest("CONNECT", place, skip_host=True, skip_accept_encoding=True)
        asking.putheader("Host", place)
        if proxy.authorization is not None:
            asking.putheader("Proxy-Authorization", reveal(proxy.authorization))
        asking.endheaders()
        with SteadyResponse(sock, method="CONNECT") as response:
            response.begin()
            status = response.status
    except (OSError, http.client.HTTPException) as error:
        raise ProxyError(cause=error) from None
    if not http.client.OK <= status < http.client.MULTIPLE_CHOICES:
        raise ProxyError(status)
    sock.settimeout(before)
