"""Installing with a fake service manager: what is done in which order, and what is never touched."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from click.testing import CliRunner

from credproxy.cli import main
from credproxy.cli.command_error import CommandError
from credproxy.cli.install import need_root, whole
from credproxy.cli.installation import Installation, for_launchd, for_system, for_user, refuse_hidden
from credproxy.cli.installer import Installer, runner
from credproxy.cli.units import untouched
from credproxy.core.own_copy import OwnCopy
from tests.hints import filled


COPY = OwnCopy("/usr/bin/python3", source="/src/credproxy")


@dataclass
class Machine:
    """Keeps what was run and said. ``failing`` is the first word after the manager of a command that fails."""

    failing: str = ""
    ran: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    def run(self, argv: tuple[str, ...]) -> tuple[int, str]:
        """Keep it."""
        self.ran.append(" ".join(argv))
        return (1, "no such thing") if self.failing and self.failing in argv else (0, "")

    def installer(self, *, dry_run: bool = False, force: bool = False) -> Installer:
        """One that works on this machine."""
        return Installer(self.said.append, self.run, dry_run=dry_run, force=force)


@pytest.fixture
def wanted(tmp_path: Path) -> Installation:
    """The user's service in a separate home."""
    return user_service(tmp_path)


def user_service(home: Path, *, gateway_only: bool = False, program: str = "/opt/credproxy") -> Installation:
    """A user's service below that home."""
    return for_user(
        program=program, config=home / "config", runtime=home / "run", gateway_only=gateway_only, jit_helpers=False
    )


def contents(home: Path) -> dict[str, str]:
    """Every file below."""
    return {str(path): path.read_text() for path in home.rglob("*") if path.is_file()}


def test_files_are_written_before_the_manager_is_told(wanted: Installation, tmp_path: Path) -> None:
    """Readable for the manager, marked as ours, nothing else beside them."""
    machine = Machine()
    machine.installer().install(wanted)
    assert machine.ran == [
        "systemctl --user show-environment",
        "systemctl --user daemon-reload",
        "systemctl --user enable --now credproxy.socket credproxy-actions.socket",
        "systemctl --user try-restart credproxy.service",
    ]
    assert contents(tmp_path) == {str(path): text for path, text in wanted.files.items()}
    assert all(untouched(text) for text in wanted.files.values())
    assert {path.stat().st_mode & 0o777 for path in wanted.files} == {0o644}


def test_what_runs_is_stopped_before_its_files_are_replaced(wanted: Installation, tmp_path: Path) -> None:
    """An upgrade with other sockets: they are bound again."""
    Machine().installer().install(user_service(tmp_path, program="/old/credproxy"))
    machine = Machine()
    machine.installer().install(wanted)
    assert machine.ran[1] == "systemctl --user stop credproxy.socket credproxy-actions.socket"
    assert contents(tmp_path) == {str(path): text for path, text in wanted.files.items()}


def test_another_variant_takes_the_first_ones_files_away(wanted: Installation, tmp_path: Path) -> None:
    """Gateway-only has no helper socket."""
    Machine().installer().install(wanted)
    machine = Machine()
    variant = user_service(tmp_path, gateway_only=True)
    machine.installer().install(variant)
    assert machine.ran[1] == "systemctl --user disable --now credproxy.socket"
    assert contents(tmp_path) == {str(path): text for path, text in variant.files.items()}


@pytest.mark.parametrize("what", ["install", "uninstall"])
def test_a_changed_file_stops_everything(wanted: Installation, tmp_path: Path, what: str) -> None:
    """Nothing is written, removed or run; without its mark it is also unknown whose file it is."""
    Machine().installer().install(wanted)
    path = list(wanted.files)[-1]
    path.write_text(path.read_text().partition("\n")[2])
    before, machine = contents(tmp_path), Machine()
    with pytest.raises(CommandError, match="changed by hand"):
        getattr(machine.installer(), what)(wanted)
    assert contents(tmp_path) == before
    assert machine.ran in ([], ["systemctl --user show-environment"])
    getattr(machine.installer(force=True), what)(wanted)
    assert contents(tmp_path) != before


def test_a_dry_run_changes_nothing(wanted: Installation, tmp_path: Path) -> None:
    """It checks for a service manager, and prints the rest."""
    machine = Machine()
    machine.installer(dry_run=True).install(wanted)
    assert machine.ran == ["systemctl --user show-environment"]
    assert contents(tmp_path) == {}
    Machine().installer().install(wanted)
    before, machine = contents(tmp_path), Machine()
    machine.installer(dry_run=True).uninstall(wanted)
    assert machine.ran == ["systemctl --user show-environment"]
    assert contents(tmp_path) == before
    assert f"would remove  {next(iter(wanted.files))}" in machine.said


def test_a_command_that_fails_is_named_with_what_it_said(wanted: Installation) -> None:
    """A step that may fail because there is nothing to do is not a failure."""
    with pytest.raises(CommandError, match=r"systemctl --user enable --now .* failed: no such thing"):
        Machine(failing="enable").installer().install(wanted)
    for step in ("disable", "reset-failed"):
        Machine().installer().install(wanted)
        Machine(failing=step).installer().uninstall(wanted)


def test_without_a_service_manager_files_can_still_be_removed(wanted: Installation, tmp_path: Path) -> None:
    """For example, from a container with the home directory."""
    Machine().installer().install(wanted)
    machine = Machine(failing="show-environment")
    machine.installer().uninstall(wanted)
    assert machine.ran == ["systemctl --user show-environment"]
    assert machine.said[0].startswith("only files are removed: there is no service manager here")
    assert contents(tmp_path) == {}


def test_what_a_daemon_left_in_the_runtime_directory_is_removed_too(wanted: Installation, tmp_path: Path) -> None:
    """Locks, and the folders if nothing else is in them."""
    Machine().installer().install(wanted)
    helper, actions = tmp_path / "run" / "credproxy", tmp_path / "run" / "credproxy-actions"
    for path in (helper / "helper.lock", helper / "autostart.lock", actions / "actions.lock", actions / "mine"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    Machine().installer().uninstall(wanted)
    assert not helper.exists()
    assert [path.name for path in actions.iterdir()] == ["mine"]


def test_launchd_is_told_in_its_own_words(tmp_path: Path) -> None:
    """An old agent is unloaded before the new one is loaded; the first time there is none."""
    machine = Machine(failing="bootout")
    wanted = for_launchd(program="/opt/credproxy", home=tmp_path, uid=501)
    machine.installer().install(wanted)
    (place,) = wanted.files
    assert machine.ran == [
        "launchctl print gui/501",
        "launchctl bootout gui/501/credproxy",
        f"launchctl bootstrap gui/501 {place}",
    ]
    machine.installer().uninstall(wanted)
    assert contents(tmp_path) == {}


def test_a_system_service_makes_its_user_first_and_says_what_is_left_to_do() -> None:
    """Users, groups and the line that accepts what it cannot see."""
    wanted = for_system(program="/usr/bin/credproxy")
    refuse_hidden(program="/usr/bin/credproxy", prefixes=("/usr", "/usr"), copy=COPY)
    assert wanted.up[0].argv == ("systemd-sysusers", "/etc/sysusers.d/credproxy.conf")
    assert any('peer_namespaces = "any"' in note for note in wanted.notes)
    service = wanted.files[Path("/etc/systemd/system/credproxy.service")]
    assert "\nExecStart=/usr/bin/credproxy serve --system\n" in service


@pytest.mark.parametrize(
    "place", ["/home/me/.local/bin/credproxy", "/home/you/venv/bin/credproxy", "/tmp/x/bin/credproxy"]
)
def test_a_system_service_cannot_run_from_a_home(place: str) -> None:
    """ProtectHome= and PrivateTmp= hide it, so it is refused now and not at the first start."""
    with pytest.raises(CommandError, match="homes and temporary folders are hidden from it") as caught:
        refuse_hidden(program=place, prefixes=("/usr",), copy=COPY)
    filled(caught.value.hint, "install it for all: {}")
    assert caught.value.hint.endswith("/opt/credproxy/bin/pip install /src/credproxy")
    with pytest.raises(CommandError, match="hidden from it"):
        refuse_hidden(program="/usr/bin/credproxy", prefixes=(place,), copy=COPY)


def test_the_runner_gives_status_and_last_words() -> None:
    """Also of a program that is not there."""
    run = runner({"PATH": "/usr/bin:/bin"})
    assert run(("sh", "-c", "echo first >&2; echo last >&2; exit 3")) == (3, "last")
    assert run(("true",))[0] == 0
    assert run(("no-such-program",)) == (127, "no-such-program is not installed")


def test_the_link_is_printed_and_nothing_else_is_done() -> None:
    """For ``sudo tee``."""
    done = CliRunner().invoke(main, ["install", "--print-actions-link"])
    assert done.exit_code == 0
    assert "L+ /run/credproxy-actions/actions.sock" in done.output


def test_variants_of_the_users_service_are_not_for_the_system() -> None:
    """A usage error, before anything is checked."""
    done = CliRunner().invoke(main, ["install", "--system", "--gateway-only"])
    assert done.exit_code == 2
    assert "are for --user" in done.output


@pytest.mark.parametrize("command", ["install", "uninstall"])
def test_a_user_other_than_root_is_told_the_right_command(command: str) -> None:
    """A user who wants to remove the service is not told to install it."""
    with pytest.raises(CommandError, match=f"only root can {command}") as caught:
        need_root(command, 1000)
    assert caught.value.hint == f"sudo credproxy {command} --system"
    need_root(command, 0)


def test_what_is_removed_does_not_have_to_be_able_to_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent on macOS, which has no variants, and a system service whose program is in a home by now."""
    monkeypatch.setenv("HOME", str(tmp_path))
    agent = tmp_path / "Library/LaunchAgents/credproxy.plist"
    assert list(whole("darwin", command="uninstall", user=True).files) == [agent]
    assert Path("/etc/systemd/system/credproxy.service") in whole("linux", command="uninstall", user=False).files
    with pytest.raises(CommandError, match="only the agent of your own session") as caught:
        whole("darwin", command="uninstall", user=False)
    filled(caught.value.hint, "credproxy uninstall")
