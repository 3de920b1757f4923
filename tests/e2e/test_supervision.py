"""The daemon with and without a service manager: what it accepts, what it reports, and how it stops."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, suppress
from pathlib import Path

import pytest

from credproxy.adapters.own_metadata import own_copy, requirement
from tests.activation import activated
from tests.e2e.halves import is_dead, until
from tests.e2e.stage import CREDPROXY, Stage, TokenRegistry


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

URI = "https://a.corp.example/x"


class Manager:
    """Stands where systemd listens for states."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "notify")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(0.5)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def told(self, until: str = "") -> list[str]:
        """Give the messages up to a state, or until there are none for half a second; without times."""
        said: list[str] = []
        with suppress(TimeoutError):
            while not until or until not in said:
                said.append(re.sub(r"\nMONOTONIC_USEC=\d+$", " at", self._socket.recv(4096).decode()))
        return said


@pytest.fixture
def manager(staged: Stage) -> Iterator[Manager]:
    """A service manager."""
    with closing(Manager(staged.home)) as made:
        yield made


@pytest.fixture
def handed(staged: Stage) -> Iterator[list[socket.socket]]:
    """Two listening sockets, helper and actions."""
    made = []
    for path in (staged.socket, staged.home / "run" / "credproxy-actions" / "actions.sock"):
        path.parent.mkdir(mode=0o700)
        made.append(socket.socket(socket.AF_UNIX))
        made[-1].bind(str(path))
        made[-1].listen(4096)
    yield made
    for sock in made:
        sock.close()


def activate(staged: Stage, handed: list[socket.socket], names: str, *options: str) -> subprocess.Popen[bytes]:
    """Start the daemon with these sockets; its log is the stage's."""
    log = staged.home / f"daemon-{len(staged.logs)}.log"
    staged.logs.append(log)
    with log.open("wb") as out:
        staged.process = activated(
            [CREDPROXY, "serve", *options],
            [sock.fileno() for sock in handed],
            environ=staged.environ,
            names=names,
            out=out,
        )
    return staged.process


def slow_helper(staged: Stage) -> Path:
    """Configure a credential helper that never ends, starts a child and ignores SIGTERM; give its notes."""
    notes, script = staged.home / "pids", staged.home / "slow-helper"
    script.write_text(f"#!/bin/sh\ntrap '' TERM\nsleep 60 &\necho $$ $! >{notes}.new\nmv {notes}.new {notes}\nwait\n")
    script.chmod(0o755)
    staged.configure(f'[[host]]\nmatch = "*.corp.example"\nprovider = "exec"\ncommand = ["{script}"]\n')
    return notes


def wait_for(path: Path) -> None:
    """Wait until something is there."""
    end = time.perf_counter() + 10
    while not path.exists():
        assert time.perf_counter() < end
        time.sleep(0.02)


def test_it_says_when_it_is_ready_and_when_it_stops(staged: Stage, manager: Manager) -> None:
    """R16: READY=1 after it listens, STOPPING=1 first of all at the end, and what is in force for people."""
    staged.start(NOTIFY_SOCKET=manager.path)
    assert manager.told("READY=1") == ["STATUS=generation 1 of the configuration, 0 host rules", "READY=1"]
    assert staged.stop() == 0
    assert manager.told() == ["STOPPING=1"]


@pytest.mark.parametrize("number", range(12))
def test_a_broken_file_at_sighup_keeps_what_was_in_force(staged: Stage, manager: Manager, number: int) -> None:
    """P4: whatever is wrong with it; RELOADING=1, the reason, READY=1."""
    broken = [
        "[[host]\n",
        "nonsense = true\n",
        "host = 5\n",
        '[[host]]\nmatch = "a"\n',
        '[[host]]\nmatch = "a"\nprovider = "x"\n',
        "empty_ttl = -1\n",
        'cache = { bytes = "much" }\n',
        "\x00",
        'netrc = "relative',
        "[log]\nlevel = 'loud'\n",
        '[[actions.rule]]\naction = "allow"\n',
        "a = 1\na = 2\n",
    ][number]
    slow_helper(staged)
    staged.start(NOTIFY_SOCKET=manager.path)
    manager.told("READY=1")
    staged.configure(broken)
    assert staged.process is not None
    staged.process.send_signal(signal.SIGHUP)
    reloading, status, ready = manager.told("READY=1")
    assert (reloading, ready) == ("RELOADING=1 at", "READY=1")
    assert status.startswith("STATUS=reload failed, the configuration in force stays: ")
    assert "config.toml:" in status
    assert "slow-helper" in staged.credproxy("explain", URI).stdout


def test_the_watchdog_hears_from_the_event_loop_and_nothing_from_a_blocked_one(staged: Stage, manager: Manager) -> None:
    """P7: a process that is stopped stands for one whose loop is blocked."""
    staged.configure("")
    process = staged.start(NOTIFY_SOCKET=manager.path, WATCHDOG_USEC="200000")
    manager.told("READY=1")
    assert manager.told("WATCHDOG=1")[-1] == "WATCHDOG=1"
    process.send_signal(signal.SIGSTOP)
    manager.told()
    assert manager.told() == []
    process.send_signal(signal.SIGCONT)
    assert manager.told("WATCHDOG=1")[-1] == "WATCHDOG=1"


def test_without_a_watchdog_an_idle_daemon_sleeps(staged: Stage, manager: Manager) -> None:
    """Section 7: nothing wakes it in a second and a half."""
    process = staged.start(NOTIFY_SOCKET=manager.path)
    time.sleep(0.5)

    def switches() -> list[str]:
        status = Path(f"/proc/{process.pid}/task/{process.pid}/status").read_text()
        return re.findall(r"^voluntary_ctxt_switches:\s+(\d+)", status, re.MULTILINE)

    before = switches()
    time.sleep(1.5)
    assert switches() == before
    assert len(before) == 1


def test_sockets_that_are_handed_over_are_served_and_left_behind(staged: Stage, handed: list[socket.socket]) -> None:
    """6.1: no lock, no second socket, and the files stay for the successor."""
    process = activate(staged, handed, "helper:actions")
    assert staged.helper(URI).returncode == 0
    assert not staged.socket.with_suffix(".lock").exists()
    second = staged.credproxy("serve")
    assert (second.returncode, "already running" in second.stderr) == (0, True)
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0
    assert staged.socket.exists()
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(staged.helper, URI)
        activate(staged, handed, "helper:actions")
        assert asked.result().returncode == 0


def test_without_the_actions_socket_the_other_is_served(staged: Stage, handed: list[socket.socket]) -> None:
    """A user who does not want it omits its unit; the daemon does not make it by itself."""
    activate(staged, handed[:1], "helper")
    assert staged.helper(URI).returncode == 0
    (warning,) = staged.events("no actions socket")
    assert warning["hint"] == "systemctl --user enable --now credproxy-actions.socket"


@pytest.mark.parametrize(
    ("names", "options", "said"),
    [
        ("actions", (), "only the actions socket was handed over"),
        ("helper:gateway", (), "a socket named 'gateway' was handed over"),
        ("helper:actions", ("--gateway-only",), "a socket named 'helper' was handed over; wanted actions"),
    ],
)
def test_it_refuses_to_start_with_the_wrong_sockets(
    staged: Stage, handed: list[socket.socket], names: str, options: tuple[str, ...], said: str
) -> None:
    """P13: status 64, after which the units do not restart, and waiting callers get the reason."""
    with ThreadPoolExecutor(1) as pool, socket.socket(socket.AF_UNIX) as client:
        client.connect(str(staged.socket))
        process = activate(staged, handed[: names.count(":") + 1], names, *options)
        answer = pool.submit(client.recv, 4096)
        assert process.wait(10) == 64
        assert said in answer.result().decode()
    (error,) = staged.events("cannot start")
    assert str(error["reason"]).startswith(said)


def test_gateway_only_has_no_helper_socket(staged: Stage) -> None:
    """6.4: also self-made."""
    process = subprocess.Popen([CREDPROXY, "serve", "--gateway-only"], env=staged.environ, stderr=subprocess.DEVNULL)
    staged.process = process
    wait_for(staged.home / "run" / "credproxy-actions" / "actions.lock")
    assert not staged.socket.exists()


def test_it_does_not_serve_with_the_lenient_parser(staged: Stage) -> None:
    """PY14: a restart would not bring the other one: 64."""
    environ = staged.environ | {"AIOHTTP_NO_EXTENSIONS": "1"}
    done = subprocess.run([CREDPROXY, "serve"], env=environ, capture_output=True, text=True, check=False, timeout=10)
    assert done.returncode == 64
    assert "HTTP parser in C is missing" in done.stderr
    assert own_copy().replacing(requirement("aiohttp")) in done.stderr
    assert not staged.socket.exists()


def test_inherited_signal_settings_do_it_no_harm(staged: Stage) -> None:
    """PY8: with SIGCHLD ignored it could not tell how a helper ended; with SIGTERM blocked it would not stop."""
    script = staged.home / "corp-helper"
    script.write_text("#!/bin/sh\necho no such user >&2; exit 3\n")
    script.chmod(0o755)
    staged.configure(f'[[host]]\nmatch = "*.corp.example"\nprovider = "exec"\ncommand = ["{script}"]\n')
    launcher = (
        "import os, signal, sys\n"
        "signal.signal(signal.SIGCHLD, signal.SIG_IGN)\n"
        "signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGCHLD])\n"
        "os.execv(sys.argv[1], sys.argv[1:])\n"
    )
    staged.logs.append(staged.home / "daemon.log")
    with staged.logs[-1].open("wb") as out:
        argv = [sys.executable, "-IS", "-c", launcher, str(CREDPROXY), "serve"]
        staged.process = subprocess.Popen(argv, env=staged.environ, stderr=out)
    wait_for(staged.socket)
    assert "ended with status 3" in staged.helper(URI).stderr
    assert staged.stop() == 0


@pytest.mark.parametrize("times", [1, 2], ids=["once", "twice"])
def test_work_in_flight_ends_with_the_daemon_and_no_process_survives(staged: Stage, times: int) -> None:
    """P5: one second for flights with waiters, none when asked twice; then the helpers' groups are killed."""
    notes = slow_helper(staged)
    process = staged.start()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(staged.helper, URI, CREDPROXY_TIMEOUT="5")
        wait_for(notes)
        pids = notes.read_text().split()
        begun = time.perf_counter()
        process.send_signal(signal.SIGTERM)
        assert staged.events("stopping")
        if times == 2:
            process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
        assert (time.perf_counter() - begun < 0.9) == (times == 2)
        until(lambda: all(is_dead(int(pid)) for pid in pids))
        assert waiting.result().returncode == 1


def test_a_successor_is_found_while_the_old_one_still_drains(staged: Stage) -> None:
    """P5 without a service manager: the socket's path is free at once."""
    notes = slow_helper(staged)
    old = staged.start()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(staged.helper, URI, CREDPROXY_TIMEOUT="3")
        wait_for(notes)
        old.send_signal(signal.SIGTERM)
        assert staged.events("stopping")
        new = staged.start()
        assert staged.helper("https://unknown.example/x").returncode == 0
        assert old.wait(10) == 0
        assert new.poll() is None
        assert staged.socket.exists()
        waiting.result()


def test_it_stops_while_its_configuration_is_broken(staged: Stage) -> None:
    """P3: waiting for the fixed file does not delay it."""
    staged.configure("[[host]\n")
    staged.start()
    assert staged.stop() == 0


def test_a_daemon_that_lost_its_socket_to_another_removes_nothing(staged: Stage) -> None:
    """P1: as after an installation of the service."""
    staged.start()
    staged.socket.unlink()
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(staged.socket))
        other.listen()
        assert staged.stop() == 0
        assert staged.socket.exists()


def test_a_dead_name_server_does_not_hold_up_the_end(staged: Stage, registry: TokenRegistry) -> None:
    """A look-up takes up to thirty seconds; a successor that waited for it would be too late for callers."""
    if os.geteuid() != 0:
        pytest.skip("run as root: the test has a name server and a mount namespace of its own")
    staged.configure('peer_namespaces = "any"\n' + registry.rule().replace(registry.authority, "registry.example.com"))
    resolver = staged.home / "resolv.conf"
    resolver.write_text("nameserver 127.0.0.77\n")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.77", 53))
        script = f"mount --bind {resolver} /etc/resolv.conf && exec {CREDPROXY} serve"
        environ = staged.environ | {"REGISTRY_PASSWORD": "x"}
        staged.process = subprocess.Popen(
            ["unshare", "--mount", "sh", "-c", script], env=environ, stderr=subprocess.DEVNULL
        )
        wait_for(staged.socket)
        asked = staged.helper(
            "https://registry.example.com/v2/a/manifests/x", CREDPROXY_TIMEOUT="1.5", CREDPROXY_PEER_NAMESPACES="any"
        )
        assert "still trying" in asked.stderr
        assert silent.recv(512)
        staged.process.send_signal(signal.SIGTERM)
        assert staged.process.wait(4) == 0
