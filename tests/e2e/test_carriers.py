"""The processes that talk to build actions: they hold nothing, and what befalls one of them befalls nobody else."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, TokenRegistry
from tests.e2e.test_actions import actions_socket, rules


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]

DIGEST = f"sha256:{'b' * 64}"
HALF = 512 * 1024


class Halves(TokenRegistry):
    """A registry that sends half of a blob, and the rest when it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.rest = threading.Event()
        self.begun = 0

    def refuse(self, handler: BaseHTTPRequestHandler) -> None:
        """Send the blob, or the challenge."""
        if "/blobs/" not in handler.path or not str(handler.headers["Authorization"]).startswith("Bearer canary-token"):
            super().refuse(handler)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(2 * HALF))
        handler.end_headers()
        handler.wfile.write(b"x" * HALF)
        self.begun += 1
        self.rest.wait(30)
        handler.wfile.write(b"y" * HALF)


@pytest.fixture
def halves() -> Iterator[Halves]:
    """One of them."""
    made = Halves()
    yield made
    made.rest.set()
    made.close()


@pytest.fixture
def served(staged: Stage, halves: Halves) -> Stage:
    """A daemon with a rule for it."""
    staged.configure(halves.rule() + "insecure = true\n[actions]\ncarriers = 2\n" + rules(halves))
    staged.start(REGISTRY_PASSWORD=halves.password)
    return staged


def download(staged: Stage, registry: TokenRegistry, *around: str) -> subprocess.Popen[bytes]:
    """Begin a download, in a sandbox perhaps."""
    return subprocess.Popen(
        [
            *around, "curl", "-sS", "--fail", "--unix-socket", str(actions_socket(staged)),
            "-H", f"X-Rules_img-Original-Host: {registry.authority}",
            f"http://localhost/v2/org/app/blobs/{DIGEST}",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env={"PATH": staged.environ["PATH"]},
    )  # fmt: skip


def children(pid: int) -> list[int]:
    """Child processes."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def carriers(staged: Stage) -> list[int]:
    """The carriers of a daemon."""
    assert staged.process is not None
    nurseries = [pid for pid in children(staged.process.pid) if b"nursery" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    return [pid for nursery in nurseries for pid in children(nursery)]


def until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for other processes."""
    end = time.perf_counter() + seconds
    while not happened():
        assert time.perf_counter() < end, "it did not come to that"
        time.sleep(0.02)


def begin(served: Stage, halves: Halves, sandbox: tuple[str, ...]) -> tuple[list[subprocess.Popen[bytes]], int]:
    """Begin two downloads in two sandboxes, and so in two carriers; give them, and the carrier of the first."""
    first = download(served, halves, *sandbox)
    until(lambda: halves.begun == 1)
    (victim,) = carriers(served)
    second = download(served, halves, *sandbox)
    until(lambda: halves.begun == 2)
    assert len(carriers(served)) == 2
    return [first, second], victim


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_a_carrier_that_is_lost_ends_its_own_downloads_and_nothing_else(
    served: Stage, halves: Halves, sandbox: tuple[str, ...], number: signal.Signals
) -> None:
    """A short body is a broken one for its client; another sandbox has its layer whole, and the user's helper an answer."""
    (first, second), victim = begin(served, halves, sandbox)
    os.kill(victim, number)
    assert served.helper(halves.uri("org/app/manifests/x")).returncode == 0
    until(lambda: victim not in carriers(served))
    assert served.helper(halves.uri("org/app/manifests/x")).returncode == 0
    halves.rest.set()
    assert len(second.communicate(timeout=20)[0]) == 2 * HALF
    assert second.returncode == 0
    assert len(first.communicate(timeout=20)[0]) < 2 * HALF
    assert first.returncode != 0
    (lost,) = served.events("carrier lost")
    assert (lost["carrier"], lost["connections"]) == (victim, 1)
    again = download(served, halves, *sandbox)
    assert len(again.communicate(timeout=20)[0]) == 2 * HALF
    assert served.stop() == 0


def test_the_nursery_is_replaced(served: Stage, halves: Halves) -> None:
    """Whatever ended it: the next carrier is forked from another one."""
    halves.rest.set()
    assert len(download(served, halves).communicate(timeout=20)[0]) == 2 * HALF
    assert served.process is not None
    (nursery,) = [pid for pid in children(served.process.pid) if children(pid)]
    os.kill(nursery, signal.SIGKILL)
    until(lambda: bool(served.events("nursery ended")) and bool(served.events("carrier lost")))
    assert len(download(served, halves).communicate(timeout=20)[0]) == 2 * HALF
    assert served.stop() == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM], ids=["killed", "ended"])
def test_no_carrier_outlives_the_daemon(
    served: Stage, halves: Halves, sandbox: tuple[str, ...], number: signal.Signals
) -> None:
    """Not even one that hangs."""
    downloads, victim = begin(served, halves, sandbox)
    both = carriers(served)
    os.kill(victim, signal.SIGSTOP)
    assert served.process is not None
    served.process.send_signal(number)
    until(lambda: not [pid for pid in both if Path(f"/proc/{pid}").exists() and not _dead(pid)])
    halves.rest.set()
    for one in downloads:
        assert len(one.communicate(timeout=20)[0]) < 2 * HALF
        assert one.returncode != 0


def _dead(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except OSError:
        return True


def test_a_carrier_holds_no_login_and_no_environment(served: Stage, halves: Halves) -> None:
    """Its memory is searched for what the daemon knows: there is the token of its request, and nothing else."""
    if os.geteuid() != 0:
        pytest.skip("only root reads another process's memory: sudo make test")
    one = download(served, halves)
    until(lambda: halves.begun == 1)
    (pid,) = carriers(served)
    status: list[dict[str, int]] = []

    def counted() -> bool:
        status[:] = json.loads(served.credproxy("status", "--json").stdout)["carriers"]
        return status[0]["downloads"] == 1

    until(counted)  # it is asked every two seconds
    (told,) = status
    assert (told["pid"], told["connections"], told["downloads"]) == (pid, 1, 1)
    assert told["memory_bytes"] > 1 << 20
    memory = _memory(pid)
    assert b"canary-token-1" in memory  # so the search finds what is there
    for secret in (b"canary-pass", b"Y2FuYXJ5LXVzZXI6", b"REGISTRY_PASSWORD", b"XDG_RUNTIME_DIR"):
        assert secret not in memory
    assert b"HOME=" not in Path(f"/proc/{pid}/environ").read_bytes()
    halves.rest.set()
    one.communicate(timeout=20)
    assert served.stop() == 0


def _memory(pid: int) -> bytes:
    found = bytearray()
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(number, 16) for number in place.split("-"))
            memory.seek(start)
            try:
                found += memory.read(end - start)
            except OSError:
                continue
    return bytes(found)
