"""Commands that ask the daemon trust the same listeners as the helper (T4, T11)."""

import json
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.e2e.stage import CREDPROXY
from tests.helper.impostor import SANDBOXES, listening, unshare
from tests.hints import filled


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces as Linux has them")


ACTIONS = b'{"error": {"code": "not_found", "message": "the actions socket has nothing at this path"}}'


def credproxy(path: Path, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
    """A command that asks the listener at ``path``."""
    return subprocess.run(
        [CREDPROXY, *words],
        env={"PATH": "/usr/bin:/bin", "CREDPROXY_SOCKET": str(path), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=10,
    )


@pytest.mark.parametrize("words", [("status", "--json"), ("get", "https://ghcr.io/"), ("reload",)], ids=" ".join)
def test_a_command_does_not_trust_an_impostor_in_a_sandbox(short_path: Path, words: tuple[str, ...]) -> None:
    """An impostor would learn which hosts the user asks for, and choose what is printed."""
    path = short_path / "helper.sock"
    with listening(path, *unshare(*SANDBOXES["user, mount and pid"]), how="hidden"):
        done = credproxy(path, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert "they are in different namespaces (mnt)" in done.stderr
    assert "CREDPROXY_PEER_NAMESPACES=any" in done.stderr


def test_a_path_that_no_socket_has_is_named_before_anything_is_asked(short_path: Path) -> None:
    """Not by Python's word for it, and not with a log that has nothing."""
    done = credproxy(short_path / ("x" * 110), "status")
    assert done.returncode == 1
    assert "is longer than 103 bytes\nhint: " in done.stderr
    filled(done.stderr.splitlines()[1].removeprefix("hint: "), "set CREDPROXY_SOCKET to a shorter path")


@pytest.mark.parametrize(
    ("answer", "said", "hint"),
    [
        (b"hello\n", "is not a daemon of credproxy: its answer is not HTTP", "ss -xlp src {0}"),
        (b"", "ended the connection without an answer", "see its log: tail {1}; of a service: journalctl {2}"),
        (
            b"HTTP/1.1 404 x\r\nContent-Length: %d\r\n\r\n%b" % (len(ACTIONS), ACTIONS),
            "the actions socket has nothing at this path (not_found)",
            "unset CREDPROXY_SOCKET, or set it to the helper socket",
        ),
    ],
    ids=["foreign", "silent", "actions"],
)
def test_another_listener_is_told_as_what_it_is(short_path: Path, answer: bytes, said: str, hint: str) -> None:
    """With the command that shows whose it is, or what to set."""
    path = short_path / "helper.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def serve() -> None:
            talk, _ = listener.accept()
            with talk:
                talk.recv(4096)
                talk.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        done = credproxy(path, "status", HOME=str(short_path))
        thread.join()
    assert done.returncode == 1
    assert said in done.stderr
    log = path.parent / ".local/state/credproxy/daemon.log"
    assert f"hint: {hint.format(path, log, '--user --unit=credproxy.service')}\n" in done.stderr


def test_a_command_trusts_any_namespace_if_the_user_says_so(short_path: Path) -> None:
    """As the helper does, for devcontainers."""
    path = short_path / "helper.sock"
    with listening(path, *unshare(*SANDBOXES["user, mount and pid"])):
        done = credproxy(path, "status", "--json", CREDPROXY_PEER_NAMESPACES="any")
    assert (done.returncode, json.loads(done.stdout), done.stderr) == (0, {}, "")


def test_a_command_does_not_ask_in_a_directory_that_others_can_write_to(short_path: Path) -> None:
    """Anybody may have made that socket."""
    path = short_path / "helper.sock"
    short_path.chmod(0o777)
    with listening(path):
        done = credproxy(path, "status", "--json")
    assert (done.returncode, done.stdout) == (1, "")
    assert "can be written by others (mode 0777)" in done.stderr
