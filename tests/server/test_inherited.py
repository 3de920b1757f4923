"""Sockets that are handed over: by name, and only the intended ones (F4, P13)."""

import json
import os
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.activation import activated


ROOT = Path(__file__).parents[2]

# Prints what it was handed, or why it would not serve.
TAKER = f"""
import json, os, sys
sys.path.insert(0, {str(ROOT)!r})
from credproxy.core.errors import Code, Failure, Unfit
from credproxy.server.inherited import handed_over, turn_away
try:
    found = handed_over(os.environ, names=("helper", "actions"))
except Unfit as error:
    print(json.dumps([error.failure.message, error.failure.hint]))
    turn_away(os.environ, error.failure)
else:
    print(json.dumps({{name: [str(one.path), one.sock.fileno(), one.sock.get_inheritable()] for name, one in found.items()}}))
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    """Short enough for a socket's path."""
    with tempfile.TemporaryDirectory(prefix="cp-", dir="/tmp") as made:
        yield Path(made)


@pytest.fixture
def listening(folder: Path) -> Iterator[Callable[[str], socket.socket]]:
    """Makes listening sockets; closed with the test."""
    made = []

    def make(name: str) -> socket.socket:
        sock = socket.socket(socket.AF_UNIX)
        made.append(sock)
        sock.bind(f"{folder}/{name}.sock")
        sock.listen(8)
        return sock

    yield make
    for sock in made:
        sock.close()


def take(*sockets: socket.socket, names: str | None = None, **environ: str) -> object:
    """What a process finds that is handed these."""
    with activated(
        [sys.executable, "-I", "-c", TAKER], [sock.fileno() for sock in sockets], environ=environ, names=names
    ) as process:
        assert process.stdout is not None
        return json.loads(process.stdout.read())


@pytest.mark.parametrize("order", ["helper:actions", "actions:helper"])
def test_the_name_decides_and_not_the_order(
    listening: Callable[[str], socket.socket], folder: Path, order: str
) -> None:
    """F4: systemd hands them over in either order; none is inherited by a child."""
    names = order.split(":")
    found = take(*(listening(name) for name in names), names=order)
    assert found == {name: [f"{folder}/{name}.sock", number, False] for number, name in enumerate(names, 3)}


def test_one_socket_is_enough(listening: Callable[[str], socket.socket], folder: Path) -> None:
    """The caller decides whether it is the right one."""
    assert take(listening("helper"), names="helper") == {"helper": [f"{folder}/helper.sock", 3, False]}


@pytest.mark.parametrize(
    "environ", [{"LISTEN_PID": "1"}, {"LISTEN_PID": ""}, {"LISTEN_FDS": "0"}], ids=["another", "empty", "none"]
)
def test_what_is_meant_for_another_process_is_not_ours(
    listening: Callable[[str], socket.socket], environ: dict[str, str]
) -> None:
    """P13: a daemon that a service's child starts by hand makes its own sockets."""
    assert take(listening("helper"), names="helper", **environ) == {}


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("helper:gateway", "a socket named 'gateway' was handed over; wanted actions and helper"),
        ("helper:credproxy-actions.socket", "a socket named 'credproxy-actions.socket' was handed over; wanted"),
        ("helper:helper", "two sockets named 'helper' were handed over"),
        ("helper", "2 sockets were handed over, with 1 names: 'helper'"),
        ("helper:actions:", "2 sockets were handed over, with 3 names: 'helper:actions:'"),
        ("helper:", "a socket named '' was handed over; wanted"),
        (None, "2 sockets were handed over, with 1 names: ''"),
    ],
)
def test_wrong_names_are_refused(listening: Callable[[str], socket.socket], names: str | None, said: str) -> None:
    """P13: unknown, without a FileDescriptorName=, twice, too few, too many, none."""
    found = take(listening("helper"), listening("actions"), names=names)
    assert isinstance(found, list)
    assert found[0].startswith(said)
    assert found[1] == "reinstall the units: credproxy install"


@pytest.mark.parametrize("count", ["two", "-1", "1.0", "²"])
def test_an_invalid_count_is_refused(listening: Callable[[str], socket.socket], count: str) -> None:
    """P13."""
    found = take(listening("helper"), names="helper", LISTEN_FDS=count)
    assert isinstance(found, list)
    assert found[0] == f"LISTEN_FDS is {count!r}, not a number of sockets"


def unconnected(folder: Path) -> socket.socket:
    """A socket that does not listen."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"{folder}/silent.sock")
    return sock


def datagrams(folder: Path) -> socket.socket:
    """A socket of another type."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    sock.bind(f"{folder}/datagram.sock")
    return sock


def abstract(folder: Path) -> socket.socket:
    """A socket without a file."""
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(f"\0{folder}")
    sock.listen()
    return sock


def tcp(folder: Path) -> socket.socket:
    """A socket that the network reaches."""
    del folder
    return socket.create_server(("127.0.0.1", 0))


@pytest.mark.skipif(sys.platform != "linux", reason="abstract sockets are Linux's")
@pytest.mark.parametrize(
    ("make", "said"),
    [
        (unconnected, "the socket 'actions' does not listen"),
        (datagrams, "the socket 'actions' is AF_UNIX SOCK_DGRAM, not a Unix stream socket"),
        (tcp, "the socket 'actions' is AF_INET SOCK_STREAM, not a Unix stream socket"),
        (abstract, "the socket 'actions' is abstract: no sandbox would keep build actions from it"),
    ],
)
def test_wrong_sockets_are_refused_and_waiting_callers_are_reported(
    listening: Callable[[str], socket.socket], folder: Path, make: Callable[[Path], socket.socket], said: str
) -> None:
    """P13: or the connection in the queue would have the service manager start it again, for ever."""
    helper = listening("helper")
    with make(folder) as wrong, socket.socket(socket.AF_UNIX) as client:
        client.connect(f"{folder}/helper.sock")
        assert take(helper, wrong, names="helper:actions") == [said, "reinstall the units: credproxy install"]
        answer = client.recv(65536).decode()
    assert answer.startswith("HTTP/1.1 503 ")
    assert answer.endswith(f"\r\n\r\n{said}\nreinstall the units: credproxy install\n")


def test_a_file_is_not_a_socket(listening: Callable[[str], socket.socket]) -> None:
    """P13: a closed descriptor is not one either."""
    with (
        Path(os.devnull).open("rb") as file,
        activated(
            [sys.executable, "-I", "-c", TAKER],
            [listening("helper").fileno(), file.fileno()],
            environ={},
            names="helper:actions",
        ) as process,
    ):
        assert process.stdout is not None
        assert "what was handed over as 'actions' is not a socket" in process.stdout.read().decode()
    found = take(listening("other"), names="helper:actions", LISTEN_FDS="2")
    assert isinstance(found, list)
    assert found[0] == "what was handed over as 'actions' is not a socket: bad file descriptor"
