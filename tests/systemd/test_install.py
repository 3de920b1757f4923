"""``credproxy install`` on a real ``systemd --user``: nothing to prepare before, nothing left behind after."""

import json
import shutil

import pytest

from credproxy.cli import units
from tests.systemd.machine import HELPER_SOCKET, ROOT, SERVICE, Machine, until


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

URI = "https://unknown.example/x"


def test_the_first_helper_call_after_an_installation_is_answered(machine: Machine) -> None:
    """On a fresh machine, with nothing started: the socket wakes the daemon."""
    done = machine.credproxy("install")
    assert done.returncode == 0, done.stderr
    assert machine.pid() == 0
    asked = machine.helper(URI)
    assert (asked.returncode, asked.stderr) == (0, "")
    assert json.loads(asked.stdout)["headers"] == {}
    assert machine.pid() != 0
    assert "credproxy serve" in machine.run("ps", "-o", "args=", str(machine.pid())).stdout


def test_every_file_and_every_command_is_said(machine: Machine) -> None:
    """So that the user can undo it by hand."""
    said = machine.credproxy("install").stdout.splitlines()
    written = {line.split("  ")[1] for line in said if line.startswith("wrote")}
    assert written == {
        str(path) for path in machine.units.rglob("credproxy*") if path.is_file() and not path.is_symlink()
    }
    assert [line.split("  ")[1] for line in said if line.startswith("ran")] == [
        "systemctl --user daemon-reload",
        "systemctl --user enable --now credproxy.socket credproxy-actions.socket",
        "systemctl --user try-restart credproxy.service",
    ]


def test_a_dry_run_says_the_same_and_does_nothing(machine: Machine) -> None:
    """For careful users."""
    before = sorted(machine.home.rglob("*"))
    done = machine.credproxy("install", "--dry-run")
    assert done.stdout.count("would write") == 3
    assert done.stdout.count("would run") == 3
    assert sorted(machine.home.rglob("*")) == before


def test_the_unit_runs_the_program_that_installed_it(installed: Machine) -> None:
    """Wherever pipx or a virtual environment put it."""
    assert f"ExecStart={installed.programs}/credproxy serve\n" in (installed.units / SERVICE).read_text()
    assert "credproxy/helper.sock" in installed.show("Listen", "credproxy.socket")


def test_installing_again_changes_nothing_and_starts_the_new_program(installed: Machine) -> None:
    """It is also the command after an upgrade."""
    installed.helper(URI)
    before = installed.pid()
    done = installed.credproxy("install")
    assert done.stdout.count("unchanged") == 3
    assert "wrote" not in done.stdout
    assert until(lambda: installed.pid() not in {0, before})
    assert installed.helper(URI).returncode == 0


def test_a_changed_unit_is_not_overwritten(installed: Machine) -> None:
    """Nothing is written, not even the others; --force does it."""
    path = installed.units / SERVICE
    path.write_text(path.read_text() + "# mine\n")
    (installed.units / "credproxy.socket").unlink()
    for command in ("install", "uninstall"):
        done = installed.credproxy(command)
        assert done.returncode == 1
        assert f"'{path}' was changed by hand" in done.stderr
        assert "systemctl edit" in done.stderr
        assert not (installed.units / "credproxy.socket").exists()
    assert installed.credproxy("install", "--force").returncode == 0
    assert "# mine" not in path.read_text()


def test_our_own_old_unit_is_replaced(installed: Machine) -> None:
    """An upgrade may bring another text; a socket is made again then."""
    path = installed.units / "credproxy.socket"
    text = path.read_text().partition("\n")[2].replace("Backlog=4096", "Backlog=17")
    path.write_text(units._marked(text))
    installed.systemctl("daemon-reload")
    installed.systemctl("restart", "credproxy.socket")
    assert installed.show("Backlog", "credproxy.socket") == "17"
    done = installed.credproxy("install")
    assert done.returncode == 0, done.stderr
    assert installed.show("Backlog", "credproxy.socket") == "4096"
    assert installed.helper(URI).returncode == 0


def test_uninstalling_leaves_nothing(machine: Machine) -> None:
    """No file, no unit, no process, no socket; twice is once."""
    before = {str(path) for path in machine.home.rglob("*")}
    assert machine.credproxy("install", "--jit-helpers").returncode == 0
    machine.helper(URI)
    pid = machine.pid()
    done = machine.credproxy("uninstall")
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("removed") == 4
    assert {str(path) for path in machine.home.rglob("*")} == before
    assert machine.run("ls", HELPER_SOCKET.parent).returncode != 0
    assert machine.run("ls", f"{HELPER_SOCKET.parent}-actions").returncode != 0
    assert machine.systemctl("list-units", "--all", "--plain", "--no-legend", "credproxy*") == ""
    assert machine.run("ps", "-p", str(pid)).returncode != 0
    again = machine.credproxy("uninstall")
    assert (again.returncode, again.stdout) == (0, "nothing is installed\n")


def test_a_daemon_that_the_helper_started_gives_way(machine: Machine) -> None:
    """Installed while one runs: callers get the service's socket at once, and the old daemon removes nothing."""
    assert machine.helper(URI).returncode == 0
    old = machine.run("sh", "-c", "pgrep -u $(id -u) -f 'credproxy serve'").stdout.split()
    try:
        assert machine.credproxy("install").returncode == 0
        assert machine.helper(URI).returncode == 0
        assert str(machine.pid()) not in old
    finally:
        machine.run("kill", *old)
    assert until(lambda: machine.run("kill", "-0", *old).returncode != 0)
    assert machine.helper(URI).returncode == 0


def test_the_drop_in_for_jit_helpers_is_installed_on_demand(machine: Machine) -> None:
    """And only what it is about changes."""
    assert machine.credproxy("install").returncode == 0
    assert machine.show("MemoryDenyWriteExecute") == "yes"
    assert machine.credproxy("install", "--jit-helpers").returncode == 0
    assert machine.show("MemoryDenyWriteExecute") == "no"
    assert machine.show("NoNewPrivileges") == "yes"


def test_gateway_only_serves_the_actions_socket_alone(machine: Machine) -> None:
    """With a user namespace of its own, which is harmless there; and back again."""
    assert machine.credproxy("install").returncode == 0
    if ROOT.is_relative_to("/tmp") or ROOT.is_relative_to("/var/tmp"):  # then so are the packages that it runs
        machine.drop_in("tmp", "[Service]\nPrivateTmp=no\n")
    assert machine.credproxy("install", "--gateway-only").returncode == 0
    assert not (machine.units / "credproxy.socket").exists()
    assert machine.run("ls", HELPER_SOCKET).returncode != 0
    socket = f"{HELPER_SOCKET.parent}-actions/actions.sock"
    asked = machine.run("curl", "--silent", "--unix-socket", socket, "http://localhost/healthz")
    assert asked.stdout == "ok\n"
    assert machine.show("PrivateUsers") == "yes"
    assert machine.credproxy("install").returncode == 0
    assert machine.helper(URI).returncode == 0


def test_without_a_service_manager_it_says_that_nothing_is_needed(machine: Machine) -> None:
    """Containers, and systems of another kind."""
    before = sorted(machine.home.rglob("*"))
    done = machine.run(machine.programs / "credproxy", "install", XDG_RUNTIME_DIR="/nowhere")
    assert done.returncode == 1
    assert "there is no service manager here" in done.stderr
    assert "the first credproxy-helper call starts the daemon itself" in done.stderr
    assert sorted(machine.home.rglob("*")) == before


def test_one_path_on_all_machines_leads_to_the_users_socket(installed: Machine) -> None:
    """The tmpfiles.d snippet as root applies it; nobody may write to the folder."""
    snippet = installed.home / "credproxy-actions.conf"
    snippet.write_text(installed.credproxy("install", "--print-actions-link").stdout)
    applied = installed.root("systemd-tmpfiles", "--create", str(snippet))
    assert applied.returncode == 0, applied.stderr
    socket = "/run/credproxy-actions/actions.sock"
    assert installed.run("curl", "--silent", "--unix-socket", socket, "http://localhost/healthz").stdout == "ok\n"
    assert installed.run("rm", "-f", socket).returncode != 0


def test_a_variable_for_the_service_is_written_where_the_documentation_says(installed: Machine) -> None:
    """The service does not see a shell's environment; environment.d is read at a reload of the manager."""
    folder = installed.home / ".config" / "environment.d"
    folder.mkdir()
    try:
        (folder / "credproxy.conf").write_text("CORP_KEY=made-up\n")
        installed.configure(
            '[[host]]\nmatch = "a.corp.example"\nprovider = "header"\nsecret = { source = "env", name = "CORP_KEY" }\n'
        )
        installed.systemctl("daemon-reload")
        assert "made-up" in installed.helper("https://a.corp.example/x").stdout
    finally:
        shutil.rmtree(folder)
        installed.systemctl("daemon-reload")


def test_a_credential_of_the_unit_is_a_secret_and_a_new_one_comes_with_a_restart(installed: Machine) -> None:
    """Loaded from where the drop-in says; without it the error says how to make one."""
    secret = installed.home / "secret"
    secret.write_text("made-up\n")
    secret.chmod(0o644)  # its owner is the user of the tests, and the reader the user of the machine
    rule = '[[host]]\nmatch = "a.corp.example"\nprovider = "header"\nsecret = '
    installed.configure(f'{rule}{{ source = "systemd-credential", name = "corp-key" }}\n')
    told = installed.helper("https://a.corp.example/x").stderr
    assert "LoadCredential=corp-key:FILE" in told
    installed.drop_in("credential", f"[Service]\nLoadCredential=corp-key:{secret}\n")
    installed.systemctl("restart", "credproxy.service")
    assert "made-up" in installed.helper("https://a.corp.example/x").stdout
    secret.write_text("another\n")
    installed.systemctl("restart", "credproxy.service")
    assert "another" in installed.helper("https://a.corp.example/x").stdout
