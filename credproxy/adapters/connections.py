"""Connections for the blob pump: made behind the dial guard, and kept for reuse.

``connect`` blocks, and runs in a thread.
"""

import asyncio
import errno
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from urllib.parse import SplitResult, urlsplit

from credproxy.adapters.addresses import Resolve, system_resolve
from credproxy.adapters.awaited_socket import AwaitedSocket
from credproxy.adapters.dial import allowed
from credproxy.adapters.idle_connections import Idle
from credproxy.adapters.tcp_keepalive import lively
from credproxy.adapters.tls_socket import AnySocket, TlsSocket
from credproxy.adapters.tls_trust import FileTrust, Trust
from credproxy.adapters.tunnel import ProxyError, tunnel
from credproxy.core.ask.http import Dial, Request
from credproxy.core.ask.proxy import Proxy, proxy_of


CONNECT = 2.5
"""Seconds for connecting (TX-27)."""

HANDSHAKE = 10.0
"""Seconds for the TLS handshake. The server has answered by then, and the slow side may be this machine: with 64
downloads at once on two processors 2.5 were too few (bench/gateway.py, ``sandboxes``)."""

_TRIED = 4
"""Addresses of a host that are connected to, CONNECT seconds each."""

_CONTEXTS = 256

Hold = Callable[[AnySocket], None]
"""Called with each socket before it is waited on; an exception from it ends the request."""

PoolKey = tuple[str, str, Dial, int]
"""Scheme, authority, egress policy, and the version of the certificates that it names."""

_Place = tuple[str, int]
"""Host and port."""


class RefusedError(OSError):
    """Every address of a host is forbidden; ``addresses`` lists them."""

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__(errno.EACCES, "address refused")
        self.addresses = addresses


class Connections:
    """Makes connections and keeps reusable ones; safe to use from many threads.

    A connection is reused only under the egress policy that it was dialled with (SEC-13).

    Args:
        resolve: turns names into addresses.
        trust: builds TLS contexts; None to build them from this machine's files.
        connect: seconds, see CONNECT.
        relayed: gives a connection that a relay has made, by its name (Dial.relay); blocks. None: there are no relays.
    """

    def __init__(
        self,
        resolve: Resolve = system_resolve,
        *,
        trust: Trust | None = None,
        connect: float = CONNECT,
        relayed: Callable[[str], socket.socket] | None = None,
    ) -> None:
        self._resolve = resolve
        self._trust = trust or FileTrust()
        self._connect = connect
        self._relayed = relayed
        self._lock = threading.Lock()
        self._idle = Idle()
        self._contexts: dict[tuple[Dial, int], ssl.SSLContext] = {}

    async def key(self, request: Request) -> PoolKey:
        """Give the key under which a request's connection may be reused: its origin and egress policy."""
        dial = request.dial
        scheme, _, host, *_ = request.url.split("/", 3)
        if not dial.has_files or not self._trust.changes:
            return (scheme, host, dial, 0)
        return (scheme, host, dial, await asyncio.to_thread(self._trust.version, dial))

    def take(self, key: PoolKey) -> AwaitedSocket | None:
        """Give a kept connection; None if there is none."""
        return self._idle.take(key)

    def give_back(self, key: PoolKey, connection: AwaitedSocket, *, good: bool) -> None:
        """Keep a connection whose last response was read to its end, or close it if it cannot be reused."""
        if good:
            self._idle.keep(key, connection)
        else:
            connection.close()

    def sweep(self) -> bool:
        """Close connections that were not used since the previous sweep; tell whether any are left."""
        return self._idle.sweep()

    def close(self) -> None:
        """Close all kept connections."""
        self._idle.close()

    def connect(self, request: Request, hold: Hold) -> AnySocket:
        """Make a connection to the target of a request; blocks.

        Raises:
            OSError: it failed; RefusedError if the dial guard did not let it through, ProxyError if a proxy is to
                blame.
            ValueError: the host cannot be connected to.
            Failed: tls_failed, the CA bundle cannot be read; whatever a relay says.
        """
        url, dial = urlsplit(request.url), request.dial
        if dial.relay and self._relayed is not None:
            return self._by_relay(dial.relay, hold)
        context = self._context(dial) if url.scheme == "https" else None
        made = self.reach(request, hold)
        if context is None:
            return made
        try:
            encrypted = TlsSocket(made, context, host=_place(url)[0])
            encrypted.shake_hands(HANDSHAKE)
        except BaseException:
            made.close()
            raise
        return encrypted

    def reach(self, request: Request, hold: Hold) -> socket.socket:
        """As ``connect``, but up to TLS, which is the caller's business."""
        url, dial = urlsplit(request.url), request.dial
        proxy = proxy_of(dial.proxy)
        if proxy is None:
            return self._dialled(_place(url), dial, hold)
        return self._proxied(proxy, hold, place=_place(url) if url.scheme == "https" else None)

    def _by_relay(self, relay: str, hold: Hold) -> socket.socket:
        assert self._relayed is not None
        found = self._relayed(relay)
        try:
            hold(found)
        except BaseException:
            found.close()
            raise
        return found

    def _proxied(self, proxy: Proxy, hold: Hold, *, place: _Place | None) -> socket.socket:
        """Dial a proxy, and tunnel to the target; errors until then are the proxy's and not the target's."""
        try:
            # The operator named the proxy, which resolves the target's address: the dial guard checks the proxy's.
            made = self._dialled((proxy.host, proxy.port), Dial(own=True), hold)
        except RefusedError:
            raise
        except (OSError, UnicodeError) as error:
            raise ProxyError(cause=error) from None
        try:
            if place is not None:
                host, port = place
                tunnel(made, proxy, host=host, port=port)
        except BaseException:
            made.close()
            raise
        return made

    def _dialled(self, place: _Place, policy: Dial, hold: Hold) -> socket.socket:
        found = self._resolve(*place)
        refused = [str(one[4][0]) for one in found if not allowed(str(one[4][0]), policy)]
        failure: OSError = OSError(errno.EHOSTUNREACH, "no address")
        for family, kind, protocol, _, address in [one for one in found if str(one[4][0]) not in refused][:_TRIED]:
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(self._connect)
                hold(made)
                made.connect(address)
                made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            except OSError as error:
                made.close()
                failure = error
            else:
                return lively(made)
        raise RefusedError(refused) if refused else failure

    def _context(self, dial: Dial) -> ssl.SSLContext:
        key = (dial, self._trust.version(dial))
        with self._lock:
            known = self._contexts.get(key)
        if known is None:
            known = self._trust.context(dial)
            with self._lock:
                if len(self._contexts) >= _CONTEXTS:
                    self._contexts.clear()
                self._contexts[key] = known
        return known


def _place(url: SplitResult) -> _Place:
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
