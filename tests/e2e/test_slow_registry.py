"""S11: a sandbox that makes sixty requests to a registry that is slow in every possible way, with a real daemon."""

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from tests.e2e.halves import DIGEST, HALF, Halves, carriers, curl, until
from tests.e2e.stage import Stage, TokenRegistry


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's"),
]

AT_ONCE = 60


class Slow(TokenRegistry):
    """It reads every request, and never completes an answer."""

    def __init__(self, how: Callable[[BaseHTTPRequestHandler, "Slow"], None]) -> None:
        super().__init__()
        self.how = how
        self.over = False
        self.begun = 0

    def refuse(self, handler: BaseHTTPRequestHandler) -> None:
        """Be slow for clients with a token."""
        if not str(handler.headers["Authorization"]).startswith("Bearer canary-token"):
            super().refuse(handler)
            return
        self.begun += 1
        with contextlib.suppress(OSError):
            self.how(handler, self)

    def drip(self, handler: BaseHTTPRequestHandler, first: bytes, each: bytes) -> None:
        """Send something, and then a little more from time to time."""
        handler.wfile.write(first)
        while not self.over:
            handler.wfile.write(each)
            time.sleep(0.1)


def silent(handler: BaseHTTPRequestHandler, slow: Slow) -> None:
    """Send nothing."""
    slow.drip(handler, b"", b"")


def head(handler: BaseHTTPRequestHandler, slow: Slow) -> None:
    """Give a head byte by byte."""
    slow.drip(handler, b"HTTP/1.1 200 OK\r\nX: ", b"y")


def body(handler: BaseHTTPRequestHandler, slow: Slow) -> None:
    """Give a large body byte by byte."""
    slow.drip(handler, b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", b"y")


def trailers(handler: BaseHTTPRequestHandler, slow: Slow) -> None:
    """Send a chunked body whose last chunk is never complete."""
    slow.drip(handler, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n", b"")


@pytest.fixture(params=[silent, head, body, trailers], ids=lambda how: how.__name__)
def slow(request: pytest.FixtureRequest) -> Iterator[Slow]:
    """A registry that is slow in one way."""
    made = Slow(request.param)
    yield made
    made.over = True
    made.close()


def test_sixty_requests_to_a_slow_registry_do_not_block_others(
    staged: Stage, slow: Slow, halves: Halves, sandbox: tuple[str, ...]
) -> None:
    """One carrier for all: the same sandbox, another one and the user have their layers of another registry at once."""
    halves.rest.set()
    allowed = "".join(
        f'[[actions.rule]]\naction = "allow"\nregistry = "{one.authority}"\nrepository = "org/*"\n'
        'operations = ["blob:read"]\n'
        for one in (slow, halves)
    )
    hosts = "".join(f"{one.rule()}insecure = true\n" for one in (slow, halves))
    staged.configure(f"{hosts}[actions]\ncarriers = 1\n{allowed}")
    staged.start(REGISTRY_PASSWORD=halves.password)
    *how, _ = curl(staged, slow)
    url = f"http://localhost/v2/org/app/blobs/{DIGEST}"
    many = f'for i in $(seq {AT_ONCE}); do "$@" -o /dev/null {url} & done; wait'
    attack = subprocess.Popen(
        [*sandbox, "sh", "-c", many, "sh", *how], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        until(lambda: slow.begun >= AT_ONCE // 2)
        before = carriers(staged)
        for around in (sandbox, sandbox, ()):
            layer = subprocess.run([*around, *curl(staged, halves)], capture_output=True, check=True, timeout=10)
            assert len(layer.stdout) == 2 * HALF
            assert staged.helper(halves.uri("org/app/manifests/x")).returncode == 0
        assert attack.poll() is None
        assert carriers(staged) == before
    finally:
        attack.kill()
        attack.wait()
    assert staged.stop() == 0
