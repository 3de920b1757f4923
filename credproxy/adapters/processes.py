"""Runs other people's helpers: each in its own process group, with few variables and a time limit, and none survives.

The end of a run is the exit of the process, never the end of its output: a child that keeps the pipe open would
otherwise block us (F12, H6, H7). Nothing here blocks the loop, and nothing is left behind when the caller is cancelled
(PY5).
"""

import asyncio
import contextlib
import errno
import os
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shlex import quote
from typing import TypeVar, TypeVarTuple

from credproxy.adapters.program_pipes import STDOUT_LIMIT, Pipes
from credproxy.adapters.program_search import find_program
from credproxy.core.errors import Code, Failed, failed
from credproxy.ports.clock import Clock
from credproxy.ports.observability import Metrics
from credproxy.ports.processes import Command, Completed
from credproxy.ports.terms import under_way


_AT_ONCE = 16
_DRAIN = 0.1
_GRACE = 1.0
_INHERITED = ("PATH", "HOME", "LANG", "USER", "LOGNAME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


T = TypeVar("T")
Ts = TypeVarTuple("Ts")

StartProcess = Callable[[str, Command, Mapping[str, str]], "subprocess.Popen[bytes]"]


class SystemProcesses:
    """Programs of this machine. Source: ports.processes.Processes; H1 to H12, T29, T30.

    Args:
        environ: the daemon's environment, of which programs get only a few variables.
        clock: limits each run.
        metrics: counts each run.
        start: starts a program with its command and environment; tests replace it to make the system refuse.
    """

    def __init__(
        self, environ: Mapping[str, str], *, clock: Clock, metrics: Metrics, start: StartProcess | None = None
    ) -> None:
        # Everything else that the daemon was started with (sockets, watchdog, credentials directory) is kept from
        # programs (T30).
        self._environ = {
            name: value for name, value in environ.items() if name in _INHERITED or name.startswith(("XDG_", "LC_"))
        } | {"GIT_TERMINAL_PROMPT": "0"}
        self._whole = environ
        self._path = self._environ.get("PATH", os.defpath)
        self._clock = clock
        self._metrics = metrics
        self._start = start or _start
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="spawn")
        self._all = _Slots(_AT_ONCE)
        self._for_actions = _Slots(_AT_ONCE // 2)

    def search(self, path: str | None) -> None:
        """Find programs on this path instead of the environment's (DC-17); None for the environment's."""
        self._path = path or self._environ.get("PATH", os.defpath)

    def close(self) -> None:
        """Let the threads end."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def run(self, command: Command) -> Completed:
        """Run a program until it exits.

        Raises:
            Failed(helper_not_runnable): missing, not executable, or writable by others.
            Failed(helper_failed): over its time, or more output than STDOUT_LIMIT.
            Failed(overloaded): the system cannot start another process.
        """
        program = await self._in_thread(find_program, command, self._path)
        name = Path(program).name
        async with contextlib.AsyncExitStack() as slots:
            if (
                terms := under_way.get()
            ) is not None and terms.for_actions:  # first: while it waits it must not hold one of the user's
                await slots.enter_async_context(self._for_actions.taken(program, max(1, command.concurrency // 2)))
            await slots.enter_async_context(self._all.taken(program, command.concurrency))
            begun = self._clock.boot()
            outcome = "cancelled"
            try:
                completed = await self._run(program, command)
                outcome = "ok" if completed.status == 0 else Code.HELPER_FAILED.value
            except Failed as error:
                outcome = error.failure.code.value
                raise
            finally:
                self._metrics.program(name, outcome, seconds=self._clock.boot() - begun)
        return completed

    async def find(self, command: Command) -> None:
        """Check whether a program could be started. Raises Failed(helper_not_runnable) as ``run`` does."""
        await self._in_thread(find_program, command, self._path)

    async def _run(self, program: str, command: Command) -> Completed:
        process = await self._spawn(program, command)
        try:
            given = (*self._given(command).values(), *command.argv[1:])
            with Pipes(process, command.stdin, given=given) as pipes:
                async with _watched(process, self._threads) as exited:
                    await self._until_exit(command, process, pipes, exited)
                return Completed(process.returncode or 0, bytes(pipes.stdout), pipes.complaint())
        finally:
            _kill(process, signal.SIGKILL)
            await asyncio.shield(self._in_thread(process.wait))

    async def _until_exit(
        self, command: Command, process: subprocess.Popen[bytes], pipes: "Pipes", exited: asyncio.Event
    ) -> None:
        name = Path(command.argv[0]).name
        try:
            async with self._clock.timeout(command.timeout):
                await _first(exited, pipes.flooded)
        except TimeoutError:
            _kill(process, signal.SIGTERM)
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(_GRACE):
                    await exited.wait()
            raise failed(
                Code.HELPER_FAILED,
                f"helper {name!r} has not answered for {command.timeout:g} s and was stopped{pipes.last_words()}",
                hint=f"run it by hand to see what it waits for: {command.argv[0]}",
            ) from None
        if pipes.flooded.is_set():
            raise failed(Code.HELPER_FAILED, f"helper {name!r} printed more than {STDOUT_LIMIT} bytes and was stopped")
        with contextlib.suppress(TimeoutError):
            async with self._clock.timeout(_DRAIN):
                await pipes.ended.wait()
        # Before it is reaped: until then no other process can get its process id, and so its group.
        _kill(process, signal.SIGKILL)
        process.wait()

    def _given(self, command: Command) -> dict[str, str]:
        """The environment variables that only this program gets."""
        passed = {name: self._whole[name] for name in command.pass_env if name in self._whole}
        return passed | dict(command.env)

    async def _spawn(self, program: str, command: Command) -> subprocess.Popen[bytes]:
        environ = self._environ | {"PATH": self._path} | self._given(command)
        started = self._in_thread(self._start, program, command, environ)
        try:
            return await asyncio.shield(started)
        except asyncio.CancelledError:
            started.add_done_callback(_stop_unwanted)
            raise
        except OSError as error:
            return await self._after(error, program, command, environ)

    async def _after(
        self, error: OSError, program: str, command: Command, environ: Mapping[str, str]
    ) -> subprocess.Popen[bytes]:
        if error.errno == errno.ETXTBSY:  # it is just being written by an upgrade (H9)
            await self._clock.sleep(0.05)
            with contextlib.suppress(OSError):
                return await self._in_thread(self._start, program, command, environ)
        if error.errno in {errno.EAGAIN, errno.ENOMEM}:
            raise failed(
                Code.OVERLOADED,
                "the system cannot start another process for a helper",
                hint="close some programs, then try again",
                retry_after=1.0,
            ) from None
        reason = _WHY.get(error.errno or 0) or os.strerror(error.errno or 0).lower()
        message = f"helper {program!r} cannot be started: {reason}"
        hint = (
            f"try it: {program} get"
            if command.argv[-1] == "get"
            else f"look at how it begins: head -n 1 {quote(program)}"
        )
        raise failed(Code.HELPER_NOT_RUNNABLE, message, hint=hint) from None

    def _in_thread(self, work: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *args)


_WHY = {
    errno.ENOEXEC: "exec format error: it is neither a program of this machine nor a script with a #! line",
    errno.ENOENT: "the program that its #! line names is not there",
}
"""What the system means; the file itself was found before."""


class _Slots:
    """How many programs may run at once, in total and of each."""

    def __init__(self, most: int) -> None:
        self._total = asyncio.Semaphore(most)
        self._each: dict[str, asyncio.Semaphore] = {}

    @contextlib.asynccontextmanager
    async def taken(self, program: str, most: int) -> AsyncIterator[None]:
        """Hold a slot for a program that may run ``most`` times at once."""
        async with self._each.setdefault(program, asyncio.Semaphore(most)), self._total:
            yield


@contextlib.asynccontextmanager
async def _watched(process: subprocess.Popen[bytes], threads: ThreadPoolExecutor) -> AsyncIterator[asyncio.Event]:
    """An event that is set once the process has exited, before it is reaped if the system allows that."""
    loop = asyncio.get_running_loop()
    exited = asyncio.Event()
    if not hasattr(os, "pidfd_open"):  # macOS
        waiting = loop.run_in_executor(threads, process.wait)
        waiting.add_done_callback(lambda _: exited.set())
        yield exited
        return
    descriptor = os.pidfd_open(process.pid)
    loop.add_reader(descriptor, exited.set)
    try:
        yield exited
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def _first(*events: asyncio.Event) -> None:
    """Wait until one of the events is set."""
    waits = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for wait in waits:
            wait.cancel()
        await asyncio.gather(*waits, return_exceptions=True)


def _start(program: str, command: Command, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    # A session of its own has no terminal to prompt on (H12), and its process group can be killed as one (F12).
    return subprocess.Popen(  # noqa: S603  an argument vector from the configuration, no shell
        [program, *command.argv[1:]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
        cwd="/",
        start_new_session=True,
        bufsize=0,
    )


def _stop_unwanted(started: asyncio.Future[subprocess.Popen[bytes]]) -> None:
    """Kill a program whose caller left while it was being started (PY5)."""
    if not started.cancelled() and started.exception() is None:
        process = started.result()
        _kill(process, signal.SIGKILL)
        for pipe in (process.stdin, process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()
        process.wait()


def _kill(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    if process.returncode is None:  # not yet reaped, so the process id is still its own
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
