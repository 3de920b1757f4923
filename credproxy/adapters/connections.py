"""Connections for the blob pump: the standard library's HTTP client behind the dial guard, kept for reuse.

Everything here blocks and runs in the pump's threads.
"""

import errno
import http.client
import select
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from credproxy.adapters.dial import allowed
from credproxy.adapters.trust import trust, version
from credproxy.core.credential import reveal
from credproxy.core.http import Dial, Request


CONNECT = 2.5
"""Seconds for connecting, and again for TLS (TX-27)."""

ANSWER = 30.0
"""Seconds until the response's head is there (PY15)."""

_IDLE = 16
"""Connections that are kept per origin; Bazel runs about as many downloads at once."""

_KEPT = 64
"""Connections that are kept in all: each is a descriptor (PY10)."""

_TRIED = 4
"""Addresses of a host that are connected to, CONNECT seconds each."""

_CONTEXTS = 256

Address = tuple[int, int, int, str, tuple[str | int, ...] | tuple[int, bytes]]
Resolve = Callable[[str, int], Sequence[Address]]
Hold = Callable[[socket.socket], None]
"""Is told of each socket before it is waited on; what it raises ends the request."""

_Key = tuple[str, str, Dial, int]


class RefusedError(OSError):
    """Every address of a host is one that must not be contacted; ``addresses`` are they."""

    def __init__(self, addresses: Sequence[str]) -> None:
        super().__init__(errno.EACCES, "address refused")
        self.addresses = addresses


def system_resolve(host: str, port: int) -> Sequence[Address]:
    """Ask the system for the addresses of a host. Raises socket.gaierror."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Link(NamedTuple):
    """A connection with a response on it.

    ``sock`` is its socket: the library itself lets go of it as soon as it knows that the connection ends with the
    response. ``key`` says who may use it next.
    """

    key: _Key
    connection: http.client.HTTPConnection
    sock: socket.socket
    response: http.client.HTTPResponse

    def close(self) -> None:
        """Close it; only where no other thread waits on it, because a buffered reader is locked while it reads."""
        self.response.close()
        self.connection.close()


class Connections:
    """Makes connections and keeps those that may be used again; safe to use from many threads.

    One is reused only under the egress policy that it was dialled with (SEC-13).

    Args:
        resolve: turns names into addresses.
    """

    def __init__(self, resolve: Resolve = system_resolve) -> None:
        self._resolve = resolve
        self._lock = threading.Lock()
        self._idle: dict[_Key, list[http.client.HTTPConnection]] = {}
        self._contexts: dict[tuple[Dial, int], ssl.SSLContext] = {}

    def ask(self, request: Request, hold: Hold) -> Link:
        """Send a request without a body; give the connection with its response, whose body is still to come.

        Raises:
            OSError, http.client.HTTPException: it failed; RefusedError where the dial guard did not let it through.
            ValueError: a host or a header that cannot be sent.
            Failed(tls_failed): the CA bundle cannot be read.
        """
        url = urlsplit(request.url)
        key = (url.scheme, url.netloc, request.dial, version(request.dial))
        idle = self._take(key)
        if idle is not None:
            try:
                return _asked(key, idle, request, hold)
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                idle.close()  # it was closed while it idled, and a request without a body may be sent again
            except BaseException:
                idle.close()
                raise
        fresh = self._connect(url, request.dial, hold)
        try:
            return _asked(key, fresh, request, hold)
        except BaseException:
            fresh.close()
            raise

    def give_back(self, link: Link) -> None:
        """Keep a connection whose response was read to its end."""
        link.response.close()
        if link.response.will_close:
            link.connection.close()
            return
        with self._lock:
            kept = self._idle.setdefault(link.key, [])
            kept.append(link.connection)
            surplus = kept.pop(0) if len(kept) > _IDLE else self._oldest()
        if surplus is not None:
            surplus.close()

    def _oldest(self) -> http.client.HTTPConnection | None:
        if sum(map(len, self._idle.values())) <= _KEPT:
            return None
        key = next(iter(self._idle))
        kept = self._idle[key]
        oldest = kept.pop(0)
        if not kept:
            del self._idle[key]
        return oldest

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            idle, self._idle = self._idle, {}
        for connections in idle.values():
            for connection in connections:
                connection.close()

    def _take(self, key: _Key) -> http.client.HTTPConnection | None:
        while True:
            with self._lock:
                kept = self._idle.pop(key, [])
                connection = kept.pop() if kept else None
                if kept:
                    self._idle[key] = kept  # the origin that was used last is the last to lose a connection
            if connection is None or _quiet(connection):
                return connection
            connection.close()

    def _connect(self, url: SplitResult, dial: Dial, hold: Hold) -> http.client.HTTPConnection:
        host, port = _place(url)
        at, at_port = (host, port) if dial.proxy is None else _place(urlsplit(dial.proxy))
        if url.scheme == "https":
            made: http.client.HTTPConnection = http.client.HTTPSConnection(
                at, at_port, timeout=CONNECT, context=self._context(dial)
            )
            if dial.proxy is not None:
                made.set_tunnel(host, port)
        else:
            made = http.client.HTTPConnection(at, at_port, timeout=CONNECT)
        # The library's own seam for how a socket is made: TLS, tunnels and TCP options stay its business.
        made._create_connection = self._dialler(dial, hold)  # type: ignore[attr-defined]  # noqa: SLF001  see above
        try:
            made.connect()
        except BaseException:
            made.close()
            raise
        return made

    def _dialler(self, dial: Dial, hold: Hold) -> Callable[[tuple[str, int], float, object], socket.socket]:
        # A proxy was named by the operator, and the target's address is then the proxy's to find.
        policy = dial if dial.proxy is None else Dial(own=True)

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
                    return made
            raise RefusedError(refused) if refused else failure

        return create

    def _context(self, dial: Dial) -> ssl.SSLContext:
        key = (dial, version(dial))
        with self._lock:
            known = self._contexts.get(key)
        if known is None:
            known = trust(dial)
            with self._lock:
                if len(self._contexts) >= _CONTEXTS:
                    self._contexts.clear()
                self._contexts[key] = known
        return known


def _asked(key: _Key, connection: http.client.HTTPConnection, request: Request, hold: Hold) -> Link:
    url, sock = urlsplit(request.url), connection.sock
    sock.settimeout(ANSWER)
    hold(sock)
    proxied = request.dial.proxy is not None and url.scheme == "http"
    target = request.url if proxied else (url.path or "/") + (f"?{url.query}" if url.query else "")
    connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
    connection.putheader("Host", url.netloc)
    for name, value in request.headers:
        connection.putheader(name, reveal(value))
    connection.endheaders()
    return Link(key, connection, sock, connection.getresponse())


def _quiet(connection: http.client.HTTPConnection) -> bool:
    """False for a connection with anything to read: its end, or bytes that nobody asked for."""
    waiting = select.poll()
    waiting.register(connection.sock, select.POLLIN)
    return not waiting.poll(0)


def _place(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
