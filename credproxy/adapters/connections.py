"""Connections for the blob pump: the standard library's HTTP client behind the dial guard, kept for reuse.

Everything here blocks and runs in the pump's threads.
"""

import errno
import http.client
import socket
import ssl
import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple
from urllib.parse import SplitResult, urlsplit

from credproxy.adapters.dial import allowed
from credproxy.adapters.idle import Idle
from credproxy.adapters.interim import SteadyResponse
from credproxy.adapters.lively import lively
from credproxy.adapters.reasons import SilentError
from credproxy.adapters.trust import FileTrust, Trust
from credproxy.adapters.tunnel import ProxyError, tunnel
from credproxy.core.credential import reveal
from credproxy.core.http import Dial, Request
from credproxy.core.proxy import Proxy, is_from_proxy, proxy_of


CONNECT = 2.5
"""Seconds for connecting, and again for TLS (TX-27)."""

ANSWER = 300.0
"""Seconds until the response's head is there: a pull-through cache fetches the whole blob before it begins."""

_TRIED = 4
"""Addresses of a host that are connected to, CONNECT seconds each."""

_CONTEXTS = 256

Address = tuple[int, int, int, str, tuple[str | int, ...] | tuple[int, bytes]]
Resolve = Callable[[str, int], Sequence[Address]]
Hold = Callable[[socket.socket], None]
"""Is told of each socket before it is waited on; what it raises ends the request."""

_Key = tuple[str, str, Dial, int]
_Create = Callable[[tuple[str, int], float, object], socket.socket]


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
        answer: seconds, see ANSWER.
        trust: builds TLS contexts; None for those of this machine's files.
    """

    def __init__(
        self, resolve: Resolve = system_resolve, *, answer: float = ANSWER, trust: Trust | None = None
    ) -> None:
        self._resolve = resolve
        self._trust = trust or FileTrust()
        self.answer = answer
        self._lock = threading.Lock()
        self._idle = Idle()
        self._contexts: dict[tuple[Dial, int], ssl.SSLContext] = {}

    def ask(self, request: Request, hold: Hold) -> Link:
        """Send a request without a body; give the connection with its response, whose body is still to come.

        Raises:
            OSError, http.client.HTTPException: it failed; RefusedError where the dial guard did not let it through,
                ProxyError where a proxy is to blame, SilentError where no answer began.
            ValueError: a host or a header that cannot be sent.
            Failed(tls_failed): the CA bundle cannot be read.
        """
        url = urlsplit(request.url)
        key = (url.scheme, url.netloc, request.dial, self._trust.version(request.dial))
        idle = self._idle.take(key)
        if idle is not None:
            try:
                return self._asked(key, idle, request, hold)
            except (http.client.RemoteDisconnected, ConnectionError, ssl.SSLEOFError):
                idle.close()  # it was closed while it idled, and a request without a body may be sent again
            except BaseException:
                idle.close()
                raise
        fresh = self._connect(url, request.dial, hold)
        try:
            return self._asked(key, fresh, request, hold)
        except BaseException:
            fresh.close()
            raise

    def give_back(self, link: Link) -> None:
        """Keep a connection whose response was read to its end."""
        link.response.close()
        if link.response.will_close:
            link.connection.close()
            return
        self._idle.keep(link.key, link.connection)

    def sweep(self) -> bool:
        """Close what has not been used since the sweep before; tell whether any is kept."""
        return self._idle.sweep()

    def close(self) -> None:
        """Close what is kept."""
        self._idle.close()

    def _connect(self, url: SplitResult, dial: Dial, hold: Hold) -> http.client.HTTPConnection:
        host, port = _place(url)
        encrypted, proxy = url.scheme == "https", proxy_of(dial.proxy)
        made = (
            http.client.HTTPSConnection(host, port, timeout=CONNECT, context=self._context(dial))
            if encrypted
            else http.client.HTTPConnection(host, port, timeout=CONNECT)
        )
        made.response_class = SteadyResponse
        # The library's own seam for how a socket is made: TLS and TCP options stay its business.
        made._create_connection = (  # type: ignore[attr-defined]  # noqa: SLF001  see above
            self._dialler(dial, hold)
            if proxy is None
            else self._proxied(proxy, hold, place=(host, port) if encrypted else None)
        )
        try:
            made.connect()
        except BaseException:
            made.close()
            raise
        return made

    def _proxied(self, proxy: Proxy, hold: Hold, *, place: tuple[str, int] | None) -> _Create:
        """Dial a proxy, and tunnel to a place; what goes wrong until then is the proxy's doing and not the target's."""
        # The operator named it, and it finds the target's address: the dial guard looks at the proxy's.
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
                    tunnel(made, proxy, *place)
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

    def _asked(self, key: _Key, connection: http.client.HTTPConnection, request: Request, hold: Hold) -> Link:
        url, sock = urlsplit(request.url), connection.sock
        sock.settimeout(self.answer)
        hold(sock)
        proxy = proxy_of(request.dial.proxy) if url.scheme == "http" else None
        target = request.url if proxy is not None else (url.path or "/") + (f"?{url.query}" if url.query else "")
        connection.putrequest(request.method, target, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", url.netloc)
        for name, value in request.headers:
            connection.putheader(name, reveal(value))
        if proxy is not None and proxy.authorization is not None:
            connection.putheader("Proxy-Authorization", reveal(proxy.authorization))
        connection.endheaders()
        link = Link(key, connection, sock, _begun(connection))
        if proxy is not None and is_from_proxy(link.response.status, tuple(link.response.getheaders())):
            link.close()
            raise ProxyError(link.response.status)
        return link


def _begun(connection: http.client.HTTPConnection) -> http.client.HTTPResponse:
    try:
        return connection.getresponse()
    except TimeoutError as error:
        # The kernel's own time-out has a number: then the request has not even arrived.
        if error.errno is None:
            raise SilentError from None
        raise


def _place(url: SplitResult) -> tuple[str, int]:
    return url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
