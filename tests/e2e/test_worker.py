"""The process with the libraries of clouds, as the daemon starts it: when it is needed, and never for longer than the daemon."""

import json
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.halves import children, is_dead, until
from tests.e2e.stage import Stage
from tests.worker.token_server import TokenServer


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]

OBJECT = "https://storage.googleapis.com/bkt/o"


@pytest.fixture
def google() -> Iterator[TokenServer]:
    """Its token server."""
    with TokenServer() as server:
        yield server


@pytest.fixture
def served(staged: Stage, google: TokenServer, tmp_path: Path) -> Stage:
    """A daemon in whose environment there is a login of Google's, and no configuration."""
    staged.start(GOOGLE_APPLICATION_CREDENTIALS=google.service_account(tmp_path), GH_TOKEN="canary-github")
    return staged


def worker(served: Stage) -> int:
    """The daemon's only child."""
    assert served.process is not None
    (pid,) = children(served.process.pid)
    return pid


def test_without_a_line_of_configuration_an_object_of_googles_has_its_token(served: Stage, google: TokenServer) -> None:
    """The worker starts with the first question; to explain it starts nothing, and says where the login is."""
    assert served.process is not None
    assert "build@corp.test" in served.credproxy("explain", OBJECT).stdout
    assert children(served.process.pid) == []
    for name in ("bkt/o", "bkt/other", "bucket/third"):
        headers = served.headers(f"https://storage.googleapis.com/{name}")
        assert headers == {"Authorization": ["Bearer canary-google"]}
    assert len(google.asked) == 1
    environ = Path(f"/proc/{worker(served)}/environ")
    assert os.geteuid() != 0 or b"canary-github" not in environ.read_bytes()
    pid = worker(served)
    told = json.loads(served.credproxy("status", "--json").stdout)["worker"]
    assert (told["state"], told["pid"], told["calls"], told["restarts"]) == ("running", pid, 1, 0)
    assert told["memory_bytes"] > 1 << 20, "the kernel shows it, though nobody may read its memory"
    assert served.stop() == 0
    assert is_dead(pid)
    assert "canary" not in served.log()


def test_one_that_hangs_does_not_outlive_a_daemon_that_is_killed(served: Stage) -> None:
    """The kernel ends it."""
    served.headers(OBJECT)
    pid = worker(served)
    os.kill(pid, signal.SIGSTOP)
    served.stop(signal.SIGKILL)
    until(lambda: is_dead(pid), 5.0)


def test_one_that_was_killed_is_replaced_and_nobody_notices(served: Stage, google: TokenServer) -> None:
    """Neither those whose answers are in memory, nor the next question."""
    served.headers(OBJECT)
    first = worker(served)
    os.kill(first, signal.SIGKILL)
    until(lambda: is_dead(first), 5.0)
    assert served.headers(OBJECT) == {"Authorization": ["Bearer canary-google"]}
    assert len(google.asked) == 1
    google.granting("canary-second")
    assert served.credproxy("flush").returncode == 0
    assert served.headers(OBJECT) == {"Authorization": ["Bearer canary-second"]}
    assert worker(served) != first
    google.replies["/token"] = (400, {"error": "invalid_grant", "error_description": "canary"})
    assert served.credproxy("flush").returncode == 0
    failed = served.helper(OBJECT)
    assert failed.returncode != 0
    assert "has expired or was revoked" in failed.stderr
    assert "canary" not in failed.stderr
    assert served.stop() == 0
    assert "canary" not in served.log()
