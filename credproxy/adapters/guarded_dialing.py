"""Makes every socket of a request, for an address that the guard allows; a proxy's errors are told apart."""

import errno
import socket
import ssl
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import SimpleNamespace

import aiohttp

from credproxy.adapters.dial import allowed
from credproxy.adapters.tcp_keepalive import lively
from credproxy.adapters.tunnel import ProxyError
from credproxy.core.ask.http import Dial


class _DialRefusedError(OSError):
    """The guard does not allow an address; an OSError, so that other addresses are still tried."""


@dataclass(slots=True)
class Dialing:
    """What one request may connect to, and what has been tried; shared with the tasks that connect for it.

    ``connected``: it has a connection to its target, through a proxy or not.
    """

    dial: Dial
    tried: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    connected: bool = False


current_dialing: ContextVar[Dialing] = ContextVar("dialing")
"""Of the request that a task connects for: aiohttp passes nothing to what makes its sockets."""


def guarded_socket(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """Make the socket for an address, unless the request may not go there.

    Every connection passes here with its final address: a resolver hook would not see IP literals (PY16).
    """
    family, kind, protocol, _, sockaddr = info
    address, dialing = str(sockaddr[0]), current_dialing.get()
    # The operator named the proxy, and the proxy then resolves the target's address.
    if not allowed(address, Dial(own=True) if dialing.dial.proxy else dialing.dial):
        dialing.refused.append(address)
        raise _DialRefusedError(errno.EACCES, "address refused")
    dialing.tried.append(address)
    return lively(socket.socket(family, kind, protocol))


def told_of_connections() -> aiohttp.TraceConfig:
    """Note when a request has its connection: any error before that is the proxy's."""

    async def connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.connected = True

    told = aiohttp.TraceConfig()
    told.on_connection_create_end.append(connected)
    told.on_connection_reuseconn.append(connected)
    return told


def blamed(error: Exception, dialing: Dialing) -> Exception:
    """Replace an error that a proxy is to blame for by a ProxyError."""
    if dialing.dial.proxy is None or dialing.connected or isinstance(error, ProxyError):
        return error
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return ProxyError(error.status)
    # Once a tunnel is open, only TLS can fail; that is between us and the target.
    of_proxy = isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientConnectorDNSError)
    if isinstance(error, aiohttp.ClientConnectorError | ssl.SSLError) and not of_proxy:
        return error
    return ProxyError(cause=error)
