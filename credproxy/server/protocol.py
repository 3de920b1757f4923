"""aiohttp's low-level server with our gate and bounds in front of it.

The gate is in ``connection_made``: a refused peer gets its verdict before its first byte is read (R2), and a
connection that there is no room for is dropped before it costs a task (PY10).
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable
from http import HTTPStatus

import structlog
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from credproxy.core.errors import SHORT_OF_MEMORY, Code, Failure, is_shortage
from credproxy.core.raised_at import raised_at
from credproxy.ports.observability import Audit
from credproxy.server.accepting import Accepting, Insistent
from credproxy.server.attendance import Attendance
from credproxy.server.connection_limit import OWN, Admission, ConnectionLimit, Holder
from credproxy.server.peer import SHORTAGES, Gate, Lifeline, Peer, identify, look_again
from credproxy.server.request_framing import why
from credproxy.server.request_intake import IntakeHandler
from credproxy.server.response_writer import Outgoing
from credproxy.server.responses import failure_response


Handler = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

KEEP_ALIVE = 10.0
"""Seconds that a connection may be idle; among trusted callers it is the only limit on a request's head, too (F10)."""

REFUSED = Holder("refused", most=64)
"""The account of all peers that the gate refuses: their answers are short, and nobody waits for them."""

PAUSE = 0.1
"""Seconds after which a peer's namespaces are read again before its next request is answered (T11): 4 us, ten times a
second at most for each connection."""

BODY_LIMIT = 64 * 1024
"""Bytes of a request on the JSON API: a URI is at most 8 KiB, with every byte escaped 48 KiB (SC-1)."""

log = structlog.get_logger("credproxy.server")


class Connection(IntakeHandler):
    """One accepted connection: its peer, the gate's verdict, and errors without other people's texts.

    ``once`` says that it must be closed after one answer.
    """

    __slots__ = ("_attendance", "_looked", "_refusal", "_wire", "once", "peer")

    peer: Peer
    once: bool
    _looked: float
    _refusal: Failure | None
    # aiohttp forgets its own when it begins to close it, which may take as long as the peer likes.
    _wire: asyncio.Transport | None
    _attendance: "Attendance[Connection] | None"  # None of trusted callers, whose requests need not be watched

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Judge the peer, then let aiohttp begin."""
        server = self._manager
        assert isinstance(server, GatedServer)
        self.peer = Peer(None, -1)
        self.once = False
        self._refusal = None
        self._looked = self._loop.time()
        self._attendance = self._wire = None
        try:
            self.peer = server.identify(transport.get_extra_info("socket"))
        except OSError as error:
            if error.errno in SHORTAGES:
                self._drop(server, transport)
                return
            self._refusal = Failure(Code.PEER_REFUSED, "the system does not say who is calling", "")
        else:
            self._refusal = server.gate.refusal(self.peer)
            if self._refusal is not None:
                server.insistent.note(self.peer.pid)
        if server.arrive(self, self._refusal):
            self._enter(server, transport)
        else:
            self._drop(server, transport)

    def _enter(self, server: "GatedServer", transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.once = not server.hold(self.peer.lifeline)
        self._wire = transport
        super().connection_made(transport)
        self.bound()
        if server.untrusted or self._refusal is not None:
            self._attendance = Attendance(server.shares, self, late=self.abort)

    def abort(self) -> None:
        """End it at once: nothing more is sent, and what was not written yet is dropped."""
        if self._wire is not None:
            self._wire.abort()

    def data_received(self, data: bytes) -> None:
        """Parse, and notice the beginnings of heads and the ends of requests."""
        super().data_received(data)
        if self._attendance is not None:
            self._attendance.received(self._messages)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Write an answer to its end; only then is the connection silent again."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if self._attendance is not None:
                self._attendance.end(self._messages)

    def begin(self) -> None:
        """A request is under way, from here on also one whose body still streams."""
        if self._attendance is not None:
            self._attendance.begin()

    def move(self, holder: Holder) -> None:
        """It has proven whose it is."""
        if self._attendance is not None:
            self._attendance.move(holder)

    def _drop(self, server: "GatedServer", transport: asyncio.BaseTransport) -> None:
        """Reset a connection that there is no room for: a retry may find some."""
        assert isinstance(transport, asyncio.Transport)
        server.dropped += 1
        self.peer.lifeline.close()
        transport.abort()
        self._manager = None  # as after connection_lost: nothing has begun that would have to be ended

    def refusal(self) -> Failure | None:
        """The gate's verdict, asked for before each request: the process may have entered a sandbox by now, or have ended.

        In this order (T11, T9): what was read is true only if the process is still alive afterwards.
        """
        if self._refusal is None:
            self._look_again()
        if self._refusal is None and self.peer.lifeline.ended():
            self._refusal = Failure(Code.PEER_REFUSED, "the process that connected has ended", "connect again")
        return self._refusal

    def _look_again(self) -> None:
        server, now = self._manager, self._loop.time()
        if not isinstance(server, GatedServer) or server.gate.namespaces is None or now - self._looked < server.pause:
            return
        self._looked = now
        self.peer = look_again(self.peer)
        self._refusal = server.gate.refusal(self.peer)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Release its place; a connection that was dropped on arrival never had one."""
        if isinstance(self._manager, GatedServer):
            self._manager.shares.leave(self)
            self._manager.held -= self.peer.lifeline.held
        if self._attendance is not None:
            self._attendance.close()
        self.peer.lifeline.close()
        super().connection_lost(exc)

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer in our own words: aiohttp's would quote what the client sent (PY12)."""
        del message
        if is_shortage(exc):
            server = self._manager
            if isinstance(server, GatedServer):
                server.short()
            failure = SHORT_OF_MEMORY
        elif status >= HTTPStatus.INTERNAL_SERVER_ERROR:  # our fault from here on
            log.error("request handler failed", error=type(exc).__name__, place=raised_at(exc))
            failure = Failure(Code.INTERNAL, "credproxy hit a bug while answering", "see the daemon's log")
        else:
            failure = why(exc)
        response = failure_response(failure, plain=request.headers.get("Accept") == "text/plain")
        response.force_close()
        return response

    def log_exception(self, *args: object, **kwargs: object) -> None:
        """Keep class and place only: an exception's text may quote a header (PY17)."""
        del args
        error = kwargs.get("exc_info")
        if isinstance(error, BaseException):
            log.error("connection failed", error=type(error).__name__, place=raised_at(error))


class GatedServer(web.Server):
    """Makes connections, of the class ``protocol``.

    Args:
        handler: answers a request.
        gate: judges each peer.
        limit: connections that may be open at once; ``dropped`` counts those above it, ``ended`` the silent
            ones that gave way to others.
        lifelines: how many of these may keep a second descriptor, their peer's lifeline. The others are answered
            once and closed: it is needed only for later requests.
        audit: a peer's program is looked up if the audit log is on; None for never.
        untrusted: callers may be hostile, to each other as well: each has a share of the connections, a head has HEAD seconds, and a caller that is
            silent gives way.
        abandoned: end a handler when its client has left. Without it, an exchange goes on, since others may use it;
            with it, a download that nobody reads ends (P8, PY13).
        short: called when there was no memory left for an answer (C6).
    """

    protocol: type[Connection] = Connection

    def __init__(
        self,
        handler: Handler,
        *,
        gate: Gate,
        limit: int,
        lifelines: int,
        audit: Audit | None = None,
        untrusted: bool = False,
        abandoned: bool = False,
        short: Callable[[], object] = lambda: None,
    ) -> None:
        super().__init__(handler, handler_cancellation=abandoned)
        self.handler = handler
        self.short = short
        self.gate = gate
        self._audit = audit
        self.untrusted = untrusted
        # With many users each has a share, and there is nobody to keep the rest for.
        self.shares: ConnectionLimit[Connection] = ConnectionLimit(limit, pool=limit if gate.uid is None else None)
        self.lifelines = lifelines
        self.pause = PAUSE
        self.outgoing = Outgoing()
        self.insistent = Insistent()
        self._beginning: set[asyncio.Task[None]] = set()
        self.held = 0
        self.dropped = 0
        self.ended = 0

    @property
    def limit(self) -> int:
        """Connections that may be open at once."""
        return self.shares.limit

    @property
    def open(self) -> int:
        """Connections that are open."""
        return self.shares.open

    def arrive(self, connection: Connection, refusal: Failure | None) -> bool:
        """Count a connection on its holder's account, if there is room or room can be made; False otherwise."""
        admission = self._admit(connection, refusal)
        if admission.ended is not None:
            self.ended += 1
            admission.ended.abort()
        return admission.admitted

    def _admit(self, connection: Connection, refusal: Failure | None) -> Admission[Connection]:
        if refusal is not None:
            return self.shares.arrive(connection, REFUSED)
        if not self.untrusted:
            return self.shares.arrive(connection, OWN, silent=False)
        return self.shares.arrive(connection, self.holder(connection.peer))

    def holder(self, peer: Peer) -> Holder:
        """Who a peer's connections are counted for."""
        if self.gate.uid is None:
            return Holder(f"uid {peer.uid}")
        return OWN if peer.sandbox is None else Holder(peer.sandbox)

    async def accept(self, sock: socket.socket, backlog: int) -> Accepting:
        """Begin to accept from a listening socket."""
        return Accepting(sock, self._accepted, backlog=backlog, insistent=self.insistent)

    def _accepted(self, sock: socket.socket) -> None:
        task = asyncio.ensure_future(self._adopted(sock))
        self._beginning.add(task)
        task.add_done_callback(self._beginning.discard)

    async def _adopted(self, sock: socket.socket) -> None:
        try:
            await asyncio.get_running_loop().connect_accepted_socket(self, sock)
        except OSError:  # it is already gone
            sock.close()

    def identify(self, sock: socket.socket) -> Peer:
        """Find out who connected, as far as the gate and the audit log need it. Raises OSError."""
        peer = identify(sock, where=self.gate.namespaces is not None, what=self._audit is not None and self._audit.on)
        if self.gate.namespaces is None:
            peer.lifeline.close()  # it is admitted from any namespace, and so is the child that it leaves behind
        return peer

    def hold(self, lifeline: Lifeline) -> bool:
        """Count a lifeline that is kept; False if it had to be given up."""
        if lifeline.held and self.held >= self.lifelines:
            lifeline.close()
            return False
        self.held += lifeline.held
        return True

    def __call__(self) -> RequestHandler:
        """Build the protocol of one connection; asyncio calls it per accept."""
        return self.protocol(
            self,
            loop=self._loop,
            keepalive_timeout=KEEP_ALIVE,
            tcp_keepalive=False,
            access_log=None,  # type: ignore[arg-type]  # None is how aiohttp's own AppRunner switches it off
            lingering_time=1.0,
            auto_decompress=False,
        ).within(self.outgoing)
