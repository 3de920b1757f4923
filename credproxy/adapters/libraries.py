"""The libraries of clouds, in a process of their own: started when one is needed, ended when none has been for a while.

All of them share one worker. One that dies is replaced, and what it was asked is asked once more. One in which a library
does not answer in time gets no further questions: it may finish its other work, and is then ended.
"""

import asyncio
import contextlib
import shlex
import sys
from collections.abc import AsyncIterator, Mapping
from importlib.util import find_spec
from typing import TypeVar

import structlog

from credproxy.adapters.own_metadata import installing, is_not_installed
from credproxy.adapters.resident_memory import resident
from credproxy.adapters.worker_client import PYTHON, Worker, WorkerLostError
from credproxy.core.ask.worker_messages import LibraryAnswer, LibraryQuestion, WorkerReport
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.cloud_libraries import LIBRARIES
from credproxy.core.kinds.uses import Library
from credproxy.ports.terms import under_way


IDLE = 300.0
"""Seconds without a question after which it is ended."""

_AT_ONCE = 8
"""Questions at once: each has a thread there."""

_INHERITED = (
    "HOME",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "LOGNAME",
    "PATH",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TMPDIR",
    "USER",
    "XDG_CACHE_HOME",
    "XDG_CONFIG_HOME",
    "XDG_RUNTIME_DIR",
)
"""What every program of the user's gets, which libraries may start."""

T = TypeVar("T", bound=LibraryAnswer)

log = structlog.get_logger("credproxy.libraries")


class WorkerLibraries:
    """The libraries in their worker. Source: ports.libraries.CloudLibraries.

    Args:
        environ: of the daemon, from which the worker gets the variables that its libraries read, and no others.
        python: the program that is started, and its options.
        idle: seconds, see IDLE.

    Attributes:
        calls: questions so far.
        restarts: how often the worker died, broke the rules of its channel or hung.
    """

    def __init__(self, environ: Mapping[str, str], *, python: tuple[str, ...] = PYTHON, idle: float = IDLE) -> None:
        names = (*_INHERITED, *(name for library in LIBRARIES for name in library.environ))
        self._environ = {name: environ[name] for name in names if name in environ}
        self._python = python
        self._idle = idle
        self._worker: Worker | None = None
        self._retired: set[Worker] = set()
        self._starting = asyncio.Lock()
        self._all, self._for_actions = asyncio.Semaphore(_AT_ONCE), asyncio.Semaphore(_AT_ONCE // 2)
        self._ending: asyncio.TimerHandle | None = None
        self.calls = self.restarts = 0

    @property
    def pid(self) -> int | None:
        """The process id of the worker; None while there is none."""
        return self._worker.pid if self._worker is not None and self._worker.alive else None

    def report(self) -> WorkerReport:
        """What it is doing, what it uses, and which libraries it could import."""
        return worker_report(self.pid, calls=self.calls, restarts=self.restarts)

    def lacks(self, library: Library) -> str:
        """Say what is not installed, and what installs it; "" if it is there. Imports nothing of the library."""
        module = library.module(sys.platform)
        return "" if is_installed(module) else is_not_installed(library)

    async def ask(self, question: LibraryQuestion, wanted: type[T], *, limit: float = 30.0) -> T:
        """Ask a library.

        Raises:
            Failed: what the library said; helper_failed, it did not answer in time or died; helper_not_runnable.
        """
        self.calls += 1
        async with self._slot():
            answer = await self._asked(question, limit)
        if not isinstance(answer, wanted):
            raise _broken(question, "gave another answer than was asked for")
        return answer

    async def close(self) -> None:
        """End the worker."""
        self._keep()
        worker, self._worker = self._worker, None
        for one in (*self._retired, *([] if worker is None else [worker])):
            await one.close()
        self._retired.clear()

    @contextlib.asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """One of the threads; build actions have half of them at most (T16)."""
        async with contextlib.AsyncExitStack() as slots:
            if (terms := under_way.get()) is not None and terms.for_actions:
                await slots.enter_async_context(self._for_actions)
            await slots.enter_async_context(self._all)
            yield

    async def _asked(self, question: LibraryQuestion, limit: float) -> LibraryAnswer:
        """Ask, and ask once more if the worker dies: the question need not be the reason."""
        for last in (False, True):
            worker = await self._ready(question)
            self._keep()
            try:
                return await worker.ask(question, limit)
            except TimeoutError:
                self._retire(worker)
                message = f"{question.library} has not answered for {limit:g} s"
                hint = f"see what it waits for: {question.by_hand}"
                raise failed(Code.HELPER_FAILED, message, hint=hint) from None
            except WorkerLostError as error:
                self.restarts += 1
                log.warning("worker lost", library=question.library, how=error.how)
                if last:
                    raise _broken(question, error.how) from None
            finally:
                await self._rest(worker)
        raise AssertionError

    async def _ready(self, question: LibraryQuestion) -> Worker:
        """The worker, started if there is none."""
        async with self._starting:
            if self._worker is None or not self._worker.alive:
                try:
                    self._worker = await Worker.start(self._environ, python=self._python)
                except (OSError, WorkerLostError) as error:
                    how = error.how if isinstance(error, WorkerLostError) else "cannot be started"
                    message = f"{question.library} cannot be asked: the process that it runs in {how}"
                    hint = f"see why it does not start: {shlex.join(self._python)}"
                    raise failed(Code.HELPER_NOT_RUNNABLE, message, hint=hint) from None
                log.info("worker started", pid=self._worker.pid)
            return self._worker

    def _retire(self, worker: Worker) -> None:
        """Ask this worker nothing more: a library hangs in it."""
        if self._worker is worker:
            self._worker = None
        self.restarts += worker not in self._retired
        self._retired.add(worker)
        log.warning("worker hangs", pid=worker.pid, hint="another one is started for the next question")

    async def _rest(self, worker: Worker) -> None:
        """After an answer: end what nobody waits for."""
        if worker in self._retired and not worker.busy:
            self._retired.discard(worker)
            worker.kill()
            await worker.close()
        elif worker is self._worker and not worker.busy:
            self._ending = asyncio.get_running_loop().call_later(self._idle, self._sleep, worker)

    def _keep(self) -> None:
        if self._ending is not None:
            self._ending.cancel()
            self._ending = None

    def _sleep(self, worker: Worker) -> None:
        """End the worker: nobody has asked it anything for a while."""
        if not worker.busy and worker is self._worker:
            self._worker = None
            worker.kill()
            worker.let_go()
            log.info("worker ended", pid=worker.pid, reason="idle")


def is_installed(module: str) -> bool:
    """Whether a module could be imported, without importing it; a package that it lies in is."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of what stands before the dot
        return False


def worker_report(pid: int | None = None, *, calls: int = 0, restarts: int = 0) -> WorkerReport:
    """Describe a worker; one without a ``pid`` is not running."""
    there = [library for library in LIBRARIES if is_installed(library.module(sys.platform))]
    missing = [library for library in LIBRARIES if library not in there]
    return WorkerReport(
        "not started" if pid is None else "running",
        pid,
        calls,
        restarts,
        0 if pid is None else resident(pid),
        tuple(library.extra for library in there),
        tuple(library.extra for library in missing),
        installing(*missing) if missing else "",
    )


def _broken(question: LibraryQuestion, how: str) -> Failed:
    message = f"{question.library} did not answer: the process that it runs in {how}"
    return failed(Code.HELPER_FAILED, message, hint=f"see whether it works by hand: {question.by_hand}")
