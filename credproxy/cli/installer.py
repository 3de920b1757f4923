"""Writes and removes an installation, and prints every file and command. It first checks that all files are ours."""

import contextlib
import shlex
import subprocess
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from credproxy.adapters.directories import make_folders
from credproxy.cli import units
from credproxy.cli.command_error import CommandError, unwritable
from credproxy.cli.installation import Installation, InstallStep
from credproxy.cli.read_config import read_content
from credproxy.core.unit_names import SERVICE


RunCommand = Callable[[tuple[str, ...]], tuple[int, str]]
"""Runs a command; gives its exit status and its error output."""

_PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class Installer:
    """Installs or uninstalls, or says what it would do.

    Attributes:
        say: prints a line.
        run: runs a command.
        dry_run: do not change anything.
        force: also replace and remove files that the user changed.
    """

    say: Callable[[str], None]
    run: RunCommand
    dry_run: bool = False
    force: bool = False

    def install(self, wanted: Installation) -> None:
        """Write files that are missing or old, and start the service.

        Raises:
            CommandError: no service manager, a file that the user changed, or a command that failed.
        """
        complaint = self._missing(wanted)
        if complaint is not None:
            raise CommandError(
                complaint, "nothing needs to be installed: the first credproxy-helper call starts the daemon itself"
            )
        self._refuse_changed((*wanted.files, *wanted.unwanted))
        old = {path: text for path in wanted.files if (text := _read(path)) is not None}
        self._run_all(wanted.retire if any(_read(path) is not None for path in wanted.unwanted) else ())
        self._run_all(wanted.renew if any(old[path] != wanted.files[path] for path in old) else ())
        for path, text in wanted.files.items():
            self._write(path, text, old.get(path))
        for path in wanted.unwanted:
            self._remove(path)
        self._run_all(wanted.up)
        for note in () if self.dry_run else wanted.notes:
            self.say(note)

    def uninstall(self, found: Installation) -> None:
        """Stop the service and remove every file.

        Raises:
            CommandError: a file that the user changed, or a command that failed.
        """
        files = [path for path in (*found.files, *found.unwanted) if _read(path) is not None]
        if not files:
            self.say("nothing is installed")
            return
        self._refuse_changed(files)
        complaint = self._missing(found)
        if complaint is not None:
            self.say(f"only files are removed: {complaint}")
        self._run_all(found.down if complaint is None else ())
        for path in files:
            self._remove(path)
        self._run_all(found.after if complaint is None else ())
        for path in found.leftovers:
            self._clear(path)

    def _missing(self, installation: Installation) -> str | None:
        """Why the service manager cannot be reached."""
        argv = installation.probe.argv
        status, complaint = self.run(argv)
        return None if status == 0 else f"there is no service manager here: {shlex.join(argv)}: {complaint}"

    def _refuse_changed(self, paths: Iterable[Path]) -> None:
        for path in paths:
            text = _read(path)
            if text is not None and not units.untouched(text) and not self.force:
                raise CommandError(
                    f"{str(path)!r} was changed by hand, or is not credproxy's",
                    "put changes into a drop-in: systemctl edit; then --force, which discards what is in this file",
                )

    def _write(self, path: Path, text: str, old: str | None) -> None:
        if text == old:
            self.say(f"unchanged  {path}")
            return
        self.say(f"{self._verb('write', 'wrote')}  {path}")
        if not self.dry_run:
            try:
                make_folders(path.parent, 0o755)
                beside = path.with_name(path.name + ".new")
                beside.write_text(text, encoding="utf-8")
                beside.chmod(0o644)
                beside.rename(path)
            except OSError as error:
                raise unwritable(str(path), error) from None

    def _remove(self, path: Path) -> None:
        if _read(path) is None:
            return
        self.say(f"{self._verb('remove', 'removed')}  {path}")
        if not self.dry_run:
            path.unlink()
            if path.parent.suffix == ".d":
                self._clear(path.parent)

    def _clear(self, path: Path) -> None:
        if self.dry_run:
            return
        with contextlib.suppress(OSError):
            path.rmdir() if path.is_dir() else path.unlink()

    def _run_all(self, steps: Iterable[InstallStep]) -> None:
        for step in steps:
            self.say(f"{self._verb('run', 'ran')}  {shlex.join(step.argv)}")
            if self.dry_run:
                continue
            status, complaint = self.run(step.argv)
            if status != 0 and step.needed:
                raise CommandError(
                    f"{shlex.join(step.argv)} failed: {complaint}", f"journalctl --user --unit={SERVICE}"
                )

    def _verb(self, would: str, did: str) -> str:
        return f"would {would}" if self.dry_run else did


def runner(environ: Mapping[str, str]) -> RunCommand:
    """Give the function that really runs commands."""

    def run(argv: tuple[str, ...]) -> tuple[int, str]:
        try:
            done = subprocess.run(  # noqa: S603  systemctl or launchctl, with arguments of our own
                argv,
                env=dict(environ),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
                timeout=_PATIENCE,
            )
        except FileNotFoundError:
            return 127, f"{argv[0]} is not installed"
        except subprocess.TimeoutExpired:
            return 124, f"it did not end within {_PATIENCE:.0f} s"
        lines = (done.stderr or done.stdout).strip().splitlines()
        return done.returncode, lines[-1] if lines else f"exit status {done.returncode}"

    return run


def _read(path: Path) -> str | None:
    content = read_content(str(path), "nothing was changed: ")
    if content is None and path.exists():  # a link to /dev/null: the unit is masked
        content = b""
    return None if content is None else content.decode("utf-8", "replace")
