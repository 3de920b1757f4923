"""``serve --system``: one daemon for all users, whom the kernel identifies (6.5, T10)."""

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.activation import activated
from tests.e2e.halves import until
from tests.e2e.stage import CREDPROXY, HELPER, Stage, TokenRegistry


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

ALICE, BOB = 12_346, 12_347
OPEN = 'peer_namespaces = "any"\n'


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory of root's that everybody may enter, with the helper program in it."""
    if os.geteuid() != 0:
        pytest.skip("run as root: the callers are other users")
    with tempfile.TemporaryDirectory(prefix="cp-", dir="/tmp") as folder:
        Path(folder).chmod(0o755)
        shutil.copy2(HELPER, folder)
        yield Path(folder)


@pytest.fixture
def served(place: Path, staged: Stage) -> Iterator[Path]:
    """A running system daemon's helper socket; its configuration is the stage's."""
    path = place / "helper.sock"
    log = staged.home / "daemon.log"
    staged.logs.append(log)
    with socket.socket(socket.AF_UNIX) as listening, log.open("wb") as out:
        listening.bind(str(path))
        path.chmod(0o666)  # in place of the group
        listening.listen(64)
        staged.process = activated(
            [CREDPROXY, "serve", "--system", "--config", staged.config],
            [listening.fileno()],
            environ=staged.environ | {"REGISTRY_PASSWORD": "canary-pass"},
            names="helper",
            out=out,
        )
        yield path


def test_status_counts_connections_of_the_actions_socket_by_user(place: Path, staged: Stage) -> None:
    """An administrator wants to know which user holds them."""
    staged.configure(OPEN)
    log = staged.home / "daemon.log"
    staged.logs.append(log)
    with contextlib.ExitStack() as stack:
        out, listening = stack.enter_context(log.open("wb")), {}
        for name in ("helper", "actions"):
            listening[name] = stack.enter_context(socket.socket(socket.AF_UNIX))
            listening[name].bind(str(place / f"{name}.sock"))
            (place / f"{name}.sock").chmod(0o666)
            listening[name].listen(64)
        staged.process = activated(
            [CREDPROXY, "serve", "--system", "--config", staged.config],
            [sock.fileno() for sock in listening.values()],
            environ=staged.environ,
            names="helper:actions",
            out=out,
        )
        for user, count in ((ALICE, 2), (BOB, 1)):
            for _ in range(count):
                argv = ["curl", "-s", "--unix-socket", str(place / "actions.sock"), "telnet://x"]
                stack.enter_context(_ended(argv, user=user))

        def connections() -> object:
            argv = ["curl", "-s", "--unix-socket", str(place / "helper.sock"), "http://x/v1/status"]
            return json.loads(subprocess.run(argv, capture_output=True, check=True, timeout=20).stdout)["connections"]

        until(lambda: connections() == {f"uid {ALICE}": 2, f"uid {BOB}": 1})


@contextlib.contextmanager
def _ended(argv: list[str], *, user: int) -> Iterator[None]:
    with subprocess.Popen(argv, user=user, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.kill()


def ask(socket_path: Path, uri: str, *, user: int) -> subprocess.CompletedProcess[str]:
    """Run the helper as a user."""
    return subprocess.run(
        [socket_path.with_name(HELPER.name), "get"],
        input=json.dumps({"uri": uri}),
        env={"CREDPROXY_SOCKET": str(socket_path)},
        user=user,
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )


def request(socket_path: Path, line: str, *, user: int) -> str:
    """Send a request by hand as a user; give the answer."""
    curl = ["curl", "--silent", "--show-error", "--unix-socket", str(socket_path), *line.split()]
    done = subprocess.run(curl, user=user, capture_output=True, text=True, check=True, timeout=20)
    return done.stdout


def test_users_share_the_daemon_and_no_answer(staged: Stage, registry: TokenRegistry, served: Path) -> None:
    """T10: each user's question has its own exchange; a repeated question is answered from memory."""
    staged.configure(OPEN + registry.rule())
    answers = [ask(served, registry.uri("a/manifests/x"), user=user) for user in (ALICE, BOB, ALICE, BOB)]
    assert [done.returncode for done in answers] == [0] * 4, answers
    tokens = [json.loads(done.stdout)["headers"]["Authorization"][0] for done in answers]
    assert tokens[0] == tokens[2] != tokens[1] == tokens[3]
    assert registry.exchanges() == 2


@pytest.mark.parametrize(
    "verb", ["GET http://x/v1/status", "GET http://x/metrics", "POST http://x/v1/flush", "POST http://x/v1/reload"]
)
def test_what_concerns_all_users_is_for_root(staged: Stage, served: Path, verb: str) -> None:
    """T3: a user cannot see others' questions, or flush others' answers."""
    staged.configure(OPEN)
    line = f"--request {verb}"
    refused = json.loads(request(served, line, user=ALICE))["error"]
    assert (refused["code"], refused["hint"]) == ("peer_refused", "run it with sudo")
    assert "peer_refused" not in request(served, line, user=0)


@pytest.mark.parametrize("settings", ["", 'peer_namespaces = "same"\n'], ids=["default", "same"])
def test_it_serves_no_caller_until_the_operator_accepts_that_it_sees_no_namespaces(
    staged: Stage, served: Path, settings: str
) -> None:
    """6.5: with the line to write, and without a restart once it is there."""
    staged.configure(settings)
    refused = ask(served, "https://unknown.example/x", user=ALICE)
    assert refused.returncode == 1
    assert "cannot see the namespaces of other users' processes" in refused.stderr
    assert f'write peer_namespaces = "any" into {staged.config}' in refused.stderr
    staged.configure(OPEN)
    end = time.perf_counter() + 5
    while ask(served, "https://unknown.example/x", user=ALICE).returncode != 0:
        assert time.perf_counter() < end
        time.sleep(0.1)


def test_a_reload_does_not_take_that_acceptance_back_unseen(staged: Stage, served: Path) -> None:
    """What was in force stays, and the log says what the file lacks."""
    staged.configure(OPEN)
    assert ask(served, "https://unknown.example/x", user=ALICE).returncode == 0
    staged.configure("")
    assert staged.process is not None
    staged.process.send_signal(signal.SIGHUP)
    assert staged.events("reload refused")
    assert ask(served, "https://unknown.example/x", user=ALICE).returncode == 0


def test_a_system_daemon_makes_no_sockets_of_its_own(staged: Stage) -> None:
    """P13: the service manager sets their groups."""
    done = staged.credproxy("serve", "--system")
    assert done.returncode == 64
    assert "no sockets were handed over" in done.stderr
    assert "credproxy install --system" in done.stderr
