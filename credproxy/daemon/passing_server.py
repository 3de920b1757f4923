"""The door of an actions socket: it accepts, identifies the peer, counts, and passes the connection on to a carrier.

No byte of it is read here: only processes that hold no secret read what build actions send.
"""

import asyncio
import contextlib
import errno
import os
import socket
import struct
from collections.abc import Callable

import structlog

from credproxy.core.errors import Code, Failed, Failure
from credproxy.daemon.carrier_questions import PassedConnection
from credproxy.daemon.carriers import Carriers
from credproxy.ports.observability import Audit
from credproxy.server.accounts import Accounts, Verdict
from credproxy.server.peer import SHORTAGES, Gate, Peer, identify
from credproxy.server.tcp_guard import UNPROVEN


_REFUSED = "refused"
"""The account of peers that the gate refuses: their answers are short, and nobody waits for them."""

_BEHIND = 0.05
"""Seconds without accepting, at most, while carriers are still closing connections."""

_SHORT = 1.0
"""Seconds without accepting once no descriptor is left, as asyncio does it."""

_LEAVING = frozenset({errno.ECONNABORTED, errno.EAGAIN, errno.EWOULDBLOCK, errno.EINTR})
_RESET = struct.pack("ii", 1, 0)

log = structlog.get_logger("credproxy.server")


class Accepting:
    """One listening socket, as long as it is accepted from.

    Args:
        sock: to accept from.
        taken: owns each connection.
        backlog: connections that may wait in the kernel.
        behind: whether newcomers should wait in the queue; ``resume`` ends that, or time does.
    """

    def __init__(
        self, sock: socket.socket, taken: Callable[[socket.socket], None], *, backlog: int, behind: Callable[[], bool]
    ) -> None:
        self._sock = sock
        self._taken = taken
        self._backlog = backlog
        self._behind = behind
        self._loop = asyncio.get_running_loop()
        self._later: asyncio.TimerHandle | None = None
        self._open = True
        sock.setblocking(False)
        sock.listen(backlog)
        self._loop.add_reader(sock, self._readable)

    def close(self) -> None:
        """Stop accepting; the socket is closed as well, as an asyncio server does."""
        if not self._open:
            return
        self._open = False
        if self._later is not None:
            self._later.cancel()
        self._loop.remove_reader(self._sock)
        self._sock.close()

    def resume(self) -> None:
        """Accept again, if it paused because carriers were behind and no longer are."""
        if self._later is not None and not self._behind():
            self._later.cancel()
            self._go_on()

    def _readable(self) -> None:
        for number in range(self._backlog):
            # At least one for each pause: a carrier that never closes anything must not keep others out for ever.
            if number and self._behind():
                self._rest(_BEHIND)
                return
            try:
                connection, _ = self._sock.accept()
            except OSError as error:
                if error.errno not in _LEAVING:
                    self._rest(_SHORT)
                return
            connection.setblocking(False)
            self._taken(connection)

    def _rest(self, seconds: float) -> None:
        self._loop.remove_reader(self._sock)
        self._later = self._loop.call_later(seconds, self._go_on)

    def _go_on(self) -> None:
        self._later = None
        if self._open:
            self._loop.add_reader(self._sock, self._readable)


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
        self._accepting = Accepting(sock, self._taken, backlog=backlog, behind=lambda: self.accounts.behind)
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
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        sock.close()
