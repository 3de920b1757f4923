"""Processes that renew one login, at once or one after the other, and are killed; see renewing.py."""

import contextlib
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import msgspec

from credproxy.core.kinds.sources import SourceSettings
from tests.real.clients import ROOT


class Renewing:
    """The program, which forks."""

    def __init__(self, issuer: str, source: SourceSettings, environ: Mapping[str, str]) -> None:
        self._process = subprocess.Popen(
            [sys.executable, Path(__file__).with_name("renewing.py"), issuer, msgspec.json.encode(source)],
            env=os.environ | environ | {"PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.line() == "ready"

    def line(self) -> str:
        """The next line of any of them."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the program has ended"
        return line.strip()

    def start(self, times: int) -> None:
        """One more process, that renews so often."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{times}\n")
        self._process.stdin.flush()

    def kill_often(self, times: int, *, again: Callable[[], object], whole: Callable[[], None]) -> int:
        """Kill a process that renews at any moment, again and again.

        Args:
            times: how often.
            again: logs in again.
            whole: asserts that what is stored is whole.

        Returns:
            How often the login was lost, of which each time the next process knew the reason and the next command.
        """
        chance, lost = random.Random(), 0
        for _ in range(times):
            self.start(1000)
            pid = int(self.line().removeprefix("pid "))
            first = self.line()
            if first.startswith("failed"):
                assert "the answer to its renewal was lost before" in first, first
                assert first.endswith("-> credproxy login cache.test"), first
                lost += 1
            time.sleep(chance.uniform(0, 0.02))
            os.kill(pid, signal.SIGKILL)
            self.start(0)
            while not (line := self.line()).startswith("pid"):
                assert line.startswith(("ok", "failed")), line
            assert self.line() == "end"
            whole()
            if first.startswith("failed"):
                again()
        return lost

    def end(self) -> None:
        """All of them."""
        self._process.communicate(timeout=20)


@contextlib.contextmanager
def renewing(issuer: str, source: SourceSettings, environ: Mapping[str, str]) -> Iterator[Renewing]:
    """Until the end of the block."""
    made = Renewing(issuer, source, environ)
    try:
        yield made
    finally:
        made.end()
