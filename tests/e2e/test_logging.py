"""The real daemon and its log: a reader that stops reading, a full disk, callers that try to forge lines."""

import contextlib
import fcntl
import http.client
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.halves import until
from tests.e2e.stage import CREDPROXY, Stage, TokenRegistry


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


class Unix(http.client.HTTPConnection):
    """HTTP on a Unix socket."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=5)
        self._path = path

    def connect(self) -> None:
        """Connect."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.connect(str(self._path))


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    """A pipe that holds one page."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    yield reading, writing
    os.close(reading)
    os.close(writing)


@contextlib.contextmanager
def _serving(staged: Stage, stderr: int) -> Iterator[Unix]:
    """Start the daemon with that log, and connect to it."""
    staged.process = subprocess.Popen(
        [CREDPROXY, "serve"], env=staged.environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
    )
    deadline = time.perf_counter() + 10
    while not staged.socket.exists():
        assert staged.process.poll() is None
        assert time.perf_counter() < deadline
        time.sleep(0.02)
    with contextlib.closing(Unix(staged.socket)) as connection:
        yield connection


def _succeed(connection: Unix, number: int) -> None:
    """Make requests that are answered and audited, each for another URI: such lines are never dropped."""
    connection.request("POST", "/v1/get", json.dumps({"uri": f"https://audited.example/{number}"}))
    response = connection.getresponse()
    response.read()
    assert response.status == 200


AUDITED = (
    '[[host]]\nmatch = "audited.example"\nprovider = "header"\nname = "X-Key"\n'
    'secret = { source = "env", name = "REGISTRY_PASSWORD" }\n[log]\naudit = true\n'
)


def _fail(connection: Unix, number: int) -> None:
    """Make requests that are refused and logged, each with different words."""
    connection.request("GET", f"/nothing/{number}")
    response = connection.getresponse()
    response.read()
    assert response.status == 404


def _metric(connection: Unix, name: str) -> float:
    connection.request("GET", "/metrics")
    page = connection.getresponse().read().decode()
    return next(float(line.split()[1]) for line in page.splitlines() if line.startswith(f"credproxy_{name} "))


def _read_until(reading: int, wanted: str) -> str:
    """Read the log until it says that."""
    found = b""
    while wanted.encode() not in found:
        found += os.read(reading, 65_536)
    return found.decode()


def test_a_log_that_is_not_read_does_not_block_the_daemon(
    staged: Stage, registry: TokenRegistry, pipe: tuple[int, int]
) -> None:
    """P14: with a full pipe as stderr it still answers, and says how much is missing once the pipe is read again."""
    reading, writing = pipe
    staged.configure(registry.rule() + AUDITED)
    staged.environ["REGISTRY_PASSWORD"] = "canary-pass"
    with _serving(staged, writing) as connection:
        for number in range(1500):
            _succeed(connection, number)
        assert staged.headers(registry.uri("org/app/tags/list")) == {"Authorization": ["Bearer canary-token-1"]}
        dropped = _metric(connection, "log_lines_dropped")
    assert 1500 - 1000 - 50 < dropped < 1500
    log = _read_until(reading, "log lines dropped")
    lines = [json.loads(line) for line in log.splitlines() if line.endswith("}")]
    assert {line["count"] for line in lines if line["event"] == "log lines dropped"} == {dropped}
    assert staged.stop() == 0


def test_the_end_does_not_wait_for_a_reader(staged: Stage, pipe: tuple[int, int]) -> None:
    """P14: SIGTERM ends it within its seconds, whatever is still unwritten."""
    _, writing = pipe
    staged.configure(AUDITED)
    staged.environ["REGISTRY_PASSWORD"] = "canary-pass"
    with _serving(staged, writing) as connection:
        for number in range(1500):
            _succeed(connection, number)
    assert staged.stop(signal.SIGTERM) == 0


def test_a_full_disk_under_the_log_stops_nothing(staged: Stage, registry: TokenRegistry) -> None:
    """C7: every write fails with ENOSPC, every question is answered, and the metrics show it."""
    staged.configure(registry.rule())
    staged.environ["REGISTRY_PASSWORD"] = "canary-pass"
    with Path("/dev/full").open("wb") as full, _serving(staged, full.fileno()) as connection:
        _fail(connection, 1)
        assert staged.headers(registry.uri("org/app/tags/list")) == {"Authorization": ["Bearer canary-token-1"]}
        until(lambda: _metric(connection, "log_lines_dropped") >= 2)
    assert staged.stop() == 0


def test_a_caller_cannot_write_in_the_log(staged: Stage) -> None:
    """T17: a path with line ends, escape sequences and JSON is a value of one line, and nothing else."""
    staged.start()
    with contextlib.closing(Unix(staged.socket)) as connection:
        connection.request("GET", "/%0A%7B%22event%22:%22ready%22%7D%1b[2J%E2%80%A8%0d")
        assert connection.getresponse().read()
    assert staged.stop() == 0
    assert len(staged.events("ready")) == 1
    (line,) = staged.events("question failed")
    assert str(line["path"]).startswith("/\\u000a{")
    assert all(line.isprintable() for line in staged.log().splitlines())


def test_a_flood_of_one_question_is_a_handful_of_lines(staged: Stage) -> None:
    """T17: thousands of identical refusals are counted, and the log says so."""
    staged.start()
    with contextlib.closing(Unix(staged.socket)) as connection:
        for _ in range(3000):
            _fail(connection, 0)
        collapsed = _metric(connection, "log_lines_collapsed")
    assert staged.stop() == 0
    lines = staged.events("question failed")
    assert sum(int(str(line.get("repeated", 1))) for line in lines) == 3000
    assert len(lines) < 500
    assert collapsed > 2500


def test_refused_requests_with_long_paths_do_not_fill_the_disk(staged: Stage) -> None:
    """2,000 on each socket, each path another of 8,000 characters: eleven lines a second, 200 characters of a path.

    And all of them are counted.
    """
    staged.start()
    begun = time.perf_counter()
    actions = staged.home / "run" / "credproxy-actions" / "actions.sock"
    with contextlib.closing(Unix(staged.socket)) as helper, contextlib.closing(Unix(actions)) as gateway:
        for number in range(2000):
            for connection, path in ((helper, "/n"), (gateway, "/v2/n")):
                connection.request("GET", f"{path}{number}{'x' * 7900}")
                response = connection.getresponse()
                response.read()
                assert response.status in {400, 403, 404, 429, 503}
    seconds = time.perf_counter() - begun
    assert staged.stop() == 0
    for event in ("question failed", "gateway refused"):
        lines = staged.events(event)
        kinds = len({line["code"] for line in lines})
        assert sum(int(str(line.get("repeated", 1))) for line in lines) == 2000
        assert len(lines) <= 11 * kinds * (seconds + 2)
        assert max(len(str(line.get("path", ""))) for line in lines) == 200
    assert max(map(len, staged.log().splitlines())) < 2048


def test_the_log_of_a_daemon_that_the_helper_started_is_rotated(staged: Stage) -> None:
    """At 16 MiB, by the daemon itself; the file that a user redirects to is left alone."""
    state = staged.home / ".local" / "state" / "credproxy"
    state.mkdir(parents=True)
    log = state / "daemon.log"
    log.write_bytes(b"y" * (16 * 1024 * 1024 - 10))
    staged.environ["CREDPROXY_AUTOSTART"] = "1"
    done = staged.helper("https://nobody.example/x")
    assert (done.returncode, done.stdout) == (0, done.stdout), done.stderr
    pid = json.loads(staged.credproxy("status", "--json").stdout)["pid"]
    os.kill(pid, signal.SIGTERM)
    _await_end(pid)
    assert log.with_name("daemon.log.1").stat().st_size == 16 * 1024 * 1024 - 10
    assert next(json.loads(line)["event"] for line in log.read_text().splitlines()) == "ready"


def _await_end(pid: int) -> None:
    for _ in range(500):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, 0)
            time.sleep(0.02)
            continue
        return
    message = "the daemon does not end"
    raise AssertionError(message)
