"""A machine with one user and its own systemd, and credproxy installed from its wheel, as pipx would do it."""

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


ROOT = Path(__file__).parents[2]
MANAGER = ROOT / "tools" / "user-manager"
SYSTEM_MANAGER = ROOT / "tools" / "system-manager"
COPY = ROOT / "tools" / "installed-copy"

UID = 12_345 + int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
"""Of a user for each process of the tests, so that no process of one is another's."""

RUNTIME = Path(f"/run/user/{UID}")
HELPER_SOCKET = RUNTIME / "credproxy" / "helper.sock"
SERVICE = "credproxy.service"


@dataclass(frozen=True)
class Machine:
    """Commands run as its user, inside its mount namespace."""

    home: Path
    programs: Path

    @property
    def units(self) -> Path:
        """The folder of the user's units."""
        return self.home / ".config" / "systemd" / "user"

    def run(self, *argv: str | Path, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """Run a command; its status is the caller's to judge."""
        settings = [f"{name}={value}" for name, value in environ.items()]
        return subprocess.run(
            [MANAGER, "run", self.home, "env", *settings, *argv],
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def root(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """Run a command as root inside its mount namespace."""
        pid = (self.home / ".user-manager" / "pid").read_text().strip()
        return subprocess.run(
            ["nsenter", "--target", pid, "--mount", *argv], capture_output=True, text=True, check=False, timeout=60
        )

    def credproxy(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return self.run(self.programs / "credproxy", *args)

    def helper(self, uri: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the helper as Bazel does."""
        request = json.dumps({"uri": uri})
        return self.run(self.programs / "credproxy-helper", "get", stdin=request, **environ)

    def systemctl(self, *args: str) -> str:
        """Run ``systemctl --user``, which must succeed; give what it prints."""
        done = self.run("systemctl", "--user", *args)
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def show(self, name: str, unit: str = SERVICE) -> str:
        """Give a property of a unit."""
        return self.systemctl("show", "--value", f"--property={name}", unit)

    def pid(self) -> int:
        """Give the daemon's process id, as the host knows it; 0 if it does not run."""
        return int(self.show("MainPID"))

    def signal(self, number: signal.Signals) -> int:
        """Send one to the daemon, which must run; give its process id."""
        pid = self.pid()
        assert pid != 0  # a signal to 0 would go to the tests themselves
        os.kill(pid, number)
        return pid

    def drop_in(self, name: str, text: str) -> None:
        """Change the service as a user would."""
        folder = self.units / f"{SERVICE}.d"
        folder.mkdir(exist_ok=True)
        (folder / f"{name}.conf").write_text(text)
        self.systemctl("daemon-reload")

    def configure(self, text: str) -> None:
        """Write the user's configuration."""
        folder = self.home / ".config" / "credproxy"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "config.toml").write_text(text)

    def reset(self) -> None:
        """Remove everything of credproxy, also what a failed test left."""
        self.run("systemctl", "--user", "disable", "--now", "credproxy.socket", "credproxy-actions.socket", SERVICE)
        visible = (path for path in self.home.iterdir() if not path.name.startswith("."))
        for path in (*self.units.iterdir(), *visible, self.home / ".config" / "credproxy"):
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        self.run("rm", "-rf", HELPER_SOCKET.parent, f"{HELPER_SOCKET.parent}-actions")
        self.systemctl("daemon-reload")
        self.run("systemctl", "--user", "reset-failed")

    def log(self) -> str:
        """Give what the daemon wrote since ``keep_log``."""
        return (self.home / "daemon.log").read_text()

    def keep_log(self) -> None:
        """Let the daemon write into a file, from its next start on: there is no journal here."""
        self.drop_in("log", "[Service]\nStandardError=append:%h/daemon.log\n")


def until(what: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Wait until a condition holds; false if it never does."""
    end = time.perf_counter() + seconds
    while not what():
        if time.perf_counter() > end:
            return False
        time.sleep(0.05)
    return True
