"""The daemon, as a carrier sees it: questions that are awaited. What it says is trusted; what it knows stays there."""

import asyncio
import itertools
import socket
import ssl
from collections.abc import Callable, Sequence
from urllib.parse import quote

import msgspec
from aiohttp.abc import AbstractResolver, ResolveResult

from credproxy.adapters.relayed_socket import RelayedSocket
from credproxy.adapters.tls_trust import trusting
from credproxy.core.ask.carrier_messages import (
    Anchors,
    CarrierAnswer,
    Connect,
    Done,
    Fetch,
    Get,
    JsonAnswer,
    Locate,
    Located,
    PassageGiven,
    Refusal,
    Rejected,
    Shown,
    ToCarrier,
    ToDaemon,
    Trusted,
)
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial
from credproxy.core.ask.uri import canonical_uri
from credproxy.core.ask.way import reach
from credproxy.core.errors import Code, Failed, failed
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.incoming import Incoming
from credproxy.gateway.wanted import Wanted
from credproxy.server.peer import Peer


_MARGIN = 2.0
"""Seconds after a caller's patience in which the daemon has to report that it ran out."""

_LOOKING_UP = 30.0

_CONNECTING = 32.0
"""Seconds for a connection that a relay makes: the daemon has its own limit, which comes first."""

_HOLDS = 1.0
"""Seconds at most for which a grant is reused."""

_HELD = 1024

_DROPPED = 16
"""How many of the oldest passages are checked with each new one: more than one, so that expired ones are soon gone."""


class Daemon:
    """Asks the daemon. Source: gateway.authorizer, server.actions_api.ActionsAnswers.

    Args:
        send: puts a frame on the channel.
    """

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._encode = msgspec.msgpack.Encoder().encode
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[ToCarrier]] = {}
        self._arrived: dict[int, RelayedSocket] = {}
        # In the order in which they were granted; a new configuration ends them all.
        self._held: dict[tuple[object, ...], tuple[Passage, float]] = {}

    def tell(self, message: ToDaemon) -> None:
        """Send a message that needs no answer."""
        self._send(self._encode(message))

    def answered(self, message: CarrierAnswer, descriptor: int = -1) -> None:
        """Take the answer to a question, and its descriptor; an answer that nobody waits for any more is dropped."""
        sock = None if descriptor < 0 else RelayedSocket(fileno=descriptor)
        waiting = self._waiting.pop(message.question, None)
        if waiting is not None and not waiting.done():
            waiting.set_result(message)
            if sock is not None:
                self._arrived[message.question] = sock
        elif sock is not None:
            sock.close()

    def forget(self) -> None:
        """Stop reusing anything that was granted before."""
        self._held.clear()

    async def permit(self, want: Wanted, incoming: Incoming) -> None:
        """Permit a request. Raises Failed."""
        await self._fetch(want, incoming, 0.0, only=True)

    async def credential(self, want: Wanted, incoming: Incoming, *, patience: float) -> Passage:
        """Permit a request, and give what it is sent with. Raises Failed."""
        loop = asyncio.get_running_loop()
        key = (incoming.uid, incoming.sandbox, want.method, want.registry, incoming.path, _told_of(want))
        held = self._held.get(key)
        if held is not None and loop.time() < held[1]:
            return held[0]
        granted = await self._fetch(want, incoming, patience)
        assert isinstance(granted, PassageGiven)
        passage = _passage(granted)
        if granted.hold > 0:
            self._hold(key, passage, loop.time() + min(granted.hold, _HOLDS))
        return passage

    def _hold(self, key: tuple[object, ...], passage: Passage, until: float) -> None:
        self._held.pop(key, None)
        self._held[key] = (passage, until)
        now = asyncio.get_running_loop().time()
        for old, (_, end) in tuple(itertools.islice(self._held.items(), _DROPPED)):
            if len(self._held) <= _HELD and end > now:
                return
            del self._held[old]

    async def refused(self, passage: Passage, patience: float, *, forbidden: bool) -> Passage | None:
        """Report that a registry refused a passage; give another one to try. Raises Failed."""
        self.forget()
        number = passage.ticket
        assert isinstance(number, int)
        answer = await self._ask(lambda question: Rejected(question, number, patience, forbidden), patience)
        return _passage(answer) if isinstance(answer, PassageGiven) else None

    async def narrow(self, peer: Peer, body: bytes, *, patience: float) -> bytes:
        """Ask a question of the JSON API. Raises Failed."""
        answer = await self._ask(lambda question: Get(question, peer.connection, patience, body), patience)
        assert isinstance(answer, JsonAnswer)
        return answer.body

    async def shows_token(self, peer: Peer, authorization: str) -> bool:
        """Whether a caller of the port shows its token. Raises Failed: there is none."""
        answer = await self._ask(lambda question: Shown(question, peer.connection, authorization), _LOOKING_UP)
        return isinstance(answer, Done)

    async def locate(self, host: str) -> Sequence[tuple[int, str]]:
        """Give the family and address of a host, as the system's resolver does. Raises socket.gaierror."""
        answer = await self._ask(lambda question: Locate(question, host), _LOOKING_UP)
        assert isinstance(answer, Located)
        if not answer.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "name or service not known")
        return answer.addresses

    async def anchors(self, bundle: str | None) -> bytes:
        """Give the certificates that are trusted. Raises Failed."""
        answer = await self._ask(lambda question: Trusted(question, bundle), _LOOKING_UP)
        assert isinstance(answer, Anchors)
        return answer.pem

    async def relayed(self, relay: str) -> socket.socket:
        """Give a connection by the name of a relay. Raises Failed."""
        question = next(self._numbers)
        try:
            await self._put(question, Connect(question, relay), _CONNECTING)
            return self._arrived.pop(question)
        finally:
            if (unused := self._arrived.pop(question, None)) is not None:  # cancelled as it arrived
                unused.close()

    async def _fetch(self, want: Wanted, incoming: Incoming, patience: float, *, only: bool = False) -> ToCarrier:
        return await self._ask(
            lambda question: Fetch(
                question, incoming.connection, want.method, want.registry, incoming.path, _told_of(want), patience, only
            ),
            patience,
        )

    async def _ask(self, make: Callable[[int], ToDaemon], patience: float) -> ToCarrier:
        question = next(self._numbers)
        return await self._put(question, make(question), patience)

    async def _put(self, question: int, message: ToDaemon, patience: float) -> ToCarrier:
        waiting: asyncio.Future[ToCarrier] = asyncio.get_running_loop().create_future()
        self._waiting[question] = waiting
        self.tell(message)
        try:
            async with asyncio.timeout(patience + _MARGIN):
                answer = await waiting
        except TimeoutError:
            raise failed(Code.STILL_TRYING, "the daemon has not answered yet", hint="run the build again") from None
        finally:
            self._waiting.pop(question, None)
        if isinstance(answer, Refusal):
            raise Failed(answer.failure)
        return answer


def _told_of(want: Wanted) -> str:
    """Of a query, the daemon needs only what names another repository or an object, and nothing else that may be a secret."""
    if want.object is not None:
        return f"url={quote(canonical_uri(want.object), safe='')}"
    source = want.endpoint.mount_from
    return "" if source is None else f"mount={want.digest}&from={source}"


def _passage(granted: PassageGiven) -> Passage:
    headers = tuple((name, Secret(value)) for name, value in granted.headers)
    return Passage(reach(granted.way), headers, granted.passage)


class Resolver(AbstractResolver):
    """Asks the daemon where hosts are, for aiohttp's client."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """Give the addresses of a host. Raises OSError."""
        del family
        return [
            ResolveResult(hostname=host, host=address, port=port, family=kind, proto=0, flags=socket.AI_NUMERICHOST)
            for kind, address in await self._daemon.locate(host)
        ]

    async def close(self) -> None:
        """Nothing is held."""


class Threads:
    """Questions that threads ask the daemon, through the loop: each thread waits for its answer.

    Args:
        daemon: to ask.
        loop: in which it is asked.
    """

    changes = False

    def __init__(self, daemon: Daemon, loop: asyncio.AbstractEventLoop) -> None:
        self._daemon = daemon
        self._loop = loop

    def resolve(self, host: str, port: int) -> Sequence[tuple[int, int, int, str, tuple[str | int, ...]]]:
        """As ``socket.getaddrinfo``."""
        found = asyncio.run_coroutine_threadsafe(self._daemon.locate(host), self._loop).result()
        return [(family, socket.SOCK_STREAM, 0, "", (address, port)) for family, address in found]

    def relayed(self, relay: str) -> socket.socket:
        """Give a connection by the name of a relay. Raises Failed."""
        return asyncio.run_coroutine_threadsafe(self._daemon.relayed(relay), self._loop).result()

    def version(self, dial: Dial) -> int:
        """A bundle that changed has another name: see Way."""
        del dial
        return 0

    def context(self, dial: Dial) -> ssl.SSLContext:
        """Build the TLS context of an egress policy. Raises Failed."""
        pem = asyncio.run_coroutine_threadsafe(self._daemon.anchors(dial.ca_bundle), self._loop).result()
        return trusting(pem, verify=dial.tls_verify)
