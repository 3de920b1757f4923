"""Connections that the daemon accepted and passed on: the daemon says who connected."""

import asyncio
import os
import socket
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from credproxy.carrier.passed_peer import PassedPeer
from credproxy.core.errors import Failure
from credproxy.server.connection_limit import OWN, ConnectionLimit, Holder
from credproxy.server.peer import Gate, Peer
from credproxy.server.protocol import Connection, GatedServer, Handler


log = structlog.get_logger("credproxy.carrier")


@dataclass(frozen=True, slots=True)
class _GateVerdict(Gate):
    """The verdict of the daemon's gate, which has already judged."""

    def refusal(self, peer: Peer) -> Failure | None:
        """Give its verdict."""
        return peer.refusal if isinstance(peer, PassedPeer) else None


class _Passed(Connection):
    """One passed connection; the daemon is told of its end."""

    __slots__ = ()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Report that its place is free."""
        server, peer = self._manager, self.peer
        super().connection_lost(exc)
        if isinstance(server, PassedServer) and isinstance(peer, PassedPeer):
            server.left(peer)


class PassedServer(GatedServer):
    """Serves connections that were accepted elsewhere.

    Args:
        handler: answers a request.
        limit: connections at once: the descriptors that this process has for them.
        left: told of each connection that has ended.
        short: called when there was no memory left for an answer.
    """

    protocol: type[Connection] = _Passed

    def __init__(
        self, handler: Handler, *, limit: int, left: Callable[[PassedPeer], None], short: Callable[[], object]
    ) -> None:
        super().__init__(
            handler, gate=_GateVerdict(None), limit=limit, lifelines=0, untrusted=True, abandoned=True, short=short
        )
        self.left = left
        # The daemon bounds each account; this process knows which of its connections are silent.
        self.shares = ConnectionLimit(limit, share=limit, pool=limit)
        self._arriving: dict[int, PassedPeer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def take(self, descriptor: int, peer: PassedPeer) -> None:
        """Serve a connection; its descriptor belongs to the server from now on."""
        sock = socket.socket(fileno=descriptor)
        sock.setblocking(False)
        self._arriving[descriptor] = peer
        task = asyncio.ensure_future(self._begun(sock, peer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _begun(self, sock: socket.socket, peer: PassedPeer) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self, sock)
        except OSError as error:  # it is already gone
            self._arriving.pop(sock.fileno(), None)
            sock.close()
            log.debug("connection not taken", reason=os.strerror(error.errno or 0).lower())
            self.left(peer)

    def identify(self, sock: socket.socket) -> Peer:
        """Who connected, as the daemon reports."""
        return self._arriving.pop(sock.fileno())

    def holder(self, peer: Peer) -> Holder:
        """The account that it is counted on, as the daemon reports."""
        return _holder(peer.account, peer.port) if isinstance(peer, PassedPeer) else OWN

    def spare(self, account: str | None, port: int) -> bool:
        """Close the connection of an account that has been silent longest; False if none is silent."""
        oldest = self.shares.oldest(_holder(account, port))
        if oldest is None:
            return False
        self.ended += 1
        oldest.abort()
        return True


def proven(port: int) -> Holder:
    """The account of a connection whose caller has shown the token of a port."""
    return _holder(None, port)


def _holder(account: str | None, port: int) -> Holder:
    """Each door counts separately."""
    return Holder(f"{port} {'-' if account is None else f'+{account}'}")
