"""The peer gate: the kernel's word on who is calling."""

import os
import socket

from credproxy.core.errors import Code
from credproxy.server.peer import Gate, Peer, identify


def test_the_peer_of_a_socket_pair_is_this_process() -> None:
    """SO_PEERCRED gives the pid and uid of whoever made the other end."""
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert identify(left) == Peer(pid=os.getpid(), uid=os.getuid())


def test_the_own_user_is_admitted() -> None:
    """The daemon serves its user."""
    assert Gate(uid=1000).refusal(Peer(pid=1, uid=1000)) is None


def test_t7_another_user_is_refused_and_told_what_to_do() -> None:
    """T7: whatever the file mode, another uid gets nothing."""
    failure = Gate(uid=1000).refusal(Peer(pid=1, uid=1001))
    assert failure is not None
    assert failure.code is Code.PEER_REFUSED
    assert failure.message == "this daemon serves uid 1000, the caller has uid 1001"


def test_root_is_refused_until_it_is_allowed() -> None:
    """Root could read everything anyway; answering it by default would hide a sudo too many."""
    failure = Gate(uid=1000).refusal(Peer(pid=1, uid=0))
    assert failure is not None
    assert "allow_root = true" in failure.hint
    assert Gate(uid=1000, allow_root=True).refusal(Peer(pid=1, uid=0)) is None
