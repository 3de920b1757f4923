"""The HTTP client of every exchange: one request, nothing followed, nothing remembered, little believed.

aiohttp's own exceptions hold request headers and whole URLs (PY17), so none of them leaves this file.
"""

import asyncio
import errno
import socket
import warnings
from collections.abc import AsyncIterable, AsyncIterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from yarl import URL

from credproxy.adapters.dial import allowed
from credproxy.adapters.reasons import explain
from credproxy.adapters.trust import trust, version
from credproxy.core.credential import reveal
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.http import BODY_LIMIT, Dial, Request, Response
from credproxy.ports import Clock, Terms


_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5.0, sock_connect=2.5)
"""Connect and TLS get 2.5 s (TX-27), with the name look-up 5; the attempt's own limit is the caller's."""

_CARRYING = aiohttp.ClientTimeout(total=None, connect=5.0, sock_connect=2.5, sock_read=30.0)
"""As above; the answer, once all was sent, and each part of it get 30 s (PY15)."""

TAKEN = 30.0
"""Seconds in which the other side has to take a piece of an upload; aiohttp itself waits for ever."""

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
    """Sends requests through aiohttp. Source: ports.HttpClient, ports.Carrier.

    Connections are pooled per egress policy, so that none is reused under another (SEC-13).

    Args:
        clock: for ``Response.sent`` and ``wall``.
        resolver: turns names into addresses; None for the system's.
        taken: seconds, see TAKEN.
    """

    def __init__(self, clock: Clock, resolver: AbstractResolver | None = None, *, taken: float = TAKEN) -> None:
        self._clock = clock
        self._resolver = resolver
        self._taken = taken
        self._sessions: dict[tuple[Dial, bool, int], aiohttp.ClientSession] = {}
        self._peers: dict[tuple[Dial, str], str] = {}
        self._opening = asyncio.Lock()

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
        body = None if request.body is None else request.body.reveal().encode()
        return await self._exchange(request, body, _Limits(BODY_LIMIT, _TIMEOUT))

    async def carry(self, request: Request, body: AsyncIterable[bytes] | bytes | None, limit: int) -> Response:
        """Send a request of the gateway's; content codings pass in both directions as they are.

        Args:
            request: its own ``body`` is not looked at.
            body: what is uploaded; in pieces where it is streamed.
            limit: bytes of the response that are read.

        Raises:
            Failed: as ``send``; what the body itself raises.
        """
        limits = _Limits(limit, _CARRYING, verbatim=True)
        if body is None or isinstance(body, bytes):
            return await self._exchange(request, body, limits)
        try:
            async with asyncio.timeout(None) as idle:
                upload = _Upload(body, idle, self._taken)
                try:
                    return await self._exchange(request, upload.pieces(), limits)
                except Failed:
                    if upload.failure is not None:
                        raise Failed(upload.failure) from None
                    raise
        except TimeoutError:
            message = f"{_name(request, _url(request))} took no more of the upload"
            raise failed(Code.UPSTREAM_UNAVAILABLE, message, "check the network, then try again") from None

    async def _exchange(
        self, request: Request, body: AsyncIterable[bytes] | bytes | None, limits: "_Limits"
    ) -> Response:
        url = _url(request)
        dialing = _Dialing(request.dial)
        token = _dialing.set(dialing)
        try:
            session = await self._session(request.dial, verbatim=limits.verbatim)
            sent, wall = self._clock.boot(), self._clock.wall()
            async with session.request(
                request.method,
                url,
                headers=[(name, reveal(value)) for name, value in request.headers],
                data=body,
                allow_redirects=False,
                proxy=request.dial.proxy,
                timeout=limits.timeout,
            ) as answer:
                headers = tuple((name.decode("ascii", "replace"), _text(value)) for name, value in answer.raw_headers)
                content = await _capped(answer, _name(request, url), limits.size)
                return Response(answer.status, headers, content, sent, wall, self._peer(dialing, url))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            raise explain(error, refused=dialing.refused, name=_name(request, url), host=url.host or "") from None
        finally:
            _dialing.reset(token)

    def _peer(self, dialing: _Dialing, url: URL) -> str:
        # A pooled connection was dialled earlier, under the same policy.
        key = (dialing.dial, url.authority)
        if dialing.tried:
            self._peers[key] = dialing.tried[-1]
        return self._peers.get(key, "")

    async def _session(self, dial: Dial, *, verbatim: bool) -> aiohttp.ClientSession:
        current = 0 if dial.ca_bundle is None else await asyncio.to_thread(version, dial)
        key = (dial, verbatim, current)
        if key not in self._sessions:
            async with self._opening:  # who comes second would else close the first one's session, as an old one
                if key not in self._sessions:
                    await self._open(key)
        return self._sessions[key]

    async def _open(self, key: tuple[Dial, bool, int]) -> None:
        dial, verbatim, _ = key
        context = await asyncio.to_thread(trust, dial)
        for old in [known for known in self._sessions if known[:2] == key[:2]]:
            await self._sessions.pop(old).close()
        self._sessions[key] = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                ssl=context, socket_factory=_guarded_socket, resolver=self._resolver, ttl_dns_cache=10, limit=64
            ),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            raise_for_status=False,
            auto_decompress=not verbatim,
            skip_auto_headers=("Accept", "User-Agent", "Content-Type", *(("Accept-Encoding",) if verbatim else ())),
            max_line_size=8190,
            max_field_size=16 * 1024,
        )


@dataclass(frozen=True, slots=True)
class _Limits:
    """Of one request: bytes of its answer, its time-outs, and whether content codings are left alone."""

    size: int
    timeout: aiohttp.ClientTimeout
    verbatim: bool = False


class _Upload:
    """A body on its way, and whose fault it is where that ends early: aiohttp would blame the network for both.

    Args:
        body: its pieces; whoever gives them knows how long to wait for them.
        idle: ends the request.
        taken: seconds in which the other side has to take each.
    """

    def __init__(self, body: AsyncIterable[bytes], idle: asyncio.Timeout, taken: float) -> None:
        self._body = body
        self._idle = idle
        self._taken = taken
        self.failure: Failure | None = None

    async def pieces(self) -> AsyncIterator[bytes]:
        """Give them on."""
        try:
            async for piece in self._body:
                self._idle.reschedule(asyncio.get_running_loop().time() + self._taken)
                yield piece
                self._idle.reschedule(None)
        except Failed as error:
            self.failure = error.failure
            raise


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _url(request: Request) -> URL:
    try:
        return URL(request.url, encoded=True)
    except ValueError as error:
        raise explain(error, refused=(), name=request.subject or "a host", host="") from None


def _name(request: Request, url: URL) -> str:
    return request.subject or f"host {url.host!r}"


async def _capped(answer: aiohttp.ClientResponse, name: str, limit: int) -> bytes:
    # One read() may give less than is there, and without a cap a bomb fills the memory (TX-7, T24).
    body = bytearray()
    while chunk := await answer.content.read(_CHUNK):
        body += chunk
        if len(body) > limit:
            answer.close()
            raise failed(Code.ANSWER_TOO_LARGE, f"{name} answered with more than {limit} bytes")
    return bytes(body)
