"""One carrier, as the daemon sees it: what it was given, and what it may ask.

Nothing else that it says is trusted: a question is judged as if the caller had asked here, by the connection that
it came on. A carrier that breaks the rules of the channel is ended.
"""

import asyncio
import contextlib
import itertools
import socket
from collections.abc import Callable

import msgspec
import structlog

from credproxy.adapters.channel import CROWDED, Channel
from credproxy.adapters.nursery_client import Newborn
from credproxy.core.ask.carrier_messages import (
    ASKED,
    VERSION,
    Alive,
    CarrierAnswer,
    Changed,
    Closed,
    Fetch,
    Figures,
    Leave,
    Opened,
    PeerInfo,
    Ready,
    Refusal,
    Said,
    Spare,
    Spared,
    ToCarrier,
    ToDaemon,
)
from credproxy.core.ask.disclosure import outward
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.token_bucket import Bucket
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.daemon.carrier_questions import CarrierQuestion, CarrierQuestions, MakesRelays, Office, PassedConnection
from credproxy.ports.clock import Clock


QUESTIONS = 1024
"""Unanswered questions of one carrier; its callers cannot have as many requests under way."""


PER_SECOND = 20_000.0
BURST = 40_000.0
"""Messages of one carrier: several times what the fastest client can cause."""

_LEVELS = frozenset({"debug", "info", "warning", "error", "critical"})
_EVENT = 80
_OURS = frozenset({"event", "carrier", "level", "log_level", "timestamp"})
_CODES = frozenset(Code)

log = structlog.get_logger("credproxy.carriers")


class Carrier:
    """Talks to one carrier.

    Args:
        born: the process, and this end of its channel.
        office: answers its questions.
        clock: bounds how much it may send.
        lost: told once that it is gone, and how.
        refused: counts refusals by code.
        relays: make its connections that show a certificate.

    Attributes:
        pid: of the process.
        connections: those that it has, by number.
        moved: bytes that it has moved, as it reports.
        downloads, uploads: under way, likewise.
        memory: bytes that it uses, likewise.
        unheard: checks for a sign of life since the last one.
        leaving: it was told to end.
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
        relays: MakesRelays,
    ) -> None:
        self.pid = born.pid
        self._clock = clock
        self._lost = lost
        self._refused = refused
        self._encode = msgspec.msgpack.Encoder().encode
        self._decode = msgspec.msgpack.Decoder(ToDaemon).decode
        self._numbers = itertools.count(1)
        self._sparing: dict[int, Callable[[str | None], None]] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._said = Bucket(PER_SECOND, BURST, now=clock.boot())
        self.connections: dict[int, PassedConnection] = {}
        self._questions = CarrierQuestions(
            office, self.connections, numbers=self._numbers, relays=relays, owner=self.pid
        )
        self.moved = self.downloads = self.uploads = self.memory = 0
        self.confined = ""
        self.unheard = 0
        self.leaving = False
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
            self._channel.send(
                self._encode(Opened(number, caller, told)),
                sock.fileno(),
                undelivered=lambda: self._undelivered(number),
            )
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
        """A new configuration is in force."""
        self._questions.forget()
        self.flushed()

    def flushed(self) -> None:
        """Everything was flushed: nothing that was granted before is used again."""
        self._tell(Changed())

    def leave(self, grace: float) -> None:
        """Let it finish what is under way, and end."""
        self.leaving = True
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
        except UNREADABLE:
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

    def _undelivered(self, number: int) -> None:
        log.warning("connection not passed on", reason=CROWDED)
        self._closed(number)

    def _question(self, message: CarrierQuestion) -> None:
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

    async def _told(self, message: CarrierQuestion) -> None:
        told: CarrierAnswer
        sock = None
        try:
            told, sock = await self._questions.answer(message)
        except Failed as error:
            shown = outward(error.failure)
            if shown is not error.failure:
                # What is on this machine is for its user, not for a process that an action talks to.
                self._log(message, error.failure)
            told = Refusal(message.question, shown)
        self._give(told, sock)

    def _give(self, told: CarrierAnswer, sock: socket.socket | None) -> None:
        if sock is None:
            self._tell(told)
            return
        crowded = Refusal(told.question, Failure(Code.OVERLOADED, CROWDED, "ask again later", 1.0))
        with sock, contextlib.suppress(OSError):  # no descriptor is left: the carrier stops waiting
            self._channel.send(self._encode(told), sock.fileno(), undelivered=lambda: self._tell(crowded))

    def _log(self, message: CarrierQuestion, failure: Failure) -> None:
        path = message.path if isinstance(message, Fetch) else None
        log.info("question failed", socket="actions", path=path, code=failure.code.value, reason=failure.message)
