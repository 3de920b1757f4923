"""Which process is at the other end of a Unix socket, as Linux noted when it connected or began to listen.

Source: unix(7), SO_PEERCRED.
"""

import socket
import struct


_UCRED = struct.Struct("=3i")  # <sys/socket.h>: pid, uid, gid


def peer_credentials(sock: socket.socket) -> tuple[int, int]:
    """Give pid and uid of the process, on Linux. Raises OSError: the kernel cannot tell.

    The pid is 0 for a process of an outer or a sibling pid namespace: it has no number in this one.
    """
    pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return pid, uid
