"""The actions socket once more, on a TCP port of the loopback, for what cannot speak to a Unix socket (T34).

The kernel does not say who connects to a port: other users of the machine may, and through DNS rebinding a web page. So
each request brings a token, names the port's own address as its Host, and has a header that no browser adds by itself.
Any other address than the loopback's would need TLS and client authentication, and is refused by the configuration.
"""

import hmac
import socket
from collections.abc import Awaitable
from typing import Final, Protocol

import structlog
from aiohttp import web

from credproxy.core.credential import Secret
from credproxy.core.errors import Code, Failed, failed
from credproxy.ports import Audit
from credproxy.server.answers import failure_response
from credproxy.server.peer import Gate, Peer
from credproxy.server.protocol import GatedServer, Handler
from credproxy.server.routes import connection
from credproxy.server.shares import OWN, Holder


REQUIRED: Final = "X-Credproxy-Request"
"""Its value is of no interest: a page of another origin cannot add it without asking first (as Vault's agent does)."""

UNPROVEN: Final = Holder("without a token")
"""All connections that have not shown the token: together they have one share, those that have are the user's."""

log = structlog.get_logger("credproxy.server")


class TokenOf(Protocol):
    """Gives a token; see Guarded."""

    def __call__(self, *, anew: bool) -> Awaitable[Secret]:
        """Give it."""
        ...


class Guarded:
    """A handler with the guard in front of it.

    Args:
        handler: answers who may ask.
        port: that is listened on.
        token: gives the token that callers must bring, with ``anew`` after a look at where it comes from; raises Failed.
    """

    def __init__(self, handler: Handler, *, port: int, token: TokenOf) -> None:
        self._handler = handler
        self._token = token
        self._hosts = frozenset(f"{host}:{port}" for host in ("127.0.0.1", "localhost", "[::1]"))

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        try:
            await self._judge(request)
        except Failed as error:
            failure = error.failure
            log.info("question failed", socket="tcp", path="", code=failure.code.value, reason=failure.message)
            response = failure_response(failure, plain=False)
            response.force_close()
            return response
        connection(request).move(OWN)
        return await self._handler(request)

    async def _judge(self, request: web.BaseRequest) -> None:
        # In this order: what tells an attacker nothing comes first, and the token last.
        if [*request.headers.getall("Host", [])] not in [[host] for host in self._hosts]:
            raise failed(Code.PEER_REFUSED, "the Host header is not this port's own address", "use 127.0.0.1:PORT")
        if REQUIRED not in request.headers:
            raise failed(Code.PEER_REFUSED, f"the header {REQUIRED} is missing", f"add {REQUIRED}: true")
        shown = request.headers.getall("Authorization", [])
        # A program that prints the token may print another one by now, which callers know before we do.
        if len(shown) != 1 or not (await self._right(shown[0], anew=False) or await self._right(shown[0], anew=True)):
            hint = "Authorization: Bearer, with the token of actions.listen_token"
            raise failed(Code.PEER_REFUSED, "the token is missing or is another one", hint)

    async def _right(self, shown: str, *, anew: bool) -> bool:
        wanted = f"Bearer {(await self._token(anew=anew)).reveal()}"
        return hmac.compare_digest(shown.encode("utf-8", "replace"), wanted.encode())


class TokenServer(GatedServer):
    """Makes connections of a TCP port: of their peers nothing is known, and the guard judges each request.

    Args:
        handler: with the guard in front.
        uid: of the daemon: a token stands for its user.
        namespaces: of the daemon, likewise; None where there are none.
        limit: connections that may be open at once.
        audit: see GatedServer.
    """

    def __init__(
        self, handler: Handler, *, uid: int, namespaces: tuple[str, ...] | None, limit: int, audit: Audit
    ) -> None:
        super().__init__(handler, gate=Gate(uid), limit=limit, lifelines=0, audit=audit, untrusted=True)
        self._peer = Peer(None, uid, namespaces)

    def identify(self, sock: socket.socket) -> Peer:
        """The daemon's own user, whoever it is: the kernel does not say."""
        del sock
        return self._peer

    def holder(self, peer: Peer) -> Holder:
        """Nobody's in particular, until the token is shown."""
        del peer
        return UNPROVEN
