"""Lines on their way to a stream that may be slow, blocked or broken: nobody who logs waits for it (P14, C7).

One thread writes. What does not fit into the queue, and what the stream refuses, is dropped and counted; a line says
how many are missing as soon as writing works again.
"""

import os
import queue
import select
import threading
from collections.abc import Callable


LINES = 1000
"""Lines that wait at most: some hundred KiB."""

_GRACE = 0.5
"""Seconds that the end waits for a place in the queue, and once more for the queue to run empty."""


class LogQueue:
    """Takes lines and has them written.

    Args:
        write: writes a text whole, however long that takes; raises OSError.
        missing: makes the line that says how many are missing.
    """

    def __init__(self, write: Callable[[str], None], *, missing: Callable[[int], str]) -> None:
        self._write = write
        self._missing = missing
        self._lines: queue.Queue[str | None] = queue.Queue(LINES)
        self._overflowed = self._refused = self._told = 0
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Lines that were not written."""
        return self._overflowed + self._refused

    def put(self, line: str) -> None:
        """Have a line written, its end included; never waits and never fails."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._overflowed += 1

    def close(self) -> None:
        """Write what waits, for a second at most. What comes later is lost: the thread is gone, or stuck."""
        try:
            self._lines.put(None, timeout=_GRACE)
        except queue.Full:
            return
        self._thread.join(_GRACE)

    def _work(self) -> None:
        while (line := self._lines.get()) is not None:
            if not self._written(line):
                self._refused += 1
            elif self._lines.empty():
                self._tell()
        self._tell()

    def _tell(self) -> None:
        missing = self.dropped - self._told
        if missing and self._written(self._missing(missing)):
            self._told += missing

    def _written(self, text: str) -> bool:
        try:
            self._write(text)
        except OSError:  # a full disk, a closed pipe: there is nowhere left to say so
            return False
        return True


class Descriptor:
    """Writes to a file descriptor, past Python's own buffer: its lock, held by a thread that is stuck, would end us."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._torn = False

    def write(self, text: str) -> None:
        """Write a text whole. Raises OSError; what follows then begins a new line."""
        data = ("\n" + text if self._torn else text).encode("utf-8", "backslashreplace")
        written = 0
        try:
            while written < len(data):
                written += self._some(data[written:])
        finally:
            self._torn = 0 < written < len(data) or (self._torn and not written)

    def _some(self, data: bytes) -> int:
        try:
            return os.write(self.number, data)
        except BlockingIOError:  # another process that shares the descriptor may have made it non-blocking
            ready = select.poll()
            ready.register(self.number, select.POLLOUT)
            ready.poll()
            return 0
