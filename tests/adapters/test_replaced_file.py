"""Files that are written whole."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from credproxy.adapters import replaced_file
from credproxy.adapters.replaced_file import change_file, exclusively, replace_file
from credproxy.core.errors import Failed


def test_a_new_file_is_private_and_so_are_the_folders_that_are_made(tmp_path: Path) -> None:
    """Whatever the umask."""
    place = tmp_path / "a" / "b" / "file"
    before = os.umask(0)
    try:
        replace_file(place, b"x")
    finally:
        os.umask(before)
    assert place.read_bytes() == b"x"
    assert [stat.S_IMODE(one.stat().st_mode) for one in (place, place.parent, place.parent.parent)] == [
        0o600,
        0o700,
        0o700,
    ]


def test_a_link_is_followed_and_a_mode_is_kept(tmp_path: Path) -> None:
    """As in a dotfiles repository."""
    real, link = tmp_path / "real", tmp_path / "link"
    real.write_bytes(b"old")
    real.chmod(0o644)
    link.symlink_to(real)
    assert change_file(link, lambda content: content + b"new")
    assert link.is_symlink()
    assert (real.read_bytes(), stat.S_IMODE(real.stat().st_mode)) == (b"oldnew", 0o644)


def test_what_changes_nothing_is_not_written_and_what_a_killed_writer_left_is_deleted(tmp_path: Path) -> None:
    """There is only one writer at a time."""
    place = tmp_path / "file"
    place.write_bytes(b"x")
    before = place.stat().st_ino
    (tmp_path / ".file.abcdefgh").write_bytes(b"half")
    (tmp_path / ".file.lock").touch()
    assert not change_file(place, lambda content: content)
    assert not change_file(place, lambda _: None)
    assert place.stat().st_ino == before
    assert {one.name for one in tmp_path.iterdir()} == {"file", ".file.lock"}


def test_a_change_that_fails_leaves_everything_as_it_was(tmp_path: Path) -> None:
    """Ctrl-C included."""
    place = tmp_path / "file"
    place.write_bytes(b"x")

    def interrupted(_: bytes) -> bytes:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        change_file(place, interrupted)
    assert [(one.name, one.read_bytes()) for one in tmp_path.iterdir()] == [("file", b"x")]


def test_another_process_waits_for_the_lock_and_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A killed process releases it."""
    monkeypatch.setattr(replaced_file, "PATIENCE", 0.2)
    place = tmp_path / "file"
    code = (
        "import sys, pathlib, time; from credproxy.adapters.replaced_file import exclusively\n"
        f"with exclusively(pathlib.Path({str(place)!r})): print('held', flush=True); time.sleep(60)"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        with pytest.raises(Failed, match="another process is writing"), exclusively(place):
            pass
    finally:
        process.kill()
        process.communicate()
    with exclusively(place):
        assert (tmp_path / ".file.lock").exists()
