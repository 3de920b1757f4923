"""Files that are replaced: completely or not at all, private, on the disk, by one process at a time."""

import asyncio
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from credproxy.adapters.files import SystemFiles
from credproxy.adapters.rewriting import LARGEST, HeldLock, Place, hold
from credproxy.core.errors import Code, Failed
from tests.hints import filled


@pytest.fixture
def files() -> Iterator[SystemFiles]:
    """Of this machine."""
    made = SystemFiles()
    yield made
    made.close()


def mode(path: Path) -> int:
    """The permissions of a file."""
    return stat.S_IMODE(path.stat().st_mode)


def test_a_file_is_replaced_and_private_whatever_it_was(tmp_path: Path) -> None:
    """A process that has it open continues to read the old content."""
    path = tmp_path / "token"
    path.write_text("old")
    path.chmod(0o644)
    with path.open() as before:
        place = Place(str(path))
        assert (tmp_path / ".token.new").stat().st_size == LARGEST  # what is missing then is missing now
        version = place.commit(b"new")
        place.close()
        assert before.read() == "old"
    assert (path.read_bytes(), mode(path)) == (b"new", 0o600)
    about = path.stat()
    assert version.stamp == (about.st_mtime_ns, about.st_ino, 3)
    assert [one.name for one in tmp_path.iterdir()] == ["token"]


def test_an_abandoned_replacement_leaves_the_file_unchanged(tmp_path: Path) -> None:
    """And leaves nothing beside it."""
    path = tmp_path / "token"
    path.write_text("old")
    Place(str(path)).close()
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["token"]


def test_leftovers_of_a_killed_process_are_reused(tmp_path: Path) -> None:
    """There is only one name for them, so that they do not pile up."""
    path = tmp_path / "token"
    (tmp_path / ".token.new").write_text("half")
    place = Place(str(path))
    place.commit(b"new")
    place.close()
    assert path.read_bytes() == b"new"


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """A user who keeps such files elsewhere finds the new content there."""
    (tmp_path / "real").mkdir()
    path = tmp_path / "token"
    path.symlink_to("real/token")
    place = Place(str(path))
    place.commit(b"new")
    place.close()
    assert path.is_symlink()
    assert (tmp_path / "real" / "token").read_bytes() == b"new"


def test_a_link_in_the_way_is_not_followed(tmp_path: Path) -> None:
    """An attacker who could create one could have the token written to where others can read it."""
    (tmp_path / ".token.new").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic"):
        Place(str(tmp_path / "token"))
    with pytest.raises(OSError, match="symbolic"):
        hold(str(tmp_path / "lock"))
    assert not (tmp_path / "elsewhere").exists()


def held(path: Path) -> HeldLock:
    """A lock that no other process holds."""
    lock = hold(str(path))
    assert lock is not None
    return lock


def test_one_at_a_time_holds_a_lock_and_the_next_one_reads_its_note(tmp_path: Path) -> None:
    """In the same process as well."""
    path = tmp_path / "lock"
    lock = held(path)
    assert (lock.note, mode(path)) == (b"", 0o600)
    lock.mark(b"a long note")
    lock.mark(b"note")
    assert hold(str(path)) is None
    lock.close()
    again = held(path)
    assert again.note == b"note"
    again.close()


def test_a_killed_process_releases_its_lock(tmp_path: Path) -> None:
    """Its note stays, which is what it is for."""
    path = tmp_path / "lock"
    program = f"""
from credproxy.adapters.rewriting import hold
lock = hold({str(path)!r})
lock.mark(b"note")
print("held", flush=True)
input()
"""
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        assert hold(str(path)) is None
        other.kill()
    lock = held(path)
    assert lock.note == b"note"
    lock.close()


def test_a_deleted_lock_file_is_not_a_lock(tmp_path: Path) -> None:
    """Two holders of different files with the same name would both think that they are alone."""
    path = tmp_path / "lock"
    first = held(path)
    path.unlink()
    second = held(path)
    assert hold(str(path)) is None
    first.close()
    second.close()


async def test_an_obstacle_is_reported_before_anything_is_lost(files: SystemFiles, tmp_path: Path) -> None:
    """Whatever the system's error is."""
    (tmp_path / ".token.new").mkdir()
    (tmp_path / "lock").mkdir()
    for ask in (files.reserve(str(tmp_path / "token")), files.lock(str(tmp_path / "lock"))):
        with pytest.raises(Failed) as caught:
            await ask
        assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
        filled(caught.value.failure.hint, "it and its directory have to be yours, with space left: ls -ld {}; df {}")


async def test_a_task_cancelled_while_writing_waits_for_the_end_of_the_write(
    files: SystemFiles, tmp_path: Path
) -> None:
    """If the lock were released while a thread still writes, another process could read the old token."""
    path = tmp_path / "token"
    place = await files.reserve(str(path))
    writing = asyncio.ensure_future(place.commit(b"new"))
    await asyncio.sleep(0)  # noqa: TID251  the loop's next turn
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert path.read_bytes() == b"new"
    await place.close()
