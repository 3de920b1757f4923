"""The peer gate: who may talk on the helper socket (T7, rule 35).

The kernel says who connected; what the peer says of itself is never asked.
"""

import socket
import struct
import sys
from dataclasses import dataclass

from credproxy.core.errors import Code, Failure


_LOCAL_PEERCRED = 0x001
_XUCRED = struct.Struct("=IIh16I")  # macOS <sys/ucred.h>: version, uid, ngroups, groups
_UCRED = struct.Struct("=3i")  # Linux <sys/socket.h>: pid, uid, gid


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end, as it was when it connected. ``pid`` is 0 where the system does not tell."""

    pid: int
    uid: int


def identify(sock: socket.socket) -> Peer:
    """Ask the kernel who connected.

    Raises:
        OSError: the system cannot tell; the caller refuses.

    Source: unix(7) SO_PEERCRED; unix(4) LOCAL_PEERCRED on macOS.
    """
    if sys.platform == "darwin":
        _, uid, *_ = _XUCRED.unpack(sock.getsockopt(0, _LOCAL_PEERCRED, _XUCRED.size))
        return Peer(pid=0, uid=uid)
    pid, uid, _ = _UCRED.unpack(sock.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size))
    return Peer(pid=pid, uid=uid)


@dataclass(frozen=True, slots=True)
class Gate:
    """Admits the daemon's own user, and root only where the configuration says so."""

    uid: int
    allow_root: bool = False

    def refusal(self, peer: Peer) -> Failure | None:
        """None for a peer that may talk; otherwise why not, and what to do."""
        if peer.uid == self.uid or (peer.uid == 0 and self.allow_root):
            return None
        if peer.uid == 0:
            return Failure(
                Code.PEER_REFUSED,
                f"this daemon serves uid {self.uid}, the caller is root",
                "run the command as that user, or set allow_root = true in the daemon's configuration",
            )
        return Failure(
            Code.PEER_REFUSED,
            f"this daemon serves uid {self.uid}, the caller has uid {peer.uid}",
            "start a daemon of your own: credproxy serve",
        )
