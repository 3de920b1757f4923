"""A daemon that starts in a sandbox only serves that sandbox, and never becomes the user's."""

import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import CREDPROXY, HELPER, Stage, TokenRegistry


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's"),
]


def test_a_daemon_in_a_sandbox_does_not_take_the_users_place(staged: Stage, sandbox: tuple[str, ...]) -> None:
    """It ends and says what to do; with a different path it serves."""
    done = subprocess.run(
        [*sandbox, "--mount-proc", CREDPROXY, "serve"],
        env=staged.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 1
    line = json.loads(done.stderr.splitlines()[-1])
    assert line["event"] == "cannot start"
    assert line["reason"] == f"this is a sandbox, and {str(staged.socket)!r} is the socket of the user's daemon"
    assert line["hint"] == "for a daemon of this sandbox, set CREDPROXY_SOCKET to a path of its own"
    assert not staged.socket.exists()
    assert not staged.socket.parent.exists()
    told = staged.environ | {"CREDPROXY_SOCKET": str(staged.socket)}
    again = subprocess.run([*sandbox, CREDPROXY, "serve"], env=told, capture_output=True, check=False, timeout=20)
    assert again.returncode == 1, "the path is the usual one, whoever names it"
    own = staged.home / "own" / "helper.sock"
    staged.start(*sandbox, "--mount-proc", CREDPROXY_SOCKET=str(own))
    assert own.exists()
    assert [line["reason"] for line in staged.events("no actions socket")] == [
        f"this is a sandbox, and '{staged.home}/run/credproxy-actions/actions.sock' is the socket of the user's daemon"
    ]


def test_the_helper_in_a_sandbox_starts_no_daemon_for_the_user(staged: Stage, sandbox: tuple[str, ...]) -> None:
    """Nothing listens and it may start one, but that one exits; outside, the next call starts the user's own."""
    environ = staged.environ | {"CREDPROXY_AUTOSTART": "1"}
    done = subprocess.run(
        [*sandbox, HELPER, "get", "--uri", "https://nobody.example/x"],
        env=environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert (done.returncode, done.stdout) == (1, "")
    assert not staged.socket.exists()
    assert staged.helper("https://nobody.example/x", CREDPROXY_AUTOSTART="1").returncode == 0
    pid = json.loads(staged.credproxy("status", "--json").stdout)["pid"]
    subprocess.run(["kill", str(pid)], check=True)


def test_below_a_home_directory_a_sandbox_serves_until_a_daemon_outside_has(
    staged: Stage, sandbox: tuple[str, ...]
) -> None:
    """Like a container, a sandbox may have its own home; where the user's daemon has served, it is the user's."""
    del staged.environ["XDG_RUNTIME_DIR"]
    place = staged.home / ".local" / "state" / "credproxy" / "run" / "helper.sock"
    if Path(f"/run/user/{os.getuid()}").is_dir():
        pytest.skip("this user has a login session, whose runtime directory comes first")
    staged.start(*sandbox, "--mount-proc")
    assert staged.process is not None
    assert place.exists()
    staged.process.kill()
    staged.process.wait()
    staged.start()
    assert staged.stop() == 0
    argv = [*sandbox, "--mount-proc", str(CREDPROXY), "serve"]
    done = subprocess.run(argv, env=staged.environ, capture_output=True, text=True, check=False, timeout=20)
    assert done.returncode == 1
    assert f"{str(place)!r} is the socket of the user's daemon" in json.loads(done.stderr)["reason"]


@contextlib.contextmanager
def intruding(staged: Stage, sandbox: tuple[str, ...]) -> Iterator[None]:
    """A daemon in a sandbox that was told to use the user's path, which is not the usual one in its environment."""
    environ = staged.environ | {"CREDPROXY_SOCKET": str(staged.socket), "XDG_RUNTIME_DIR": ""}
    argv = [*sandbox, "--mount-proc", str(CREDPROXY), "serve"]
    with subprocess.Popen(argv, env=environ, stderr=subprocess.PIPE, stdin=subprocess.DEVNULL) as process:
        try:
            deadline = time.perf_counter() + 10
            while not staged.socket.exists():
                assert time.perf_counter() < deadline
                time.sleep(0.02)
            yield
        finally:
            process.kill()


def test_the_users_daemon_takes_its_place_back_from_a_sandbox(
    staged: Stage, registry: TokenRegistry, sandbox: tuple[str, ...]
) -> None:
    """The lock and the socket that a sandbox holds do not stop the user's daemon."""
    staged.configure(registry.rule())
    with intruding(staged, sandbox):
        staged.start(REGISTRY_PASSWORD=registry.password)
        assert staged.headers(registry.uri("a/b/manifests/x")) == {"Authorization": ["Bearer canary-token-1"]}
        (line,) = staged.events("socket taken back")
        assert line["socket"] == str(staged.socket)
    assert staged.headers(registry.uri("a/b/manifests/x")) == {"Authorization": ["Bearer canary-token-1"]}
