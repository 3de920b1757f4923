"""The system service under a real system instance: its own user, two groups, and only installed programs."""

import json
import re
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.systemd.machine import COPY, SYSTEM_MANAGER, until


pytestmark = [pytest.mark.real, pytest.mark.timeout(60), pytest.mark.usefixtures("systemd_at_hand")]

STRANGER, MEMBER = 12_345, 12_346
SOCKET = "/run/credproxy/helper.sock"
ACTIONS = "/run/credproxy-actions/actions.sock"
URI = "https://unknown.example/x"

# The Python of the tests may lie in root's home, which the service does not see: here it is below /opt, with its library.
SET_UP = f"""set -e
mkdir -p /opt/python /etc/credproxy
mount --bind '{sys.base_prefix}' /opt/python
'{COPY}' /opt/credproxy "$(ls /opt/python/bin/python3 /opt/python/bin/python{sys.version_info.major}.{sys.version_info.minor} | tail -n 1)"
mkdir /opt/credproxy/third-party
mount --bind '{sysconfig.get_path("purelib")}' /opt/credproxy/third-party
echo /opt/credproxy/third-party >/opt/credproxy/lib/python*/site-packages/third-party.pth
echo 'peer_namespaces = "any"' >/etc/credproxy/config.toml
mkdir -p /etc/systemd/system/credproxy.service.d
printf '[Service]\\nEnvironment=LD_LIBRARY_PATH=/opt/python/lib\\n' >/etc/systemd/system/credproxy.service.d/python.conf
/opt/credproxy/bin/credproxy install --system
"""


@dataclass(frozen=True)
class System:
    """A machine that runs it."""

    state: Path

    def run(self, *argv: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command as root."""
        return subprocess.run(
            [SYSTEM_MANAGER, "run", self.state, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    def user(self, uid: int, *argv: str, groups: str = "", stdin: str = "") -> subprocess.CompletedProcess[str]:
        """Run a command as a user in these groups."""
        member = ["--groups", groups] if groups else ["--clear-groups"]
        settings = (f"CREDPROXY_SOCKET={SOCKET}", "CREDPROXY_AUTOSTART=0")
        drop = ("setpriv", "--reuid", str(uid), "--regid", str(uid), *member, "env", *settings)
        return self.run(*drop, *argv, stdin=stdin)

    def helper(self, uid: int, uri: str = URI, *, groups: str = "") -> subprocess.CompletedProcess[str]:
        """Run the helper as that user."""
        request = json.dumps({"uri": uri})
        return self.user(uid, "/opt/credproxy/bin/credproxy-helper", "get", groups=groups, stdin=request)

    def group(self, name: str) -> str:
        """Give a group's number."""
        return self.run("getent", "group", name).stdout.split(":")[2]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory, systemd_at_hand: None) -> Iterator[System]:
    """Installed as the documentation says."""
    del systemd_at_hand
    made = System(tmp_path_factory.mktemp("system"))
    started = subprocess.run([SYSTEM_MANAGER, "start", made.state], capture_output=True, text=True, check=False)
    try:
        assert started.returncode == 0, started.stderr
        installed = made.run("bash", "-c", SET_UP)
        assert installed.returncode == 0, installed.stderr
        yield made
    finally:
        subprocess.run([SYSTEM_MANAGER, "stop", made.state], check=False)


def test_the_group_says_who_may_ask(system: System) -> None:
    """6.5: the kernel refuses the others before a byte is read; the helper trusts the service's user in root's directory."""
    asked = system.helper(MEMBER, groups=system.group("credproxy-users"))
    assert (asked.returncode, asked.stderr) == (0, "")
    refused = system.helper(STRANGER)
    assert refused.returncode == 1
    assert "Permission denied" in refused.stderr


def test_the_groups_of_the_two_sockets_are_not_the_same(system: System) -> None:
    """A user who may run build actions need not see what others see."""
    group = system.group("credproxy-actions")
    curl = ("curl", "--silent", "--show-error", "http://localhost/healthz", "--unix-socket")
    assert system.user(STRANGER, *curl, ACTIONS, groups=group).stdout == "ok\n"
    assert system.user(STRANGER, *curl, SOCKET, groups=group).returncode != 0


def test_carriers_are_confined_under_the_hardened_unit(system: System) -> None:
    """``ProcSubset=pid``, no capability, a filter of system calls: what a carrier gives up beyond that is given up."""
    curl = ("curl", "--silent", "http://localhost/healthz", "--unix-socket", ACTIONS)
    assert system.user(STRANGER, *curl, groups=system.group("credproxy-actions")).stdout == "ok\n"

    def carrier() -> dict[str, object]:
        status = system.user(0, "/opt/credproxy/bin/credproxy", "status", "--json")
        found: list[dict[str, object]] = json.loads(status.stdout)["carriers"]
        return found[0]

    assert re.fullmatch(r"no files \(Landlock \d+\), no local sockets", str(carrier()["confined"]))
    assert until(lambda: carrier()["memory_bytes"] != 0)  # as it reports itself, because /proc hides it


def test_root_administers_it(system: System) -> None:
    """Users do not."""
    status = ("/opt/credproxy/bin/credproxy", "status", "--json")
    assert json.loads(system.user(0, *status).stdout)["generation"] >= 1
    refused = system.user(MEMBER, *status, groups=system.group("credproxy-users"))
    assert "run it with sudo" in refused.stderr


def test_it_runs_as_its_own_user_without_capabilities_or_homes(system: System) -> None:
    """What the unit says is in force."""
    system.helper(MEMBER, groups=system.group("credproxy-users"))
    pid = system.run("systemctl", "show", "--value", "--property=MainPID", "credproxy.service").stdout.strip()
    status = system.run("cat", f"/proc/{pid}/status").stdout
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    uid = system.run("id", "-u", "credproxy").stdout.strip()
    assert fields["Uid"].split() == [uid] * 4
    assert {fields[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")} == {"0" * 16}
    assert (fields["NoNewPrivs"], fields["Seccomp"]) == ("1", "2")
    inside = ("nsenter", "--target", pid, "--mount")
    assert system.run(*inside, "ls", "/root").stdout == ""
    assert "read-only" in system.run(*inside, "touch", "/opt/x").stderr.lower()


def test_files_written_into_its_state_are_not_executed(system: System) -> None:
    """The service cannot execute what it can write: a credential program has to be installed."""
    system.helper(MEMBER, groups=system.group("credproxy-users"))  # its first start makes its state
    program = "/var/lib/credproxy/corp-helper"
    script = f"printf '#!/bin/sh\\necho {{}}\\n' >{program} && chmod 755 {program} && chown credproxy {program}"
    rule = f'peer_namespaces = "any"\n[[host]]\nmatch = "a.corp.example"\nprovider = "exec"\ncommand = ["{program}"]\n'
    assert system.run("sh", "-c", f"{script} && cat >/etc/credproxy/config.toml", stdin=rule).returncode == 0
    assert system.run("systemctl", "reload", "credproxy.service").returncode == 0
    group = system.group("credproxy-users")
    assert until(lambda: system.helper(MEMBER, "https://a.corp.example/x", groups=group).returncode == 1)
    asked = system.helper(MEMBER, "https://a.corp.example/x", groups=group)
    assert "corp-helper" in asked.stderr
    assert "helper_not_runnable" in asked.stderr


def test_uninstalling_leaves_only_the_user(system: System) -> None:
    """Files, sockets and processes are gone, a second time there is nothing to do, and it can be installed again."""
    program = "/opt/credproxy/bin/credproxy"
    done = system.run(program, "uninstall", "--system")
    assert done.returncode == 0, done.stderr
    files = "find /etc/systemd/system /etc/sysusers.d -name 'credproxy*' -type f; find /run -name '*.sock' -path '*credproxy*'"
    assert system.run("sh", "-c", f"{files}; pgrep -f '[s]erve --system'").stdout == ""
    assert system.run("getent", "passwd", "credproxy").returncode == 0
    assert system.run(program, "uninstall", "--system").stdout == "nothing is installed\n"
    assert system.run(program, "install", "--system").returncode == 0
    assert system.helper(MEMBER, groups=system.group("credproxy-users")).returncode == 0
