"""The port of the loopback on which the actions socket is served once more, if the configuration names one (T34)."""

import asyncio
import os
import sys

import structlog

from credproxy.core.config_checks import loopback_port
from credproxy.daemon.service import Service
from credproxy.server.namespaces import own_namespaces
from credproxy.server.protocol import Handler
from credproxy.server.tcp import Guarded, TokenServer


CONNECTIONS = 64

log = structlog.get_logger("credproxy.daemon")


class Port:
    """One port, or none. What stands in its way is logged: the sockets are worth serving without it.

    Args:
        service: knows the configuration and its token.
        handler: the actions socket's.
    """

    def __init__(self, service: Service, handler: Handler) -> None:
        self._service = service
        self._handler = handler
        self._door: asyncio.Server | None = None
        self._server: TokenServer | None = None

    async def open(self) -> None:
        """Begin to accept."""
        address = self._service.settings.actions.listen
        place = None if address is None else loopback_port(address)
        if place is None:
            return
        host, port = place
        guarded = Guarded(self._handler, port=port, token=self._service.listen_token)
        own = own_namespaces() if sys.platform == "linux" else None
        server = TokenServer(
            guarded.handle, uid=os.getuid(), namespaces=own, limit=CONNECTIONS, audit=self._service.audit
        )
        try:
            self._door = await asyncio.get_running_loop().create_server(server, host, port)
        except OSError as error:
            reason, hint = os.strerror(error.errno or 0).lower(), "name another one in actions.listen, and restart"
            log.warning("no port", address=address, reason=reason, hint=hint)
        else:
            self._server = server
            log.info("listening on a port", address=address)

    def close(self) -> None:
        """Accept no more."""
        if self._door is not None and self._server is not None:
            self._door.close()
            self._server.pre_shutdown()

    async def shutdown(self, grace: float) -> None:
        """Give requests under way that many seconds, and end them."""
        if self._server is not None:
            await self._server.shutdown(grace)
