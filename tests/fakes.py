"""Small stand-ins for the ports. A fake does exactly what the port promises."""

import asyncio
import contextlib
import errno
import heapq
import itertools
import os
import socket
from collections.abc import AsyncIterable, AsyncIterator, Callable, Hashable, Mapping
from dataclasses import dataclass, field, replace
from types import TracebackType

from credproxy.core.ask.audit import Record
from credproxy.core.ask.aws_keys import AwsKeys
from credproxy.core.ask.credential import Caller, Grant, Identity, Lifetime, Secret, Stored
from credproxy.core.ask.http import Method, Request, Response
from credproxy.core.ask.login import Login
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Question, Target
from credproxy.core.ask.worker_messages import LibraryAnswer, LibraryQuestion
from credproxy.core.checksum import Checksum
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.kinds.uses import Library
from credproxy.core.ownership import Exposure
from credproxy.ports.files import FileVersion, Judged
from credproxy.ports.forwarder import Room
from credproxy.ports.keyrings import KeyringFound, KeyringItem
from credproxy.ports.libraries import A
from credproxy.ports.processes import Command, Completed
from credproxy.ports.provider import Plan
from credproxy.ports.terms import Terms
from credproxy.ports.transfer import Poured, Stopped


T0 = 1_767_225_600.0
"""2026-01-01T00:00:00Z, where docs/design/cases.md freezes its clock."""


class FakeClock:
    """Time that moves only when a test moves it.

    ``advance`` wakes sleepers in order and lets the loop settle after each; ``suspend`` moves boot and wall but wakes
    no sleeper, like a laptop's sleep; ``step_wall`` sets the wall clock.
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
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        future = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._mono + seconds, next(self._order), future))
        await future

    def timeout(self, seconds: float) -> "FakeTimeout":
        alarm: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if seconds <= 0:  # at the loop's next turn, as asyncio.timeout does, and not when the test moves time
            alarm.set_result(None)
        else:
            heapq.heappush(self._sleepers, (self._mono + seconds, next(self._order), alarm))
        return FakeTimeout(alarm)

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
        """Set the wall clock."""
        self._wall += seconds

    def suspend(self, seconds: float) -> None:
        """Suspend the machine: boot and wall go on, the loop's timers do not."""
        self._boot += seconds
        self._wall += seconds

    def _move(self, seconds: float) -> None:
        self._mono += seconds
        self._boot += seconds
        self._wall += seconds


class FakeTimeout:
    """Like asyncio.timeout, on the fake clock."""

    def __init__(self, alarm: asyncio.Future[None]) -> None:
        self._alarm = alarm
        self._task: asyncio.Task[object] | None = None
        self._expired = self._over = False

    async def __aenter__(self) -> None:
        self._task = asyncio.current_task()
        self._alarm.add_done_callback(self._ring)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._task is not None
        self._over = True
        self._alarm.cancel()
        if self._expired and self._task.uncancel() <= 0 and kind is asyncio.CancelledError:
            raise TimeoutError

    def _ring(self, _: asyncio.Future[None]) -> None:
        if not self._over:  # the block may have ended in the same turn as the timer
            assert self._task is not None
            self._expired = True
            self._task.cancel()


async def settle(turns: int = 20) -> None:
    """Let every ready task run until it waits for something real."""
    for _ in range(turns):
        await asyncio.sleep(0)


@dataclass
class FixedTerms:
    """Limits of a flight, as plain numbers."""

    deadline: float = 1030.0
    patience: float = 1008.5
    anew: bool = False
    for_actions: bool = False


Step = Response | Failed | Callable[[Request], Response]


@dataclass
class FakeHttp:
    """Answers requests by URL prefix, in order, and remembers them all.

    ``script`` maps a URL prefix to its steps; the last step of a prefix is repeated. A request that no prefix matches
    fails the test, which asserts "-> none". ``hold`` keeps a prefix silent until its event is set.
    """

    script: dict[str, list[Step]] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    clock: FakeClock = field(default_factory=FakeClock)
    hold: dict[str, asyncio.Event] = field(default_factory=dict)

    async def send(self, request: Request, terms: Terms) -> Response:
        self.requests.append(request)
        del terms
        for prefix, gate in self.hold.items():
            if request.url.startswith(prefix):
                await gate.wait()
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
    """Files in memory; ``put`` gives each write a new version."""

    content: dict[str, bytes] = field(default_factory=dict)
    versions: dict[str, FileVersion] = field(default_factory=dict)
    broken: dict[str, Failed] = field(default_factory=dict)
    reads: list[str] = field(default_factory=list)
    exposed: dict[str, tuple[Exposure, ...]] = field(default_factory=dict)
    notes: dict[str, bytes] = field(default_factory=dict)  # in lock files
    held: set[str] = field(default_factory=set)  # lock files that are held

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

    async def judged(self, path: str, home: str) -> Judged | None:
        content = await self.read(path)
        return None if content is None else Judged(content, await self.exposures(path, home))

    async def exposures(self, path: str, home: str) -> tuple[Exposure, ...]:
        del home
        return self.exposed.get(path, ())

    async def lock(self, path: str) -> "FakeLock | None":
        if path in self.broken:
            raise Failed(self.broken[path].failure)
        if path in self.held:
            return None
        self.held.add(path)
        return FakeLock(self, path)

    async def reserve(self, path: str) -> "FakeReserved":
        folder, _, name = path.rpartition("/")
        new = f"{folder}/.{name}.new"
        if new in self.broken:
            raise Failed(self.broken[new].failure)
        return FakeReserved(self, path)


@dataclass
class FakeLock:
    """A held lock file."""

    files: FakeFiles
    path: str

    @property
    def note(self) -> bytes:
        return self.files.notes.get(self.path, b"")

    async def mark(self, note: bytes) -> None:
        self.files.notes[self.path] = note

    def close(self) -> None:
        self.files.held.discard(self.path)


@dataclass
class FakeReserved:
    """A reserved place beside a file; commits unless the file cannot be written."""

    files: FakeFiles
    path: str

    async def commit(self, content: bytes) -> FileVersion:
        if self.path in self.files.broken:
            raise Failed(self.files.broken[self.path].failure)
        self.files.put(self.path, content)
        return self.files.versions[self.path]

    async def close(self) -> None:
        """Nothing is left."""


@dataclass
class FakeSigner:
    """The signature is the claims themselves, for any text that begins like a key; remembers what it signed."""

    signed: list[Mapping[str, str | int]] = field(default_factory=list)

    async def sign(
        self, key: bytes, claims: Mapping[str, str | int], *, algorithm: str = "RS256", key_id: str | None = None
    ) -> Secret:
        del algorithm, key_id
        if not key.startswith(b"-----BEGIN"):
            raise ValueError("is not a private key in PEM form")
        self.signed.append(claims)
        return Secret(f"signed {claims['iss']}")


@dataclass
class FakeAwsSigner:
    """Signs with the id of the key, the service and the region; remembers what it signed."""

    signed: list[tuple[str, str]] = field(default_factory=list)
    lacking: str = ""

    async def ready(self) -> "FakeAwsSigner":
        return self

    def sign(
        self,
        keys: AwsKeys,
        *,
        service: str,
        region: str,
        method: Method,
        url: str,
        headers: tuple[tuple[str, str], ...] = (),
        body: bytes = b"",
    ) -> tuple[tuple[str, Secret], ...]:
        del body
        self.signed.append((method, url))
        given = tuple((name, Secret(value)) for name, value in headers)
        token = () if keys.session_token is None else (("X-Amz-Security-Token", keys.session_token),)
        return (*given, *token, ("Authorization", Secret(f"AWS4 {keys.key_id}/{region}/{service} {len(self.signed)}")))


@dataclass
class FakeProcesses:
    """Programs as functions from command to outcome; remembers every run."""

    programs: dict[str, Callable[[Command], Completed | Failed]] = field(default_factory=dict)
    runs: list[Command] = field(default_factory=list)

    async def run(self, command: Command) -> Completed:
        self.runs.append(command)
        await self.find(command)
        program = self.programs[command.argv[0]]
        outcome = program(command)
        if isinstance(outcome, Failed):
            raise Failed(outcome.failure)
        return outcome

    async def find(self, command: Command) -> None:
        if command.argv[0] not in self.programs:
            problem = f"helper {command.argv[0]!r} is not there or not executable"
            raise failed(Code.HELPER_NOT_RUNNABLE, problem, hint=command.missing or f"install {command.argv[0]}")


@dataclass
class FakeKeyring:
    """A keyring in memory: ``put`` stores a secret for a service and a user."""

    secrets: dict[tuple[str, str], tuple[KeyringItem, Secret]] = field(default_factory=dict)
    locked: bool = False
    closed: bool = False  # it takes nothing
    absent: str = ""
    broken: Failed | None = None
    searches: int = 0
    anew: int = 0  # of them, those that ask whatever is remembered

    def put(self, service: str, secret: str, username: str = "") -> None:
        """Store a secret."""
        before = self.secrets.get((service, username))
        item = KeyringItem(f"/{service}/{username}", username, 1 if before is None else before[0].changed + 1)
        self.secrets[service, username] = item, Secret(secret)

    async def search(self, service: str, username: str | None, *, anew: bool = False) -> KeyringFound:
        self.searches += 1
        self.anew += anew
        if self.broken is not None:
            raise Failed(self.broken.failure)
        found = tuple(
            item for (of, user), (item, _) in self.secrets.items() if of == service and username in {None, user}
        )
        if self.absent:
            return KeyringFound(absent=self.absent)
        return KeyringFound(locked=len(found)) if self.locked else KeyringFound(found)

    async def reveal(self, item: KeyringItem) -> Secret | None:
        return next((secret for known, secret in self.secrets.values() if known.place == item.place), None)

    async def rewrite(self, service: str, username: str, *, label: str, secret: Secret) -> None:
        assert label
        if self.locked or self.closed or self.absent:
            raise failed(Code.CREDENTIAL_UNREADABLE, "the keyring takes nothing", hint="unlock it")
        self.put(service, secret.reveal(), username)


@dataclass
class FakeLibraries:
    """Answers with a function for each type of question; remembers the questions."""

    answers: dict[type[LibraryQuestion], Callable[[LibraryQuestion], LibraryAnswer | Failed]] = field(
        default_factory=dict
    )
    missing: frozenset[str] = frozenset()
    asked: list[LibraryQuestion] = field(default_factory=list)

    def lacks(self, library: Library) -> str:
        said = f"{library.extra} is not installed: pip install '{library.requirement('linux')}'"
        return said if library.extra in self.missing else ""

    async def ask(self, question: LibraryQuestion, wanted: type[A], *, limit: float = 30.0) -> A:
        del limit
        self.asked.append(question)
        answer = self.answers[type(question)](question)
        if isinstance(answer, Failed):
            raise Failed(answer.failure)
        assert isinstance(answer, wanted)
        return answer


@dataclass
class FakeSource:
    """Holds one credential for one authority."""

    authority: str
    stored: Stored | None
    identity: Identity = field(default_factory=lambda: Identity("fake", "entry", 1))
    reads: int = 0
    clock: FakeClock = field(default_factory=FakeClock)
    until: float | None = None
    keep: float | None = None
    changed: Stored | None = None  # what a second look-up finds
    looks: int = 0
    problem: Failure | None = None

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        del repository
        return self.identity if target.authority == self.authority else None

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        del identity, target
        self.reads += 1
        self.looks += anew
        if anew and self.changed is not None:
            self.stored = self.changed
        if self.stored is None:
            return None
        return Login(self.stored, self.clock.boot(), self.until, self.keep)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        del identity, target
        return None if self.stored is None else Login(self.stored, self.clock.boot(), self.until, self.keep)

    def trouble(self, target: Target) -> Failure | None:
        del target
        return self.problem

    def looked(self, target: Target) -> tuple[str, ...]:
        return (f"the fake source has no {target.authority!r}",)


@dataclass
class FakeMetrics:
    """Counts what it is told."""

    seen: list[tuple[object, ...]] = field(default_factory=list)

    def cache(self, outcome: str) -> None:
        self.seen.append(("cache", outcome))

    def exchange(self, upstream: str, outcome: str, *, seconds: float) -> None:
        self.seen.append(("exchange", upstream, outcome, seconds))

    def program(self, name: str, outcome: str, *, seconds: float) -> None:
        self.seen.append(("program", name, outcome, seconds))

    def reload(self, outcome: str) -> None:
        self.seen.append(("reload", outcome))

    def waited(self, seconds: float) -> None:
        self.seen.append(("waited", seconds))

    def age(self, seconds: float) -> None:
        self.seen.append(("age", seconds))


@dataclass
class FakeAudit:
    """Remembers what it is told."""

    on: bool = False
    seen: list[tuple[Record, Caller, int | None, str]] = field(default_factory=list)

    def handed_out(self, record: Record, origin: Caller, *, pid: int | None, program: str) -> None:
        self.seen.append((record, origin, pid, program))


@dataclass
class FakeProvider:
    """Gives every authority its own token: ``tok1``, ``tok2``, ... in the order of the exchanges.

    An exchange takes ``delay`` seconds of the clock; ``error`` is raised at its end; ``None`` from ``key`` is "no
    credential". ``life`` is None for a grant whose issuer names no expiry.
    """

    clock: FakeClock
    life: float | None = 300.0
    delay: float = 0.0
    error: BaseException | None = None
    plan_error: Exception | None = None
    plan_delay: float = 0.0
    note: str = ""
    less: bool = False
    empty: bool = False
    key: Callable[[Question], Hashable | None] = lambda question: question.target.authority
    runs: list[Hashable] = field(default_factory=list)
    ended: int = 0
    active: int = 0
    peak: int = 0
    terms: list[Terms] = field(default_factory=list)
    anew: list[bool] = field(default_factory=list)  # of each exchange
    direct: bool = False
    always: str = ""  # one token for every exchange
    forgotten: int = 0
    problem: Failure | None = None
    login: Stored | None = None
    min_lifetime: float = 0.0
    timeout: float | None = None
    wall_life: float | None = None
    upstream: str = ""
    seen: Callable[[], None] = lambda: None  # called inside each exchange

    async def plan(self, question: Question) -> Plan | None:
        if self.plan_delay:
            await self.clock.sleep(self.plan_delay)
        if self.plan_error is not None:
            raise self.plan_error
        key = self.key(question)
        if key is None:
            return None

        async def run(terms: Terms) -> Grant:
            return await self._run(key, terms)

        return Plan(
            key=("fake", key),
            subject=f"registry {question.target.authority!r}",
            upstream=self.upstream or question.target.origin,
            run=run,
            min_lifetime=self.min_lifetime,
            timeout=self.timeout,
            detail={"provider": "fake"},
        )

    async def stored(self, target: Target) -> Stored | None:
        del target
        if self.plan_error is not None:
            raise self.plan_error
        return self.login

    def trouble(self, target: Target) -> Failure | None:
        del target
        return self.problem

    async def check(self, plan: Plan, target: Target) -> None:
        del plan, target

    def reasons(self, question: Question) -> tuple[str, ...]:
        return (f"the fake provider has no {question.target.authority!r}",)

    def forget(self, wanted: Callable[[str], bool]) -> None:
        del wanted
        self.forgotten += 1

    async def _run(self, key: Hashable, terms: Terms) -> Grant:
        self.runs.append(key)
        self.seen()
        self.terms.append(terms)
        self.anew.append(terms.anew)
        token = Secret(f"Bearer {self.always or f'tok{len(self.runs)}'}")
        since, wall = self.clock.boot(), self.clock.wall()
        self.active += 1
        self.peak = max(self.peak, self.active)
        try:
            if self.delay:
                await self.clock.sleep(self.delay)
        finally:
            self.active -= 1
        self.ended += 1
        if isinstance(self.error, Failed):
            raise Failed(self.error.failure)
        if self.error is not None:
            raise self.error
        lifetime = Lifetime(
            since=since,
            until=None if self.life is None else since + self.life,
            keep=600.0,
            wall_until=None if self.wall_life is None else wall + self.wall_life,
        )
        return Grant(() if self.empty else (("Authorization", (token,)),), lifetime, self.note, self.less, self.direct)


@dataclass
class TimedHttp:
    """Answers after some seconds of the clock: each step is (seconds, response or failure); the last is repeated.

    A cancelled request counts in ``cancelled``; ``at`` are the boot-clock seconds at which requests were sent.
    """

    clock: FakeClock
    steps: list[tuple[float, Response | Failed]] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    cancelled: int = 0

    async def send(self, request: Request, terms: Terms) -> Response:
        del request, terms
        self.at.append(self.clock.boot())
        seconds, outcome = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        try:
            if seconds:
                await self.clock.sleep(seconds)
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if isinstance(outcome, Failed):
            raise Failed(outcome.failure)
        return outcome


@dataclass
class FakeTransfer:
    """A response with a body that may break: after ``cut`` bytes, in that way; ``small`` comes with its head."""

    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    announced: bool = True
    small: bool = False
    cut: int | None = None
    how: Stopped = Stopped.UPSTREAM
    closed: bool = False
    at: int = 0

    @property
    def length(self) -> int | None:
        return len(self.body) if self.announced else None

    @property
    def whole(self) -> bytes | None:
        return self.body if self.small else None

    @property
    def tail(self) -> bytes:
        return self.body[max(0, self.at - 8) : self.at]

    async def read(self) -> bytes:
        end = len(self.body) if self.cut is None else self.cut
        piece = self.body[self.at : min(end, self.at + 4)]
        self.at += len(piece)
        if not piece and self.cut is not None:
            raise failed(Code.UPSTREAM_UNAVAILABLE, "it broke off")
        return piece

    async def pour(self, client: int, count: int, *, check: Checksum | None = None) -> Poured:
        with socket.socket(fileno=client) as sock:
            sock.setblocking(False)
            before = self.at
            poured = self._move(count) if check is None else self._checked(count, check)
            await asyncio.get_running_loop().sock_sendall(sock, self.body[before : before + poured.moved])
            return poured

    async def skip(self, count: int, check: Checksum | None = None) -> Poured:
        before = self.at
        poured = self._move(count)
        if check is not None:
            check.update(self.body[before : self.at])
        return poured

    def close(self) -> None:
        self.closed = True

    def _checked(self, count: int, check: Checksum) -> Poured:
        """Like the pump: the whole rest is checked, and what fits into its buffer is held back until it is right."""
        before = self.at
        stopped = self._move(len(self.body) - self.at).stopped
        check.update(self.body[before : self.at])
        if stopped is Stopped.DONE and not check.right():
            stopped = Stopped.WRONG
        return Poured(count if stopped is Stopped.DONE else 0, stopped)

    def _move(self, count: int) -> Poured:
        assert not self.closed
        end = min(self.at + count, len(self.body) if self.cut is None else self.cut)
        moved, self.at = end - self.at, end
        return Poured(moved, Stopped.DONE if moved == count else self.how)


@dataclass
class FakeDownloads:
    """Gives its steps in order, the last one again and again as a copy; remembers the requests and the transfers."""

    steps: list[FakeTransfer | Failed | Callable[[Request], FakeTransfer]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    registries: list[str] = field(default_factory=list)
    accounts: list[str | None] = field(default_factory=list)
    opened: list[FakeTransfer] = field(default_factory=list)

    async def open(self, request: Request, registry: str, *, account: str | None = None) -> FakeTransfer:
        self.registries.append(registry)
        self.accounts.append(account)
        self.requests.append(request)
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Failed):
            raise Failed(step.failure)
        transfer = replace(step) if isinstance(step, FakeTransfer) else step(request)
        self.opened.append(transfer)
        return transfer


@dataclass
class FakeForwarder:
    """Gives its steps in order, the last one again and again; remembers requests, and bodies as far as they were read."""

    clock: FakeClock
    steps: list[Response | Failed | Callable[[Request], Response]] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    bodies: list[bytes | None] = field(default_factory=list)
    limits: list[int] = field(default_factory=list)

    async def forward(
        self, request: Request, body: AsyncIterable[bytes] | bytes | None, *, limit: int, room: Room | None = None
    ) -> Response:
        self.requests.append(request)
        self.limits.append(limit)
        self.bodies.append(
            body if body is None or isinstance(body, bytes) else b"".join([piece async for piece in body])
        )
        step = self.steps.pop(0) if len(self.steps) > 1 else self.steps[0]
        if isinstance(step, Failed):
            raise Failed(step.failure)
        answer = step if isinstance(step, Response) else step(request)
        if room is not None and answer.body:
            await room.hold(len(answer.body))
        return answer


class FakeSink:
    """A client that reads all that it is sent; its connection is a real one, because a pump wants a descriptor."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self.gone = False

    async def write(self, data: bytes) -> None:
        if self.gone:
            raise ConnectionResetError
        await asyncio.get_running_loop().sock_sendall(self._ours, data)

    async def descriptor(self) -> int:
        if self.gone:
            raise ConnectionResetError
        return os.dup(self._ours.fileno())

    def got(self) -> bytes:
        """All that arrived so far."""
        found = b""
        with contextlib.suppress(BlockingIOError):
            while piece := self._theirs.recv(65536):
                found += piece
        return found

    def close(self) -> None:
        """Close both ends."""
        self._ours.close()
        self._theirs.close()


@dataclass
class FakeUpload:
    """A body of announced length, or in pieces of unknown number; ``reads`` counts how often it was begun."""

    body: bytes = b""
    announced: bool = True
    reads: int = 0

    @property
    def length(self) -> int | None:
        return len(self.body) if self.announced else None

    async def whole(self, limit: int) -> bytes:
        self.reads += 1
        if len(self.body) > limit:
            raise failed(Code.TOO_LARGE, f"the body is larger than {limit} bytes")
        return self.body

    async def pieces(self) -> AsyncIterator[bytes]:
        self.reads += 1
        for start in range(0, len(self.body), 1000):
            yield self.body[start : start + 1000]


class CrowdedSocket(socket.socket):
    """One end of a pair over which no descriptor passes while ``crowded``: other processes of the user have too many on their way."""

    crowded = True

    @classmethod
    def pair(cls) -> tuple["CrowdedSocket", socket.socket]:
        """Such an end, and the other one."""
        ours, theirs = socket.socketpair()
        return cls(fileno=ours.detach()), theirs

    def sendmsg(self, *args: object) -> int:
        """As the kernel does it. Source: unix(7), ETOOMANYREFS."""
        if self.crowded and len(args) > 1 and args[1]:
            raise OSError(errno.ETOOMANYREFS, "too many references")
        return super().sendmsg(*args)  # type: ignore[arg-type]  # see above
