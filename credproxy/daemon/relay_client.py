"""The relay process, as the daemon sees it. Source: daemon.relays."""

import asyncio
import itertools
import socket
from collections import Counter
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from credproxy.adapters.channel import CROWDED, Channel
from credproxy.adapters.nursery_client import Newborn
from credproxy.adapters.tls_trust import ClientIdentity
from credproxy.core.ask.carrier_messages import VERSION
from credproxy.core.ask.http import Dial
from credproxy.core.ask.relay_messages import (
    RELAYED,
    AreYouThere,
    Begin,
    DropIdentity,
    FromRelay,
    HereIAm,
    Over,
    RelayBegun,
    RelayReady,
    TakeIdentity,
    ToRelay,
)
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.unreadable_json import UNREADABLE


IDENTITIES = 64
"""Keys that the process holds at most."""


class RelayShare:
    """One relay's slot in the share of its carrier.

    Args:
        shares: relays by carrier.
        owner: pid of the carrier.

    Attributes:
        lent: the process has it, and says when the relay ends.
    """

    def __init__(self, shares: Counter[int], owner: int) -> None:
        self._shares = shares
        self._owner = owner
        self.lent = False

    def give_back(self) -> None:
        """Free it."""
        self._shares[self._owner] -= 1
        if not self._shares[self._owner]:
            del self._shares[self._owner]


class _Known(NamedTuple):
    stamp: int
    number: int


class RelayClient:
    """The process, as long as it runs.

    Args:
        born: the process, and this end of its channel.
        lost: told once that it is gone or broke the rules, and how.

    Attributes:
        pid: of the process.
        unheard: checks for a sign of life since the last one.
        memory: bytes that it uses, as it reports.
        confined: what it gave up, likewise.
    """

    def __init__(self, born: Newborn, lost: Callable[["RelayClient", str], None]) -> None:
        self.pid = born.pid
        self.unheard = self.memory = 0
        self.confined = ""
        self._lost = lost
        self._numbers = itertools.count(1)
        self._known: dict[Dial, _Known] = {}  # the one that was used last comes last
        self._shares: dict[int, RelayShare] = {}
        self._waiting: dict[int, asyncio.Future[None]] = {}
        self._read = msgspec.msgpack.Decoder(FromRelay).decode
        self._channel = Channel(born.sock, self._told, lost=lambda how: lost(self, how), limit=RELAYED)

    @property
    def relays(self) -> int:
        """How many relays the process has, or is making."""
        return len(self._shares)

    def look(self) -> None:
        """Ask for a sign of life."""
        self.unheard += 1
        self._tell(AreYouThere())

    def knows(self, dial: Dial, stamp: int) -> bool:
        """Whether it was told what connections under a policy are made with."""
        return dial in self._known and self._known[dial].stamp == stamp

    def identity(self, dial: Dial, stamp: int, *, found: ClientIdentity | None) -> int:
        """Give the number of what connections under a policy are made with, and tell the process if it has to be told.

        Args:
            dial: the policy.
            stamp: of its files.
            found: what is in them; None if it is known.

        Raises:
            Failed: it was dropped meanwhile.
        """
        known = self._known.pop(dial, None)
        if found is None:
            if known is None:
                raise gone()
            self._known[dial] = known
            return known.number
        if known is not None:
            self._tell(DropIdentity(known.number))
        if len(self._known) >= IDENTITIES:
            self._tell(DropIdentity(self._known.pop(next(iter(self._known))).number))
        number = next(self._numbers)
        self._known[dial] = _Known(stamp, number)
        self._tell(TakeIdentity(number, found.anchors, *found.pair, found.paths, dial.tls_verify))
        return number

    def forget(self) -> None:
        """Make the process forget every key; connections that were made with one stay. Each is read again before its next use."""
        for known in self._known.values():
            self._tell(DropIdentity(known.number))
        self._known.clear()

    def begin(self, message: Begin, pair: socket.socket, *, share: RelayShare) -> asyncio.Future[None]:
        """Begin a relay; the future that is given fails if the relay does not begin.

        Args:
            message: which.
            pair: its end of the pair, which is duplicated.
            share: its place.

        Raises:
            Failed: the process has ended.
        """
        if not self._channel.open:
            raise gone()
        crowded = Failure(Code.OVERLOADED, CROWDED, "ask again later", 1.0)
        try:
            self._channel.send(
                msgspec.msgpack.encode(message), pair.fileno(), undelivered=lambda: self._over(message.number, crowded)
            )
        except OSError:
            raise gone() from None
        self._shares[message.number] = share
        share.lent = True
        waiting = self._waiting[message.number] = asyncio.get_running_loop().create_future()
        return waiting

    def close(self) -> None:
        """End the process; relays that it was asked for fail."""
        self._channel.close()
        for number in tuple(self._shares):
            self._over(number, gone().failure)

    def _tell(self, message: ToRelay) -> None:
        self._channel.send(msgspec.msgpack.encode(message))

    def _told(self, frame: bytes, descriptor: int) -> None:
        del descriptor  # it may send none
        try:
            message: FromRelay = self._read(frame)
        except UNREADABLE:
            self._lost(self, "says something that is not a message")
            return
        self.unheard = 0
        match message:
            case RelayReady():
                self.confined = message.confined
                if message.version != VERSION:
                    self._lost(self, "is of another version: credproxy was upgraded under a running daemon")
            case RelayBegun(number):
                waiting = self._waiting.pop(number, None)
                if waiting is not None and not waiting.done():
                    waiting.set_result(None)
            case Over(number, failure):
                self._over(number, failure)
            case HereIAm(memory):
                self.memory = memory

    def _over(self, number: int, failure: Failure | None) -> None:
        share = self._shares.pop(number, None)
        if share is None:
            return
        share.give_back()
        waiting = self._waiting.pop(number, None)
        if waiting is not None and not waiting.done():
            waiting.set_exception(gone() if failure is None else Failed(failure))


def gone() -> Failed:
    """Give the failure of what such a process was asked for."""
    message = "the process that shows client certificates has ended"
    return failed(Code.UPSTREAM_UNAVAILABLE, message, hint="run the build again")
