"""Who is at the other end."""

import os
import socket
import sys

import pytest

from credproxy.server.peer_credentials import peer_credentials


@pytest.mark.skipif(sys.platform != "linux", reason="SO_PEERCRED is Linux's")
def test_the_kernel_tells_the_process_and_its_user() -> None:
    """Both ends of this pair are this process."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert peer_credentials(ours) == (os.getpid(), os.geteuid())


@pytest.mark.skipif(sys.platform != "linux", reason="SO_PEERCRED is Linux's")
def test_a_socket_without_a_peer_is_told_from_one_with_a_foreign_one() -> None:
    """Nobody is taken for user 0."""
    with socket.socket(socket.AF_UNIX) as alone:
        assert peer_credentials(alone) == (0, -1)
