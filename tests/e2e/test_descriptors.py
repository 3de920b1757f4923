"""A daemon that runs out of descriptors: it reports that once, and serves again as soon as there are some (C5, F9, PY10)."""

import resource
import socket
import subprocess
import sys
import time
from contextlib import ExitStack

import pytest

from tests.e2e.stage import CREDPROXY, Stage, TokenRegistry


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="prlimit is Linux's"),
]


def crowd(stack: ExitStack, staged: Stage, count: int = 300) -> None:
    """Open this many silent connections."""
    for _ in range(count):
        idle = stack.enter_context(socket.socket(socket.AF_UNIX))
        idle.setblocking(False)
        idle.connect_ex(str(staged.socket))


def test_with_128_descriptors_300_connections_do_no_harm(staged: Stage, registry: TokenRegistry) -> None:
    """The cap keeps the daemon below its limit: the helper is answered while the crowd is there."""
    staged.configure(registry.rule())
    log = staged.home / "daemon.log"
    staged.logs.append(log)
    with log.open("wb") as out, ExitStack() as stack:
        staged.process = subprocess.Popen(
            ["sh", "-c", 'ulimit -n 128; exec "$0" serve', CREDPROXY],
            env=staged.environ | {"REGISTRY_PASSWORD": registry.password},
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
        )
        staged.await_ready()
        crowd(stack, staged)
        time.sleep(1.5)
        assert len(staged.log().splitlines()) <= 10
    assert staged.headers(registry.uri("a/manifests/x")) == {"Authorization": ["Bearer canary-token-1"]}


def test_without_any_descriptor_left_it_says_so_once_and_recovers(staged: Stage, registry: TokenRegistry) -> None:
    """C5: The limit is lowered for a running daemon, and accept really fails."""
    staged.configure(registry.rule())
    process = staged.start(REGISTRY_PASSWORD=registry.password)
    before = len(staged.log().splitlines())
    _, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (48, hard))
    with ExitStack() as stack:
        crowd(stack, staged, 80)
        time.sleep(3)
        assert [event["error"] for event in staged.events("no connection can be accepted")] == ["EMFILE"]
        assert len(staged.log().splitlines()) - before <= 10
    assert staged.headers(registry.uri("a/manifests/x")) == {"Authorization": ["Bearer canary-token-1"]}
