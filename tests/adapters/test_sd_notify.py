"""What is sent to systemd, on a socket that stands for systemd's."""

import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from credproxy.adapters.sd_notify import Notifier


@pytest.fixture
def manager() -> Iterator[socket.socket]:
    """The service manager's end."""
    with (
        tempfile.TemporaryDirectory(prefix="cp-", dir="/tmp") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock,
    ):
        sock.bind(f"{folder}/notify")
        sock.setblocking(False)
        yield sock


@pytest.fixture
def notifier(manager: socket.socket) -> Iterator[Notifier]:
    """Ours."""
    made = Notifier({"NOTIFY_SOCKET": manager.getsockname()})
    yield made
    made.close()


def test_each_state_is_one_datagram(notifier: Notifier, manager: socket.socket) -> None:
    """sd_notify(3): assignments, one a line."""
    notifier.ready()
    notifier.status("generation 2\nof it")
    notifier.alive()
    notifier.stopping()
    assert [manager.recv(999) for _ in range(4)] == [
        b"READY=1",
        b"STATUS=generation 2 of it",
        b"WATCHDOG=1",
        b"STOPPING=1",
    ]


def test_a_reload_carries_the_monotonic_time(notifier: Notifier, manager: socket.socket) -> None:
    """Microseconds, so that systemd can tell it from an earlier one."""
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    state, stamp = manager.recv(999).decode().split("\n")
    assert state == "RELOADING=1"
    assert before <= int(stamp.removeprefix("MONOTONIC_USEC=")) <= before + 10_000_000


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
def test_an_abstract_socket_is_written_with_an_at_sign() -> None:
    """sd_notify(3)."""
    name = f"credproxy-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
        sock.bind(f"\0{name}")
        notifier = Notifier({"NOTIFY_SOCKET": f"@{name}"})
        notifier.ready()
        notifier.close()
        assert sock.recv(99) == b"READY=1"


@pytest.mark.parametrize("address", ["", "/nowhere/notify", "relative", "vsock:2:1234", "@" + "x" * 300])
def test_it_never_raises(address: str) -> None:
    """No listener, or an unreachable one: the daemon still serves."""
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.status("x" * 100_000)
    notifier.close()
    notifier.alive()


def test_a_manager_with_a_full_queue_does_not_hold_us_up(notifier: Notifier, manager: socket.socket) -> None:
    """What cannot be sent at once is dropped: the event loop is more important than a message."""
    for _ in range(10_000):
        notifier.alive()
    assert manager.recv(99) == b"WATCHDOG=1"


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "7000000"}, 1.0),
        ({"WATCHDOG_USEC": "600000"}, 0.3),
        ({"WATCHDOG_USEC": "7000000", "WATCHDOG_PID": str(os.getpid())}, 1.0),
        ({"WATCHDOG_USEC": "7000000", "WATCHDOG_PID": "1"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_every_second_where_it_waits_for_this_process(
    manager: socket.socket, environ: dict[str, str], seconds: float | None
) -> None:
    """sd_watchdog_enabled(3): at most half of its time, and not for a parent of ours."""
    assert Notifier({"NOTIFY_SOCKET": manager.getsockname()} | environ).watchdog == seconds


def test_without_a_service_manager_there_is_no_watchdog() -> None:
    """A self-started daemon sleeps."""
    notifier = Notifier({"WATCHDOG_USEC": "7000000"})
    assert (notifier.supervised, notifier.watchdog) == (False, None)
    assert Notifier({"NOTIFY_SOCKET": str(Path("/run/x"))}).supervised
