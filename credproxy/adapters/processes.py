"""Runs other people's helpers: each in its own process group, with few variables and a time limit, and none survives.

The end of a run is the exit of the process, never the end of its output: a child that keeps the pipe open would
otherwise block us (F12, H6, H7). Nothing here blocks the loop, and nothing is left behind when the caller is cancelled
(PY5).
"""

import asyncio
import contextlib
import errno
import os
import shutil
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shlex import quote
from typing import Self, TypeVar, TypeVarTuple

from credproxy.adapters.file_exposure import exposures
from credproxy.core.complaints import mask_complaint, mask_given
from credproxy.core.errors import Code, Failed, failed
from credproxy.ports import Clock, Command, Completed, Metrics, under_way


STDOUT_LIMIT = 256 * 1024
"""Bytes of output; an answer is at most 8,000."""

_STDERR_KEPT = 64 * 1024
_COMPLAINT = 2048
_AT_ONCE = 16
_DRAIN = 0.1
_GRACE = 1.0
_INHERITED = ("PATH", "HOME", "LANG", "USER", "LOGNAME", "TMPDIR", "SSL_CERT_FILE", "SSL_CERT_DIR")


T = TypeVar("T")
Ts = TypeVarTuple("Ts")

StartProcess = Callable[[str, Command, Mapping[str, str]], "subprocess.Popen[bytes]"]


class SystemProcesses:
    """Programs of this machine. Source: ports.Processes; H1 to H12, T29, T30.

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
            with _Pipes(process, command.stdin, (*self._given(command).values(), *command.argv[1:])) as pipes:
                async with _watched(process, self._threads) as exited:
                    await self._until_exit(command, process, pipes, exited)
                return Completed(process.returncode or 0, bytes(pipes.stdout), pipes.complaint())
        finally:
            _kill(process, signal.SIGKILL)
            await asyncio.shield(self._in_thread(process.wait))

    async def _until_exit(
        self, command: Command, process: subprocess.Popen[bytes], pipes: "_Pipes", exited: asyncio.Event
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
        reason = os.strerror(error.errno or 0).lower()
        raise failed(
            Code.HELPER_NOT_RUNNABLE, f"helper {program!r} cannot be started: {reason}", hint=f"try it: {program} get"
        ) from None

    def _in_thread(self, work: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        return asyncio.get_running_loop().run_in_executor(self._threads, work, *args)


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


class _Pipes:
    """The three pipes of one run, read and written when the loop finds them ready; always closed at the end.

    Args:
        process: the running program.
        stdin: what it is given to read.
        given: secrets that must not appear in its complaint.
    """

    def __init__(self, process: subprocess.Popen[bytes], stdin: bytes, given: tuple[str, ...]) -> None:
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


def find_program(command: Command, path: str) -> str:
    """Find the absolute path of a program that may be run.

    Raises:
        Failed(helper_not_runnable)
    """
    wanted = command.argv[0]
    found = shutil.which(wanted, path=path)
    if found is None:
        raise _not_runnable(wanted, "is not there or not executable", command.missing or _how_to_find(wanted))
    program = str(Path(found).absolute())
    if command.secure:
        # All directories up to the root, and the links on the way: the system follows them again when it starts the
        # program.
        try:
            exposed = exposures(program, "")
        except OSError as error:
            message = f"cannot be looked at: {os.strerror(error.errno or 0).lower()}"
            hint = f"see which part of the path is at fault: namei -l {quote(program)}"
            raise _not_runnable(wanted, message, hint) from None
        if exposed:
            raise _not_runnable(wanted, exposed[0].problem, exposed[0].remedy)
    return program


def _how_to_find(program: str) -> str:
    if Path(program).is_file():
        return f"chmod u+x {quote(program)}"
    return f"install it there, or name another program instead of {program}, then: credproxy reload"


def _not_runnable(program: str, problem: str, hint: str) -> Failed:
    return failed(Code.HELPER_NOT_RUNNABLE, f"helper {program!r} {problem}", hint=hint)
