"""The relay process: it shows client certificates to hosts that want one, for carriers, which must not hold a private key.

It is forked and confined like a carrier, and told by the daemon alone what to connect to and with what: it is given one
end of a pair of sockets whose other end a carrier has, and moves bytes. It reads no HTTP. What it parses is TLS, of hosts
that the operator named; what it holds are the keys of those hosts that are in use.
"""

import asyncio
import socket
import ssl
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple
from urllib.parse import urlsplit

import msgspec

from credproxy.adapters.addresses import Address
from credproxy.adapters.channel import Channel
from credproxy.adapters.connections import HANDSHAKE, Connections, RefusedError
from credproxy.adapters.network_errors import Call, explain
from credproxy.adapters.tls_relay import TlsRelay, greeted
from credproxy.adapters.tls_socket import TlsSocket
from credproxy.adapters.tls_trust import show, trusting
from credproxy.carrier.confined_start import begin
from credproxy.core.ask.carrier_messages import TOLD, VERSION
from credproxy.core.ask.http import Request
from credproxy.core.ask.relay_messages import (
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
from credproxy.core.ask.way import reach
from credproxy.core.errors import Code, Failed, Failure, failed, is_shortage


DIALLING = 64
"""Connections that are made at once, in threads of their own."""

IDLE = 330.0
"""Seconds without a byte after which a relay ends: an upstream has 300 to begin its answer."""

_SWEEP = 30.0

_STACK = 512 * 1024

_KEYS = 256 * 1024
"""``RLIMIT_FSIZE``: OpenSSL takes certificates and keys from files, so they are put into some that are in memory."""

_GREETED = 0.25
"""Seconds at least for a server of TLS 1.3 to say what it thinks of a certificate; half as long again as its handshake took if
that is more."""

_FULL = Failure(
    Code.OVERLOADED, "too many connections are made on which a client certificate is shown", "ask again later", 1.0
)


def run_relay(descriptor: int, parent: int) -> None:
    """Run the process, until the daemon ends it.

    Args:
        descriptor: this end of a channel to the daemon.
        parent: process id of the nursery.
    """
    start = begin(parent, written=_KEYS)
    with asyncio.Runner() as runner:
        runner.run(RelayProcess(socket.socket(fileno=descriptor), confined=start.confined, memory=start.memory).lived())


class DialledTls(NamedTuple):
    """A connection after its handshake, and what its server has sent already."""

    tls: TlsSocket
    early: bytes


class RelayProcess:
    """Serves the daemon.

    Args:
        sock: to the daemon.
        confined: what this process gave up.
        memory: bytes that it uses.
        idle: seconds, see IDLE.
        dial: makes a connection, and blocks. Raises Failed.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        confined: str = "",
        memory: Callable[[], int] = lambda: 0,
        idle: float = IDLE,
        dial: Callable[[Begin, "IdentityTrust"], DialledTls] | None = None,
    ) -> None:
        self._sock = sock
        self._confined = confined
        self._memory = memory
        self._idle = idle
        self._dial = dial or dialled
        self._over = asyncio.Event()
        self._read = msgspec.msgpack.Decoder(ToRelay).decode
        self._identities: dict[int, IdentityTrust] = {}
        self._relays: dict[int, TlsRelay] = {}
        self._threads = ThreadPoolExecutor(DIALLING, thread_name_prefix="relay-dialler")
        self._tasks: set[asyncio.Task[None]] = set()

    async def lived(self) -> None:
        """Serve until the daemon is gone."""
        loop = asyncio.get_running_loop()
        self._channel = Channel(self._sock, self._told, lost=lambda _: self._over.set(), limit=TOLD, trusted=True)
        self._say(RelayReady(VERSION, self._confined))
        sweeping = loop.create_task(self._sweep())
        await self._over.wait()
        sweeping.cancel()
        self._channel.close()
        for relay in tuple(self._relays.values()):
            relay.close()
        for task in self._tasks:
            task.cancel()
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _say(self, message: FromRelay) -> None:
        self._channel.send(msgspec.msgpack.encode(message))

    def _told(self, frame: bytes, descriptor: int) -> None:
        message: ToRelay = self._read(frame)
        match message:
            case TakeIdentity(number):
                self._identities[number] = IdentityTrust(message)
            case DropIdentity(number):
                self._identities.pop(number, None)
            case Begin():
                # Taken now: it may be dropped while others are dialled.
                connect = partial(self._dial, message, self._identities[message.identity])
                task = asyncio.ensure_future(
                    self._begun(message.number, socket.socket(fileno=descriptor), connect=connect)
                )
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
            case AreYouThere():
                self._say(HereIAm(self._memory()))

    async def _begun(self, number: int, pair: socket.socket, *, connect: Callable[[], DialledTls]) -> None:
        try:
            made = await asyncio.get_running_loop().run_in_executor(self._threads, connect)
            try:
                self._relays[number] = TlsRelay(made.tls, pair, early=made.early, ended=lambda: self._ended(number))
            except BaseException:
                made.tls.close()
                raise
        except Failed as error:
            pair.close()
            self._say(Over(number, error.failure))
        except BaseException as error:
            pair.close()
            if not is_shortage(error):
                raise
            self._say(Over(number, _FULL))
        else:
            self._say(RelayBegun(number))

    def _ended(self, number: int) -> None:
        self._relays.pop(number, None)
        self._say(Over(number))

    async def _sweep(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(min(_SWEEP, self._idle))  # noqa: TID251  what it measures is the loop's own time
            for relay in tuple(self._relays.values()):
                if loop.time() - relay.moved >= self._idle:
                    relay.close()


class IdentityTrust:
    """The TLS context of an identity, made with the first connection."""

    def __init__(self, given: TakeIdentity) -> None:
        self._given = given
        self._lock = threading.Lock()
        self._made: ssl.SSLContext | None = None

    def context(self) -> ssl.SSLContext:
        """Build it; blocks. Raises Failed."""
        with self._lock:
            if self._made is None:
                given = self._given
                made = trusting(given.anchors, verify=given.tls_verify)
                if given.certificate:
                    show(made, given.paths, contents=(given.certificate, given.key))
                self._made = made
            return self._made


def dialled(message: Begin, identity: IdentityTrust) -> DialledTls:
    """Dial, and shake hands; blocks. Raises Failed."""
    told = reach(message.way)
    request = Request("GET", f"{told.origin}/", dial=told.dial, subject=message.subject)

    def resolve(host: str, port: int) -> Sequence[Address]:
        del host
        if not message.addresses:
            raise socket.gaierror(socket.EAI_NONAME, "name or service not known")
        return [(family, socket.SOCK_STREAM, 0, "", (address, port)) for family, address in message.addresses]

    place = urlsplit(told.origin)
    host = place.hostname or ""
    call = Call(message.subject, host, told.dial.proxy, 0.0, told.dial.rule, told.dial.kind)
    if place.scheme != "https":
        raise failed(Code.INTERNAL, "a certificate is shown over TLS alone")
    context = identity.context()
    begun = time.monotonic()  # noqa: TID251  time during suspend does not count
    try:
        made = Connections(resolve).reach(request, lambda _: None)
        try:
            tls = TlsSocket(made, context, host=host)
            tls.shake_hands(HANDSHAKE)
            took = time.monotonic() - begun  # noqa: TID251  see above
            return DialledTls(tls, greeted(tls, max(_GREETED, 1.5 * took)))
        except BaseException:
            made.close()
            raise
    except RefusedError as error:
        raise explain(error, call, refused=error.addresses) from None
    except (OSError, ValueError) as error:
        raise explain(error, call) from None
