"""A real ``systemd --user`` for the tests in here; a skip names what is missing."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.systemd.machine import COPY, MANAGER, UID, Machine


_PROGRAMS = ("systemctl", "systemd-analyze", "unshare", "nsenter", "setpriv")


def _missing() -> str:
    if os.geteuid() != 0:
        return "run as root to start a systemd of another user: sudo make test"
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    return f"{', '.join(absent)} missing: apt-get install systemd util-linux" if absent else ""


@pytest.fixture(scope="session")
def systemd_at_hand() -> None:
    """Skip where there is none; a CI host that runs as root has to have it."""
    reason = _missing()
    if reason:
        if os.environ.get("CI") == "true" and os.geteuid() == 0:
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def _running(systemd_at_hand: None) -> Iterator[Machine]:
    del systemd_at_hand
    # Not below /tmp, which PrivateTmp= hides from a service.
    with tempfile.TemporaryDirectory(prefix="credproxy-tests-", dir="/var/lib") as folder:
        Path(folder).chmod(0o755)
        machine = Machine(Path(folder, "home"), Path(folder, "opt", "bin"))
        copied = subprocess.run([COPY, machine.programs.parent], check=True, capture_output=True, text=True)
        reachable = copied.stdout.splitlines()
        done = subprocess.run(
            [MANAGER, "start", machine.home, str(UID), *reachable], capture_output=True, text=True, check=False
        )
        try:
            if done.returncode != 0:
                pytest.fail(f"no systemd --user on this machine:\n{done.stderr}")
            yield machine
        finally:
            subprocess.run([MANAGER, "stop", machine.home], check=False, capture_output=True)


@pytest.fixture
def machine(_running: Machine) -> Iterator[Machine]:
    """A machine with credproxy, but without its service."""
    yield _running
    _running.reset()


@pytest.fixture
def installed(machine: Machine) -> Machine:
    """The same after ``credproxy install``."""
    done = machine.credproxy("install")
    assert done.returncode == 0, done.stderr
    return machine
