"""The daemon's side of the nursery: starts it when it is needed, and asks it for carriers. Source: carrier/nursery.py."""

import asyncio
import contextlib
import os
import socket
import sys
from collections.abc import Callable
from typing import NamedTuple

import structlog

from credproxy.core.ask.carrier_messages import FORK, KILL, NURSERY, RELAY


_STARTING = 20.0
"""Seconds for an interpreter to start and to import, on a busy machine."""

_ENDING = 1.0

_LOADER = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")
"""Variables without which an interpreter does not start if its libraries are in an unusual place."""

log = structlog.get_logger("credproxy.carriers")


class Newborn(NamedTuple):
    """A process that was just forked: its process, and the socket to it."""

    pid: int
    sock: socket.socket


class Nursery:
    """Starts carriers.

    Args:
        ended: called for each process that ended, with its pid and its exit status, negative for a signal.
        python: the interpreter, and its options.
    """

    def __init__(
        self,
        ended: Callable[[int, int], None],
        *,
        python: tuple[str, ...] = (sys.executable, "-I", "-m", "credproxy.carrier.nursery"),
    ) -> None:
        self._ended = ended
        self._python = python
        self._process: asyncio.subprocess.Process | None = None
        self._control: socket.socket | None = None
        self._lines = b""
        self._waiting: asyncio.Future[int] | None = None
        self._starting = asyncio.Lock()

    async def warm_up(self) -> None:
        """Start the process that carriers are forked from, unless it is running. Raises OSError, TimeoutError."""
        async with self._starting:
            await self._ready()

    async def carrier(self) -> Newborn:
        """Start a carrier. Raises OSError, TimeoutError: it cannot be started."""
        return await self._forked(FORK)

    async def relay(self) -> Newborn:
        """Start a relay process. Raises OSError, TimeoutError: it cannot be started."""
        return await self._forked(RELAY)

    async def _forked(self, order: bytes) -> Newborn:
        async with self._starting:
            control = await self._ready()
            ours, theirs = socket.socketpair()
            try:
                with theirs:
                    pid = await self._asked(
                        lambda: socket.send_fds(control, [NURSERY.pack(order, 0)], [theirs.fileno()])
                    )
            except BaseException:  # also when cancelled: nobody else has the socket yet
                ours.close()
                raise
        return Newborn(pid, ours)

    def kill(self, pid: int) -> None:
        """Kill a process that does not end by itself; one that has ended is left alone."""
        if self._control is not None:
            with contextlib.suppress(OSError):
                self._control.send(NURSERY.pack(KILL, pid))

    async def close(self) -> None:
        """End the nursery and every carrier that is left: it kills its carriers when its socket is closed."""
        self._let_go()
        process, self._process = self._process, None
        if process is not None:
            try:
                async with asyncio.timeout(_ENDING):
                    await process.wait()
            except TimeoutError:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
                await process.wait()

    def _let_go(self) -> None:
        control, self._control = self._control, None
        if control is not None:
            asyncio.get_running_loop().remove_reader(control)
            control.close()
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(ConnectionResetError("the nursery has ended"))

    async def _ready(self) -> socket.socket:
        if self._control is not None:
            return self._control
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                # Without the daemon's environment, which may hold secrets.
                self._process = await asyncio.create_subprocess_exec(
                    *self._python,
                    str(theirs.fileno()),
                    env={name: os.environ[name] for name in _LOADER if name in os.environ},
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    cwd="/",
                )
            except BaseException:  # also when cancelled: nobody else has the socket yet
                ours.close()
                raise
        ours.setblocking(False)
        self._control = ours
        asyncio.get_running_loop().add_reader(ours, self._readable)
        await self._asked(lambda: None)
        return ours

    async def _asked(self, ask: Callable[[], object]) -> int:
        self._waiting = asyncio.get_running_loop().create_future()
        ask()
        try:
            async with asyncio.timeout(_STARTING):
                return await self._waiting
        except TimeoutError:
            await self.close()
            raise
        finally:
            self._waiting = None

    def _readable(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            log.warning("nursery ended", hint="it is started again for the next carrier")
            self._let_go()
            return
        *lines, self._lines = (self._lines + data).split(b"\n")
        for line in lines:
            self._heard(line.decode().split())

    def _heard(self, words: list[str]) -> None:
        match words:
            case ["ready"]:
                self._answer(0)
            case ["began", pid]:
                self._answer(int(pid))
            case ["ended", pid, status]:
                self._ended(int(pid), int(status))
            case _:
                log.warning("nursery is not understood", words=len(words))

    def _answer(self, value: int) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(value)
