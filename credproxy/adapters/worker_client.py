"""One worker, as the daemon sees it: a process that was started, and what it was asked. Source: credproxy/worker.

Only its answers are trusted: a frame that is too large, that is not understood, or that answers no question ends it,
and waiting callers get an error.
"""

import asyncio
import contextlib
import itertools
import socket
import sys
from collections.abc import Mapping

import msgspec

from credproxy.adapters.channel import Channel
from credproxy.core.ask.worker_messages import (
    FROM_WORKER,
    TO_WORKER,
    VERSION,
    FromWorker,
    LibraryAnswer,
    LibraryAnswered,
    LibraryCall,
    LibraryFailed,
    LibraryQuestion,
    WorkerReady,
)
from credproxy.core.errors import Failed
from credproxy.core.unreadable_json import UNREADABLE


PYTHON = (sys.executable, "-I", "-m", "credproxy.worker")

_STARTING = 20.0
"""Seconds for an interpreter to start and to import, on a machine that does much else."""

_ENDING = 1.0

_GONE = "is gone"
"""What the channel says of a process that has closed it."""

_UNREAD = 1024 * 1024
"""Bytes that it may leave unread."""


class WorkerLostError(Exception):
    """The worker has ended; ``how`` continues a sentence that begins with it."""

    def __init__(self, how: str) -> None:
        super().__init__(how)
        self.how = how


class Worker:
    """A worker that was started. Made by ``start``; ``close`` ends it."""

    def __init__(self, process: asyncio.subprocess.Process, sock: socket.socket) -> None:
        self._process = process
        self._numbers = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[LibraryAnswer]] = {}
        self._left: set[int] = set()
        self._ready: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._read = msgspec.msgpack.Decoder(FromWorker).decode
        self._channel = Channel(sock, self._received, lost=self._lost, limit=FROM_WORKER, unread=_UNREAD)

    @classmethod
    async def start(cls, environ: Mapping[str, str], *, python: tuple[str, ...] = PYTHON) -> "Worker":
        """Start one, with this environment alone, no terminal, and nothing on its standard input.

        Raises:
            OSError: it cannot be started.
            WorkerLostError: it ended, or was not ready in time.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            try:
                process = await asyncio.create_subprocess_exec(
                    *python,
                    str(theirs.fileno()),
                    env=environ,
                    pass_fds=[theirs.fileno()],
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=asyncio.subprocess.DEVNULL,
                    stderr=asyncio.subprocess.DEVNULL,  # libraries and their tracebacks quote what is secret
                    cwd="/",
                    start_new_session=True,  # so there is no terminal to prompt on
                )
            except BaseException:  # cancelled as well: nobody else has the socket yet
                ours.close()
                raise
        made = cls(process, ours)
        try:
            async with asyncio.timeout(_STARTING):
                await made._ready
        except TimeoutError:
            await made.close()
            raise WorkerLostError(f"was not ready within {_STARTING:g} s") from None
        except WorkerLostError as error:
            how = await made._ended(error.how)
            raise WorkerLostError(how) from None
        except BaseException:
            await made.close()
            raise
        return made

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether it can be asked."""
        return self._channel.open

    @property
    def busy(self) -> bool:
        """Whether somebody waits for an answer."""
        return bool(self._waiting)

    async def ask(self, question: LibraryQuestion, limit: float) -> LibraryAnswer:
        """Ask, and wait for the answer.

        Raises:
            Failed: what the library said.
            TimeoutError: no answer within so many seconds.
            WorkerLostError: it has ended before.
        """
        number = next(self._numbers)
        frame = msgspec.msgpack.encode(LibraryCall(number, limit, question))
        if len(frame) > TO_WORKER:
            raise WorkerLostError("is not asked: the rule's paths and scopes are too long")
        waits: asyncio.Future[LibraryAnswer] = asyncio.get_running_loop().create_future()
        self._waiting[number] = waits
        self._channel.send(frame)
        if not self._channel.open and not waits.done():
            waits.set_exception(WorkerLostError(_GONE))
        try:
            async with asyncio.timeout(limit):
                return await waits
        except WorkerLostError as error:
            raise WorkerLostError(await self._ended(error.how)) from None
        finally:
            del self._waiting[number]
            if waits.cancelled():
                self._left.add(number)  # its answer may still come

    def kill(self) -> None:
        """End it at once."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()

    def let_go(self) -> None:
        """Close the channel, which ends the worker; waiting callers get an error."""
        self._channel.close()
        self._fail("was ended")

    async def close(self) -> None:
        """End it, and whatever it works on."""
        self.let_go()
        try:
            async with asyncio.timeout(_ENDING):
                await self._process.wait()
        except TimeoutError:
            self.kill()
            await self._process.wait()

    async def _ended(self, how: str) -> str:
        """Say how it ended, once it has."""
        status = await self._process.wait()
        if how != _GONE:
            return how
        return f"was ended by signal {-status}" if status < 0 else f"ended with status {status}"

    def _received(self, frame: bytes, descriptor: int) -> None:
        del descriptor
        try:
            message = self._read(frame)
        except UNREADABLE:
            self._break("said something that is not understood")
            return
        match message:
            case WorkerReady(version) if not self._ready.done():
                if version == VERSION:
                    self._ready.set_result(None)
                else:
                    self._break("is of another version than the daemon, which has to be restarted: credproxy stop")
            case LibraryAnswered(number, answer) if self._expected(number):
                self._settle(number, answer)
            case LibraryFailed(number, failure) if self._expected(number):
                self._settle(number, Failed(failure))
            case _:
                self._break("said something that nobody asked")

    def _expected(self, number: int) -> bool:
        waits = self._waiting.get(number)
        return number in self._left if waits is None else not waits.done()

    def _settle(self, number: int, outcome: LibraryAnswer | Failed) -> None:
        self._left.discard(number)
        waits = self._waiting.get(number)
        if waits is None:
            return
        if isinstance(outcome, Failed):
            waits.set_exception(outcome)
        else:
            waits.set_result(outcome)

    def _break(self, how: str) -> None:
        self._channel.close()
        self._lost(how)

    def _lost(self, how: str) -> None:
        if how == _GONE:  # it may be about to say with which status
            asyncio.get_running_loop().call_later(_ENDING, self.kill)
        else:
            self.kill()
        self._fail(how)

    def _fail(self, how: str) -> None:
        for waits in self._waiting.values():
            if not waits.done():
                waits.set_exception(WorkerLostError(how))
        if not self._ready.done():
            self._ready.set_exception(WorkerLostError(how))
            self._ready.exception()  # so that nobody is warned where nobody waits for it
