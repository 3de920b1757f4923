"""The HTTP client of every exchange: one request, nothing followed, nothing remembered, little believed.

aiohttp's own exceptions hold request headers and whole URLs (PY17), so none of them leaves this file.
"""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
import warnings
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from credproxy.adapters.dial import allowed
from credproxy.core.credential import Secret
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.http import BODY_LIMIT, Dial, Request, Response
from credproxy.ports import Clock, Terms


_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5.0, sock_connect=2.5)
"""Connect and TLS get 2.5 s (TX-27), with the name look-up 5; the attempt's own limit is the caller's."""

_CHUNK = 16 * 1024


class _RefusedError(OSError):
    """An address that the guard does not let through; an OSError, so that other addresses are still tried."""


@dataclass(slots=True)
class _Dialing:
    """What one request may connect to, and what was tried; shared with the tasks that connect for it."""

    dial: Dial
    tried: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)


_dialing: ContextVar[_Dialing] = ContextVar("dialing")


def _guarded_socket(info: tuple[int, int, int, str, tuple[object, ...]]) -> socket.socket:
    """Make the socket for an address, unless the request may not go there.

    Stands where every connection passes with its final address: a resolver hook would not see IP literals (PY16).
    """
    family, kind, protocol, _, sockaddr = info
    address, dialing = str(sockaddr[0]), _dialing.get()
    # A proxy was named by the operator, and the target's address is then the proxy's to find.
    if not allowed(address, Dial(own=True) if dialing.dial.proxy else dialing.dial):
        dialing.refused.append(address)
        raise _RefusedError(errno.EACCES, "address refused")
    dialing.tried.append(address)
    return socket.socket(family, kind, protocol)


class AiohttpClient:
    """Sends requests through aiohttp. Source: ports.HttpClient.

    Connections are pooled per egress policy, so that none is reused under another (SEC-13).

    Args:
        clock: for ``Response.sent`` and ``wall``.
        resolver: turns names into addresses; None for the system's.
    """

    def __init__(self, clock: Clock, resolver: AbstractResolver | None = None) -> None:
        self._clock = clock
        self._resolver = resolver
        self._sessions: dict[tuple[Dial, int], aiohttp.ClientSession] = {}
        self._peers: dict[tuple[Dial, str], str] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __del__(self) -> None:
        if self._sessions:
            warnings.warn("an AiohttpClient was not closed", ResourceWarning, source=self, stacklevel=2)

    async def close(self) -> None:
        """Close every connection."""
        sessions, self._sessions = self._sessions, {}
        for session in sessions.values():
            await session.close()

    async def send(self, request: Request, terms: Terms) -> Response:
        """Give the response, whatever its status.

        Raises:
            Failed: upstream_unavailable, tls_failed, address_refused, answer_too_large.
        """
        del terms
        url = URL(request.url, encoded=True)
        dialing = _Dialing(request.dial)
        token = _dialing.set(dialing)
        try:
            session = await self._session(request.dial)
            sent, wall = self._clock.boot(), self._clock.wall()
            async with session.request(
                request.method,
                url,
                headers=[
                    (name, value.reveal() if isinstance(value, Secret) else value) for name, value in request.headers
                ],
                data=None if request.body is None else request.body.reveal().encode(),
                allow_redirects=False,
                proxy=request.dial.proxy,
            ) as answer:
                headers = tuple((name.decode("ascii", "replace"), _text(value)) for name, value in answer.raw_headers)
                body = await _capped(answer, _name(request, url))
                return Response(answer.status, headers, body, sent, wall, self._peer(dialing, url))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise _explain(error, dialing, _name(request, url), url.host or "") from None
        finally:
            _dialing.reset(token)

    def _peer(self, dialing: _Dialing, url: URL) -> str:
        # A pooled connection was dialled earlier, under the same policy.
        key = (dialing.dial, url.authority)
        if dialing.tried:
            self._peers[key] = dialing.tried[-1]
        return self._peers.get(key, "")

    async def _session(self, dial: Dial) -> aiohttp.ClientSession:
        version = 0 if dial.ca_bundle is None else await asyncio.to_thread(_changed, dial.ca_bundle)
        key = (dial, version)
        if key not in self._sessions:
            context = await asyncio.to_thread(_trust, dial)
            for old in [known for known in self._sessions if known[0] == dial]:
                await self._sessions.pop(old).close()
            self._sessions[key] = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(
                    ssl=context, socket_factory=_guarded_socket, resolver=self._resolver, ttl_dns_cache=10, limit=64
                ),
                timeout=_TIMEOUT,
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                raise_for_status=False,
                skip_auto_headers=("Accept", "User-Agent", "Content-Type"),
                max_line_size=8190,
                max_field_size=16 * 1024,
            )
        return self._sessions[key]


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _name(request: Request, url: URL) -> str:
    return request.subject or f"host {url.host!r}"


async def _capped(answer: aiohttp.ClientResponse, name: str) -> bytes:
    # One read() may give less than is there, and without a cap a bomb fills the memory (TX-7, T24).
    body = bytearray()
    while chunk := await answer.content.read(_CHUNK):
        body += chunk
        if len(body) > BODY_LIMIT:
            answer.close()
            raise failed(Code.ANSWER_TOO_LARGE, f"{name} answered with more than {BODY_LIMIT} bytes")
    return bytes(body)


def _changed(path: str) -> int:
    with contextlib.suppress(OSError):
        return Path(path).stat().st_mtime_ns
    return 0


def _trust(dial: Dial) -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if dial.ca_bundle is not None:
        try:
            context.load_verify_locations(cafile=dial.ca_bundle)
        except (OSError, ssl.SSLError):
            raise failed(
                Code.TLS_FAILED,
                f"the CA bundle {dial.ca_bundle!r} cannot be read as PEM certificates",
                f"look at it: openssl x509 -noout -subject -in {dial.ca_bundle}",
            ) from None
    if not dial.tls_verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _explain(error: Exception, dialing: _Dialing, name: str, host: str) -> Failed:
    """Our words for what happened; the library's would hold headers and URLs."""
    if dialing.refused and not isinstance(error, aiohttp.ClientPayloadError):
        return failed(
            Code.ADDRESS_REFUSED,
            f"{name} leads to the address {dialing.refused[0]}, which is not to be contacted",
            f'if that is right, add allow_private = ["{dialing.refused[0]}/32"] to the [[host]] of {host!r}',
        )
    if isinstance(error, (aiohttp.ClientConnectorCertificateError, aiohttp.ClientSSLError, ssl.SSLError)):
        return failed(
            Code.TLS_FAILED,
            f"the TLS connection to {name} failed: {_tls_reason(error)}",
            "if its certificate comes from a private CA, name that in ca_bundle",
        )
    return failed(
        Code.UPSTREAM_UNAVAILABLE, f"{name} {_network_reason(error)}", "check the network, then run the build again"
    )


def _tls_reason(error: BaseException) -> str:
    cause: BaseException | None = getattr(error, "certificate_error", None) or getattr(error, "os_error", None) or error
    if isinstance(cause, ssl.SSLCertVerificationError):
        return cause.verify_message.lower().rstrip(".")
    if isinstance(cause, ssl.SSLError) and cause.reason:
        return cause.reason.lower().replace("_", " ")
    return "the handshake was broken off"


_REASONS: tuple[tuple[type[Exception], str], ...] = (
    (aiohttp.ClientConnectorDNSError, "has no address: the name was not found"),
    (TimeoutError, "did not accept a connection in time"),
    (aiohttp.ServerDisconnectedError, "closed the connection without an answer"),
    (ConnectionResetError, "closed the connection without an answer"),
    (aiohttp.ClientPayloadError, "broke off in the middle of its answer"),
    (aiohttp.ClientResponseError, "gave an answer that is no HTTP"),
)


def _network_reason(error: Exception) -> str:
    for kind, reason in _REASONS:
        if isinstance(error, kind):
            return reason
    number = getattr(error, "errno", None) or getattr(getattr(error, "os_error", None), "errno", None)
    return f"cannot be reached: {os.strerror(number).lower()}" if number else "cannot be reached"
