"""The shipped files by themselves: what they must not contain, and what has to agree with the daemon."""

import plistlib
import re
import shutil
import subprocess
from importlib import resources
from pathlib import Path

import pytest

from credproxy.cli import units
from credproxy.daemon.limits import BACKLOG
from credproxy.daemon.sockets import ACTIONS, HELPER


UNITS = Path(str(resources.files("credproxy"))) / "units"

# systemd 252 to 257, man systemd.exec: ignored by a user manager, or a reason for it not to start the unit (F3) ...
IGNORED = {
    "ProtectSystem", "ProtectHome", "PrivateTmp", "PrivateNetwork", "PrivateIPC", "ProtectProc", "ProcSubset", "ProtectControlGroups",
    "ReadOnlyPaths", "ReadWritePaths", "InaccessiblePaths", "ExecPaths", "NoExecPaths", "TemporaryFileSystem", "BindPaths",
    "BindReadOnlyPaths", "IPAddressDeny", "IPAddressAllow", "SocketBindDeny", "RestrictFileSystems", "DevicePolicy", "RemoveIPC",
}  # a table  # fmt: skip
FAILING = {
    "PrivateDevices",
    "ProtectKernelModules",
    "ProtectKernelLogs",
    "ProtectClock",
    "CapabilityBoundingSet",
    "User",
    "DynamicUser",
}
# ... or, from 254 on, a user namespace, in which the peer gate is blind (F2).
IMPLYING = {
    "PrivateUsers", "PrivateMounts", "PrivatePIDs", "NetworkNamespacePath", "IPCNamespacePath", "MountAPIVFS", "BindLogSockets",
    "RootDirectory", "RootImage", "ExtensionDirectories", "ProtectKernelTunables", "ProtectHostname",
}  # a table  # fmt: skip


def settings(name: str) -> list[tuple[str, str]]:
    """Give every assignment of a unit, in order."""
    lines = (UNITS / name).read_text().splitlines()
    return [
        (key, value) for key, equals, value in (line.partition("=") for line in lines) if equals and key[0] not in "#["
    ]


def one(name: str, key: str) -> str:
    """Give the only value of a key."""
    (value,) = (value for found, value in settings(name) if found == key)
    return value


def test_the_user_unit_has_no_option_that_does_nothing_or_blinds_the_gate() -> None:
    """F2, F3: a lint, because `systemd-analyze security` would praise them."""
    keys = {key for key, _ in settings("user/credproxy.service")}
    assert keys & (IGNORED | FAILING | IMPLYING) == set()


def test_the_system_unit_has_no_user_namespace() -> None:
    """It must see its callers' user ids."""
    assert "PrivateUsers" not in {key for key, _ in settings("system/credproxy.service")}


@pytest.mark.parametrize(
    "name", ["user/credproxy.service", "user/credproxy-gateway-only.service", "system/credproxy.service"]
)
def test_a_service_comes_back_whatever_happens_and_within_a_callers_patience(name: str) -> None:
    """F6, F7: no start limit, always again but after 64, and the watchdog below Bazel's ten seconds."""
    assert one(name, "Restart") == "always"
    assert one(name, "RestartPreventExitStatus") == "64"
    assert one(name, "StartLimitIntervalSec") == "0"
    assert one(name, "Type") == "notify"
    assert int(one(name, "WatchdogSec")) <= 6
    assert "RuntimeDirectory" not in {key for key, _ in settings(name)}  # F5: it would take the sockets along


SOCKET_FILES = [
    ("user/credproxy.socket", HELPER, "%t/credproxy/helper.sock", "0600", "0700"),
    ("user/credproxy-actions.socket", ACTIONS, "%t/credproxy-actions/actions.sock", "0600", "0700"),
    ("system/credproxy.socket", HELPER, "/run/credproxy/helper.sock", "0660", "0755"),
    ("system/credproxy-actions.socket", ACTIONS, "/run/credproxy-actions/actions.sock", "0660", "0755"),
]


@pytest.mark.parametrize(("name", "called", "path", "mode", "directory"), SOCKET_FILES)
def test_a_socket_has_its_name_its_own_directory_and_the_daemons_backlog(
    name: str, called: str, path: str, mode: str, directory: str
) -> None:
    """F1, F4, F8: the default modes are 0666 and 0755, and a smaller backlog refuses a burst."""
    found = dict(settings(name))
    assert found["FileDescriptorName"] == called
    assert found["ListenStream"] == path
    assert (found["SocketMode"], found["DirectoryMode"]) == (mode, directory)
    assert int(found["Backlog"]) == BACKLOG
    assert found["TriggerLimitIntervalSec"] == "0"
    assert found["FlushPending"] == "no"


@pytest.mark.parametrize(
    ("name", "group"), [("credproxy", "credproxy-users"), ("credproxy-actions", "credproxy-actions")]
)
def test_a_system_socket_belongs_to_a_group_that_the_installation_makes(name: str, group: str) -> None:
    """Members of the group may ask."""
    assert one(f"system/{name}.socket", "SocketGroup") == group
    assert re.search(rf"^[ug] {group} ", (UNITS / "system" / "credproxy.sysusers.conf").read_text(), re.MULTILINE)


@pytest.mark.parametrize(
    ("name", "most"),
    [("system/credproxy.service", 15), ("user/credproxy-gateway-only.service", 19), ("user/credproxy.service", 63)],
)
def test_the_exposure_level_does_not_get_worse(name: str, most: int) -> None:
    """6.6: tenths; 1.5 is the gate of the system unit."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is missing: apt-get install systemd")
    command = ["systemd-analyze", "security", "--offline=true", f"--threshold={most}", str(UNITS / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def test_the_launchd_agent_is_a_property_list_that_runs_the_program() -> None:
    """Also with a path that XML would read as markup."""
    agent = plistlib.loads(units.agent(program="/opt/a & b/credproxy", home="/Users/<me>").encode())
    assert agent["ProgramArguments"] == ["/opt/a & b/credproxy", "serve"]
    assert agent["StandardErrorPath"] == "/Users/<me>/Library/Logs/credproxy.log"
    assert agent["KeepAlive"] == {"SuccessfulExit": False}


def test_the_link_for_one_path_names_the_users_own_socket() -> None:
    """A line of tmpfiles.d makes the folder, another the link."""
    lines = units.actions_link(1000).splitlines()
    assert "L+ /run/credproxy-actions/actions.sock - - - - /run/user/1000/credproxy-actions/actions.sock" in lines
    assert "d /run/credproxy-actions 0755 root root -" in lines


@pytest.mark.parametrize(
    ("path", "written"),
    [
        ("/home/me/.local/bin/credproxy", "/home/me/.local/bin/credproxy"),
        ("/opt/my tools/credproxy", '"/opt/my tools/credproxy"'),
        ("/opt/100%/credproxy", '"/opt/100%%/credproxy"'),
        ('/opt/a"b\\c/credproxy', '"/opt/a\\"b\\\\c/credproxy"'),
    ],
)
def test_a_path_is_written_as_systemd_reads_it(path: str, written: str) -> None:
    """systemd.syntax(7), systemd.unit(5) specifiers."""
    text = units.unit("user/credproxy.service", program=path)
    assert f"\nExecStart={written} serve\n" in text


def test_a_mark_tells_our_text_from_a_changed_one() -> None:
    """Of any version of ours; a file without a mark is not ours."""
    text = units.unit("user/credproxy.socket", program="/x/credproxy")
    assert units.untouched(text)
    assert units.untouched(units.agent(program="/x/credproxy", home="/Users/me"))
    assert not units.untouched(text.replace("0600", "0666"))
    assert not units.untouched(text + "\n")
    assert not units.untouched(text.partition("\n")[2])
