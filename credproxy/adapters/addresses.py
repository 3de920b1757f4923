"""How a name becomes addresses, for code that blocks. Source: socket.getaddrinfo."""

import socket
from collections.abc import Callable, Sequence


Address = tuple[int, int, int, str, tuple[str | int, ...] | tuple[int, bytes]]
"""As ``socket.getaddrinfo`` gives it: family, type, protocol, name, and what ``connect`` takes."""

Resolve = Callable[[str, int], Sequence[Address]]
"""Turns a host and a port into addresses. Raises socket.gaierror."""


def system_resolve(host: str, port: int) -> Sequence[Address]:
    """Ask the system for the addresses of a host. Raises socket.gaierror."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
