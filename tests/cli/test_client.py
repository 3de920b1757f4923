"""Commands that ask the daemon trust the same listeners as the helper (T4, T11)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stage import CREDPROXY
from tests.helper.impostor import SANDBOXES, listening, unshare


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces as Linux has them")


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
