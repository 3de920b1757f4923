"""The service through restarts, crashes, hangs and mistakes: what a caller notices, and what ``systemctl status`` says."""

import json
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.systemd.machine import HELPER_SOCKET, SERVICE, Machine, until


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

URI = "https://a.corp.example/x"


def corp_helper(machine: Machine, script: str) -> None:
    """Put a credential helper behind the daemon; its header tells one answer from another."""
    program = machine.home / "corp-helper"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    machine.configure(f'[[host]]\nmatch = "*.corp.example"\nprovider = "exec"\ncommand = ["{program}"]\n')


ANSWER = 'echo \'{"headers":{"X-Corp":["made-up"]}}\''


def test_it_is_active_once_it_serves(installed: Machine) -> None:
    """READY=1 comes when questions can be answered, STATUS= says what is in force."""
    installed.systemctl("start", SERVICE)
    assert installed.show("ActiveState") == "active"
    assert installed.show("StatusText") == "generation 1 of the configuration, 0 host rules"


def test_a_broken_configuration_does_not_keep_it_from_starting(installed: Machine) -> None:
    """P3: degraded, with the reason in the status and in every answer; a fix works within two seconds."""
    installed.configure("[[host]]\nmatch = 5\n")
    asked = installed.helper(URI)
    assert asked.returncode == 1
    assert "config.toml:1" in asked.stderr
    assert installed.show("ActiveState") == "active"
    assert installed.show("StatusText").startswith("no valid configuration: ")
    installed.configure("")
    assert until(lambda: "host rules" in installed.show("StatusText"), 3)
    assert installed.helper(URI).returncode == 0


def test_a_reload_is_reported_and_a_broken_one_keeps_what_was(installed: Machine) -> None:
    """P4: ``systemctl reload`` ends, the service stays active, the status says which of the two it was."""
    corp_helper(installed, ANSWER)
    assert "made-up" in installed.helper(URI).stdout
    good = installed.home / ".config" / "credproxy" / "config.toml"
    text = good.read_text()
    good.write_text(text + "nonsense = true\n")
    installed.systemctl("reload", SERVICE)
    assert until(lambda: installed.show("StatusText").startswith("reload failed, the configuration in force stays: "))
    assert installed.show("ActiveState") == "active"
    assert "made-up" in installed.helper("https://b.corp.example/x").stdout
    good.write_text(text)
    installed.systemctl("reload", SERVICE)
    assert until(lambda: installed.show("StatusText") == "generation 2 of the configuration, 1 host rule")


@pytest.mark.parametrize("end", ["restart", "kill"])
def test_restarts_and_crashes_cost_no_caller_anything(installed: Machine, end: str) -> None:
    """P5, P6: eight callers at a time, none sees a failure; the queue is kept while there is no daemon."""
    installed.helper(URI)
    ends = time.perf_counter() + 6

    def call_on(_: int) -> list[str]:
        failures = []
        while time.perf_counter() < ends:
            asked = installed.helper(URI)
            failures += [asked.stderr] if asked.returncode != 0 else []
        return failures

    with ThreadPoolExecutor(8) as pool:
        callers = pool.map(call_on, range(8))
        seen = set()
        for _ in range(3):
            time.sleep(1.5)
            seen.add(installed.pid())
            if end == "restart":
                installed.systemctl("restart", SERVICE)
            else:
                installed.signal(signal.SIGKILL)
        assert [failure for failures in callers for failure in failures] == []
    assert len(seen) == 3


def test_calls_during_a_restart_are_answered_by_the_successor(installed: Machine) -> None:
    """The socket is the service manager's: it outlives the daemon, and so does its queue."""
    installed.helper(URI)
    inode = installed.run("stat", "--format=%i", HELPER_SOCKET).stdout
    installed.systemctl("stop", SERVICE)
    assert installed.helper(URI).returncode == 0
    assert installed.run("stat", "--format=%i", HELPER_SOCKET).stdout == inode


def test_a_hanging_daemon_is_replaced_before_its_caller_gives_up(installed: Machine) -> None:
    """P7: the watchdog ends it after 6 s, where it hung is in the log, and the waiting caller gets an answer."""
    installed.keep_log()
    installed.helper(URI)
    stuck = installed.signal(signal.SIGSTOP)
    asked = installed.helper(URI)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert installed.pid() not in {0, stuck}
    assert "Fatal Python error: Aborted" in installed.log()


def test_wrong_sockets_end_it_for_good_and_waiting_callers_are_reported(installed: Machine) -> None:
    """P13: status 64 is not restarted, and the callers' connections do not start it over and over."""
    installed.keep_log()
    folder = installed.units / "credproxy.socket.d"
    folder.mkdir()
    (folder / "wrong.conf").write_text("[Socket]\nFileDescriptorName=handler\n")
    installed.systemctl("daemon-reload")
    installed.systemctl("stop", SERVICE, "credproxy.socket")
    installed.systemctl("start", "credproxy.socket")
    asked = installed.helper(URI)
    assert asked.returncode == 1
    assert asked.stderr.splitlines() == [
        "a socket named 'handler' was handed over; wanted actions and helper",
        "reinstall the units: credproxy install",
    ]
    assert until(lambda: installed.show("ActiveState") == "failed")
    assert installed.show("ExecMainStatus") == "64"
    time.sleep(1)
    assert installed.log().count('"cannot start"') == 1


def test_a_unit_with_private_users_refuses_instead_of_guessing(installed: Machine) -> None:
    """F2: 8.2: it could not tell a sandboxed action from its user; status, log and each refusal say why."""
    installed.keep_log()
    installed.drop_in("private", "[Service]\nPrivateUsers=yes\n")
    asked = installed.helper(URI, CREDPROXY_PEER_NAMESPACES="any")
    assert asked.returncode == 1
    assert "a user namespace of its own (PrivateUsers)" in asked.stderr
    doubting = installed.helper(URI).stderr
    assert "they are in different namespaces" in doubting  # the helper does not trust it either
    assert "systemctl --user cat credproxy.service" in asked.stderr
    assert "refuses every caller" in installed.show("StatusText")
    assert until(lambda: '"helper socket closed"' in installed.log())
    installed.configure('peer_namespaces = "any"\n')
    installed.systemctl("restart", SERVICE)
    final = installed.helper(URI, CREDPROXY_PEER_NAMESPACES="any")
    assert final.returncode == 0, installed.log()


def test_credential_programs_know_nothing_of_the_service(installed: Machine) -> None:
    """T30: no variable and no descriptor of the daemon's gets through; the unit's limits do."""
    note = installed.home / "note"
    corp_helper(
        installed, f"env >{note}; ls /proc/self/fd >>{note}; grep Seccomp: /proc/self/status >>{note}; {ANSWER}"
    )
    assert installed.helper(URI).returncode == 0
    text = note.read_text()
    assert not re.search("NOTIFY|LISTEN|WATCHDOG|SYSTEMD|INVOCATION|CREDENTIALS", text)
    assert re.findall(r"^\d+$", text, re.MULTILINE) == ["0", "1", "2", "3"]  # 3 is the listing's own
    assert "Seccomp:\t2" in text


def test_credential_programs_die_with_a_killed_daemon(installed: Machine) -> None:
    """P6: the service's cgroup is emptied, and the next question starts the program again."""
    note = installed.home / "pids"
    corp_helper(installed, f"echo $$ >>{note}; sleep 30")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(installed.helper, URI, CREDPROXY_TIMEOUT="4")
        assert until(note.exists)
        installed.signal(signal.SIGKILL)
        assert until(lambda: len(note.read_text().split()) == 2)
        first, second = note.read_text().split()
        assert installed.run("kill", "-0", first).returncode != 0
        assert waiting.result().returncode == 1
    installed.systemctl("stop", SERVICE)
    assert installed.run("kill", "-0", second).returncode != 0


def test_a_sandbox_is_refused_by_the_installed_service(installed: Machine) -> None:
    """T11 under the shipped unit: same uid, other namespaces."""
    unshared = ("unshare", "--user", "--map-current-user", "--mount", "--pid", "--fork")
    asked = installed.run(*unshared, installed.programs / "credproxy-helper", "get", stdin=json.dumps({"uri": URI}))
    assert asked.returncode == 1
    assert "sandbox or container" in asked.stderr
    assert installed.helper(URI).returncode == 0


def test_stop_and_restart_go_through_systemd(installed: Machine) -> None:
    """If the daemon were killed directly, systemd would restart it; the socket stays, and wakes the next one."""
    assert installed.helper(URI).returncode == 0
    first = installed.show("MainPID")
    restarted = installed.run(installed.programs / "credproxy", "restart")
    second = installed.show("MainPID")
    assert (restarted.returncode, restarted.stdout) == (0, f"restarted the daemon (pid {second})\n")
    assert first != second
    stopped = installed.run(installed.programs / "credproxy", "stop")
    assert stopped.stdout.splitlines() == [
        f"stopped {SERVICE} (pid {second}); systemd starts it again on demand",
        "to stop it for good: systemctl --user stop credproxy.socket credproxy-actions.socket",
    ]
    assert (stopped.returncode, installed.show("ActiveState")) == (0, "inactive")
    again = installed.run(installed.programs / "credproxy", "stop")
    assert again.returncode == 0
    assert again.stdout.startswith("no daemon runs: systemd listens at ")
    assert installed.show("ActiveState") == "inactive"  # to ask whether there is one did not start one
    assert installed.helper(URI).returncode == 0
    assert installed.show("ActiveState") == "active"


def test_a_hand_over_of_the_service_leaves_its_restart_to_systemd(installed: Machine) -> None:
    """The sockets are systemd's; callers wait in their queues meanwhile."""
    assert installed.helper(URI).returncode == 0
    first = installed.show("MainPID")
    installed.systemctl("kill", "--signal=USR2", SERVICE)
    assert installed.helper(URI).returncode == 0
    assert until(lambda: installed.show("MainPID") not in {"0", first})


def test_carriers_are_confined_under_the_hardened_unit_and_end_with_it(installed: Machine) -> None:
    """The unit's restrictions do not prevent the carriers from confining themselves further."""
    socket = f"{HELPER_SOCKET.parent}-actions/actions.sock"
    asked = installed.run("curl", "--silent", "--unix-socket", socket, "http://localhost/healthz")
    assert asked.stdout == "ok\n"
    (carrier,) = json.loads(installed.credproxy("status", "--json").stdout)["carriers"]
    assert re.fullmatch(r"no files \(Landlock \d+\), no local sockets", carrier["confined"])
    assert carrier["memory_bytes"] > 1 << 20
    installed.systemctl("stop", SERVICE)
    assert not Path(f"/proc/{carrier['pid']}").exists()
