"""Something that is not a regular file where a command reads a file: a FIFO, a socket, a device, a directory, a huge file.

Without the daemon's reader, such a test does not fail but hangs, until the time limit of each test ends it.
"""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from credproxy.cli.command_error import CommandError
from credproxy.cli.installer import Installer, runner
from credproxy.cli.read_config import read_content
from tests.cli.test_commands import configure, home, run
from tests.cli.test_installer import user_service


__all__ = ["home"]  # the fixture


def a_socket(path: Path) -> None:
    """A socket file, which stays after its listener has gone; bound by a short name, as the kernel requires."""
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(path.parent, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{here}/{path.name}")
        os.close(here)


def a_huge_file(path: Path) -> None:
    """A file with 2 TiB of zeros: without a limit, reading it takes all memory."""
    path.touch()
    os.truncate(path, 2 << 40)


ODD: dict[str, tuple[Callable[[Path], None], str]] = {
    "FIFO": (os.mkfifo, "is not a regular file"),
    "socket": (a_socket, "is not a regular file"),
    "endless device": (lambda path: path.symlink_to("/dev/zero"), "is not a regular file"),
    "directory": (Path.mkdir, "is a directory"),
    "huge file": (a_huge_file, "is larger than 1048576 bytes"),
    "link that leads nowhere": (
        lambda path: path.symlink_to(path.with_name("nowhere")),
        "is a link that leads nowhere",
    ),
}

odd = pytest.mark.parametrize(("make", "problem"), ODD.values(), ids=ODD)


@odd
@pytest.mark.parametrize(
    "args",
    [
        ("config", "check"),
        ("config", "check", "--deep"),
        ("config", "show"),
        ("explain", "https://ghcr.io/v2/a/b/manifests/c"),
        ("actions", "allow", "ghcr.io/my-org/**"),
        ("actions", "test", "https://ghcr.io/v2/a/b/manifests/c"),
        ("bazelrc",),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_no_command_waits_for_what_stands_in_the_place_of_the_configuration(
    home: Path, args: tuple[str, ...], make: Callable[[Path], None], problem: str
) -> None:
    """It reports the daemon's error, with status 1, and changes nothing."""
    path = configure(home, "")
    path.unlink()
    make(path)
    before = path.lstat()
    done = run(*args)
    assert done.exit_code == 1
    assert problem in " ".join(done.output.split())
    assert path.lstat()[:7] == before[:7]  # not the access time, which a link has too


@odd
@pytest.mark.parametrize(
    "args",
    [
        ("config", "check"),
        ("config", "check", "--deep"),
        ("actions", "check", "{policy}"),
        ("actions", "allow", "ghcr.io/my-org/**"),
        ("actions", "test", "https://ghcr.io/v2/a/b/manifests/c"),
        ("explain", "https://ghcr.io/v2/a/b/manifests/c"),
        ("doctor",),
    ],
    ids=" ".join,
)
def test_no_command_waits_for_what_stands_in_the_place_of_the_policy_file(
    home: Path, args: tuple[str, ...], make: Callable[[Path], None], problem: str
) -> None:
    """A command that needs the rules says why there are none; ``explain`` does not need them."""
    policy = home / "policy.yaml"
    make(policy)
    configure(home, f'[actions]\npolicy_file = "{policy}"\n')
    done = run(*(word.format(policy=policy) for word in args))
    said = " ".join(done.output.split())
    if args[0] != "explain":
        assert done.exit_code == 1
        assert problem in said or "the policy file" in said


@odd
@pytest.mark.parametrize("args", [("config", "check"), ("actions", "check")], ids=" ".join)
def test_no_command_waits_for_a_file_that_is_named_to_it(
    home: Path, args: tuple[str, ...], make: Callable[[Path], None], problem: str
) -> None:
    """The hint can be pasted into a shell, also if the name has a space."""
    make(place := home / "a b.toml")
    done = run(*args, str(place))
    assert done.exit_code == 1
    assert done.stderr.startswith(f"credproxy: the file '{place}' {problem}\nhint: ")
    assert f"'{place}'" in done.stderr.splitlines()[1] or "larger" in problem


@pytest.mark.parametrize("kind", ["FIFO", "socket", "endless device", "directory"])
def test_no_command_waits_for_what_stands_in_the_place_of_a_ca_bundle(home: Path, kind: str) -> None:
    """OpenSSL opens it by itself, so it is checked before."""
    ODD[kind][0](bundle := home / "ca.pem")
    configure(home, f'[[host]]\nmatch = "a.example"\nprovider = "oci"\nca_bundle = "{bundle}"\n')
    for args in (("config", "check", "--deep"), ("doctor",)):
        done = run(*args)
        assert done.exit_code == 1
        assert "is not a regular file" in " ".join(done.output.split())


@odd
def test_no_command_waits_for_what_stands_in_the_place_of_a_unit(
    home: Path, make: Callable[[Path], None], problem: str
) -> None:
    """Installing and uninstalling read the existing unit files."""
    found = user_service(home)
    unit = next(iter(found.files))
    unit.parent.mkdir(parents=True)
    make(unit)
    installer = Installer(print, runner({}), dry_run=True)
    with pytest.raises(CommandError, match=problem):
        installer.uninstall(found)


def test_dev_null_means_no_configuration_and_is_never_written(home: Path) -> None:
    """The daemon takes it for "none"; ``actions allow`` would replace the device by a file."""
    path = configure(home, "")
    path.unlink()
    path.symlink_to(os.devnull)
    assert "the built-in defaults are in force" in run("config", "check").output
    done = run("actions", "allow", "ghcr.io/my-org/**")
    assert done.exit_code == 1
    assert done.stderr == (f"credproxy: nothing was changed: '{path}' leads to /dev/null\nhint: rm {path}\n")
    assert read_content(os.devnull) is None
