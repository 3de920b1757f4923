"""The HTTP client of every exchange: one request; no redirects followed, no cookies kept, little of the answer trusted.

aiohttp's own exceptions contain request headers and whole URLs (PY17), so none of them leaves this file.
"""

import asyncio
import contextlib
import functools
import http.client
import warnings
from collections.abc import AsyncIterable, AsyncIterator, Callable
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp.abc import AbstractResolver
from cachetools import LRUCache
from yarl import URL

from credproxy.adapters.capped_body import RequestLimits, read_capped
from credproxy.adapters.guarded_dialing import Dialing, blamed, current_dialing, guarded_socket, told_of_connections
from credproxy.adapters.http_session import Session
from credproxy.adapters.interim_responses import SteadyHandler
from credproxy.adapters.network_errors import Call, SilentError, explain
from credproxy.adapters.pump_request import ANSWER, HEADED
from credproxy.adapters.relay_connector import RelayConnector
from credproxy.adapters.relayed_socket import AskForRelay
from credproxy.adapters.tls_trust import FileTrust, Trust
from credproxy.adapters.tunnel import ProxyError
from credproxy.adapters.upload import Upload
from credproxy.core.ask.credential import reveal
from credproxy.core.ask.http import BODY_LIMIT, Dial, Request, Response
from credproxy.core.ask.proxy import Proxy, is_from_proxy, proxy_of
from credproxy.core.errors import Code, Failed, failed
from credproxy.ports.clock import Clock
from credproxy.ports.forwarder import Room
from credproxy.ports.terms import Terms


_TIMEOUT = aiohttp.ClientTimeout(total=None, connect=5.0, sock_connect=2.5)
"""Connecting and TLS get 2.5 s (TX-27), 5 with the name look-up; the caller limits the whole attempt."""

TAKEN = 30.0
"""Seconds in which the other side has to take a piece of an upload; aiohttp itself would wait for ever."""

STALLED = 60.0
"""Seconds without a byte in the middle of an answer; its pace is judged over the same time."""

CONNECTING = 10.0
"""Seconds for everything before a request is sent, from the name look-up to a proxy's tunnel, and for sending it."""


SESSIONS = 256
"""Egress policies whose connections and certificates are kept; a configuration may be reloaded any number of times."""

_PEERS = 4096
"""Addresses that are remembered for reused connections."""

_PROXY_LOGIN = "Proxy-Authorization"

_Key = tuple[Dial, bool, int]


class AiohttpClient:
    """Sends requests through aiohttp. Source: ports.http_client.HttpClient, ports.forwarder.Forwarder.

    Connections are pooled per egress policy, so that none is reused under another one (SEC-13).

    Args:
        clock: for ``Response.sent`` and ``wall``.
        resolver: turns names into addresses; None for the system's.
        taken: seconds, see TAKEN.
        answer: seconds within which the answer to a gateway request has to begin.
        headed: seconds within which a head that has begun has to end.
        stalled: seconds, see STALLED.
        sessions: see SESSIONS.
        trust: builds TLS contexts; None to build them from this machine's files.
        relayed: gives connections that a relay makes; None: there are no relays.
    """

    def __init__(
        self,
        clock: Clock,
        resolver: AbstractResolver | None = None,
        *,
        trust: Trust | None = None,
        relayed: AskForRelay | None = None,
        taken: float = TAKEN,
        answer: float = ANSWER,
        headed: float = HEADED,
        stalled: float = STALLED,
        sessions: int = SESSIONS,
    ) -> None:
        self._clock = clock
        self._resolver = resolver
        self._trust = trust or FileTrust()
        self._relayed = relayed
        self._taken = taken
        self._answer = answer
        self._headed = headed
        self._stalled = stalled
        self._most = sessions
        self._sessions: dict[_Key, Session] = {}  # most recently used last
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
        return await self._exchange(request, body, RequestLimits(BODY_LIMIT, _TIMEOUT))

    async def forward(
        self, request: Request, body: AsyncIterable[bytes] | bytes | None, *, limit: int, room: Room | None = None
    ) -> Response:
        """Send a gateway request; content codings pass unchanged in both directions.

        Args:
            request: its own ``body`` is ignored.
            body: what is uploaded; in pieces where it is streamed.
            limit: bytes of the response that are read.
            room: the memory that they are counted on.

        Raises:
            Failed: overloaded, and those of ``send``; whatever the body itself raises.
        """
        timeout = aiohttp.ClientTimeout(total=None, connect=5.0, sock_connect=2.5, sock_read=self._answer)
        limits = RequestLimits(limit, timeout, verbatim=True, stalled=self._stalled, room=room)
        idle = asyncio.timeout(None)
        upload = Upload(idle, taken=self._taken, answer=self._answer)
        try:
            async with idle:
                try:
                    return await self._exchange(request, upload.begun(body, CONNECTING), limits, upload.answered)
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
        limits: RequestLimits,
        answered: Callable[[], None] = lambda: None,
    ) -> Response:
        url = _url(request)
        dialing, call = Dialing(request.dial), self._call(request, url)
        token = current_dialing.set(dialing)
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
                    content = await read_capped(answer, call.name, limits=limits)
                    return Response(answer.status, headers, content, sent, wall, self._peer(dialing, url))
        except (aiohttp.ClientError, http.client.HTTPException, TimeoutError, OSError, ValueError) as error:
            raise explain(blamed(error, dialing), call, refused=dialing.refused) from None
        finally:
            current_dialing.reset(token)

    def _call(self, request: Request, url: URL) -> Call:
        dial = request.dial
        return Call(_name(request, url), url.host or "", dial.proxy, self._answer, dial.rule, dial.kind)

    def _peer(self, dialing: Dialing, url: URL) -> str:
        # A pooled connection was dialled earlier, under the same policy.
        key = (dialing.dial, url.authority)
        if dialing.tried:
            self._peers[key] = dialing.tried[-1]
        return self._peers.get(key, "")

    @contextlib.asynccontextmanager
    async def _session(self, dial: Dial, *, verbatim: bool) -> AsyncIterator[aiohttp.ClientSession]:
        fixed = not dial.has_files or not self._trust.changes
        current = 0 if fixed else await asyncio.to_thread(self._trust.version, dial)
        key = (dial, verbatim, current)
        if key not in self._sessions:
            async with self._opening:  # else the second task would retire the first one's session as an old one
                if key not in self._sessions:
                    await self._open(key)
        lent = self._sessions[key] = self._sessions.pop(key)
        async with lent as session:
            yield session

    async def _open(self, key: _Key) -> None:
        dial, verbatim, _ = key
        connector = await self._connector(dial, verbatim=verbatim)
        replaced = [known for known in self._sessions if known[:2] == key[:2]]
        surplus = [] if replaced else list(self._sessions)[: max(0, len(self._sessions) - self._most + 1)]
        for old in [*replaced, *surplus]:
            await self._sessions.pop(old).retire()
        # The only hook that aiohttp has for how answers are read; both types make such a handler from a loop.
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
            trace_configs=[] if dial.proxy is None else [told_of_connections()],
        )
        self._sessions[key] = Session(made)

    async def _connector(self, dial: Dial, *, verbatim: bool) -> aiohttp.BaseConnector:
        # Gateway requests wait for slow registries, and their number is limited by the connections of its own callers.
        limit = 0 if verbatim else 64
        if dial.relay and self._relayed is not None:
            return RelayConnector(self._relayed, dial.relay, limit=limit)
        context = await asyncio.to_thread(self._trust.context, dial)
        return aiohttp.TCPConnector(
            ssl=context, socket_factory=guarded_socket, resolver=self._resolver, ttl_dns_cache=10, limit=limit
        )


def _login(proxy: Proxy | None) -> dict[str, str]:
    return {} if proxy is None or proxy.authorization is None else {_PROXY_LOGIN: proxy.authorization.reveal()}


def _fields(request: Request, proxy: Proxy | None, url: URL) -> list[tuple[str, str]]:
    fields = [(name, reveal(value)) for name, value in request.headers]
    # The proxy must see nothing of a tunnelled request; of a plain one it reads the login in the request itself.
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
