"""One carrier, as the daemon sees it: what it was given, and what it may ask.

Nothing else that it says is trusted: a question is judged as if the caller had asked here, by the connection that
it came on. A carrier that breaks the rules of the channel is ended.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable, Coroutine
from typing import NamedTuple, Protocol

import msgspec
import structlog
from cachetools import LRUCache

from credproxy.adapters.channel import Channel
from credproxy.adapters.nursery_client import Newborn
from credproxy.core.ask.carrier_messages import (
    ASKED,
    VERSION,
    Alive,
    Anchors,
    Changed,
    Closed,
    Done,
    Fetch,
    Figures,
    Get,
    JsonAnswer,
    Leave,
    Locate,
    Located,
    Opened,
    PassageGiven,
    PeerInfo,
    Ready,
    Refusal,
    Rejected,
    Said,
    Shown,
    Spare,
    Spared,
    ToCarrier,
    ToDaemon,
    Trusted,
    revealed,
    way,
)
from credproxy.core.ask.disclosure import outward
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.token_bucket import Bucket
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.incoming import ORIGINAL_HOST, Incoming
from credproxy.gateway.wanted import Wanted, wanted
from credproxy.ports import Clock
from credproxy.server.peer import Peer
from credproxy.server.routes import PATIENCE


QUESTIONS = 1024
"""Unanswered questions of one carrier; its callers cannot have as many requests under way."""

PASSAGES = 4096
"""Passages that are remembered for one carrier: one that was forgotten cannot be replaced."""

PER_SECOND = 20_000.0
BURST = 40_000.0
"""Messages of one carrier: several times what the fastest client can cause."""

_LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})
_EVENT = 80
_OURS = frozenset({"event", "carrier", "level", "log_level", "timestamp"})
_CODES = frozenset(Code)

log = structlog.get_logger("credproxy.carriers")


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

    async def edition(self, bundle: str | None) -> str | None:
        """A name for the current content of a CA bundle."""
        ...

    async def anchors(self, edition: str | None) -> bytes:
        """The certificates behind such a name, as PEM. Raises Failed."""
        ...

    def close(self) -> None:
        """Stop looking things up."""
        ...


class Carrier:
    """Talks to one carrier.

    Args:
        born: the process, and this end of its channel.
        office: answers its questions.
        clock: bounds how much it may send.
        lost: told once that it is gone, and how.
        refused: counts refusals by code.

    Attributes:
        pid: of the process.
        connections: those that it has, by number.
        moved: bytes that it has moved, as it reports.
        downloads, uploads: under way, likewise.
        memory: bytes that it uses, likewise.
        unheard: checks for a sign of life since the last one.
        confined: what it gave up, as it reports.
    """

    def __init__(
        self,
        born: Newborn,
        office: Office,
        *,
        clock: Clock,
        lost: Callable[["Carrier", str], None],
        refused: Callable[[str, int], None],
    ) -> None:
        self.pid = born.pid
        self._office = office
        self._clock = clock
        self._lost = lost
        self._refused = refused
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(ToDaemon).decode
        self._numbers = itertools.count(1)
        self._passages: LRUCache[int, Passage] = LRUCache(PASSAGES)
        self._editions: set[str] = set()
        self._sparing: dict[int, Callable[[str | None], None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._said = Bucket(PER_SECOND, BURST, now=clock.boot())
        self.connections: dict[int, PassedConnection] = {}
        self.moved = self.downloads = self.uploads = self.memory = 0
        self.confined = ""
        self.unheard = 0
        self._channel = Channel(born.sock, self._received, lost=self._gone, limit=ASKED)

    @property
    def open(self) -> bool:
        """Whether it can be given connections."""
        return self._channel.open

    def give(self, sock: socket.socket, passed: PassedConnection, *, refusal: Failure | None) -> int:
        """Pass a connection on; the caller closes its own descriptor. Returns its number. Raises OSError."""
        number = next(self._numbers)
        self.connections[number] = passed
        caller = PeerInfo(passed.peer.uid, passed.peer.sandbox, passed.port, passed.account)
        told = None if refusal is None else outward(refusal)
        try:
            self._channel.send(self._encode(Opened(number, caller, told)), sock.fileno())
        except OSError:  # no descriptor left: it was not passed on
            self.connections.pop(number, None)
            raise
        return number

    def spare(self, account: str | None, port: int, *, kept: Callable[[str | None], None]) -> None:
        """Close the connection of an account that has been silent longest; ``kept`` is told if there is none."""
        number = next(self._numbers)
        self._sparing[number] = kept
        self._tell(Spare(number, account, port))

    def changed(self) -> None:
        """A new configuration is in force, or everything was flushed."""
        self._tell(Changed())

    def leave(self, grace: float) -> None:
        """Let it finish what is under way, and end."""
        self._tell(Leave(grace))

    def ping(self) -> None:
        """Ask for its figures."""
        self._tell(Alive())

    def look(self) -> None:
        """Ask for a sign of life."""
        self.unheard += 1
        self.ping()

    def close(self) -> None:
        """End the channel, and with it the carrier."""
        self._channel.close()
        for task in self._tasks:
            task.cancel()

    def _tell(self, message: ToCarrier) -> None:
        self._channel.send(self._encode(message))

    def _gone(self, how: str) -> None:
        for task in self._tasks:
            task.cancel()
        self._lost(self, how)

    def _received(self, frame: bytes, descriptor: int) -> None:
        del descriptor  # a carrier may send none
        if self._said.wait(self._clock.boot()) > 0:
            self._break("says more than its callers can have caused")
            return
        self._said.take()
        try:
            message = self._decode(frame)
        except msgspec.MsgspecError:
            self._break("says something that is not a message")
            return
        self.unheard = 0
        match message:
            case Ready() | Closed() | Spared() | Said() | Figures():
                self._note(message)
            case _:
                self._question(message)

    def _break(self, how: str) -> None:
        """It did something that no carrier of ours does."""
        if self._channel.open:
            self._channel.close()
            self._gone(how)

    def _note(self, message: Ready | Closed | Spared | Said | Figures) -> None:
        match message:
            case Ready():
                self._begun(message)
            case Closed(number):
                self._closed(number)
            case Spared():
                self._spared(message)
            case Said(level, event, fields):
                self._say(level, event, fields)
            case Figures(moved, downloads, uploads, refused, memory):
                self.moved, self.downloads, self.uploads, self.memory = moved, downloads, uploads, memory
                for code in _CODES.intersection(refused):
                    self._refused(code, refused[code])

    def _begun(self, message: Ready) -> None:
        if message.version != VERSION:
            self._break("is of another version: credproxy was upgraded under a running daemon")
        self.confined = message.confined

    def _spared(self, message: Spared) -> None:
        kept = self._sparing.pop(message.number, None)
        if kept is not None and not message.found:
            kept(message.account)

    def _closed(self, number: int) -> None:
        passed = self.connections.pop(number, None)
        if passed is not None:
            passed.freed()

    def _question(self, message: Fetch | Rejected | Get | Shown | Locate | Trusted) -> None:
        if len(self._tasks) >= QUESTIONS:
            self._break("asks more than its callers can have asked")
            return
        task = asyncio.ensure_future(self._told(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _say(self, level: str, event: str, fields: dict[str, str]) -> None:
        known = {name: value for name, value in fields.items() if name.isidentifier() and name not in _OURS}
        speak = getattr(log, level if level in _LEVELS else "info")
        speak(event[:_EVENT], carrier=self.pid, **known)

    def _answer(
        self, message: Fetch | Rejected | Get | Shown | Locate | Trusted
    ) -> Coroutine[object, object, ToCarrier]:
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

    async def _told(self, message: Fetch | Rejected | Get | Shown | Locate | Trusted) -> None:
        try:
            told = await self._answer(message)
        except Failed as error:
            shown = outward(error.failure)
            if shown is not error.failure:
                # What is on this machine is for its user, not for a process that an action talks to.
                self._log(message, error.failure)
            told = Refusal(message.question, shown)
        self._tell(told)

    def _log(self, message: Fetch | Rejected | Get | Shown | Locate | Trusted, failure: Failure) -> None:
        path = message.path if isinstance(message, Fetch) else None
        log.info("question failed", socket="actions", path=path, code=failure.code.value, reason=failure.message)

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
        if message.connection in self.connections:
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
        number = next(self._numbers)
        self._passages[number] = passage
        told = way(passage.reach)
        edition = await self._office.edition(told.bundle)
        if edition is not None:
            self._editions.add(edition)
        told = msgspec.structs.replace(told, bundle=edition)
        return PassageGiven(question, number, told, revealed(passage.headers), self._office.hold(passage))

    def _passed(self, number: int) -> PassedConnection:
        passed = self.connections.get(number)
        if passed is None:
            raise failed(Code.PEER_REFUSED, "this connection has ended", hint="connect anew")
        return passed


def _bounded(patience: float) -> float:
    # Written so that NaN also becomes 0.
    return min(patience, PATIENCE) if patience > 0 else 0.0
