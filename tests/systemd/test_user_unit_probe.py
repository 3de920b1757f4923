"""What the shipped user unit really enforces: a score would count options that do nothing in a user manager (F3)."""

import json
import shutil
from pathlib import Path

import pytest

from tests.systemd.machine import SERVICE, Machine


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

PROBE = Path(__file__).with_name("probe.py")


@pytest.fixture
def found(installed: Machine) -> dict[str, object]:
    """What a probe in the daemon's place records; everything except the program comes from the shipped unit."""
    probe, note = installed.home / "probe.py", installed.home / "note.json"
    shutil.copy(PROBE, probe)
    note.unlink(missing_ok=True)
    python = installed.programs / "python"
    installed.keep_log()
    installed.drop_in("probe", f"[Service]\nType=oneshot\nRestart=no\nExecStart=\nExecStart={python} {probe} {note}\n")
    started = installed.run("systemctl", "--user", "start", SERVICE)
    assert started.returncode == 0, installed.log()
    noted: dict[str, object] = json.loads(note.read_text())
    return noted


def test_the_kernel_enforces_what_the_unit_says(found: dict[str, object]) -> None:
    """What the user unit may not do, line by line (docs/design/faults.md#sockets-and-units)."""
    assert found == {
        "no new privileges": "1",
        "seccomp": "2",
        "umask": "0077",
        "core": [0, 0],
        "files": found["files"],
        "same user namespace": True,  # F2: on any systemd, or the peer gate is blind
        "handed": found["handed"],
        "families": dict.fromkeys(("AF_NETLINK", "AF_PACKET", "AF_VSOCK"), "EAFNOSUPPORT"),
        "allowed families": ["", "", ""],
        "write and execute": "EPERM",
        "unshare": "EPERM",
        "personality": "EPERM",
        "set group id": "EPERM",
        "ptrace": "EPERM",
    }


def test_both_sockets_are_handed_over_by_name(found: dict[str, object]) -> None:
    """In whatever order (F4)."""
    handed = found["handed"]
    assert isinstance(handed, list)
    assert sorted(handed) == ["actions", "helper"]


def test_the_descriptor_limit_is_the_units_or_the_machines(found: dict[str, object]) -> None:
    """The manager silently clamps it to its own hard limit: the daemon reads the real one."""
    files = found["files"]
    assert isinstance(files, list)
    assert 1024 <= files[0] <= 32768
