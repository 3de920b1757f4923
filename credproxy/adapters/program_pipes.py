"""What a program reads and prints: its three pipes, none of which ever blocks the loop."""

import asyncio
import contextlib
import os
import subprocess
from typing import Self

from credproxy.core.complaints import mask_complaint, mask_given


STDOUT_LIMIT = 256 * 1024
"""Bytes of output; an answer is at most 8,000."""

_STDERR_KEPT = 64 * 1024
_COMPLAINT = 2048


class Pipes:
    """The three pipes of one run, read and written when the loop finds them ready; always closed at the end.

    Args:
        process: the running program.
        stdin: what it is given to read.
        given: secrets that must not appear in its complaint.
    """

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes, *, given: tuple[str, ...]) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        self.stdout = bytearray()
        self.flooded = asyncio.Event()
        self.ended = asyncio.Event()
        self._stderr = bytearray()
        self._left = memoryview(stdin)
        self._given = given
        self._in, self._out, self._err = process.stdin, process.stdout, process.stderr
        self._open = {self._out.fileno(), self._err.fileno()}

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for pipe in (self._in, self._out, self._err):
            os.set_blocking(pipe.fileno(), False)
        loop.add_writer(self._in.fileno(), self._write)
        loop.add_reader(self._out.fileno(), self._read_out)
        loop.add_reader(self._err.fileno(), self._read_err)
        return self

    def __exit__(self, *_: object) -> None:
        loop = asyncio.get_running_loop()
        for pipe in (self._out, self._err):
            loop.remove_reader(pipe.fileno())
            pipe.close()
        self._close_in()

    def complaint(self) -> str:
        """The end of stderr, sanitised, at most 2 KiB (H3)."""
        text = mask_given(self._stderr[-2 * _COMPLAINT :].decode("utf-8", "replace"), self._given)
        if len(self._stderr) <= 2 * _COMPLAINT:
            return mask_complaint(text)[-_COMPLAINT:]
        # The word that announces a secret may have been cut off and the secret left: so the rest of a line is dropped,
        # and the word after it is masked as if it had been announced.
        rest = text[text.find("\n", 0, _COMPLAINT) + 1 or _COMPLAINT :]
        return mask_complaint(f"password {rest}").removeprefix("password ")[-_COMPLAINT:]

    def last_words(self) -> str:
        """The complaint, formatted as the end of a message; "" without one."""
        words = self.complaint()
        return f"; it said: {words[-200:]}" if words else ""

    def _write(self) -> None:
        try:
            self._left = self._left[os.write(self._in.fileno(), self._left[:65536]) :]
        except BlockingIOError:
            return
        except OSError:  # it does not read its input, or is gone: only its answer counts (H8)
            self._left = self._left[:0]
        if not self._left:
            self._close_in()

    def _close_in(self) -> None:
        if not self._in.closed:
            asyncio.get_running_loop().remove_writer(self._in.fileno())
            with contextlib.suppress(OSError):
                self._in.close()

    def _read_out(self) -> None:
        data = self._read(self._out.fileno())
        self.stdout += data
        if len(self.stdout) > STDOUT_LIMIT:
            asyncio.get_running_loop().remove_reader(self._out.fileno())
            self.flooded.set()

    def _read_err(self) -> None:
        self._stderr += self._read(self._err.fileno())
        del self._stderr[:-_STDERR_KEPT]  # draining goes on, or a helper that prints a lot would block (H5)

    def _read(self, descriptor: int) -> bytes:
        try:
            data = os.read(descriptor, 65536)
        except BlockingIOError:
            return b""
        except OSError:
            data = b""
        if not data:
            asyncio.get_running_loop().remove_reader(descriptor)
            self._open.discard(descriptor)
            if not self._open:
                self.ended.set()
        return data
