"""Sockets that notice when the other end is gone.

An upstream may be silent for minutes before it begins to answer. If asked to, the kernel can tell that apart from a machine
that is gone, and from a connection that did not survive a suspend of this machine.
"""

import contextlib
import socket


IDLE = 30
"""Seconds without a packet from the other side before the kernel sends a probe; then it probes every ten."""

PROBES = 3
"""Unanswered probes after which the other side counts as gone."""

UNACKNOWLEDGED = 30
"""Seconds that sent data may remain unacknowledged by the other side."""

_OPTIONS = (
    ("TCP_KEEPIDLE", IDLE),
    ("TCP_KEEPALIVE", IDLE),  # macOS's name for it
    ("TCP_KEEPINTVL", IDLE // 3),
    ("TCP_KEEPCNT", PROBES),
    ("TCP_USER_TIMEOUT", UNACKNOWLEDGED * 1000),
)


def lively(sock: socket.socket) -> socket.socket:
    """Set the options that the system has for this on a TCP socket; give the socket back."""
    with contextlib.suppress(OSError):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _OPTIONS:
            if hasattr(socket, name):
                sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return sock
