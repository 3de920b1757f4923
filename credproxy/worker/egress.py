"""How libraries reach the network: one request, nothing followed, behind the dial guard, with our trust.

Each library has a seam for its transport; a few lines beside it make that of this. Source: the standard library's
``http.client``, since libraries block.
"""

import functools
import http.client
import os
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final, NamedTuple
from urllib.parse import SplitResult, urlsplit

from credproxy.adapters.addresses import Resolve, system_resolve
from credproxy.adapters.dial import allowed, unread
from credproxy.adapters.tls_trust import trust, version
from credproxy.core.ask.credential import reveal
from credproxy.core.ask.http import Dial
from credproxy.core.ask.proxy import Proxy, proxy_of
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.cloud_libraries import LIBRARIES
from credproxy.core.redact import mask
from credproxy.worker.http_answer import EgressAnswer, Patience, read_answer, send_request


METADATA = frozenset(
    {
        "metadata",
        "metadata.google.internal",
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "fd00:ec2::254",
        "fd00:ec2::23",
    }
)
"""Hosts that tell a machine, a container or a pod who it is: only a URL that names one of them itself may lead there.

App Service and Functions of Azure's have one of their own, at another address of the link: ``IDENTITY_ENDPOINT`` is
``http://169.254.129.3:8081/msi/token`` there. So what names an IPv4 address of the link counts as well.
"""

_LINK: Final = "169.254."

_VARIABLES: Final = tuple(
    name
    for library in LIBRARIES
    for name in library.environ
    if "ENDPOINT" in name or name.endswith(("_URI", "_HOST", "_ROOT", "_IP"))
)
"""Of the environment, that say where something is asked: a message names the one that did."""

_CONNECT = 5.0


def connect_to(sock: socket.socket, address: tuple[object, ...]) -> None:
    """Connect a socket. Raises OSError."""
    sock.connect(address)


class Network(NamedTuple):
    """What the system does for it.

    Attributes:
        resolve: turns a name and a port into addresses. Raises OSError.
        connect: connects a socket with its time-out to one of them. Raises OSError.
    """

    resolve: Resolve = system_resolve
    connect: Callable[[socket.socket, tuple[object, ...]], None] = connect_to


class Egress:
    """The network for the libraries' part of one call.

    Args:
        limit: seconds for all requests together.
        proxy: ``http://[user:password@]host:port`` for what is asked over TLS, or None.
        ca_bundle: path of certificates that are trusted besides the system's, or None.
        network: how names are resolved, and connections made.
    """

    def __init__(
        self,
        limit: float,
        *,
        proxy: str | None = None,
        ca_bundle: str | None = None,
        network: Network = Network(),  # noqa: B008  a value
    ) -> None:
        self._end = time.monotonic() + limit  # noqa: TID251  a suspended machine waits for nobody
        self._proxy = proxy
        self._bundle = ca_bundle
        self._network = network

    def send(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str],
        body: bytes | None = None,
        timeout: float | None = None,
    ) -> EgressAnswer:
        """Send a request, and read the answer, whatever its status.

        Args:
            method: such as POST.
            url: absolute, of http or https.
            headers: by name.
            body: as it is sent, or None.
            timeout: seconds that the library wants to wait for each part of the answer; None for all that are left.

        Raises:
            Failed: upstream_unavailable, tls_failed, address_refused, downgrade, answer_too_large, config_invalid,
                credential_unreadable.
        """
        parts = _parts(url)
        host = parts.hostname or ""
        patience = Patience(self._end, timeout)
        try:
            metadata = _is_metadata(host)
            proxy = None if metadata or parts.scheme == "http" else proxy_of(self._proxy)
            dial = Dial(own=True, ca_bundle=self._bundle, metadata=metadata)
            connection = _connected(parts, dial, proxy, self._network, patience)
            try:
                connection.sock.settimeout(patience.left())
                path = f"{parts.path or '/'}{'?' * bool(parts.query)}{parts.query}"
                send_request(connection, method, path=path, body=body, headers=headers, name=_name(host))
                return read_answer(connection.sock, method, patience=patience, name=_name(host))
            finally:
                connection.close()
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise _told(error, host or mask(url[:100])) from None


def check_plain(url: str) -> None:
    """Refuse a URL that a library asks by itself, if others could read that. Raises Failed(downgrade)."""
    parts = _parts(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or host == "localhost" or host in METADATA or unread(host, metadata=True):
        return
    raise _plain(host)


def _parts(url: str) -> SplitResult:
    """Take a URL apart. Raises Failed(upstream_unavailable): it is none; it may hold a secret, which is not shown."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        raise _told(http.client.InvalidURL(), mask(url.partition("?")[0][:100])) from None
    return parts


class _GuardedError(OSError):
    """Where a name leads is not to be contacted."""

    def __init__(self, address: str, *, plain: bool = False) -> None:
        super().__init__()
        self.address = address
        self.plain = plain


def _connected(
    parts: SplitResult, dial: Dial, proxy: Proxy | None, network: Network, patience: Patience
) -> http.client.HTTPConnection:
    """Connect to where a URL goes, straight or through a proxy."""
    host, encrypted = parts.hostname or "", parts.scheme == "https"
    if parts.scheme not in {"http", "https"} or not host:
        raise http.client.InvalidURL
    port = parts.port or (443 if encrypted else 80)
    made = http.client.HTTPConnection(host, port)
    place = (host, port) if proxy is None else (proxy.host, proxy.port)
    patience = patience._replace(end=min(patience.end, time.monotonic() + _CONNECT))  # noqa: TID251  as above
    sock = _dialled(place, dial, network, patience, plain=not encrypted)
    try:
        if encrypted and proxy is not None:
            _tunnel(sock, proxy, f"{host}:{port}", patience)
        sock.settimeout(patience.left())
        made.sock = (
            _context(dial.ca_bundle, version(dial)).wrap_socket(sock, server_hostname=host) if encrypted else sock
        )
    except BaseException:
        sock.close()
        raise
    return made


def _dialled(place: tuple[str, int], dial: Dial, network: Network, patience: Patience, *, plain: bool) -> socket.socket:
    failure: OSError = OSError("no address")
    for family, kind, protocol, _, address in network.resolve(*place):
        where = str(address[0])
        if not allowed(where, dial):
            failure = _GuardedError(where)
        elif plain and not unread(where, metadata=dial.metadata):
            failure = _GuardedError(where, plain=True)
        else:
            made = socket.socket(family, kind, protocol)
            try:
                made.settimeout(patience.left())
                network.connect(made, address)
            except OSError as error:
                made.close()
                failure = error
            else:
                return made
    raise failure


def _tunnel(sock: socket.socket, proxy: Proxy, place: str, patience: Patience) -> None:
    """Have a proxy connect a socket to a place. Source: RFC 9110, section 9.3.6."""
    asking = http.client.HTTPConnection(proxy.host, proxy.port)
    asking.sock = sock
    asking.putrequest("CONNECT", place, skip_host=True, skip_accept_encoding=True)
    asking.putheader("Host", place)
    if proxy.authorization is not None:
        asking.putheader("Proxy-Authorization", reveal(proxy.authorization))
    asking.endheaders()
    status = read_answer(sock, "CONNECT", patience=patience, name=proxy.name).status
    if status != HTTPStatus.OK:
        raise failed(
            Code.UPSTREAM_UNAVAILABLE,
            f"{proxy.name} did not connect to {place!r}: status {status}",
            hint="ask the proxy's administrator, or correct the proxy of the rule",
        )


@functools.lru_cache(16)
def _context(bundle: str | None, changed: int) -> ssl.SSLContext:
    """A TLS context, the same until a bundle changes; to build one takes milliseconds."""
    del changed
    return trust(Dial(ca_bundle=bundle))


def _is_metadata(host: str) -> bool:
    return host in METADATA or (host.startswith(_LINK) and unread(host, metadata=True))


def _named_by(host: str) -> str:
    """The variable that names a host; "" for none."""
    for name in _VARIABLES:
        value = os.environ.get(name, "")
        if value and urlsplit(value if "://" in value else f"//{value}").hostname == host:
            return name
    return ""


def _name(host: str) -> str:
    """Its name in messages."""
    variable = _named_by(host)
    what = "metadata server" if _is_metadata(host) or variable.startswith("GCE_") else "host"
    return f"{what} {host!r}" + (f" of {variable}" if variable else "")


def _plain(host: str, address: str = "") -> Failed:
    """Say that others could read what is sent."""
    variable = _named_by(host)
    leads = f" leads to the address {address}, and" if address and address != host else ""
    where = f"into {variable}" if variable else "where its URL is configured"
    hint = f"write https:// {where}"
    if variable.startswith("GCE_") or _is_metadata(host):  # there is no https in what they name
        hint = f"a metadata server is at 169.254.169.254, or on this machine: correct {variable or 'the DNS entry'}"
    message = f"{_name(host)}{leads or ':'} others could read what is asked there in plain http"
    return failed(Code.DOWNGRADE, message, hint=hint)


def _told(error: Exception, host: str) -> Failed:
    """Say what happened, in our words: a library's text may quote what was sent."""
    name = _name(host)
    if isinstance(error, _GuardedError) and error.plain:
        return _plain(host, error.address)
    if isinstance(error, _GuardedError):
        message = f"{name} leads to the address {error.address}, which is not to be contacted"
        return failed(Code.ADDRESS_REFUSED, message, hint=f"correct where {name} is named, or its DNS entry")
    if isinstance(error, ssl.SSLCertVerificationError):
        reason = error.verify_message.lower().rstrip(".")
        hint = 'if its certificate comes from a private CA, name that in the rule: ca_bundle = "/PATH/ca.pem"'
        return failed(Code.TLS_FAILED, f"the TLS connection to {name} failed: {reason}", hint=hint)
    return failed(Code.UPSTREAM_UNAVAILABLE, f"{name} {_reason(error)}", hint="check the network, then try again")


def _reason(error: Exception) -> str:
    if isinstance(error, socket.gaierror | UnicodeError):
        return "has no address: the name was not found"
    if isinstance(error, TimeoutError):
        return "did not answer in time"
    if isinstance(error, http.client.InvalidURL):
        return "is not asked: its URL is not one of http or https"
    if isinstance(error, http.client.HTTPException | ValueError):
        return "gave an answer that is not HTTP"
    number = getattr(error, "errno", None)
    return f"cannot be reached: {os.strerror(number).lower()}" if isinstance(number, int) else "cannot be reached"
