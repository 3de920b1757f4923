"""What a carrier may ask: each question is judged by the connection that it is about, and not by what it says of it."""

import itertools
from collections.abc import Callable, Coroutine, Mapping
from typing import NamedTuple, Protocol

import msgspec
from cachetools import LRUCache

from credproxy.core.ask.carrier_messages import (
    Anchors,
    Done,
    Fetch,
    Get,
    JsonAnswer,
    Locate,
    Located,
    PassageGiven,
    Rejected,
    Shown,
    ToCarrier,
    Trusted,
    revealed,
    way,
)
from credproxy.core.ask.http import Dial
from credproxy.core.errors import Code, failed
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.incoming import ORIGINAL_HOST, Incoming
from credproxy.gateway.request_reader import wanted
from credproxy.gateway.wanted import Wanted
from credproxy.server.peer import Peer
from credproxy.server.routes import PATIENCE


CarrierQuestion = Fetch | Rejected | Get | Shown | Locate | Trusted

PASSAGES = 4096
"""Passages that are remembered for one carrier: one that was forgotten cannot be replaced."""


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


class Office(Protocol):
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

    async def locate(self, host: str) -> tuple[tuple[int, str], ...]:
        """Addresses of a host; none if the name is not found."""
        ...

    async def edition(self, dial: Dial) -> str | None:
        """A name for the current content of a policy's CA bundles; None for none. Raises Failed: no carrier may connect there."""
        ...

    async def anchors(self, edition: str | None) -> bytes:
        """The certificates behind such a name, as PEM. Raises Failed."""
        ...

    def close(self) -> None:
        """Stop looking things up."""
        ...


class CarrierQuestions:
    """Answers one carrier, and remembers what it was given: a passage or a CA bundle of another one is refused.

    Args:
        office: decides.
        connections: that the carrier has, by number.
        numbers: gives each passage another one.
    """

    def __init__(
        self, office: Office, connections: Mapping[int, PassedConnection], *, numbers: "itertools.count[int]"
    ) -> None:
        self._office = office
        self._connections = connections
        self._numbers = numbers
        self._passages: LRUCache[int, Passage] = LRUCache(PASSAGES)
        self._editions: set[str] = set()

    def answer(self, message: CarrierQuestion) -> Coroutine[object, object, ToCarrier]:
        """Give the answer to one. Raises Failed."""
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

    async def _fetch(self, message: Fetch) -> ToCarrier:
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
        return await self._granted(message.question, passage)

    async def _rejected(self, message: Rejected) -> ToCarrier:
        passage = self._passages.get(message.passage)
        if passage is None:
            return Done(message.question)
        newer = await self._office.refused(passage, _bounded(message.patience), forbidden=message.forbidden)
        return Done(message.question) if newer is None else await self._granted(message.question, newer)

    async def _get(self, message: Get) -> ToCarrier:
        passed = self._passed(message.connection)
        answer = await self._office.narrow(passed.peer, message.body, patience=_bounded(message.patience))
        return JsonAnswer(message.question, answer)

    async def _shown(self, message: Shown) -> ToCarrier:
        passed = self._passed(message.connection)
        if not await self._office.shows_token(message.authorization):
            raise failed(Code.PEER_REFUSED, "the token is missing or wrong")
        if message.connection in self._connections:
            passed.proven()
        return Done(message.question)

    async def _locate(self, message: Locate) -> ToCarrier:
        return Located(message.question, await self._office.locate(message.host))

    async def _trusted(self, message: Trusted) -> ToCarrier:
        edition = message.bundle
        if edition is not None and edition not in self._editions:
            raise failed(Code.TLS_FAILED, "this CA bundle belongs to no passage of this carrier")
        return Anchors(message.question, await self._office.anchors(edition))

    async def _granted(self, question: int, passage: Passage) -> PassageGiven:
        edition = await self._office.edition(passage.reach.dial)
        number = next(self._numbers)
        self._passages[number] = passage
        if edition is not None:
            self._editions.add(edition)
        told = msgspec.structs.replace(way(passage.reach), bundle=edition)
        return PassageGiven(question, number, told, revealed(passage.headers), self._office.hold(passage))

    def _passed(self, number: int) -> PassedConnection:
        passed = self._connections.get(number)
        if passed is None:
            raise failed(Code.PEER_REFUSED, "this connection has ended", hint="connect again")
        return passed


def _bounded(patience: float) -> float:
    # Written so that NaN also becomes 0.
    return min(patience, PATIENCE) if patience > 0 else 0.0
