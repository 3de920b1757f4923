"""The peer gate: who may talk on a socket (T7, T11, CL-35).

The kernel says who connected; the peer is never asked about itself. A uid cannot tell a sandboxed build action
from its user, and neither a read-only mount nor a blocked network keeps it from a socket that is a file (F1): so the
helper socket compares namespaces as well.
"""

import errno
import os
import select
import socket
import struct
import sys
from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from typing import NamedTuple, TypeVar

from credproxy.core.errors import Code, Failure
from credproxy.server.namespaces import KINDS, namespaces, program
from credproxy.server.nesting import UNKNOWN, sandbox
from credproxy.server.peer_credentials import peer_credentials


_LOCAL_PEERCRED = 0x001
_XUCRED = struct.Struct("=IIh16I")  # macOS <sys/ucred.h>: version, uid, ngroups, groups
_SO_PEERPIDFD = 77  # Linux 6.5 <asm-generic/socket.h>; Python has no name for it

SHORTAGES = frozenset({errno.EMFILE, errno.ENFILE})
"""No descriptor left, for this process or for the machine."""

Seen = TypeVar("Seen")


class Lifeline:
    """Tells whether the process that connected is still alive: its pid may be reused, its pidfd may not (T9).

    Without it, a child in another sandbox that inherited the open connection could pass for the process that connected.
    """

    __slots__ = ("_pidfd",)

    def __init__(self, pidfd: int = -1) -> None:
        self._pidfd = pidfd

    @property
    def held(self) -> bool:
        """Whether a pidfd is held."""
        return self._pidfd >= 0

    def ended(self) -> bool:
        """Whether the process has exited; always False if nothing is held. Takes two system calls at most."""
        if not self.held:
            return False
        exits = select.poll()  # select() takes no descriptor above 1023; one kept per connection would cost memory
        exits.register(self._pidfd, select.POLLIN)
        return bool(exits.poll(0))

    def close(self) -> None:
        """Close the descriptor."""
        pidfd, self._pidfd = self._pidfd, -1
        if pidfd >= 0:
            os.close(pidfd)


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end, as it was when it connected.

    Attributes:
        pid: None if the system does not report it, or if it is not visible from the daemon's pid namespace.
        uid: as the daemon's own user namespace sees it.
        namespaces: the names of its user, mount and pid namespace; None if they were not or cannot be read.
        program: the path of its executable, for the audit log; "" if it was not or cannot be read.
        sandbox: names the outermost sandbox that it is in; None if it is in none, or if that was not checked.
        connection: its number, if another process knows it by one.
        lifeline: held if the namespaces were read; the owner of the peer closes it.
    """

    pid: int | None
    uid: int
    namespaces: tuple[str, ...] | None = None
    program: str = ""
    sandbox: str | None = None
    connection: int = 0
    lifeline: Lifeline = field(default_factory=Lifeline, compare=False, repr=False)

    @property
    def charged(self) -> str | None:
        """The account on which its requests are counted; None for the user's own, which has no share to keep to."""
        return self.sandbox


class _PeerFacts(NamedTuple):
    """What was read about a peer; by default, that of one that cannot be examined. See Peer."""

    namespaces: tuple[str, ...] | None = None
    program: str = ""
    sandbox: str | None = None


def identify(
    sock: socket.socket, *, where: bool = False, what: bool = False, own: tuple[str, ...] | None = None
) -> Peer:
    """Ask the kernel who connected.

    Args:
        sock: the accepted connection.
        where: also read its namespaces, and hold its lifeline.
        what: also read the path of its executable.
        own: namespaces of this process, to name the peer's sandbox by; implies ``where``.

    Raises:
        OSError: the system cannot tell; the peer is then refused.

    Source: unix(7) SO_PEERCRED; unix(4) LOCAL_PEERCRED on macOS.
    """
    if sys.platform == "darwin":
        _, uid, *_ = _XUCRED.unpack(sock.getsockopt(0, _LOCAL_PEERCRED, _XUCRED.size))
        return Peer(pid=None, uid=uid)
    pid, uid = peer_credentials(sock)
    unseen = _PeerFacts(sandbox=None if own is None else UNKNOWN)
    if pid <= 0:
        return Peer(None, uid, *unseen)
    where = where or own is not None
    if not (where or what):
        return Peer(pid, uid)

    def look(pid: int) -> _PeerFacts:
        found = namespaces(pid) if where else None
        named = None if found is None or own is None else sandbox(pid, found, own=own)
        return _PeerFacts(found, program(pid) if what else "", named)

    seen, lifeline = attest(sock, pid, look=look)
    if not where:
        lifeline.close()
    return Peer(pid, uid, *(seen or unseen), lifeline=lifeline)


def look_again(peer: Peer) -> Peer:
    """The same peer, with the current namespaces of its process: entering a sandbox closes no connection (T11)."""
    if peer.pid is None:
        return peer
    try:
        return replace(peer, namespaces=namespaces(peer.pid))
    except OSError:
        return replace(peer, namespaces=None)


def attest(sock: socket.socket, pid: int, *, look: Callable[[int], Seen]) -> tuple[Seen | None, Lifeline]:
    """What ``look`` sees of the process that connected, and not of a successor to its pid (PY26).

    None, with nothing held, if it has ended or may not be examined.

    Raises:
        OSError: the system has no descriptor for it, which says nothing about the caller.
    """
    lifeline = Lifeline()
    try:
        lifeline = Lifeline(_pidfd(sock, pid))
        seen = look(pid)
        if not lifeline.ended():
            return seen, lifeline
    except OSError as error:
        if error.errno in SHORTAGES:
            raise
    lifeline.close()
    return None, lifeline


def _pidfd(sock: socket.socket, pid: int) -> int:
    try:
        return int.from_bytes(sock.getsockopt(socket.SOL_SOCKET, _SO_PEERPIDFD, 4), sys.byteorder)
    except OSError as error:
        if error.errno != errno.ENOPROTOOPT:
            raise
        # Before Linux 6.5 a pid that was reused at this very moment would be taken for the peer.
        return os.pidfd_open(pid)


@dataclass(frozen=True, slots=True)
class Gate:
    """Admits the daemon's own user, and root only if the configuration says so.

    Attributes:
        uid: the daemon's; None admits every user, when the socket's group decides who may connect.
        allow_root: whether root is admitted as well.
        namespaces: those that a peer must be in; None for any.
        closed: why nobody is admitted; None for a gate that judges each peer.
        carriers: process ids of the carriers, which ask through a channel of their own. The kernel lets
            them make no socket for this; if it has no such filter, this check refuses them.
    """

    uid: int | None
    allow_root: bool = False
    namespaces: tuple[str, ...] | None = None
    closed: Failure | None = None
    carriers: Callable[[], Collection[int | None]] = field(default=frozenset, compare=False)

    def refusal(self, peer: Peer) -> Failure | None:
        """None for a peer that may talk; otherwise why not, and what to do."""
        if self.closed is not None:
            return self.closed
        if peer.pid is not None and peer.pid in self.carriers():
            return Failure(Code.PEER_REFUSED, "the caller is a process that talks to build actions", "")
        if self.uid is None:
            return self._elsewhere(peer)
        if peer.uid == self.uid or (peer.uid == 0 and self.allow_root):
            return self._elsewhere(peer)
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

    def _elsewhere(self, peer: Peer) -> Failure | None:
        if self.namespaces is None or peer.namespaces == self.namespaces:
            return None
        hint = 'a build action uses the actions socket; for a devcontainer set peer_namespaces = "any" and restart'
        if peer.pid is None:
            message = "the caller's namespaces cannot be read: it is not visible from the daemon's pid namespace"
            return Failure(Code.PEER_REFUSED, message, hint)
        if peer.namespaces is None:
            message = "the caller's namespaces cannot be read: it has more privileges than the daemon, or hides them"
            return Failure(Code.PEER_REFUSED, message, f"start the daemon with the caller's capabilities; {hint}")
        names = zip(KINDS, peer.namespaces, self.namespaces, strict=True)
        differ = ", ".join(kind for kind, theirs, ours in names if theirs != ours)
        message = f"the caller is in a sandbox or container: other namespaces than the daemon's ({differ})"
        return Failure(Code.PEER_REFUSED, message, hint)
