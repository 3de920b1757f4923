"""What a carrier may ask: each question is judged by the connection that it is about, and not by what it says of it."""

import itertools
import socket
from collections.abc import Callable, Coroutine, Mapping
from typing import NamedTuple, Protocol

import msgspec
from cachetools import LRUCache

from credproxy.core.ask.carrier_messages import (
    Anchors,
    CarrierAnswer,
    Connect,
    Connected,
    Done,
    Fetch,
    Get,
    JsonAnswer,
    Locate,
    Located,
    PassageGiven,
    Rejected,
    Shown,
    Trusted,
    revealed,
)
from credproxy.core.ask.http import Reach
from credproxy.core.ask.way import way
from credproxy.core.errors import Code, Failed, failed
from credproxy.daemon.relays import RelayOffice
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.incoming import ORIGINAL_HOST, Incoming
from credproxy.gateway.request_reader import wanted
from credproxy.gateway.wanted import Wanted
from credproxy.server.peer import Peer
from credproxy.server.routes import PATIENCE
from credproxy.server.tcp_guard import WRONG


_Question = Fetch | Rejected | Get | Shown | Locate | Trusted
CarrierQuestion = _Question | Connect

PASSAGES = 4096
"""Passages that are remembered for one carrier: one that was forgotten cannot be replaced."""

RELAYS = 1024
"""Names of relays that are remembered for one carrier."""


class Edition(NamedTuple):
    """What a carrier is told of the certificates for one reach.

    Attributes:
        bundle: a name for the current content of the policy's CA bundles; None for none.
        relay: a name for what is shown to the origin, and where that is; "" if nothing is.
    """

    bundle: str | None = None
    relay: str = ""


class _NamedPassage(NamedTuple):
    """A passage, and what its upstream is called in messages."""

    passage: Passage
    subject: str


class Answered(NamedTuple):
    """An answer, and the connection that goes with it."""

    message: CarrierAnswer
    sock: socket.socket | None = None


class PassedConnection(NamedTuple):
    """A connection that was passed on.

    Attributes:
        peer: at its other end.
        account: that it is counted on; None for the user's own processes.
        port: loopback port that it came in on; 0 for a Unix socket.
        freed: called once, when the connection has ended.
        proven: called when its caller has shown the token.
    """

    peer: Peer
    account: str | None
    port: int
    freed: Callable[[], None]
    proven: Callable[[], None] = lambda: None


class Office(RelayOffice, Protocol):
    """What carriers may ask the daemon."""

    async def permit(self, want: Wanted, incoming: Incoming) -> None:
        """As gateway.authorizer."""
        ...

    async def credential(self, want: Wanted, incoming: Incoming, *, patience: float) -> Passage:
        """As gateway.authorizer."""
        ...

    async def refused(self, passage: Passage, patience: float, *, forbidden: bool) -> Passage | None:
        """As gateway.authorizer."""
        ...

    def hold(self, passage: Passage) -> float:
        """Seconds for which a carrier may use a passage again; 0 for once."""
        ...

    async def narrow(self, peer: Peer, body: bytes, *, patience: float) -> bytes:
        """As server.actions_api.ActionsAnswers."""
        ...

    async def shows_token(self, authorization: str) -> bool:
        """Whether an Authorization shows the port's token. Raises Failed."""
        ...

    async def edition(self, reach: Reach) -> Edition:
        """What a carrier is told of certificates. Raises Failed."""
        ...

    async def anchors(self, edition: str | None) -> bytes:
        """The certificates behind such a name, as PEM. Raises Failed."""
        ...

    def close(self) -> None:
        """Stop looking things up."""
        ...


class MakesRelays(Protocol):
    """Makes connections that show a client certificate. Source: daemon.relays."""

    async def connect(self, reach: Reach, subject: str, *, owner: int) -> socket.socket:
        """Give the end of a connection that is for a carrier. Raises Failed."""
        ...


class CarrierQuestions:
    """Answers one carrier, and remembers what it was given: a passage, a CA bundle or a relay of another one is refused.

    Args:
        office: decides.
        relays: make connections that show a certificate.
        owner: pid of the carrier.
        connections: that the carrier has, by number.
        numbers: gives each passage another one.
    """

    def __init__(
        self,
        office: Office,
        connections: Mapping[int, PassedConnection],
        *,
        numbers: "itertools.count[int]",
        relays: MakesRelays,
        owner: int,
    ) -> None:
        self._office = office
        self._made = relays
        self._owner = owner
        self._connections = connections
        self._numbers = numbers
        self._passages: LRUCache[int, _NamedPassage] = LRUCache(PASSAGES)
        self._relays: LRUCache[str, _NamedPassage] = LRUCache(RELAYS)
        self._editions: set[str] = set()
        self._configured = object()  # another one with each configuration

    def forget(self) -> None:
        """Another configuration is in force: no relay begins before a request has been judged by it."""
        self._relays.clear()
        self._configured = object()

    async def answer(self, message: CarrierQuestion) -> Answered:
        """Give the answer to one. Raises Failed."""
        if isinstance(message, Connect):
            return Answered(Connected(message.question), await self._connect(message.relay))
        return Answered(await self._told(message))

    def _told(self, message: _Question) -> Coroutine[object, object, CarrierAnswer]:
        match message:
            case Fetch():
                return self._fetch(message)
            case Rejected():
                return self._rejected(message)
            case Get():
                return self._get(message)
            case Shown():
                return self._shown(message)
            case Locate():
                return self._locate(message)
            case Trusted():
                return self._trusted(message)

    async def _fetch(self, message: Fetch) -> CarrierAnswer:
        passed = self._passed(message.connection)
        peer = passed.peer
        incoming = Incoming(
            message.method,
            message.path,
            message.query,
            ((ORIGINAL_HOST, message.registry),),
            peer.uid,
            peer.sandbox,
            peer.pid,
            peer.program,
        )
        # Parsed again here: the request itself is judged, not what a carrier makes of it.
        want = wanted(incoming)
        if message.only:
            await self._office.permit(want, incoming)
            return Done(message.question)
        passage = await self._office.credential(want, incoming, patience=_bounded(message.patience))
        return await self._granted(message.question, _NamedPassage(passage, want.upstream))

    async def _rejected(self, message: Rejected) -> CarrierAnswer:
        given = self._passages.get(message.passage)
        if given is None:
            return Done(message.question)
        newer = await self._office.refused(given.passage, _bounded(message.patience), forbidden=message.forbidden)
        if newer is None:
            return Done(message.question)
        return await self._granted(message.question, given._replace(passage=newer))

    async def _get(self, message: Get) -> CarrierAnswer:
        passed = self._passed(message.connection)
        answer = await self._office.narrow(passed.peer, message.body, patience=_bounded(message.patience))
        return JsonAnswer(message.question, answer)

    async def _shown(self, message: Shown) -> CarrierAnswer:
        passed = self._passed(message.connection)
        if not await self._office.shows_token(message.authorization):
            raise Failed(WRONG)
        if message.connection in self._connections:
            passed.proven()
        return Done(message.question)

    async def _locate(self, message: Locate) -> CarrierAnswer:
        return Located(message.question, await self._office.locate(message.host))

    async def _trusted(self, message: Trusted) -> CarrierAnswer:
        edition = message.bundle
        if edition is not None and edition not in self._editions:
            raise failed(Code.TLS_FAILED, "this CA bundle belongs to no passage of this carrier")
        return Anchors(message.question, await self._office.anchors(edition))

    async def _connect(self, relay: str) -> socket.socket:
        given = self._relays.get(relay)
        if given is None:
            raise _not_judged()
        configured = self._configured
        made = await self._made.connect(given.passage.reach, given.subject, owner=self._owner)
        if configured is not self._configured:  # another one came into force while it was made
            made.close()
            raise _not_judged()
        return made

    async def _granted(self, question: int, given: _NamedPassage) -> PassageGiven:
        passage = given.passage
        edition = await self._office.edition(passage.reach)
        number = next(self._numbers)
        self._passages[number] = given
        if edition.bundle is not None:
            self._editions.add(edition.bundle)
        if edition.relay:
            self._relays[edition.relay] = given
        told = msgspec.structs.replace(way(passage.reach), bundle=edition.bundle, relay=edition.relay)
        return PassageGiven(question, number, told, revealed(passage.headers), self._office.hold(passage))

    def _passed(self, number: int) -> PassedConnection:
        passed = self._connections.get(number)
        if passed is None:
            raise failed(Code.PEER_REFUSED, "this connection has ended", hint="connect again")
        return passed


def _not_judged() -> Failed:
    message = "no connection with a client certificate is made: the request was not judged under this configuration"
    return failed(Code.UPSTREAM_UNAVAILABLE, message, hint="run the build again")


def _bounded(patience: float) -> float:
    # Written so that NaN also becomes 0.
    return min(patience, PATIENCE) if patience > 0 else 0.0
