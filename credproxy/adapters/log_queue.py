"""A queue of lines for a stream that may be slow, blocked or broken: code that logs never waits for it (P14, C7).

One thread writes. Lines that do not fit into the queue or that the stream refuses are dropped and counted; as soon as
writing works again, a line says how many are missing.
"""

import os
import queue
import select
import threading
from collections.abc import Callable


LINES = 1000
"""Most lines that may wait: some hundred KiB."""

_GRACE = 0.5
"""Seconds that ``close`` waits for a place in the queue, and again for the queue to run empty."""


class LogQueue:
    """Takes lines and has them written.

    Args:
        write: writes a whole text, however long that takes; raises OSError.
        missing: formats the line that says how many lines are missing.
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
        """Queue a line, its newline included; never waits and never fails."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            self._overflowed += 1

    def close(self) -> None:
        """Write the queued lines, for a second at most. Later lines are lost: the thread is gone or stuck."""
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
        except OSError:  # a full disk, a closed pipe: there is nowhere left to report it
            return False
        return True


class Descriptor:
    """Writes to a file descriptor without Python's buffer, whose lock, held by a stuck thread, would abort the process."""

    def __init__(self, number: int) -> None:
        self.number = number
        self._torn = False

    def write(self, text: str) -> None:
        """Write a whole text. Raises OSError; the next text then begins on a new line."""
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
