"""Waiting for a socket."""

import select
import socket
import threading

import pytest

from credproxy.adapters.socket_wait import SocketWait


def test_what_has_arrived_is_not_waited_for() -> None:
    """The seconds are next to none."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.send(b"1")
        assert SocketWait(ours, select.POLLIN, stalled=60).wait() < 1


def test_a_silent_end_is_a_time_out() -> None:
    """So is one that does not read."""
    ours, theirs = socket.socketpair()
    with ours, theirs, pytest.raises(TimeoutError):
        SocketWait(ours, select.POLLIN, stalled=0.01).wait()


def test_a_socket_that_is_shut_down_meanwhile_ends_the_wait() -> None:
    """So that a thread can be woken."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        timer = threading.Timer(0.05, ours.shutdown, [socket.SHUT_RDWR])
        timer.start()
        assert SocketWait(ours, select.POLLIN, stalled=60).wait() < 30
        timer.join()
