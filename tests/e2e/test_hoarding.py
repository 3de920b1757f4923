"""T3, T16: a sandbox that takes all the connections of a real daemon's actions socket that it can get."""

import contextlib
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from credproxy.adapters.pump import PUMPS
from credproxy.gateway.body_memory import MEMORY
from credproxy.server.accounts import PENDING
from tests.e2e.halves import HALF, MANIFEST, Halves, carriers, curl, download, until
from tests.e2e.stage import Stage, TokenRegistry


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's"),
]

HOARDER = Path(__file__).with_name("hoarder.py")
LIMIT = 512


def actions_socket(staged: Stage) -> str:
    """The actions socket."""
    return str(staged.home / "run" / "credproxy-actions" / "actions.sock")


@contextlib.contextmanager
def hoarding(kind: str, place: str, count: int, *around: str, said: str = "") -> Iterator[None]:
    """Run a hoarder, and give it its input; see ``hoarder.py``."""
    argv = [*around, sys.executable, str(HOARDER), kind, place, str(count)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            process.stdin.write(said.encode())
            process.stdin.flush()
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


def test_a_hundred_readers_that_do_not_read_take_a_quarter_of_the_memory_and_do_not_block_others(
    staged: Stage, halves: Halves, sandbox: tuple[str, ...]
) -> None:
    """S8: each asks for a manifest of four megabytes; another sandbox of the same carrier has its own, and the user a token."""
    rule = f'[[actions.rule]]\naction = "allow"\nregistry = "{halves.authority}"\nrepository = "org/*"\n'
    staged.configure(f'{halves.rule()}insecure = true\n[actions]\ncarriers = 1\n{rule}operations = ["manifest:read"]\n')
    daemon = staged.start(REGISTRY_PASSWORD=halves.password).pid
    want = [*sandbox, *curl(staged, halves, path="manifests/x")]
    assert len(subprocess.run(want, capture_output=True, check=True, timeout=20).stdout) == MANIFEST
    (carrier,) = carriers(staged)
    before, idle = memory(daemon, "VmRSS"), memory(carrier, "VmRSS")
    with hoarding("unread", actions_socket(staged), 100, *sandbox, said=f"{halves.authority}\n"):
        until(lambda: halves.manifests > MEMORY // MANIFEST + 4)  # enough to fill everybody's share
        for _ in range(3):
            assert staged.helper(halves.uri("org/app/manifests/x")).returncode == 0
            assert len(subprocess.run(want, capture_output=True, check=True, timeout=20).stdout) == MANIFEST
        assert memory(carrier, "VmHWM") - idle < MEMORY  # a quarter held, as much being sent, and what malloc keeps
        assert memory(daemon, "VmHWM") - before < MANIFEST
    assert carriers(staged) == [carrier]
    assert staged.stop() == 0


def test_downloads_that_are_taken_slowly_leave_room_for_those_of_others(
    staged: Stage, halves: Halves, sandbox: tuple[str, ...]
) -> None:
    """T16: more of one registry than it may have at once; another sandbox of the same carrier and the user get theirs."""
    rule = f'[[actions.rule]]\naction = "allow"\nregistry = "{halves.authority}"\nrepository = "org/*"\n'
    staged.configure(f'{halves.rule()}insecure = true\n[actions]\ncarriers = 1\n{rule}operations = ["blob:read"]\n')
    staged.start(REGISTRY_PASSWORD=halves.password)
    with hoarding("blobs", actions_socket(staged), 60, *sandbox, said=f"{halves.authority}\n"):
        until(lambda: halves.begun >= PUMPS // 2)  # a sandbox may ask one registry for as many at once
        for around in (sandbox, ()):
            with download(staged, halves, *around) as getting:
                assert getting.stdout is not None
                assert getting.stdout.read(HALF // 2) == b"x" * (HALF // 2)
                getting.kill()
    assert staged.stop() == 0


def test_requests_behind_those_that_wait_do_not_end_their_carrier(
    staged: Stage, halves: Halves, sandbox: tuple[str, ...]
) -> None:
    """S8: all connections of a sandbox, each with a download that pauses, and as many large heads behind it as are taken."""
    rule = f'[[actions.rule]]\naction = "allow"\nregistry = "{halves.authority}"\nrepository = "org/*"\n'
    staged.configure(f'{halves.rule()}insecure = true\n[actions]\ncarriers = 1\n{rule}operations = ["blob:read"]\n')
    staged.start(REGISTRY_PASSWORD=halves.password)
    assert pings(staged) == ["200"] * 10
    (carrier,) = carriers(staged)
    idle = memory(carrier, "VmRSS")
    with hoarding("heads", actions_socket(staged), LIMIT // 4, *sandbox, said=f"{halves.authority}\n"):
        assert carriers(staged) == [carrier]
        assert memory(carrier, "VmHWM") - idle < 96 * 1024 * 1024
        assert pings(staged, *sandbox) == ["200"] * 10
    assert staged.stop() == 0


def test_descriptors_on_their_way_in_a_sandbox_end_no_carrier(
    staged: Stage, halves: Halves, sandbox: tuple[str, ...]
) -> None:
    """More than the daemon may have: the kernel then passes none for it. What is under way goes on, and new connections later."""
    rule = f'[[actions.rule]]\naction = "allow"\nregistry = "{halves.authority}"\nrepository = "org/*"\n'
    staged.configure(f'{halves.rule()}insecure = true\n[actions]\ncarriers = 1\n{rule}operations = ["blob:read"]\n')
    powers = ("setpriv", "--bounding-set=-sys_admin,-sys_resource") if os.getuid() == 0 else ()
    staged.start(*powers, "prlimit", "--nofile=1024:1024", REGISTRY_PASSWORD=halves.password)
    with download(staged, halves, *sandbox) as getting:
        until(lambda: halves.begun == 1)
        held = carriers(staged)
        with hoarding("descriptors", actions_socket(staged), 3000, *sandbox):
            assert pings(staged)[0] != "200"
            assert staged.events("connection not passed on")
        assert pings(staged)[0] == "200"
        halves.rest.set()
        assert len(getting.communicate(timeout=20)[0]) == 2 * HALF
    assert carriers(staged) == held
    assert staged.stop() == 0


def test_what_a_sandbox_sends_to_the_helpers_socket_does_not_fill_the_daemon(
    staged: Stage, registry: TokenRegistry, sandbox: tuple[str, ...]
) -> None:
    """S8: it is refused there, and can see the socket: each of its connections sends a megabyte that never ends."""
    staged.configure(registry.rule())
    daemon = staged.start(REGISTRY_PASSWORD=registry.password).pid
    assert staged.helper(registry.uri("org/app/manifests/x")).returncode == 0
    idle = memory(daemon, "VmRSS")
    with hoarding("fields", str(staged.socket), 300, *sandbox):
        assert staged.helper(registry.uri("org/app/manifests/x")).returncode == 0
        assert memory(daemon, "VmHWM") - idle < 48 * 1024 * 1024
    assert staged.stop() == 0


def test_a_sandbox_that_connects_without_end_does_not_keep_the_user_from_the_helpers_socket(
    staged: Stage, registry: TokenRegistry, sandbox: tuple[str, ...]
) -> None:
    """T3: the kernel's queue is full of it at every moment; each helper is answered within its own time."""
    staged.configure(registry.rule())
    staged.start(REGISTRY_PASSWORD=registry.password)
    with hoarding("comings", str(staged.socket), 2, *sandbox):
        for _ in range(3):
            assert staged.helper(registry.uri("org/app/manifests/x")).returncode == 0
    assert staged.stop() == 0


def memory(pid: int, what: str) -> int:
    """Bytes of a process: ``VmRSS`` for now, ``VmHWM`` for the most that there were."""
    found = re.search(rf"^{what}:\s+(\d+) kB$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024


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


def test_callers_without_the_token_cannot_exhaust_the_port(staged: Stage, registry: TokenRegistry) -> None:
    """T34: silent connections of any local user; a caller with the token is answered.

    On a busy machine a hoarder may open 64 connections before the token of one of ours is read, which then was the oldest
    silent one: so clients ask again, as they do after every reset.
    """
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
    again = ["--retry", "3", "--retry-all-errors"]
    argv = ["curl", "-s", "-o", "/dev/null", "-w", "%{http_code}", *again, *headers, f"http://127.0.0.1:{port}/v2/"]
    with hoarding("silent", str(port), 100):
        told = [subprocess.run(argv, capture_output=True, text=True, check=False, timeout=20).stdout for _ in range(10)]
    assert told == ["200"] * 10
