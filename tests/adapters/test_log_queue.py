"""Logging never blocks and never fails, whatever happens to the stream (P14, C7)."""

import errno
import fcntl
import os
import threading
from collections.abc import Iterator

import pytest

from credproxy.adapters.log_queue import LINES, Descriptor, LogQueue


class Stream:
    """A stream that can be stuck, or broken."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.open = threading.Event()
        self.entered = threading.Event()
        self.tried = threading.Semaphore(0)
        self.error: OSError | None = None
        self.open.set()

    def write(self, text: str) -> None:
        """Block while it is stuck; fail while it is broken."""
        self.entered.set()
        self.open.wait()
        error = self.error
        self.tried.release()
        if error is not None:
            raise error
        self.lines.append(text)


def _missing(count: int) -> str:
    return f"{count} missing\n"


@pytest.fixture
def stream() -> Iterator[Stream]:
    """A working stream; a thread that is stuck in it is released at the end."""
    made = Stream()
    yield made
    made.open.set()


def test_lines_are_written_in_order_and_the_end_waits_for_them(stream: Stream) -> None:
    """Nothing is lost at shutdown."""
    logs = LogQueue(stream.write, missing=_missing)
    for number in range(500):
        logs.put(f"{number}\n")
    logs.close()
    assert stream.lines == [f"{number}\n" for number in range(500)]
    assert logs.dropped == 0


def test_a_stuck_stream_costs_lines_and_no_time(stream: Stream) -> None:
    """P14: a thousand lines wait, more are dropped and counted; when it moves again, one line says how many."""
    logs = LogQueue(stream.write, missing=_missing)
    stream.open.clear()
    logs.put("first\n")
    stream.entered.wait()
    for number in range(LINES + 7):
        logs.put(f"{number}\n")
    assert logs.dropped == 7
    stream.open.set()
    logs.close()
    assert stream.lines == ["first\n", *(f"{number}\n" for number in range(LINES)), "7 missing\n"]


def test_the_end_does_not_wait_for_a_stuck_stream(stream: Stream) -> None:
    """P14: it waits a second at most, and then gives up."""
    logs = LogQueue(stream.write, missing=_missing)
    stream.open.clear()
    for number in range(2 * LINES):
        logs.put(f"{number}\n")
    logs.close()
    assert logs._thread.is_alive()
    assert stream.lines == []


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO, errno.EPIPE, errno.EBADF])
def test_a_broken_stream_costs_lines_and_nothing_else(stream: Stream, number: int) -> None:
    """C7: a full disk never raises; once it has room, one line says how many are missing."""
    logs = LogQueue(stream.write, missing=_missing)
    stream.error = OSError(number, os.strerror(number))
    for _ in range(3):
        logs.put("lost\n")
    for _ in range(3):
        assert stream.tried.acquire(timeout=5)
    stream.error = None
    logs.put("kept\n")
    logs.close()
    assert (stream.lines, logs.dropped) == (["kept\n", "3 missing\n"], 3)


def test_a_stream_that_stays_broken_ends_quietly(stream: Stream) -> None:
    """C7: There is nowhere to report it."""
    logs = LogQueue(stream.write, missing=_missing)
    stream.error = OSError(errno.ENOSPC, "full")
    logs.put("lost\n")
    logs.close()
    assert (stream.lines, logs.dropped) == ([], 1)


def test_a_descriptor_that_must_not_block_is_waited_for() -> None:
    """Another process that shares the descriptor may set O_NONBLOCK: the line is still written whole."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writing, False)
    text = "x" * 20_000 + "\n"
    thread = threading.Thread(target=Descriptor(writing).write, args=(text,))
    thread.start()
    found = b""
    while len(found) < len(text):
        found += os.read(reading, 1000)
    thread.join()
    os.close(reading)
    os.close(writing)
    assert found.decode() == text


def test_after_a_torn_line_comes_a_new_one() -> None:
    """A disk that fills up in the middle of a line must not join it with the next one."""
    written: list[bytes] = []

    class Torn(Descriptor):
        room = 3

        def _some(self, data: bytes) -> int:
            if not self.room:
                raise OSError(errno.ENOSPC, "full")
            written.append(data[: self.room])
            self.room -= len(written[-1])
            return len(written[-1])

    stream = Torn(-1)
    for _ in range(2):
        with pytest.raises(OSError, match="full"):
            stream.write("torn line\n")
    stream.room = 100
    stream.write("next\n")
    stream.write("last\n")
    assert b"".join(written) == b"tor\nnext\nlast\n"
