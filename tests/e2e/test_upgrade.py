"""An upgrade under a running daemon: the next call of the new helper starts the new daemon, and no call is lost."""

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import credproxy
from tests.e2e.halves import until
from tests.e2e.stage import Stage


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

NOWHERE = "https://nowhere.example/"


def answered(done: subprocess.CompletedProcess[str]) -> bool:
    """Whether that is the empty answer for an unconfigured host."""
    return (done.returncode, done.stdout[:13], done.stderr) == (0, '{"headers":{}', "")


class Installed:
    """A copy of the package that can be upgraded in place, with its daemon."""

    def __init__(self, staged: Stage) -> None:
        self.staged = staged
        self.library = staged.home / "lib"
        self.program = staged.home / "bin" / "credproxy"
        staged.logs.append(staged.home / "daemon.log")
        self._looked = staged.home / "looked"
        shutil.copytree(
            Path(credproxy.__file__).parent, self.library / "credproxy", ignore=shutil.ignore_patterns("__pycache__")
        )
        self.program.parent.mkdir()
        self.program.write_text(
            f"#!{sys.executable} -B\nimport sys\nsys.path.insert(0, {str(self.library)!r})\n"
            f"try:\n    from credproxy.cli import main\n    main()\nfinally:\n    open({str(self._looked)!r}, 'a').close()\n"
        )
        self.program.chmod(0o755)

    def upgrade(self, version: str) -> None:
        """Replace what is on disk; what runs goes on."""
        fresh = self.library / "credproxy" / "__init__.new"
        fresh.write_text(f'"""credproxy"""\n\n__version__ = "{version}"\n')
        fresh.rename(self.library / "credproxy" / "__init__.py")

    def start(self) -> subprocess.Popen[bytes]:
        """Start the daemon of this copy."""
        with self.staged.logs[-1].open("ab") as out:
            process = subprocess.Popen(
                [self.program, "serve"], env=self.staged.environ, stdin=subprocess.DEVNULL, stdout=out, stderr=out
            )
        self.staged.process = process
        self.staged.await_ready()
        return process

    def events(self, name: str, *, least: int = 1) -> list[dict[str, object]]:
        """The log's events of that name."""
        return self.staged.events(name, least=least)

    def version(self) -> str:
        """The version of the daemon that answers."""
        done = self.staged.credproxy("status", "--json")
        assert done.returncode == 0, done.stderr
        return str(json.loads(done.stdout)["version"])

    def looked(self) -> None:
        """Wait until the program has printed its version and exited."""
        until(self._looked.exists)


@pytest.fixture
def installed(staged: Stage) -> Installed:
    """Version 0.0.1, running; the helper is of the version under test, and so of another one."""
    made = Installed(staged)
    made.upgrade("0.0.1")
    return made


def test_the_next_call_after_an_upgrade_starts_the_new_daemon(installed: Installed) -> None:
    """In the same process, on the same sockets, with one line in the log; the call itself is answered."""
    process = installed.start()
    inode = installed.staged.socket.stat().st_ino
    assert installed.version() == "0.0.1"
    installed.upgrade("0.0.2")
    assert answered(installed.staged.helper(NOWHERE))
    assert len(installed.events("ready", least=2)) == 2
    assert installed.version() == "0.0.2"
    assert (process.poll(), installed.staged.socket.stat().st_ino) == (None, inode)
    (line,) = installed.events("another version is installed")
    assert (line["running"], line["installed"]) == ("0.0.1", "0.0.2")


def test_no_call_is_lost_over_an_upgrade(installed: Installed) -> None:
    """Two hundred calls, eight at a time, while the daemon is replaced."""
    installed.start()
    installed.upgrade("0.0.2")
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda n: installed.staged.helper(f"{NOWHERE}{n}"), range(200)))
    assert [done.stderr for done in answers if not answered(done)] == []
    assert len(installed.events("ready", least=2)) == 2
    assert installed.version() == "0.0.2"
    assert len(installed.events("handing over")) == 1


def test_a_helper_that_lies_about_its_version_restarts_nothing(installed: Installed) -> None:
    """The program on disk decides: it is of the version that runs."""
    process = installed.start()
    assert answered(installed.staged.helper(NOWHERE))
    installed.looked()
    for _ in range(20):
        assert answered(installed.staged.helper(NOWHERE))
    assert installed.version() == "0.0.1"
    assert (process.poll(), len(installed.events("ready"))) == (None, 1)
    assert installed.events("another version is installed", least=0) == []


def test_a_broken_installation_is_not_started(installed: Installed) -> None:
    """In the middle of an upgrade, or after one that failed, the daemon that runs serves on."""
    installed.start()
    (installed.library / "credproxy" / "cli" / "__init__.py").write_text("raise SystemExit(1)\n")
    installed.upgrade("0.0.2")
    assert answered(installed.staged.helper(NOWHERE))
    installed.looked()
    for _ in range(5):
        assert answered(installed.staged.helper(NOWHERE))
    assert installed.version() == "0.0.1"
    assert len(installed.events("ready")) == 1
