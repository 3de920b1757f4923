"""The file of a daemon that the helper started: limited in size, with three older files, and never another file."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from credproxy.adapters.log_file import KEPT, LogFile
from credproxy.adapters.log_queue import Descriptor


LIMIT = 1000
LINE = "x" * 99 + "\n"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where it is."""
    return tmp_path / "daemon.log"


def opened(path: Path) -> int:
    """A descriptor as the helper gives one."""
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)


@pytest.fixture
def number(path: Path) -> Iterator[int]:
    """Standard error of a daemon that the helper started."""
    made = opened(path)
    yield made
    os.close(made)


def contents(path: Path) -> dict[str, str]:
    """What is in each file of the folder."""
    return {found.name: found.read_text() for found in path.parent.iterdir()}


def test_a_full_file_makes_way_and_three_are_kept(path: Path, number: int) -> None:
    """Whatever is written, there are four files of at most the limit, the newest lines in the last ones."""
    file = LogFile(Descriptor(number), path, limit=LIMIT)
    for count in range(100):
        file.write(f"{count:03d}{LINE[3:]}")
    found = contents(path)
    assert sorted(found) == ["daemon.log", *(f"daemon.log.{number}" for number in range(1, KEPT + 1))]
    assert max(map(len, found.values())) <= LIMIT
    in_order = [found[f"daemon.log.{number}"] for number in range(KEPT, 0, -1)] + [found["daemon.log"]]
    lines = "".join(in_order).splitlines()
    assert [int(line[:3]) for line in lines] == list(range(100 - len(lines), 100))
    assert len(lines) > 3 * 8
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_file_that_was_too_large_from_the_start_makes_way_at_once(path: Path, number: int) -> None:
    """What an earlier version left."""
    os.write(number, b"y" * 5000)
    LogFile(Descriptor(number), path, limit=LIMIT).write(LINE)
    assert contents(path) == {"daemon.log": LINE, "daemon.log.1": "y" * 5000}


def test_a_file_that_is_not_the_helpers_is_only_written(path: Path, tmp_path: Path) -> None:
    """A file that a user chose, a link to one, and anything that is not a file grow as before."""
    chosen = tmp_path / "mine.log"
    path.symlink_to(chosen)
    number = opened(chosen)
    try:
        file = LogFile(Descriptor(number), path, limit=LIMIT)
        for _ in range(30):
            file.write(LINE)
    finally:
        os.close(number)
    assert chosen.stat().st_size == 30 * len(LINE)
    assert sorted(contents(path)) == ["daemon.log", "mine.log"]
    reading, writing = os.pipe()
    LogFile(Descriptor(writing), path, limit=1).write(LINE)
    assert os.read(reading, 4096).decode() == LINE
    os.close(reading)
    os.close(writing)


def test_two_daemons_with_one_file_rotate_it_once(path: Path, number: int) -> None:
    """Daemons of two sockets share it; one that finds it renamed continues in the new one."""
    other = opened(path)
    try:
        first, second = (LogFile(Descriptor(each), path, limit=LIMIT) for each in (number, other))
        for count in range(40):
            (first if count % 2 else second).write(f"{count:03d}{LINE[3:]}")
    finally:
        os.close(other)
    found = contents(path)
    assert max(map(len, found.values())) <= LIMIT
    in_order = [found[name] for name in sorted(found, reverse=True) if name != "daemon.log"] + [found["daemon.log"]]
    assert [int(line[:3]) for line in "".join(in_order).splitlines()][-30:] == list(range(10, 40))


def test_a_file_that_cannot_make_way_stays_within_its_bound(path: Path, number: int) -> None:
    """The line is refused, which is counted; with room again the next one is written."""
    file = LogFile(Descriptor(number), path, limit=LIMIT)
    while path.stat().st_size + len(LINE) < LIMIT:
        file.write(LINE)
    blocked = path.with_name("daemon.log.new")
    blocked.mkdir()
    with pytest.raises(OSError, match=r"daemon\.log\.new"):
        file.write(LINE)
    assert path.stat().st_size <= LIMIT
    blocked.rmdir()
    file.write(LINE)
    assert path.read_text() == LINE
