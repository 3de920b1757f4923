"""A carrier's life: it gives up all the privileges that it can, reports that, and serves what it is sent."""

import asyncio
import importlib
import os
import secrets
import socket
import ssl
from collections import Counter
from collections.abc import Callable

import msgspec
import structlog
from aiohttp import web

from credproxy.adapters.channel import Channel
from credproxy.adapters.clock import SystemClock
from credproxy.adapters.confinement import PRELOAD
from credproxy.adapters.connections import Connections
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.loop_errors import LoopErrors
from credproxy.adapters.pump import Pump
from credproxy.carrier.confined_start import begin
from credproxy.carrier.daemon_client import Daemon, Resolver, Threads
from credproxy.carrier.log_lines import to_daemon
from credproxy.carrier.passed_connections import PassedServer, proven
from credproxy.carrier.passed_peer import PassedPeer
from credproxy.core.ask.carrier_messages import (
    SHORT_OF_MEMORY,
    TOLD,
    VERSION,
    Alive,
    Changed,
    Closed,
    Figures,
    Leave,
    Opened,
    PeerInfo,
    Ready,
    Spare,
    Spared,
    ToCarrier,
)
from credproxy.core.errors import Failed, Failure
from credproxy.gateway.gateway import Gateway
from credproxy.server.actions_api import ActionsApi
from credproxy.server.gateway_api import GatewayApi
from credproxy.server.routes import connection
from credproxy.server.sandboxes import Sandboxes
from credproxy.server.tcp_guard import Guard


CONNECTIONS = 1024
"""More than the daemon passes on to all carriers together; the actual bound is the daemon's shares."""

log = structlog.get_logger("credproxy.carrier")


def prepare() -> None:
    """What the nursery does once for all processes forked from it, which can open no file afterwards."""
    for name in PRELOAD:
        importlib.import_module(name)
    ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # OpenSSL reads its own configuration with the first one


def run_carrier(descriptor: int, parent: int) -> None:
    """Run a carrier, until either side ends it.

    Args:
        descriptor: this end of a channel to the daemon.
        parent: process id of the nursery.
    """
    start = begin(parent)
    with asyncio.Runner() as runner:
        runner.run(_Life(descriptor, start.confined, start.memory).lived())


class _Life:
    """One carrier."""

    def __init__(self, descriptor: int, confined: str, memory: Callable[[], int]) -> None:
        self._confined = confined
        self._memory = memory
        self._over = asyncio.Event()
        self._read = msgspec.msgpack.Decoder(ToCarrier).decode
        self._sock = socket.socket(fileno=descriptor)

    async def lived(self) -> None:
        """Serve until the daemon says to end, or is gone."""
        loop = asyncio.get_running_loop()
        self._channel = Channel(self._sock, self._told, lost=lambda _: self._over.set(), limit=TOLD, trusted=True)
        self._daemon = daemon = Daemon(self._channel.send)
        to_daemon(daemon)
        clock, threads = SystemClock(), Threads(daemon, loop)
        loop.set_exception_handler(LoopErrors(clock.boot, short=_short_of_memory))
        refused: Counter[str] = Counter()
        connections = Connections(threads.resolve, trust=threads, relayed=threads.relayed)
        client = AiohttpClient(clock, Resolver(daemon), trust=threads, relayed=daemon.relayed)
        async with client, Pump(connections) as pump:
            self._pump = pump
            self._gateway = Gateway(
                authorizer=daemon, forwarder=client, downloads=pump, clock=clock, token=secrets.token_urlsafe
            )
            api = GatewayApi(self._gateway, clock=clock, refused=refused)
            sandboxes = Sandboxes(clock)
            actions = ActionsApi(answers=daemon, clock=clock, gateway=api, sandboxes=sandboxes, refused=refused)
            self._server = PassedServer(
                _CarrierFront(actions, daemon, refused, self._tell_figures).handle,
                limit=CONNECTIONS,
                left=lambda peer: daemon.tell(Closed(peer.connection)),
                short=_short_of_memory,
            )
            self._refused = refused
            daemon.tell(Ready(VERSION, self._confined))
            await self._over.wait()
            self._server.pre_shutdown()
            await self._server.shutdown(self._grace)
        self._channel.close()

    _grace = 0.0

    def _told(self, frame: bytes, descriptor: int) -> None:
        message: ToCarrier = self._read(frame)
        match message:
            case Opened(number, caller, refusal):
                self._server.take(descriptor, _passed(number, caller, refusal))
            case Spare(number, account, port):
                self._daemon.tell(Spared(number, account, self._server.spare(account, port)))
            case Changed():
                self._daemon.forget()
                self._gateway.forget()
            case Leave(grace):
                self._grace = grace
                self._over.set()
            case Alive():
                self._tell_figures()
            case _:
                self._daemon.answered(message, descriptor)

    def _tell_figures(self) -> None:
        refused = dict(self._refused)
        self._refused.clear()
        self._daemon.tell(Figures(self._pump.moved, self._pump.running, self._gateway.uploads, refused, self._memory()))


class _CarrierFront:
    """On a port, callers have to show the token before anything else."""

    def __init__(self, actions: ActionsApi, daemon: Daemon, refused: Counter[str], tell: Callable[[], None]) -> None:
        self._actions = actions
        self._guard = Guard(daemon.shows_token)
        self._refused = refused
        self._tell = tell

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        peer = connection(request).peer
        assert isinstance(peer, PassedPeer)
        if peer.port:
            try:
                await self._guard.judge(request, peer, port=peer.port)
            except Failed as error:
                return self._guard.refuse(error.failure)
            connection(request).move(proven(peer.port))
        try:
            return await self._actions.handle(request)
        finally:
            if self._refused:
                self._tell()


def _short_of_memory() -> None:
    """End at once: without memory it can serve nobody, and the daemon has another carrier for callers that try again."""
    os._exit(SHORT_OF_MEMORY)


def _passed(number: int, caller: PeerInfo, refusal: Failure | None) -> PassedPeer:
    return PassedPeer(
        None,
        caller.uid,
        sandbox=caller.sandbox,
        connection=number,
        port=caller.port,
        account=caller.account,
        refusal=refusal,
    )
