"""Connections for the blob pump: the standard library's HTTP client behind the dial guard, kept for reuse.

``connect`` blocks, and runs in a thread.
"""

import asyncio
import errno
import http.client
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

Hold = Callable[[socket.socket], None]
"""Called with each socket before it is waited on; an exception from it ends the request."""

PoolKey = tuple[str, str, Dial, int]
"""Scheme, authority, egress policy, and the version of the certificates that it names."""

_Create = Callable[[tuple[str, int], float, object], socket.socket]


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

    def connect(self, request: Request, hold: Hold) -> socket.socket:
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
        host, port = _place(url)
        encrypted = url.scheme == "https"
        made = (
            http.client.HTTPSConnection(host, port, timeout=self._connect, context=self._context(dial))
            if encrypted
            else http.client.HTTPConnection(host, port, timeout=self._connect)
        )
        # The library's own seam for how a socket is made: TLS and TCP options stay its business.
        made._create_connection = _ready_for_handshake(self._creator(url, dial, hold))  # type: ignore[attr-defined]  # noqa: SLF001  see above
        try:
            made.connect()
        except BaseException:
            made.close()
            raise
        sock: socket.socket = made.sock
        return sock

    def reach(self, request: Request, hold: Hold) -> socket.socket:
        """As ``connect``, but up to TLS, which is the caller's business."""
        url = urlsplit(request.url)
        return self._creator(url, request.dial, hold)(_place(url), self._connect, None)

    def _creator(self, url: SplitResult, dial: Dial, hold: Hold) -> _Create:
        proxy = proxy_of(dial.proxy)
        if proxy is None:
            return self._dialler(dial, hold)
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

    def _proxied(self, proxy: Proxy, hold: Hold, *, place: tuple[str, int] | None) -> _Create:
        """Dial a proxy, and tunnel to the target; errors until then are the proxy's and not the target's."""
        # The operator named the proxy, which resolves the target's address: the dial guard checks the proxy's.
        dialler = self._dialler(Dial(own=True), hold)

        def create(address: tuple[str, int], timeout: float, source: object) -> socket.socket:
            del address
            try:
                made = dialler((proxy.host, proxy.port), timeout, source)
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

        return create

    def _dialler(self, policy: Dial, hold: Hold) -> _Create:
        def create(address: tuple[str, int], timeout: float, source: object) -> socket.socket:
            del source
            found = self._resolve(*address)
            refused = [str(one[4][0]) for one in found if not allowed(str(one[4][0]), policy)]
            failure: OSError = OSError(errno.EHOSTUNREACH, "no address")
            for family, kind, protocol, _, place in [one for one in found if str(one[4][0]) not in refused][:_TRIED]:
                made = socket.socket(family, kind, protocol)
                try:
                    made.settimeout(timeout)
                    hold(made)
                    made.connect(place)
                except OSError as error:
                    made.close()
                    failure = error
                else:
                    return lively(made)
            raise RefusedError(refused) if refused else failure

        return create

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


def _ready_for_handshake(create: _Create) -> _Create:
    """Give the next blocking step on a new socket, which is the TLS handshake, more time than connecting had."""

    def created(address: tuple[str, int], timeout: float, source: object) -> socket.socket:
        made = create(address, timeout, source)
        made.settimeout(HANDSHAKE)
        return made

    return created


def _place(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
