"""Small stand-ins for the ports. A fake does what the port promises and no more."""

import asyncio
import contextlib
import heapq
import itertools
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

from credproxy.core.credential import Identity, Stored
from credproxy.core.errors import Failed
from credproxy.core.http import Request, Response
from credproxy.core.target import Target
from credproxy.ports import Command, Completed, FileVersion, Terms


T0 = 1_767_225_600.0
"""2026-01-01T00:00:00Z, where token-exchange.md section 7 freezes its clock."""


class FakeClock:
    """Time that moves only when a test moves it.

    ``advance`` wakes sleepers in order and lets the loop settle after each; ``suspend`` moves boot and wall but wakes
    nobody, as a laptop's sleep does; ``step_wall`` is a wall clock that somebody set.
    """

    def __init__(self, boot: float = 1000.0, wall: float = T0) -> None:
        self._boot = boot
        self._wall = wall
        self._mono = 0.0
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()

    def boot(self) -> float:
        return self._boot

    def wall(self) -> float:
        return self._wall

    async def sleep(self, seconds: float) -> None:
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._mono + seconds, next(self._order), future))
        await future

    @contextlib.asynccontextmanager
    async def timeout(self, seconds: float) -> AsyncIterator[None]:
        task = asyncio.current_task()
        assert task is not None
        expired = False

        def cancel(_: asyncio.Future[None]) -> None:
            nonlocal expired
            if not alarm.cancelled():
                expired = True
                task.cancel()

        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm.add_done_callback(cancel)
        heapq.heappush(self._sleepers, (self._mono + seconds, next(self._order), alarm))
        try:
            yield
        except asyncio.CancelledError:
            if expired and task.uncancel() <= 0:
                raise TimeoutError from None
            raise
        finally:
            alarm.remove_done_callback(cancel)
            alarm.cancel()

    async def advance(self, seconds: float) -> None:
        """Let time pass, waking each sleeper at its moment."""
        end = self._mono + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            at, _, future = heapq.heappop(self._sleepers)
            self._move(max(0.0, at - self._mono))
            if not future.done():
                future.set_result(None)
            await settle()
        self._move(end - self._mono)
        await settle()

    def step_wall(self, seconds: float) -> None:
        """Somebody set the wall clock."""
        self._wall += seconds

    def suspend(self, seconds: float) -> None:
        """The machine slept: boot and wall went on, the loop's timers did not."""
        self._boot += seconds
        self._wall += seconds

    def _move(self, seconds: float) -> None:
        self._mono += seconds
        self._boot += seconds
        self._wall += seconds


async def settle(turns: int = 20) -> None:
    """Let every ready task run until it waits for something real."""
    for _ in range(turns):
        await asyncio.sleep(0)


@dataclass
class FixedTerms:
    """Limits of a flight, as plain numbers."""

    deadline: float = 1030.0
    patience: float = 1008.5


Step = Response | Failed | Callable[[Request], Response]


@dataclass
class FakeHttp:
    """Answers requests by URL prefix, in order, and remembers them all.

    ``script`` maps a URL prefix to its steps; the last step of a prefix is repeated. A request that no prefix
    matches fails the test: that is how "-> none" is asserted.
    """

    script: dict[str, list[Step]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)

    async def send(self, request: Request, terms: Terms) -> Response:
        self.requests.append(request)
        del terms
        for prefix, steps in sorted(self.script.items(), key=lambda item: -len(item[0])):
            if request.url.startswith(prefix):
                step = steps.pop(0) if len(steps) > 1 else steps[0]
                if isinstance(step, Failed):
                    raise Failed(step.failure)
                return step if isinstance(step, Response) else step(request)
        message = f"nobody expected {request.method} {request.url}"
        raise AssertionError(message)


@dataclass
class FakeFiles:
    """Files in memory; ``put`` gives each write a version of its own."""

    content: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, FileVersion] = field(default_factory=dict)
    broken: dict[str, Failed] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)

    def put(self, path: str, content: bytes | str, mode: int = 0o100600) -> None:
        """Write a file."""
        data = content.encode() if isinstance(content, str) else content
        count = self.versions[path].mtime_ns + 1 if path in self.versions else 1
        self.content[path] = data
        self.versions[path] = FileVersion(mtime_ns=count, inode=1, size=len(data), mode=mode)

    def remove(self, path: str) -> None:
        """Delete a file."""
        del self.content[path], self.versions[path]

    async def version(self, path: str) -> FileVersion | None:
        if path in self.broken:
            raise Failed(self.broken[path].failure)
        return self.versions.get(path)

    async def read(self, path: str) -> bytes | None:
        self.reads.append(path)
        if path in self.broken:
            raise Failed(self.broken[path].failure)
        return self.content.get(path)


@dataclass
class FakeProcesses:
    """Programs as functions from command to outcome; remembers every run."""

    programs: dict[str, Callable[[Command], Completed | Failed]] = field(default_factory=dict)
    runs: list[Command] = field(default_factory=list)

    async def run(self, command: Command) -> Completed:
        self.runs.append(command)
        program = self.programs[command.argv[0]]
        outcome = program(command)
        if isinstance(outcome, Failed):
            raise Failed(outcome.failure)
        return outcome


@dataclass
class FakeSource:
    """Holds one credential for one authority."""

    authority: str
    stored: Stored | None
    identity: Identity = field(default_factory=lambda: Identity("fake", "entry", 1))
    reads: int = 0

    async def locate(self, target: Target, repository: str | None) -> Identity | None:
        del repository
        return self.identity if target.authority == self.authority else None

    async def read(self, identity: Identity, target: Target) -> Stored | None:
        del identity, target
        self.reads += 1
        return self.stored

    def forget(self) -> None:
        """Nothing is remembered."""


@dataclass
class FakeMetrics:
    """Counts what it is told."""

    seen: list[tuple[object, ...]] = field(default_factory=list)

    def cache(self, outcome: str) -> None:
        self.seen.append(("cache", outcome))

    def exchange(self, upstream: str, outcome: str, seconds: float) -> None:
        self.seen.append(("exchange", upstream, outcome, seconds))

    def program(self, name: str, outcome: str, seconds: float) -> None:
        self.seen.append(("program", name, outcome, seconds))

    def waited(self, seconds: float) -> None:
        self.seen.append(("waited", seconds))

    def age(self, seconds: float) -> None:
        self.seen.append(("age", seconds))
