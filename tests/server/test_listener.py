"""Binding the helper socket: private from the first moment, one daemon at a time, stale files removed."""

import os
import socket
import stat
from pathlib import Path

import pytest

from credproxy.core.errors import Code, Failed
from credproxy.server.listener import AlreadyRunning, bind


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A socket path in a private directory that does not exist yet."""
    return tmp_path / "run" / "helper.sock"


def test_the_directory_is_0700_and_the_socket_0600_whatever_the_umask(place: Path) -> None:
    """T8: nobody else can connect, not even between bind and a later chmod, because there is none."""
    before = os.umask(0)
    try:
        bound = bind(str(place), backlog=8)
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    bound.close()


def test_a_second_daemon_finds_the_first(place: Path) -> None:
    """P2: the lock decides, and the first one's socket is left alone."""
    bound = bind(str(place), backlog=8)
    inode = place.stat().st_ino
    with pytest.raises(AlreadyRunning):
        bind(str(place), backlog=8)
    assert place.stat().st_ino == inode
    bound.close()


def test_a_socket_that_a_killed_daemon_left_is_replaced(place: Path) -> None:
    """P6: a file without a listener is stale."""
    bound = bind(str(place), backlog=8)
    bound.sock.close()
    os.close(bound.lock)
    again = bind(str(place), backlog=8)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place))
    again.close()


def test_a_listener_without_our_lock_is_left_alone(place: Path) -> None:
    """P1: a socket that somebody answers is theirs, lock or no lock."""
    place.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place))
        other.listen()
        with pytest.raises(AlreadyRunning):
            bind(str(place), backlog=8)
        assert place.exists()


def test_closing_removes_the_file(place: Path) -> None:
    """A clean stop leaves nothing that a client could try to connect to."""
    bind(str(place), backlog=8).close()
    assert not place.exists()


def test_a_directory_that_others_may_enter_is_refused(place: Path) -> None:
    """T4: the message says what is wrong, what was wanted, and the command."""
    place.parent.mkdir(mode=0o755)
    place.parent.chmod(0o755)
    with pytest.raises(Failed) as caught:
        bind(str(place), backlog=8)
    assert caught.value.failure.code is Code.CONFIG_INVALID
    assert "mode 0755; wanted" in caught.value.failure.message
    assert f"chmod 700 {place.parent}" in caught.value.failure.hint


def test_a_path_that_no_socket_address_holds_is_refused(tmp_path: Path) -> None:
    """Rule 36: 103 bytes fit everywhere; the kernel's own error would not say which path."""
    with pytest.raises(Failed, match="longer than 103 bytes"):
        bind(str(tmp_path / ("x" * 120) / "helper.sock"), backlog=8)
