"""The HTTP client of every exchange: one request, nothing followed, nothing remembered, little believed.

aiohttp's own exceptions hold request headers and whole URLs (PY17), so none of them leaves this file.
"""

import asyncio
import contextlib
import errno
import functools
import http.client
import socket
import ssl
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from http import HTTPStatus
from types import SimpleNamespace, TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from cachetools import LRUCache
from yarl import URL

from credproxy.adapters.dial import allowed
from credproxy.adapters.http_session import Session
from credproxy.adapters.interim_responses import SteadyHandler, UnfitAnswerError
from credproxy.adapters.network_errors import Call, SilentError, explain
from credproxy.adapters.pump_request import ANSWER, HEADED
from credproxy.adapters.tcp_keepalive import lively
from credproxy.adapters.tls_trust import FileTrust, Trust
from credproxy.adapters.tunnel import ProxyError
from credproxy.adapters.upload import Upload
from credproxy.core.ask.credential import reveal
from credproxy.core.ask.http import BODY_LIMIT, Dial, Request, Response
from credproxy.core.ask.proxy import Proxy, is_from_proxy, proxy_of
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.minimum_speed import LEAST, Pace
from credproxy.ports import Clock, Room, Terms


_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5.0, sock_connect=2.5)
"""Connect and TLS get 2.5 s (TX-27), with the name look-up 5; the attempt's own limit is the caller's."""

TAKEN = 30.0
"""Seconds in which the other side has to take a piece of an upload; aiohttp itself waits for ever."""

STALLED = 60.0
"""Seconds without a byte in the middle of an answer, and over which its pace is judged."""

CONNECTING = 10.0
"""Seconds for all that comes before a request is sent, from the name look-up to a proxy's tunnel, and for sending it."""

_CHUNK = 16 * 1024

_SMALL = 64 * 1024
"""Bytes that are held at first for an answer of unknown length; most manifests are smaller."""

_REASON = 64 * 1024
"""Bytes that are read of a refusal, or of a redirect."""

SESSIONS = 256
"""Egress policies whose connections and certificates are kept; a configuration may be reloaded without end."""

_PEERS = 4096
"""Addresses that are remembered for connections that are used again."""

_PROXY_LOGIN = "Proxy-Authorization"

_Key = tuple[Dial, bool, int]


class _DialRefusedError(OSError):
    """An address that the guard does not let through; an OSError, so that other addresses are still tried."""


@dataclass(slots=True)
class _Dialing:
    """What one request may connect to, and what was tried; shared with the tasks that connect for it.

    ``connected``: it has a connection to its target, through a proxy or not.
    """

    dial: Dial
    tried: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    connected: bool = False


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
        raise _DialRefusedError(errno.EACCES, "address refused")
    dialing.tried.append(address)
    return lively(socket.socket(family, kind, protocol))


class AiohttpClient:
    """Sends requests through aiohttp. Source: ports.HttpClient, ports.Forwarder.

    Connections are pooled per egress policy, so that none is reused under another (SEC-13).

    Args:
        clock: for ``Response.sent`` and ``wall``.
        resolver: turns names into addresses; None for the system's.
        taken: seconds, see TAKEN.
        answer: seconds in which the answer to a request of the gateway's has to begin.
        headed: seconds in which a head that has begun has to end.
        stalled: seconds, see STALLED.
        connecting: seconds, see CONNECTING.
        sessions: see SESSIONS.
        trust: builds TLS contexts; None for those of this machine's files.
    """

    def __init__(
        self,
        clock: Clock,
        resolver: AbstractResolver | None = None,
        *,
        trust: Trust | None = None,
        taken: float = TAKEN,
        answer: float = ANSWER,
        headed: float = HEADED,
        stalled: float = STALLED,
        connecting: float = CONNECTING,
        sessions: int = SESSIONS,
    ) -> None:
        self._clock = clock
        self._resolver = resolver
        self._trust = trust or FileTrust()
        self._taken = taken
        self._answer = answer
        self._headed = headed
        self._stalled = stalled
        self._connecting = connecting
        self._most = sessions
        self._sessions: dict[_Key, Session] = {}  # the one that was used last is the last
        self._peers: LRUCache[tuple[Dial, str], str] = LRUCache(_PEERS)
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
        return await self._exchange(request, body, _RequestLimits(BODY_LIMIT, _TIMEOUT))

    async def forward(
        self, request: Request, body: AsyncIterable[bytes] | bytes | None, *, limit: int, room: Room | None = None
    ) -> Response:
        """Send a request of the gateway's; content codings pass in both directions as they are.

        Args:
            request: its own ``body`` is not looked at.
            body: what is uploaded; in pieces where it is streamed.
            limit: bytes of the response that are read.
            room: where they are held.

        Raises:
            Failed: overloaded, and as ``send``; what the body itself raises.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=5.0, sock_connect=2.5, sock_read=self._answer)
        limits = _RequestLimits(limit, timeout, verbatim=True, stalled=self._stalled, room=room)
        idle = asyncio.timeout(None)
        upload = Upload(idle, taken=self._taken, answer=self._answer)
        try:
            async with idle:
                try:
                    return await self._exchange(request, upload.begun(body, self._connecting), limits, upload.answered)
                except Failed:
                    if upload.failure is not None:
                        raise Failed(upload.failure) from None
                    raise
        except TimeoutError:
            if upload.sent:
                raise explain(SilentError(), self._call(request, _url(request))) from None
            message = f"{_name(request, _url(request))} stopped reading the upload"
            raise failed(Code.UPSTREAM_UNAVAILABLE, message, hint="check the network, then try again") from None

    async def _exchange(
        self,
        request: Request,
        body: AsyncIterable[bytes] | bytes | None,
        limits: "_RequestLimits",
        answered: Callable[[], None] = lambda: None,
    ) -> Response:
        url = _url(request)
        dialing, call = _Dialing(request.dial), self._call(request, url)
        token = _dialing.set(dialing)
        try:
            proxy = proxy_of(request.dial.proxy)
            async with self._session(request.dial, verbatim=limits.verbatim) as session:
                sent, wall = self._clock.boot(), self._clock.wall()
                async with session.request(
                    request.method,
                    url,
                    headers=_fields(request, proxy, url),
                    data=body,
                    allow_redirects=False,
                    proxy=None if proxy is None else proxy.url,
                    proxy_headers=_login(proxy),
                    timeout=limits.timeout,
                    trace_request_ctx=dialing,
                ) as answer:
                    answered()
                    headers = tuple(
                        (name.decode("ascii", "replace"), _text(value)) for name, value in answer.raw_headers
                    )
                    if proxy is not None and url.scheme == "http" and is_from_proxy(answer.status, headers):
                        raise ProxyError(answer.status)
                    content = await _capped(answer, call.name, limits)
                    return Response(answer.status, headers, content, sent, wall, self._peer(dialing, url))
        except (aiohttp.ClientError, http.client.HTTPException, TimeoutError, OSError, ValueError) as error:
            raise explain(_blamed(error, dialing), call, refused=dialing.refused) from None
        finally:
            _dialing.reset(token)

    def _call(self, request: Request, url: URL) -> Call:
        dial = request.dial
        return Call(_name(request, url), url.host or "", dial.proxy, self._answer, dial.rule, dial.kind)

    def _peer(self, dialing: _Dialing, url: URL) -> str:
        # A pooled connection was dialled earlier, under the same policy.
        key = (dialing.dial, url.authority)
        if dialing.tried:
            self._peers[key] = dialing.tried[-1]
        return self._peers.get(key, "")

    @contextlib.asynccontextmanager
    async def _session(self, dial: Dial, *, verbatim: bool) -> AsyncIterator[aiohttp.ClientSession]:
        fixed = dial.ca_bundle is None or not self._trust.changes
        current = 0 if fixed else await asyncio.to_thread(self._trust.version, dial)
        key = (dial, verbatim, current)
        if key not in self._sessions:
            async with self._opening:  # who comes second would else retire the first one's session, as an old one
                if key not in self._sessions:
                    await self._open(key)
        lent = self._sessions[key] = self._sessions.pop(key)
        async with lent as session:
            yield session

    async def _open(self, key: _Key) -> None:
        dial, verbatim, _ = key
        context = await asyncio.to_thread(self._trust.context, dial)
        replaced = [known for known in self._sessions if known[:2] == key[:2]]
        surplus = [] if replaced else list(self._sessions)[: max(0, len(self._sessions) - self._most + 1)]
        for old in [*replaced, *surplus]:
            await self._sessions.pop(old).retire()
        connector = aiohttp.TCPConnector(
            ssl=context,
            socket_factory=_guarded_socket,
            resolver=self._resolver,
            ttl_dns_cache=10,
            # What the gateway sends waits for slow registries, and is bounded by the connections of its own callers.
            limit=0 if verbatim else 64,
        )
        # The one seam that aiohttp has for how answers are read; both types make such a handler from a loop.
        handler = functools.partial(SteadyHandler, asyncio.get_running_loop(), self._headed)
        connector._factory = handler  # type: ignore[assignment]  # noqa: SLF001  see above
        made = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            raise_for_status=False,
            auto_decompress=not verbatim,
            skip_auto_headers=("Accept", "User-Agent", "Content-Type", *(("Accept-Encoding",) if verbatim else ())),
            max_line_size=8190,
            max_field_size=16 * 1024,
            trace_configs=[] if dial.proxy is None else [_told_of_connections()],
        )
        self._sessions[key] = Session(made)


@dataclass(frozen=True, slots=True)
class _RequestLimits:
    """Of one request: bytes of its answer, its time-outs, and whether content codings are left alone."""

    size: int
    timeout: aiohttp.ClientTimeout
    verbatim: bool = False
    stalled: float | None = None
    room: Room | None = None


def _told_of_connections() -> aiohttp.TraceConfig:
    """Note when a request has its connection: until then whatever goes wrong is the proxy's doing."""

    async def connected(_: aiohttp.ClientSession, context: SimpleNamespace, __: object) -> None:
        context.trace_request_ctx.connected = True

    told = aiohttp.TraceConfig()
    told.on_connection_create_end.append(connected)
    told.on_connection_reuseconn.append(connected)
    return told


def _blamed(error: Exception, dialing: _Dialing) -> Exception:
    """Give a ProxyError in place of an error that a proxy is to blame for."""
    if dialing.dial.proxy is None or dialing.connected or isinstance(error, ProxyError):
        return error
    if isinstance(error, aiohttp.ClientHttpProxyError):
        return ProxyError(error.status)
    # A tunnel that was opened has only TLS left to fail in; that is between us and the target.
    of_proxy = isinstance(error, aiohttp.ClientProxyConnectionError | aiohttp.ClientConnectorDNSError)
    if isinstance(error, aiohttp.ClientConnectorError | ssl.SSLError) and not of_proxy:
        return error
    return ProxyError(cause=error)


def _login(proxy: Proxy | None) -> dict[str, str]:
    return {} if proxy is None or proxy.authorization is None else {_PROXY_LOGIN: proxy.authorization.reveal()}


def _fields(request: Request, proxy: Proxy | None, url: URL) -> list[tuple[str, str]]:
    fields = [(name, reveal(value)) for name, value in request.headers]
    # Of a tunnelled request the proxy must see nothing; of a plain one it reads the login in the request itself.
    return [*fields, *_login(proxy).items()] if url.scheme == "http" else fields


def _text(value: bytes) -> str:
    return value.decode("utf-8", "surrogateescape")


def _url(request: Request) -> URL:
    try:
        return URL(request.url, encoded=True)
    except ValueError as error:
        raise explain(error, Call(request.subject or "a host", "")) from None


def _name(request: Request, url: URL) -> str:
    return request.subject or f"host {url.host!r}"


async def _capped(answer: aiohttp.ClientResponse, name: str, limits: _RequestLimits) -> bytes:
    # One read() may give less than is there, and without a cap a bomb fills the memory (TX-7, T24).
    body, held = bytearray(), 0
    pace = None if limits.stalled is None else Pace(over=limits.stalled)
    while chunk := await _piece(answer, pace, limits.stalled):
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES and len(body) + len(chunk) > _REASON:
            answer.close()  # its status says it all: a page that is too long makes no other failure of it
            return bytes(body)
        if len(body) + len(chunk) > limits.size:
            answer.close()
            raise failed(Code.ANSWER_TOO_LARGE, f"{name} answered with more than {limits.size} bytes")
        if len(body) + len(chunk) > held and limits.room is not None:
            wanted = _next_share(held, answer.content_length, limits.size)
            await limits.room.hold(wanted - held)
            held = wanted
        body += chunk
    return bytes(body)


def _next_share(held: int, announced: int | None, limit: int) -> int:
    """How much to hold next: what was announced, else little and then all: in small steps all would wait for one another."""
    if held:
        return limit
    return _SMALL if announced is None else min(max(announced, _CHUNK), limit)


async def _piece(answer: aiohttp.ClientResponse, pace: Pace | None, stalled: float | None) -> bytes:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        async with asyncio.timeout(stalled):
            piece = await answer.content.read(_CHUNK)
    except aiohttp.SocketTimeoutError:
        raise
    except TimeoutError:
        reason = f"sent nothing for {stalled:g} s in the middle of its answer"
        raise UnfitAnswerError(reason) from None
    try:
        if pace is not None and piece:
            pace.moved(len(piece), loop.time() - begun)
    except TimeoutError:
        reason = f"sent less than {LEAST:,} bytes a second of its answer over {stalled:g} s"
        raise UnfitAnswerError(reason) from None
    return piece
