"""T3, T16: a sandbox that takes all connections of the actions socket that it can get, beside a real daemon."""

import contextlib
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from credproxy.server.accounts import PENDING
from tests.e2e.stage import Stage, TokenRegistry


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's"),
]

HOARDER = Path(__file__).with_name("hoarder.py")
LIMIT = 512


def actions_socket(staged: Stage) -> str:
    """Where build actions ask."""
    return str(staged.home / "run" / "credproxy-actions" / "actions.sock")


@contextlib.contextmanager
def hoarding(kind: str, place: str, count: int, *around: str) -> Iterator[None]:
    """Run a hoarder; see ``hoarder.py``."""
    argv = [*around, sys.executable, str(HOARDER), kind, place, str(count)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            assert process.stdout.readline().strip().isdigit()
            yield
        finally:
            process.stdin.close()


def pings(staged: Stage, *around: str) -> list[str]:
    """The statuses of ten requests of the gateway, each on a connection of its own."""
    argv = [
        "curl",
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "--unix-socket",
        actions_socket(staged),
        "http://x/v2/",
    ]
    script = 'for i in 1 2 3 4 5 6 7 8 9 10; do "$@" || true; echo; done'
    done = subprocess.run(
        [*around, "sh", "-c", script, "sh", *argv], capture_output=True, text=True, check=True, timeout=40
    )
    return done.stdout.split()


def gauge(staged: Stage, name: str) -> int:
    """A number of the metrics page."""
    argv = ["curl", "-s", "--unix-socket", str(staged.socket), "http://x/metrics"]
    page = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20).stdout
    found = re.search(rf"^credproxy_{name} (\S+)$", page, re.MULTILINE)
    assert found is not None, page
    return int(float(found[1]))


@pytest.mark.parametrize("kind", ["silent", "dripping", "bodies"])
def test_a_sandbox_cannot_take_the_connections_of_others(
    staged: Stage, registry: TokenRegistry, sandbox: tuple[str, ...], kind: str
) -> None:
    """It has a quarter, also with twenty sandboxes inside of it; a second sandbox and the user are answered each time."""
    staged.configure(registry.rule())
    staged.start(REGISTRY_PASSWORD=registry.password)
    with hoarding(kind, actions_socket(staged), 600, *sandbox):
        assert pings(staged, *sandbox) == ["200"] * 10
        assert pings(staged) == ["200"] * 10
        assert 0 < gauge(staged, "actions_connections") <= LIMIT // 4 + PENDING
        assert gauge(staged, "actions_connections_ended") >= 600 - LIMIT // 4


def test_five_sandboxes_at_once_leave_room_for_a_sixth_and_for_the_user(
    staged: Stage, registry: TokenRegistry, sandbox: tuple[str, ...]
) -> None:
    """All of them together have three quarters."""
    staged.configure(registry.rule())
    staged.start(REGISTRY_PASSWORD=registry.password)
    with contextlib.ExitStack() as stack:
        for _ in range(5):
            stack.enter_context(hoarding("silent", actions_socket(staged), 200, *sandbox))
        assert pings(staged, *sandbox) == ["200"] * 10
        assert pings(staged) == ["200"] * 10
        assert LIMIT // 4 < gauge(staged, "actions_connections") <= LIMIT * 3 // 4 + PENDING


def test_who_has_no_token_cannot_take_the_port(staged: Stage, registry: TokenRegistry) -> None:
    """T34: silent connections of any local user; whoever brings the token is answered."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = staged.home / "token"
    token.write_text("canary-port-token-0123456789")
    token.chmod(0o600)
    staged.configure(
        f'{registry.rule()}[actions]\nlisten = "127.0.0.1:{port}"\nlisten_token = {{ source = "file", path = "{token}" }}\n'
    )
    staged.start(REGISTRY_PASSWORD=registry.password)
    headers = ["-H", "X-Credproxy-Request: true", "-H", "Authorization: Bearer canary-port-token-0123456789"]
    argv = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code} ", *headers, f"http://127.0.0.1:{port}/v2/"]
    with hoarding("silent", str(port), 100):
        told = [subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20).stdout for _ in range(10)]
    assert told == ["200 "] * 10
