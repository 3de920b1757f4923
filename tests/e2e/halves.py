"""A registry whose downloads pause in the middle until a test continues them, and clients that download from it."""

import subprocess
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

from tests.e2e.stage import Stage, TokenRegistry
from tests.e2e.test_actions import actions_socket


DIGEST = f"sha256:{'b' * 64}"
HALF = 512 * 1024
MANIFEST = 4_000_000


class Halves(TokenRegistry):
    """It sends half of a blob, and the rest when it is told to; its manifests are as large as they may be."""

    def __init__(self) -> None:
        super().__init__()
        self.rest = threading.Event()
        self.begun = self.manifests = 0

    def refuse(self, handler: BaseHTTPRequestHandler) -> None:
        """Send the requested content, or the challenge."""
        if not str(handler.headers["Authorization"]).startswith("Bearer canary-token"):
            super().refuse(handler)
        elif "/manifests/" in handler.path:
            self.manifests += 1
            handler.send_response(200)
            handler.send_header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
            handler.send_header("Content-Length", str(MANIFEST))
            handler.end_headers()
            handler.wfile.write(b"{" + b" " * (MANIFEST - 2) + b"}")
        else:
            handler.send_response(200)
            handler.send_header("Content-Length", str(2 * HALF))
            handler.end_headers()
            handler.wfile.write(b"x" * HALF)
            self.begun += 1
            self.rest.wait(40)
            handler.wfile.write(b"y" * HALF)


def curl(staged: Stage, registry: TokenRegistry, *options: str, path: str = f"blobs/{DIGEST}") -> list[str]:
    """A command that asks the gateway."""
    return [
        "curl",
        "-sS",
        "--fail",
        *options,
        "--unix-socket",
        str(actions_socket(staged)),
        "-H",
        f"X-Rules_img-Original-Host: {registry.authority}",
        f"http://localhost/v2/org/app/{path}",
    ]


def download(staged: Stage, registry: TokenRegistry, *around: str) -> subprocess.Popen[bytes]:
    """Begin a download, in a sandbox perhaps."""
    return subprocess.Popen(
        [*around, *curl(staged, registry)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"PATH": staged.environ["PATH"]},
    )


def children(pid: int) -> list[int]:
    """Child processes, in the order in which they began."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def nurseries(staged: Stage) -> list[int]:
    """What the carriers of a daemon are forked from."""
    assert staged.process is not None
    return nurseries_of(staged.process.pid)


def nurseries_of(daemon: int) -> list[int]:
    """The same, by its pid."""
    return [pid for pid in children(daemon) if b"nursery" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def carriers(staged: Stage) -> list[int]:
    """The carriers of a daemon, in the order in which they began."""
    return [pid for nursery in nurseries(staged) for pid in children(nursery) if not is_dead(pid)]


def is_dead(pid: int) -> bool:
    """Whether a process has ended, even if it was not reaped yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] in {"Z", "X"}
    except OSError:
        return True


def until(happened: Callable[[], bool], seconds: float = 20.0) -> None:
    """Wait for other processes."""
    end = time.perf_counter() + seconds
    while not happened():
        assert time.perf_counter() < end, "it did not come to that"
        time.sleep(0.02)
