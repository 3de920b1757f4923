"""The loopback port on which the actions socket is served once more, if the configuration names one (T34)."""

import os
import socket
from collections.abc import Callable

import structlog

from credproxy.core.config.config_checks import loopback_port
from credproxy.daemon.listeners import Closes
from credproxy.daemon.passing_server import PassingServer
from credproxy.daemon.reload import Service


CONNECTIONS = 64

log = structlog.get_logger("credproxy.daemon")


class TcpListener:
    """One port, or none. If it cannot be opened, that is logged: the sockets are worth serving without it.

    Args:
        service: has the configuration.
        server: makes the server that passes a port's connections on.
    """

    def __init__(self, service: Service, server: Callable[[int], PassingServer]) -> None:
        self._service = service
        self._make = server
        self._accepting: Closes | None = None
        self._server: PassingServer | None = None

    async def open(self) -> None:
        """Begin to accept."""
        address = self._service.settings.actions.listen
        place = None if address is None else loopback_port(address)
        if place is None:
            return
        host, port = place
        server = self._make(port)
        try:
            self._accepting = await server.accept(_bound(host, port), CONNECTIONS)
        except OSError as error:
            reason, hint = os.strerror(error.errno or 0).lower(), "name another one in actions.listen, and restart"
            log.warning("no port", address=address, reason=reason, hint=hint)
        else:
            self._server = server
            log.info("listening on a port", address=address)

    def close(self) -> None:
        """Accept no more."""
        if self._accepting is not None:
            self._accepting.close()

    async def shutdown(self, grace: float) -> None:
        """Drop those that are on their way."""
        if self._server is not None:
            await self._server.shutdown(grace)


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind((host.strip("[]"), port))
    except BaseException:  # whatever happened, the descriptor would leak
        sock.close()
        raise
    return sock
