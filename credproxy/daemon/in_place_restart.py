"""Replacing this daemon by the next one: the same process, sockets and options, another program.

After an upgrade the first call of the new helper triggers it: the helper sends its version, and this daemon asks
the program that it was started from, which may have been replaced by now. What the caller says is never trusted, and a
caller that lies costs one start of ``credproxy --version`` a minute.
"""

import asyncio
import contextlib
import fcntl
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NoReturn

import structlog

from credproxy import __version__
from credproxy.core.errors import Failed
from credproxy.ports.clock import Clock
from credproxy.ports.processes import Command, Processes
from credproxy.server.inherited import LOCK


_BETWEEN = 60.0
"""Seconds between two checks of the installed program."""

_QUIET = 60.0
"""Seconds that a hand-over waits for a moment without a download; one that is cut off is lost to its build action."""

_LOOKS = 0.1

_FIRST = 3  # SD_LISTEN_FDS_START

log = structlog.get_logger("credproxy.daemon")


@dataclass(frozen=True, slots=True)
class Kept:
    """A socket that is kept for the successor: the descriptors of the socket and of its lock."""

    name: str
    sock: int
    lock: int


class Succession:
    """Notices that another version is installed, and calls ``begin``.

    Args:
        program: the words that run what is installed; none if that is unknown.
        processes: runs it.
        clock: for the time between checks.
        begin: makes way for the successor.
        passed_on: this daemon is itself a successor, and does not check again at once.
    """

    def __init__(
        self,
        program: tuple[str, ...],
        *,
        processes: Processes,
        clock: Clock,
        begin: Callable[[], object],
        passed_on: bool,
    ) -> None:
        self._program = program
        self._processes = processes
        self._clock = clock
        self._begin = begin
        self._looked = clock.boot() if passed_on else float("-inf")
        self._heard = asyncio.Event()

    def asked_by(self, version: str) -> None:
        """Take note of a caller of another version."""
        if version != __version__ and self._clock.boot() - self._looked >= _BETWEEN:
            self._heard.set()

    async def watch(self) -> None:
        """Check the installed program when there is reason to, for ever."""
        while self._program:
            await self._heard.wait()
            self._looked = self._clock.boot()
            self._heard.clear()
            installed = await self._installed()
            if installed not in {"", __version__}:
                log.info("another version is installed", installed=installed, running=__version__)
                self._begin()

    async def _installed(self) -> str:
        """The version of the installed program; "" if it does not say, as in the middle of an upgrade."""
        try:
            done = await self._processes.run(Command((*self._program, "--version"), timeout=10.0))
        except Failed as error:
            log.warning("installed version unknown", reason=error.failure.message)
            return ""
        words = done.stdout.decode("ascii", "replace").split()
        return words[-1] if done.status == 0 and words[:1] == ["credproxy,"] else ""


class Departure:
    """How this daemon ends: for good, or by handing its sockets over.

    Attributes:
        handing: whether they are handed over.
        kept: the sockets of a hand-over.
    """

    def __init__(self) -> None:
        self.handing = False
        self.kept: list[Kept] = []
        self._begun = asyncio.Event()

    def end(self) -> None:
        """End for good, even if a hand-over is still waiting."""
        self.handing = False
        self._begun.set()

    def hand_over(self) -> None:
        """Make way for a successor, unless the end has already begun."""
        self.handing = not self._begun.is_set()
        self._begun.set()

    async def wait(self, busy: Callable[[], int], sleep: Callable[[float], Awaitable[None]]) -> None:
        """Wait until the daemon has to end; a hand-over waits until nothing is busy, for a minute at most."""
        await self._begun.wait()
        if self.handing:
            log.info("handing over")
        for _ in range(round(_QUIET / _LOOKS)):
            if not self.handing or not busy():
                break
            await sleep(_LOOKS)
        log.info("stopping")


def become(
    program: tuple[str, ...], arguments: Iterable[str], *, kept: Iterable[Kept], environ: Mapping[str, str]
) -> NoReturn:
    """Become the successor, which takes over the sockets as if from a service manager (sd_listen_fds(3)).

    Raises:
        OSError: it cannot be started. The sockets are still open.
    """
    names, descriptors = [], []
    for one in kept:
        for name, descriptor in ((one.name, one.sock), (one.name + LOCK, one.lock)):
            if descriptor >= 0:
                names.append(name)
                descriptors.append(descriptor)
    # Moved away first: one of them may have a number that another has to get.
    moved = [fcntl.fcntl(descriptor, fcntl.F_DUPFD, _FIRST + len(names)) for descriptor in descriptors]
    for number, descriptor in enumerate(moved, _FIRST):
        os.dup2(descriptor, number)
    for descriptor in moved:
        with contextlib.suppress(OSError):
            os.close(descriptor)
    handed = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": str(len(names)), "LISTEN_FDNAMES": ":".join(names)}
    os.execve(program[0], [*program, *arguments], dict(environ) | handed)  # noqa: S606  no shell is wanted
