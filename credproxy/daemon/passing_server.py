"""The door of an actions socket: it accepts, identifies the peer, counts, and passes the connection on to a carrier.

No byte of it is read here: only processes that hold no secret read what build actions send.
"""

import asyncio
import os
import socket
from collections.abc import Callable

import structlog

from credproxy.core.errors import Code, Failed, Failure
from credproxy.daemon.carrier_questions import PassedConnection
from credproxy.daemon.carriers import Carriers
from credproxy.ports.observability import Audit
from credproxy.server.accepting import TRIES, Accepting, Insistent, reset
from credproxy.server.accounts import Accounts, Verdict
from credproxy.server.peer import SHORTAGES, Gate, Peer, identify
from credproxy.server.tcp_guard import UNPROVEN


_REFUSED = "refused"
"""The account of peers that the gate refuses: their answers are short, and nobody waits for them."""

log = structlog.get_logger("credproxy.server")


class _Slot:
    """The slot of one connection, with the account that it is currently counted on."""

    def __init__(self, accounts: Accounts, account: str | None, left: Callable[[], None]) -> None:
        self._accounts = accounts
        self._account = account
        self._left = left

    def leave(self) -> None:
        """Release it."""
        self._accounts.leave(self._account)
        self._left()

    def prove(self) -> None:
        """It is the user's own: its caller has shown the token."""
        if self._account is not None:
            self._accounts.move(self._account, None)
            self._account = None


class PassingServer:
    """Passes connections on.

    Args:
        carriers: take them.
        gate: judges each peer.
        limit: connections that may be open at once; ``dropped`` counts those above it, ``ended`` those that
            were made to give way.
        audit: a peer's program is looked up if the audit log is on.
        own: namespaces of this process, to name the sandboxes that peers are in; None if they are not named.
        port: its loopback port; 0 for a Unix socket.
        known: represents every peer, if the kernel does not say who connects; None if it does.
    """

    def __init__(
        self,
        carriers: Carriers,
        *,
        gate: Gate,
        limit: int,
        audit: Audit,
        own: tuple[str, ...] | None = None,
        port: int = 0,
        known: Peer | None = None,
    ) -> None:
        self.gate = gate
        # With many users each has a share, and there is nobody to keep the rest for.
        self.accounts = Accounts(limit, every=gate.uid is None)
        self.dropped = 0
        self._carriers = carriers
        self._audit = audit
        self._own = own
        self.ended = 0
        self._accepting: Accepting | None = None
        self._port = port
        self._known = known
        self._tasks: set[asyncio.Task[None]] = set()
        # Whose connection it is on a port is not known: one that was turned away says nothing about the next.
        self._insistent = Insistent(most=None if port else TRIES)

    @property
    def limit(self) -> int:
        """Connections that may be open at once."""
        return self.accounts.limit

    @property
    def open(self) -> int:
        """Connections that are open."""
        return self.accounts.open

    async def accept(self, sock: socket.socket, backlog: int) -> Accepting:
        """Begin to accept from a listening socket."""
        self._accepting = Accepting(
            sock, self._taken, backlog=backlog, insistent=self._insistent, behind=lambda: self.accounts.behind
        )
        return self._accepting

    def pre_shutdown(self) -> None:
        """The carriers end what they have; see ``Carriers.leave``."""

    async def shutdown(self, timeout: float) -> None:  # noqa: ASYNC109  as aiohttp's server has it
        """Drop those that are still on their way to a carrier."""
        del timeout
        for task in tuple(self._tasks):
            task.cancel()

    def _taken(self, sock: socket.socket) -> None:
        refusal: Failure | None
        try:
            peer = self._identified(sock)
        except OSError as error:
            if error.errno in SHORTAGES:
                self._drop(sock)
                return
            peer, refusal = Peer(None, -1), Failure(Code.PEER_REFUSED, "the system does not say who is calling", "")
        else:
            peer.lifeline.close()  # it is admitted from any namespace, and so is the child that it leaves behind
            refusal = self.gate.refusal(peer)
        verdict = self.accounts.arrive(account := self._account(peer, refusal))
        if refusal is not None or not verdict.admitted:
            self._insistent.note(peer.pid)
        if not verdict.admitted:
            self._drop(sock)
            return
        place = _Slot(self.accounts, account, self._resume)
        passed = PassedConnection(peer, account, self._port, place.leave, place.prove)
        task = asyncio.ensure_future(self._pass_on(sock, passed, refusal, verdict))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _account(self, peer: Peer, refusal: Failure | None) -> str | None:
        """The account of a connection: its user if there are many, otherwise its sandbox."""
        if refusal is not None:
            return _REFUSED
        if self._port:
            return UNPROVEN
        return f"uid {peer.uid}" if self.gate.uid is None else peer.sandbox

    async def _pass_on(
        self, sock: socket.socket, passed: PassedConnection, refusal: Failure | None, verdict: Verdict
    ) -> None:
        try:
            await self._carriers.take(sock, passed, refusal=refusal)
        except (Failed, OSError) as error:
            passed.freed()
            self.dropped += 1
            if isinstance(error, OSError):
                log.warning("connection not passed on", reason=os.strerror(error.errno or 0).lower())
        # After the newcomer: if all others of its account have requests under way, the newcomer is the one to go.
        if verdict.spare is not None:
            self.ended += 1
            (account,) = verdict.spare
            if not self._carriers.spare(account, self._port, kept=self.accounts.kept):
                self.accounts.kept(account)

    def _resume(self) -> None:
        if self._accepting is not None:
            self._accepting.resume()

    def _identified(self, sock: socket.socket) -> Peer:
        if self._known is not None:
            return self._known
        return identify(sock, what=self._audit.on, own=self._own)

    def _drop(self, sock: socket.socket) -> None:
        """Reset a connection that there is no room for: a retry may find some."""
        self.dropped += 1
        reset(sock)
