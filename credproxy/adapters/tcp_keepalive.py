"""Sockets that notice when nobody is at their other end any more.

An upstream may be silent for minutes before it begins to answer. The kernel tells that from a machine that has gone, or
from a connection that did not survive a sleep of this one, where it is asked to.
"""

import contextlib
import socket


IDLE = 30
"""Seconds without a sign from the other side before the kernel asks whether it is there; then it asks every ten."""

PROBES = 3
"""Questions without an answer after which it is gone."""

UNACKNOWLEDGED = 30
"""Seconds that what was sent may stay without the kernel's receipt from the other side."""

_OPTIONS = (
    ("TCP_KEEPIDLE", IDLE),
    ("TCP_KEEPALIVE", IDLE),  # macOS's name for it
    ("TCP_KEEPINTVL", IDLE // 3),
    ("TCP_KEEPCNT", PROBES),
    ("TCP_USER_TIMEOUT", UNACKNOWLEDGED * 1000),
)


def lively(sock: socket.socket) -> socket.socket:
    """Set what the system knows of this on a TCP socket; give it back."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _OPTIONS:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock
