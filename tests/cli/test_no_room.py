"""A home on a disk that is full, or that can only be read: what the commands say, in a mount namespace with such a home."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from credproxy.cli.command_error import look_where, unwritable
from tests.e2e.stage import CREDPROXY


INSIDE = """
import os, subprocess, sys
home, way, credproxy = sys.argv[1:]
subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", home], check=True)
if way == "full":
    with open(f"{home}/filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(4096))
        except OSError:
            pass
else:
    subprocess.run(["mount", "-o", "remount,ro", home], check=True)
environ = {"HOME": home, "PATH": os.environ["PATH"]}
commands = [["doctor", "--json"], ["actions", "allow", "--yes", "ghcr.io/my-org/**"]]
for command in commands if way == "full" else [*commands, ["serve"]]:  # what a full one refuses differs between systems
    done = subprocess.run([credproxy, *command], env=environ, capture_output=True, text=True)
    print(repr((done.returncode, done.stdout, done.stderr)))
"""


def said(home: Path, way: str) -> list[tuple[int, str, str]]:
    """Status, output and errors of each command."""
    inside = ["unshare", "--map-root-user", "--mount"]
    tried = subprocess.run([*inside, "true"], capture_output=True, text=True, check=False, timeout=20)
    if tried.returncode != 0:
        pytest.skip(f"this system gives no mount namespace: {tried.stderr[-200:]}")
    argv = [*inside, sys.executable, "-c", INSIDE, str(home), way, str(CREDPROXY)]
    done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30)
    assert done.returncode == 0, done.stderr
    return [eval(line) for line in done.stdout.splitlines()]


@pytest.mark.parametrize(
    ("way", "problem", "reason", "look"),
    [
        ("full", "is on a file system that is full", "no space left on device", "df {}/.config"),
        (
            "read-only",
            "is on a file system that can only be read",
            "read-only file system",
            "findmnt --target {}/.config",
        ),
    ],
)
def test_doctor_and_the_commands_that_write_say_what_is_in_the_way(
    short_path: Path, way: str, problem: str, reason: str, look: str
) -> None:
    """Doctor is where their hints send a user, so it has to see it; among its first lines."""
    doctor, allow, *serve = said(short_path, way)
    assert doctor[0] == 1
    found = json.loads(doctor[1])["findings"]
    assert [one["message"] for one in found if one["topic"] == "disk"] == [
        f"no daemon can start, because its socket cannot be made: '{short_path}' {problem}",
        f"the log, logins, the configuration cannot be written: '{short_path}' {problem}",
    ]
    assert not any("starts one" in one["message"] for one in found)
    assert allow[0] == 1
    assert "nothing was changed: " in allow[2]
    assert f"cannot be written: {reason}" in allow[2]
    assert look.format(short_path) in allow[2]
    for status, _, errors in serve:
        last = json.loads(errors.splitlines()[-1])
        assert (status, last["event"], last["hint"]) == (1, "cannot start", "credproxy doctor")
        assert last["reason"].partition(": ")[0] == reason


def test_what_a_hint_looks_at_is_what_is_in_the_way() -> None:
    """The disk, how it is mounted, or the folder."""
    assert unwritable("/a b/c", OSError(28, "")).message == "'/a b/c' cannot be written: no space left on device"
    assert [look_where("/a b/c", number) for number in (28, 122, 30, 13)] == [
        "df '/a b'",
        "df '/a b'",
        "findmnt --target '/a b'",
        "ls -ld '/a b'",
    ]
