"""Hints of the commands are followed literally; the same command then says something else."""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
from click.testing import Result

from tests.cli.test_commands import configure, home, run
from tests.e2e.stage import CREDPROXY
from tests.hints import filled, text_of


__all__ = ["home"]  # the fixture


def hint(done: Result) -> str:
    """The second of the two lines of an error."""
    assert done.exit_code == 1, done.stdout
    _, advice = done.stderr.splitlines()[-2:]
    return advice.removeprefix("hint: ")


def typed(advice: str) -> Result:
    """Run a command of ours that a hint names."""
    program, *args = shlex.split(advice)
    assert program == "credproxy"
    return run(*args)


@pytest.mark.parametrize("command", [("bazelrc",), ("config", "show"), ("actions", "allow", "ghcr.io/my-org/**")])
def test_every_mistake_is_reported_by_the_command_that_the_hint_names(home: Path, command: tuple[str, ...]) -> None:
    """With its line. Once those lines are gone, the first command works."""
    good = '[[host]]\nmatch = "reg.test"\nprovider = "oci"\n'
    path = configure(home, f"empty_tll = 5\nallow_root = 7\n{good}")
    advice = hint(run(*command))
    filled(advice, "credproxy config check")
    told = typed(advice).stderr.splitlines()
    wrong = {int(line.removeprefix(f"{path}:").partition(":")[0]) for line in told}
    assert wrong == {1, 2}
    lines = path.read_text().splitlines()
    path.write_text("\n".join(line for number, line in enumerate(lines, 1) if number not in wrong))
    assert run(*command).exit_code == 0


def test_a_configuration_is_looked_for_where_the_hint_says(home: Path) -> None:
    """The first path is the user's own."""
    advice = hint(run("config", "check", str(home / "nowhere.toml")))
    filled(advice, "credproxy config path")
    place = Path(typed(advice).stdout.split()[0])
    place.parent.mkdir(parents=True)
    place.write_text("empty_ttl = 5\n")
    assert run("config", "check", str(place)).exit_code == 0


@pytest.mark.parametrize("way", ["docker login", "a rule"])
def test_a_line_for_bazel_comes_of_either_way(home: Path, way: str) -> None:
    """What ``docker login`` writes is written here."""
    filled(hint(run("bazelrc")), "docker login HOST, or write a [[host]] rule")
    if way == "a rule":
        configure(home, '[[host]]\nmatch = "reg.test"\nprovider = "oci"\n')
    else:
        (home / "h" / ".docker").mkdir()
        (home / "h" / ".docker" / "config.json").write_text('{"auths": {"reg.test": {"auth": "bWU6eA=="}}}')
    assert run("bazelrc").stdout.startswith("common --credential_helper=reg.test=")


def test_a_missing_store_is_not_said_to_list_nothing(home: Path) -> None:
    """It cannot be asked; the comment says which file names it, and what to do."""
    (home / "h" / ".docker").mkdir()
    path = home / "h" / ".docker" / "config.json"
    path.write_text('{"credsStore": "not-there", "auths": {"reg.test": {}}}')
    path.chmod(0o600)
    done = run("bazelrc")
    assert done.exit_code == 0
    assert "lists no" not in done.stderr
    _, advice = done.stderr.strip().rstrip(")").split(" (")
    assert advice == (
        f"install docker-credential-not-there, or take 'not-there' out of {path}; "
        "where it is installed, name its folder in helper_path, then: credproxy reload"
    )
    path.write_text('{"auths": {"reg.test": {"auth": "bWU6eA=="}}}')
    assert run("bazelrc").stderr == ""


PATTERNS = [
    ("https://ghcr.io/v2/my-org/**", text_of("credproxy actions allow '{}'"), "ghcr.io/my-org/**"),
    ("ghcr.io/my-org/app:latest", text_of("credproxy actions allow '{}'"), "ghcr.io/my-org/app"),
    ("ghcr.io", text_of("credproxy actions allow '{}/**'"), "ghcr.io/**"),
    ("nonsense", text_of("credproxy actions allow 'ghcr.io/my-org/**'"), "ghcr.io/my-org/**"),
    ("ghcr.io/My-Org/**", text_of("credproxy actions allow {}"), "ghcr.io/my-org/**"),
]


@pytest.mark.parametrize(("pattern", "template", "followed"), PATTERNS)
def test_a_pattern_is_written_as_the_hint_says(home: Path, pattern: str, template: str, followed: str) -> None:
    """The command of the hint adds a rule."""
    advice = hint(run("actions", "allow", pattern))
    filled(advice, template)
    assert shlex.split(advice)[-1] == followed
    assert typed(advice).exit_code == 0
    assert "ghcr.io" in (home / "c" / "credproxy" / "config.toml").read_text()


def test_a_policy_file_is_checked_by_the_command_that_the_hint_names(home: Path) -> None:
    """Nothing is written while it cannot be read."""
    policy = home / "policy.yaml"
    policy.write_text("version: 1\nruls: []\n")
    configure(home, f'[actions]\npolicy_file = "{policy}"\n')
    advice = hint(run("actions", "allow", "ghcr.io/my-org/**"))
    assert filled(advice, "credproxy actions check {}") == (str(policy),)
    assert f"{policy}:2: ruls" in typed(advice).stderr
    policy.write_text("version: 1\nrules: []\n")
    assert typed(advice).exit_code == 0


def test_a_configuration_that_leads_nowhere_is_removed(home: Path) -> None:
    """/dev/null stays what it is."""
    path = configure(home, "")
    path.unlink()
    path.symlink_to(os.devnull)
    advice = hint(run("actions", "allow", "ghcr.io/my-org/**"))
    assert filled(advice, "rm {}") == (str(path),)
    subprocess.run(shlex.split(advice), check=True, timeout=20)
    assert run("actions", "allow", "ghcr.io/my-org/**").exit_code == 0


@pytest.mark.parametrize("way", ["registry", "--yes"])
def test_a_pattern_without_a_registry_is_written_in_either_way(home: Path, way: str) -> None:
    """Both commands of the hint."""
    advice = hint(run("actions", "allow", "my-org/**"))
    filled(advice, "credproxy actions allow 'docker.io/{}'; if it is one: credproxy actions allow --yes '{}'")
    first, second = advice.split("; if it is one: ")
    assert typed(first if way == "registry" else second).exit_code == 0
    del home


def alone(home: Path, *args: str) -> subprocess.CompletedProcess[str]:
    """Run the command line as a user that file modes apply to: root without its capabilities, or the user of this test."""
    around = ["setpriv", "--bounding-set", "-all", "--inh-caps", "-all"] if os.geteuid() == 0 else []
    del home
    return subprocess.run([*around, CREDPROXY, *args], capture_output=True, text=True, check=False, timeout=20)


@pytest.mark.e2e
@pytest.mark.timeout(60)
def test_a_file_of_the_user_that_its_mode_alone_keeps_shut_is_opened(home: Path) -> None:
    """The hint is the command, not to inspect the path."""
    path = configure(home, "empty_ttl = 5\n")
    path.chmod(0)
    done = alone(home, "config", "check")
    advice = done.stderr.splitlines()[-1].removeprefix("hint: ")
    assert filled(advice, "chmod u+r {}") == (str(path),)
    assert f"-> {advice}" in alone(home, "doctor").stdout
    subprocess.run(shlex.split(advice), check=True, timeout=20)
    assert alone(home, "config", "check").returncode == 0


@pytest.mark.e2e
@pytest.mark.timeout(60)
def test_where_a_folder_is_at_fault_the_path_is_looked_at(home: Path) -> None:
    """The command of the hint shows which part."""
    path = configure(home, "empty_ttl = 5\n")
    path.parent.chmod(0)
    done = alone(home, "config", "check")
    advice = done.stderr.splitlines()[-1].removeprefix("hint: ")
    assert filled(advice, "see which part of the path is at fault: namei -l {}") == (str(path),)
    shown = subprocess.run(
        shlex.split(advice.partition(": ")[2]), capture_output=True, text=True, check=False, timeout=20
    )
    assert "d--------- " in shown.stdout
    path.parent.chmod(0o700)
    assert alone(home, "config", "check").returncode == 0
