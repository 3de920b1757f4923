"""Where the helper looks for the socket, and which listeners it does not trust (CL-11, T4)."""

import os
import pwd
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from credproxy.core.paths import SOCKET_PATH_LIMIT
from tests.helper.harness import Helper, Place, Result, call
from tests.helper.scripted import ScriptedDaemon


FORBIDDEN = "nothing listens on '{}', and CREDPROXY_AUTOSTART=0 forbids starting the daemon"

STRANGER = 12_345
"""A uid that is neither ours nor root's."""


def ask(helper: Helper, env: dict[str, str]) -> Result:
    """One call with exactly this environment; no daemon is ever started."""
    return call([helper.bazel, "get"], env=env | {"CREDPROXY_AUTOSTART": "0"})


def own_runtime() -> Path:
    """The directory that a login gives this user; containers have none."""
    return Path(f"/run/user/{os.geteuid()}")


def test_credproxy_socket_comes_first(helper: Helper, place: Place) -> None:
    """Wherever the other variables point to."""
    with ScriptedDaemon(place.directory / "other.sock"):
        result = ask(helper, place.env(CREDPROXY_SOCKET=str(place.directory / "other.sock")))
    assert (result.code, result.out) == (0, b"{}")


def test_an_empty_variable_counts_as_unset(helper: Helper, place: Place) -> None:
    """As in most shells."""
    with ScriptedDaemon(place.socket):
        result = ask(helper, place.env(CREDPROXY_SOCKET="", CREDPROXY_TIMEOUT=""))
    assert (result.code, result.out) == (0, b"{}")


@pytest.mark.skipif(own_runtime().is_dir(), reason="run as a user without /run/user/UID: a container's root")
@pytest.mark.parametrize("runtime", [None, "/nowhere", "relative"], ids=["unset", "missing", "relative"])
def test_without_a_runtime_directory_it_is_below_home(helper: Helper, place: Place, runtime: str | None) -> None:
    """Containers: ``$HOME/.local/state/credproxy/run``."""
    directory = place.root / "home" / ".local" / "state" / "credproxy" / "run"
    directory.mkdir(parents=True, mode=0o700)
    env = place.env()
    del env["XDG_RUNTIME_DIR"]
    with ScriptedDaemon(directory / "helper.sock"):
        result = ask(helper, env | ({"XDG_RUNTIME_DIR": runtime} if runtime else {}))
    assert (result.code, result.out) == (0, b"{}")


def test_without_any_environment_it_follows_from_the_uid(helper: Helper) -> None:
    """``/run/user/UID``, else the home directory that the user database names; a relative HOME is none."""
    home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    below_home = home / ".local" / "state" / "credproxy" / "run"
    expected = (own_runtime() / "credproxy" if own_runtime().is_dir() else below_home) / "helper.sock"
    if expected.exists():
        pytest.skip(f"stop the daemon that listens on {expected}: this test looks for nobody there")
    for env in ({}, {"HOME": "relative"}):
        assert ask(helper, env).lines[0] == FORBIDDEN.format(expected)


@pytest.mark.usefixtures("as_root")
@pytest.mark.skipif(
    Path(f"/run/user/{STRANGER}").is_dir(), reason=f"needs a uid without a runtime directory: {STRANGER}"
)
def test_a_user_without_home_is_told_what_to_set(helper: Helper, place: Place) -> None:
    """Some containers run as an unknown uid."""
    program = place.root / "credproxy-helper"
    program.write_bytes(helper.bazel.read_bytes())
    program.chmod(0o755)
    place.root.chmod(0o755)
    done = subprocess.run(
        [program, "get"], input=b"{}", user=STRANGER, capture_output=True, env={}, check=False, timeout=5
    )
    assert done.returncode == 1
    assert done.stderr.decode().splitlines() == [
        f"no place for the socket: HOME is not set, and /etc/passwd has no entry for uid {STRANGER}",
        "set HOME, XDG_RUNTIME_DIR or CREDPROXY_SOCKET",
    ]


@pytest.mark.parametrize("path", ["helper.sock", "./helper.sock", "@abstract", "/"])
def test_a_relative_socket_path_is_an_error(helper: Helper, place: Place, path: str) -> None:
    """The working directory is the caller's, and an abstract socket crosses sandboxes (T4)."""
    result = ask(helper, place.env(CREDPROXY_SOCKET=path))
    assert (result.code, result.out) == (1, b"")
    assert result.lines == [
        f"CREDPROXY_SOCKET is not an absolute path: '{path}'",
        "set it to an absolute path, or unset it",
    ]


def test_the_longest_path_works_and_a_longer_one_is_an_error(helper: Helper, place: Place) -> None:
    """A socket's path has 103 bytes (CL-36), as for the daemon; a truncated path would be a different one."""
    most = SOCKET_PATH_LIMIT
    longest = str(place.directory) + "/" + "s" * (most - len(str(place.directory)) - 1)
    with ScriptedDaemon(Path(longest)):
        assert ask(helper, place.env(CREDPROXY_SOCKET=longest)).out == b"{}"
        result = ask(helper, place.env(CREDPROXY_SOCKET=longest + "s"))
    assert result.lines == [
        f"'{longest}...' is longer than the {most} bytes that it may have",
        "set CREDPROXY_SOCKET to a shorter path",
    ]


def test_a_path_cannot_forge_lines(helper: Helper, place: Place) -> None:
    """Text from the environment stays in its line, and cannot control the terminal."""
    result = ask(helper, place.env(CREDPROXY_SOCKET="x\nall is well\x1b[2J"))
    assert result.lines[0] == "CREDPROXY_SOCKET is not an absolute path: 'x?all is well?[2J'"


def test_a_path_that_leads_through_a_file_is_an_error(helper: Helper, place: Place) -> None:
    """Not one to wait for, nor one to start a daemon at."""
    file = place.root / "file"
    file.touch(mode=0o600)
    below = ask(helper, place.env(CREDPROXY_SOCKET=f"{file}/helper.sock"))
    far_below = ask(helper, place.env(CREDPROXY_SOCKET=f"{file}/x/helper.sock"))
    hint = "check the path, or set CREDPROXY_SOCKET to another"
    assert below.lines == [f"cannot connect to '{file}/helper.sock': Not a directory", hint]
    assert far_below.lines == [f"cannot look into '{file}/x': Not a directory", hint]


def test_a_socket_of_another_type_is_an_error(helper: Helper, place: Place) -> None:
    """It is not our daemon's."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.bind(str(place.socket))
        result = ask(helper, place.env())
    assert result.lines == [
        f"cannot connect to '{place.socket}': Protocol wrong type for socket",
        "check the path, or set CREDPROXY_SOCKET to another",
    ]


@pytest.mark.parametrize("mode", [0o770, 0o702, 0o777, 0o1777])
def test_a_directory_that_others_can_write_to_is_refused(helper: Helper, place: Place, mode: int) -> None:
    """T4: Anybody may have made that socket; nothing is sent."""
    place.directory.chmod(mode)
    with ScriptedDaemon(place.socket) as daemon:
        result = ask(helper, place.env())
    assert (result.code, result.out, daemon.connections) == (1, b"", 0)
    assert result.lines == [
        f"the socket's directory '{place.directory}' can be written by others (mode {mode:04o})",
        "make it private with `chmod 700`, after checking who owns what is in it"
        if mode < 0o1000
        else "set XDG_RUNTIME_DIR or CREDPROXY_SOCKET to a place of your own",  # never `chmod 700 /tmp`
    ]


@pytest.mark.parametrize("mode", [0o700, 0o755, 0o750])
def test_a_directory_that_others_can_read_is_fine(helper: Helper, place: Place, mode: int) -> None:
    """T4: Like that of a system-wide daemon: the socket's own mode decides who may connect."""
    place.directory.chmod(mode)
    with ScriptedDaemon(place.socket):
        assert ask(helper, place.env()).out == b"{}"


@pytest.mark.usefixtures("as_root")
def test_a_directory_of_another_user_is_refused(helper: Helper, place: Place) -> None:
    """T4: Its owner could exchange the socket at any time."""
    os.chown(place.directory, STRANGER, -1)
    with ScriptedDaemon(place.socket) as daemon:
        result = ask(helper, place.env())
    assert (result.code, result.out, daemon.connections) == (1, b"", 0)
    assert result.lines == [
        f"the socket's directory '{place.directory}' belongs to uid {STRANGER}, not to you (uid 0) or root",
        "set XDG_RUNTIME_DIR or CREDPROXY_SOCKET to a place of your own",
    ]


LISTENER = (
    "import os, socket, sys\n"
    "os.setuid(int(sys.argv[1]))\n"  # only now: this Python may be in root's home
    "listener = socket.socket(fileno=0)\n"
    "listener.listen(8)\n"
    "print(flush=True)\n"
    "connection, _ = listener.accept()\n"
    "print(len(connection.recv(65536)))\n"
    "connection.send(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\n{}')\n"
)


def ask_stranger(helper: Helper, place: Place, listener: socket.socket) -> tuple[Result, bytes]:
    """Ask while a program of another user listens; also gives what it says it received."""
    argv = [sys.executable, "-IS", "-c", LISTENER, str(STRANGER)]
    with subprocess.Popen(argv, stdin=listener.fileno(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        process.stdout.readline()
        result = ask(helper, place.env())
        return result, process.stdout.read()


@pytest.mark.usefixtures("as_root")
def test_a_listener_of_another_user_is_refused_before_a_byte_is_sent(helper: Helper, place: Place) -> None:
    """T4: The kernel says who listens, whatever the directory looks like."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.socket))
        result, received = ask_stranger(helper, place, listener)
    assert (result.code, result.out, received) == (1, b"", b"0\n")
    assert result.lines == [
        f"the program that listens on '{place.socket}' runs as uid {STRANGER}, not as you (uid 0) or root",
        "remove that socket after finding out whose it is, then start the daemon again",
    ]


@pytest.mark.usefixtures("as_root")
def test_the_user_of_a_system_service_is_whom_root_gave_the_socket_to(helper: Helper, place: Place) -> None:
    """T4: In a directory that is root's, the owner of the socket's file is root's choice."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.socket))
        os.chown(place.socket, STRANGER, -1)
        result, received = ask_stranger(helper, place, listener)
    assert (result.code, result.out) == (0, b"{}")
    assert int(received) > 0


@pytest.mark.usefixtures("as_root")
def test_a_link_to_another_users_socket_is_refused(helper: Helper, place: Place) -> None:
    """T4: The link's owner says nothing about the owner of the socket behind it."""
    behind = place.directory / "behind.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(behind))
        os.chown(behind, STRANGER, -1)
        place.socket.symlink_to(behind)
        result, received = ask_stranger(helper, place, listener)
    assert (result.code, received) == (1, b"0\n")
