"""``credproxy stop``, ``restart`` and ``uninstall`` with real daemons that no service manager manages."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pytest

from credproxy.server.listener import bind
from tests.e2e.halves import Halves, children, download, is_dead, nurseries_of, until
from tests.e2e.stage import CREDPROXY, Stage
from tests.e2e.test_actions import rules
from tests.hints import filled


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="who listens, as Linux tells it"),
]

NOWHERE = "https://nowhere.example/"


def pid_of(staged: Stage) -> int:
    """The pid of the daemon that answers."""
    done = staged.credproxy("status", "--json")
    assert done.returncode == 0, done.stderr
    return int(done.stdout.partition('"pid":')[2].partition(",")[0])


@pytest.fixture
def self_started(staged: Stage) -> Iterator[Stage]:
    """A home whose daemon the helper started; any daemon left at the end is stopped."""
    staged.environ["CREDPROXY_AUTOSTART"] = "1"
    try:
        assert staged.headers(NOWHERE) == {}
        yield staged
    finally:
        staged.credproxy("stop")


def test_stop_ends_a_daemon_that_the_helper_started_and_the_next_call_starts_another(self_started: Stage) -> None:
    """It is gone when the command returns, with its socket."""
    before = pid_of(self_started)
    done = self_started.credproxy("stop")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"stopped the daemon (pid {before}); the next credproxy-helper call starts it again\n"
    assert (is_dead(before), self_started.socket.exists()) == (True, False)
    assert self_started.headers(NOWHERE) == {}
    assert pid_of(self_started) != before


def test_stop_without_a_daemon_says_so(staged: Stage) -> None:
    """It is stopped already."""
    done = staged.credproxy("stop")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"no daemon runs at {staged.socket}\n", "")


def test_restart_without_a_daemon_is_an_error_that_says_how_to_start_one(staged: Stage) -> None:
    """There is no daemon whose options could be kept."""
    done = staged.credproxy("restart")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        f"credproxy: no daemon runs at {staged.socket}\n"
        "hint: the next credproxy-helper call starts it; or run: credproxy serve\n"
    )


def test_restart_keeps_process_options_and_sockets(staged: Stage) -> None:
    """So that a terminal, a container or a foreign service manager does not notice; nothing of its memory is left."""
    process = staged.start()
    assert staged.headers(NOWHERE) == {}
    before = staged.socket.stat().st_ino
    done = staged.credproxy("restart")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"restarted the daemon (pid {process.pid})\n", "")
    assert (process.poll(), staged.socket.stat().st_ino) == (None, before)
    assert len(staged.events("ready", least=2)) == 2
    assert staged.stop() == 0
    assert not staged.socket.exists()


def test_restart_makes_the_actions_socket_that_another_daemon_had(staged: Stage) -> None:
    """That is what doctor says to do."""
    actions = staged.home / "run" / "credproxy-actions" / "actions.sock"
    with contextlib.closing(bind(str(actions), backlog=8)):
        staged.start()
        assert staged.events("no actions socket")[0]["reason"] == "another daemon serves it"
    assert "credproxy restart" in staged.credproxy("doctor").stdout
    assert staged.credproxy("restart").returncode == 0
    assert staged.events("ready", least=2)[-1]["actions"] == str(actions)
    assert actions.is_socket()


def test_a_successor_holds_the_lock_of_the_first(staged: Stage) -> None:
    """A second daemon leaves, as before the restart."""
    staged.start()
    assert staged.credproxy("restart").returncode == 0
    second = staged.credproxy("serve")
    assert (second.returncode, "already running" in second.stderr) == (0, True)


def test_no_call_is_lost_over_five_restarts(staged: Stage) -> None:
    """Callers wait in the socket's queue for the successor, or their helper asks again."""
    staged.start()
    script = f'for n in $(seq 150); do "$0" get --uri {NOWHERE}$n || exit 1; done'
    helper = CREDPROXY.with_name("credproxy-helper")
    with subprocess.Popen(
        ["sh", "-c", script, str(helper)], env=staged.environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as asking:
        for _ in range(5):
            assert staged.credproxy("restart").returncode == 0
        out, err = asking.communicate()
    assert (asking.returncode, err, out.count('{"headers":{}')) == (0, "", 150)


def test_uninstall_leaves_no_carrier(staged: Stage, halves: Halves) -> None:
    """Not even one that hangs in the middle of a download, nor the nursery."""
    staged.environ |= {"CREDPROXY_AUTOSTART": "1", "REGISTRY_PASSWORD": halves.password}
    staged.configure(halves.rule() + "insecure = true\n" + rules(halves))
    assert staged.helper(NOWHERE).returncode == 0
    (nursery,) = nurseries_of(pid_of(staged))
    with download(staged, halves) as one:
        until(lambda: halves.begun == 1)
        (carrier,) = children(nursery)
        os.kill(carrier, signal.SIGSTOP)
        done = staged.credproxy("uninstall")
        assert (done.returncode, done.stderr) == (0, "")
        until(lambda: is_dead(carrier) and is_dead(nursery))
        halves.rest.set()
        one.communicate(timeout=20)
        assert one.returncode != 0


def test_uninstall_ends_a_daemon_that_the_helper_started(self_started: Stage) -> None:
    """Otherwise it would keep serving after its program is removed; nothing is left in the runtime directory."""
    before = pid_of(self_started)
    dry = self_started.credproxy("uninstall", "--dry-run")
    assert (dry.returncode, is_dead(before)) == (0, False)
    assert f"would stop  the daemon (pid {before})\n" in dry.stdout
    done = self_started.credproxy("uninstall")
    assert (done.returncode, done.stderr) == (0, "")
    assert f"stopped  the daemon (pid {before})\n" in done.stdout
    assert is_dead(before)
    assert list((self_started.home / "run").iterdir()) == []
    assert "stop" not in self_started.credproxy("uninstall").stdout


@pytest.mark.parametrize("command", ["stop", "restart"])
def test_a_program_that_is_not_credproxy_is_left_alone(staged: Stage, command: str) -> None:
    """It listens where a variable that names the wrong path leads."""
    staged.socket.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    code = "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.bind(sys.argv[1])\ns.listen()\nprint('ready', flush=True)\n"
    code += "while True:\n    s.accept()[0].close()\n"
    with subprocess.Popen([sys.executable, "-c", code, staged.socket], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            assert other.stdout.readline() == b"ready\n"
            done = staged.credproxy(command)
            assert (done.returncode, other.poll()) == (1, None)
            assert f"what listens at {staged.socket} is not credproxy but 'python" in done.stderr
            assert f"(pid {other.pid})\n" in done.stderr
            advice = done.stderr.splitlines()[-1].removeprefix("hint: ")
            assert filled(advice, "end it yourself, or set CREDPROXY_SOCKET to another path") == ()
        finally:
            other.kill()
    staged.environ["CREDPROXY_SOCKET"] = str(staged.home / "own" / "helper.sock")
    staged.start()
    assert staged.credproxy(command).returncode == 0
