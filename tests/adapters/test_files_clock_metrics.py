"""Small adapters: files within limits, a clock that runs through suspend, metrics without secrets."""

import asyncio
import os
import shlex
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.files import LIMIT, SystemFiles
from credproxy.adapters.metrics import PrometheusMetrics
from credproxy.core.errors import Code, Failed
from tests.hints import filled


@pytest.fixture
def files() -> Iterator[SystemFiles]:
    """The reader."""
    made = SystemFiles()
    yield made
    made.close()


async def test_a_file_is_read_and_versioned(files: SystemFiles, tmp_path: Path) -> None:
    """A rewritten file has another version."""
    path = tmp_path / "f"
    path.write_text("one")
    first = await files.version(str(path))
    assert await files.read(str(path)) == b"one"
    path.write_text("other")
    assert await files.version(str(path)) != first


async def test_nothing_and_dev_null_are_absent(files: SystemFiles, tmp_path: Path) -> None:
    """Users write ``NETRC=/dev/null`` to say that there is no file."""
    (tmp_path / "file").touch()
    for path in (tmp_path / "nope", tmp_path / "nope" / "deeper", tmp_path / "file" / "deeper", Path(os.devnull)):
        assert await files.read(str(path)) is None
        assert await files.version(str(path)) is None


async def test_a_directory_instead_of_a_file_is_reported_with_the_remedy(files: SystemFiles, tmp_path: Path) -> None:
    """Docker makes one if a container mounts a missing file; the hint is a command that fixes it."""
    place = tmp_path / "config's.json"
    place.mkdir()
    with pytest.raises(Failed, match="is a directory"):
        await files.version(str(place))
    with pytest.raises(Failed) as caught:
        await files.read(str(place))
    assert caught.value.failure.message == f"the file {str(place)!r} is a directory"
    argv = shlex.split(caught.value.failure.hint.partition(": ")[2])
    await asyncio.to_thread(subprocess.run, argv, check=True)
    assert await files.version(str(place)) is None


async def test_a_trusted_file_behind_a_link_that_leads_nowhere_is_not_absent(
    files: SystemFiles, tmp_path: Path
) -> None:
    """What it denies would be forgotten; where nothing at all was put, on a good link or /dev/null, it is absent."""
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    (tmp_path / "away").symlink_to(tmp_path / "unmounted")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "good").symlink_to(tmp_path)
    (tmp_path / "file").touch()
    broken = {
        "link": "is a link that leads nowhere",
        "away/config.toml": f"cannot be reached: the link '{tmp_path}/away' leads nowhere",
        "good/away/deeper/config.toml": f"cannot be reached: the link '{tmp_path}/good/away' leads nowhere",
        "loop": "cannot be opened: too many levels of symbolic links",
        "file/config.toml": f"cannot be reached: '{tmp_path}/file' is a file, and no directory",
    }
    for name, problem in broken.items():
        with pytest.raises(Failed) as caught:
            await files.judged(str(tmp_path / name), "")
        assert caught.value.failure.message == f"the file {str(tmp_path / name)!r} {problem}"
        if name != "loop":
            hint = caught.value.failure.hint
            if name.startswith("file"):
                place, _ = filled(hint, "move it away: mv {} {}.file")
            else:
                place, _ = filled(hint, "bring back what it leads to, or move it away: mv {} {}.link")
            (tmp_path / place).rename(tmp_path / "moved")
            assert await files.judged(str(tmp_path / name), "") is None
            (tmp_path / "moved").rename(place)
    for path in (tmp_path / "nope", tmp_path / "good/nope/deeper", Path(os.devnull), Path(os.devnull) / ".config/x"):
        assert await files.judged(str(path), "") is None


async def test_a_special_file_is_refused_when_it_is_checked(files: SystemFiles, tmp_path: Path) -> None:
    """A FIFO has a version as well, and reading it would wait for a writer."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(Failed, match="is not a regular file"):
        await files.version(str(tmp_path / "fifo"))


async def test_a_fifo_and_a_large_file_are_errors_in_time(files: SystemFiles, tmp_path: Path) -> None:
    """C8: neither holds a thread."""
    fifo, large = tmp_path / "fifo", tmp_path / "large"
    os.mkfifo(fifo)
    large.write_bytes(b"x" * (LIMIT + 1))
    for path in (fifo, large):
        with pytest.raises(Failed) as caught:
            await files.read(str(path))
        assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
        assert str(path) in caught.value.failure.message


async def test_a_socket_is_reported_as_such(files: SystemFiles, tmp_path: Path) -> None:
    """The system refuses to open one with an error that speaks of devices."""
    with socket.socket(socket.AF_UNIX) as made:
        here = os.open(tmp_path, os.O_RDONLY)
        made.bind(f"/proc/self/fd/{here}/socket")  # short, as the kernel demands
        os.close(here)
        with pytest.raises(Failed, match="is not a regular file"):
            await files.read(str(tmp_path / "socket"))


async def test_a_late_event_loop_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    """C8: in a burst the loop comes back after the limit, and finds both the content and the timer."""
    place = tmp_path / "file"
    place.write_bytes(b"content")
    files = SystemFiles(timeout=0.05)
    reading = asyncio.ensure_future(files.read(str(place)))
    await asyncio.sleep(0)  # noqa: TID251  the read has begun
    time.sleep(0.2)  # noqa: ASYNC251  the burst
    assert await reading == b"content"
    files.close()


async def test_a_file_that_hangs_is_given_up_in_time() -> None:
    """C8: with the path and the limit."""
    files = SystemFiles(timeout=0.05)
    held = threading.Event()
    with pytest.raises(Failed, match=r"'/net/x' did not answer within 0\.05 s"):
        await files._off_loop("/net/x", lambda _: held.wait(5))
    held.set()
    files.close()


def test_boot_runs_through_suspend_and_wall_is_the_systems() -> None:
    """PY19: CLOCK_BOOTTIME, not CLOCK_MONOTONIC."""
    clock = SystemClock()
    assert abs(clock.boot() - time.clock_gettime(time.CLOCK_BOOTTIME)) < 1
    assert abs(clock.wall() - time.time()) < 1  # noqa: TID251  what it must agree with


def test_metrics_are_prometheus_text() -> None:
    """Every method shows in a scrape."""
    metrics = PrometheusMetrics()
    metrics.cache("fresh")
    metrics.exchange("ghcr.io", "ok", seconds=0.2)
    metrics.program("pass", "ok", seconds=0.1)
    metrics.waited(0.1)
    metrics.age(5)
    metrics.gauge("entries", "Entries", value=lambda: 7.0)
    page, content_type = metrics.render()
    text = page.decode()
    assert "openmetrics" in content_type
    for line in (
        'credproxy_cache_lookups_total{outcome="fresh"} 1.0',
        'credproxy_exchange_seconds_count{outcome="ok",upstream="ghcr.io"} 1.0',
        "credproxy_entries 7.0",
    ):
        assert line in text
