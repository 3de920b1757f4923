"""The adapter and the fake both keep a port's promises: each test runs on both.

With a fake that promises less, tests cannot fail; with one that promises more, code fails with the adapter. The
contract of providers and sources is in tests/contract.py.
"""

import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Protocol

import pytest
from aiohttp import web

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.files import SystemFiles
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.processes import SystemProcesses
from credproxy.core.ask.http import Dial, Request, Response
from credproxy.core.errors import Code, Failed, failed
from credproxy.ports.clock import Clock
from credproxy.ports.files import Files
from credproxy.ports.http_client import HttpClient
from credproxy.ports.processes import Command, Completed, Processes
from tests.adapters.test_http_client import serving
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeMetrics, FakeProcesses, FixedTerms, Step


CANARY = b"canary"
ANSWERS = {"/ok": 200, "/refused": 401, "/moved": 307, "/broken": 500}


@pytest.fixture(params=[FakeClock, SystemClock])
def clock(request: pytest.FixtureRequest) -> Clock:
    """Both."""
    made: Clock = request.param()
    return made


class Folder(Protocol):
    """Files, and how to change them."""

    files: Files

    def path(self, name: str) -> str:
        """Where a file is."""

    def put(self, name: str, content: bytes) -> None:
        """Write one, private."""

    def remove(self, name: str) -> None:
        """Delete it."""

    def spoil(self, name: str) -> None:
        """Put something there that cannot be read."""


class FakeFolder:
    """In memory."""

    def __init__(self) -> None:
        self._files = FakeFiles()
        self.files: Files = self._files

    def path(self, name: str) -> str:
        """Where a file is."""
        return f"/folder/{name}"

    def put(self, name: str, content: bytes) -> None:
        """Write one, private."""
        self._files.put(self.path(name), content)

    def remove(self, name: str) -> None:
        """Delete it."""
        self._files.remove(self.path(name))

    def spoil(self, name: str) -> None:
        """Put something there that cannot be read."""
        self._files.broken[self.path(name)] = failed(Code.CREDENTIAL_UNREADABLE, "it is a directory", hint="rmdir it")


class RealFolder:
    """On a disk."""

    def __init__(self, place: Path) -> None:
        self._files = SystemFiles()
        self.files: Files = self._files
        self._place = place

    def path(self, name: str) -> str:
        """Where a file is."""
        return str(self._place / name)

    def put(self, name: str, content: bytes) -> None:
        """Write one, private."""
        (self._place / name).write_bytes(content)
        (self._place / name).chmod(0o600)

    def remove(self, name: str) -> None:
        """Delete it."""
        (self._place / name).unlink()

    def spoil(self, name: str) -> None:
        """Put something there that cannot be read."""
        (self._place / name).mkdir()

    def close(self) -> None:
        """Let its threads end."""
        self._files.close()


@pytest.fixture(params=["fake", "system"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Folder]:
    """Both."""
    if request.param == "fake":
        yield FakeFolder()
        return
    real = RealFolder(tmp_path)
    yield real
    real.close()


class Programs(Protocol):
    """Programs, and what they do."""

    processes: Processes

    def command(self, status: int = 0, stdin: bytes = b"") -> Command:
        """A program that prints CANARY, reads nothing and exits with this status."""

    def started(self) -> bool:
        """Whether a program was started."""


class FakePrograms:
    """Functions."""

    def __init__(self) -> None:
        self._processes = FakeProcesses()
        self.processes: Processes = self._processes

    def command(self, status: int = 0, stdin: bytes = b"") -> Command:
        """A program that prints CANARY, reads nothing and exits with this status."""
        self._processes.programs["/bin/sh"] = lambda _: Completed(status, CANARY)
        return Command(("/bin/sh",), stdin=stdin)

    def started(self) -> bool:
        """Whether a program was started."""
        return bool(self._processes.runs)


class RealPrograms:
    """Shell scripts."""

    def __init__(self, place: Path) -> None:
        self._processes = SystemProcesses({}, clock=SystemClock(), metrics=FakeMetrics())
        self.processes: Processes = self._processes
        self._mark = place / "started"

    def command(self, status: int = 0, stdin: bytes = b"") -> Command:
        """A program that prints CANARY, reads nothing and exits with this status."""
        script = f"touch {self._mark}; printf {CANARY.decode()}; exit {status}"
        return Command(("/bin/sh", "-c", script), stdin=stdin)

    def started(self) -> bool:
        """Whether a program was started."""
        return self._mark.exists()

    def close(self) -> None:
        """Let its threads end."""
        self._processes.close()


@pytest.fixture(params=["fake", "system"])
def programs(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Programs]:
    """Both."""
    if request.param == "fake":
        yield FakePrograms()
        return
    real = RealPrograms(tmp_path)
    yield real
    real.close()


class Server(Protocol):
    """A client, and a server that answers as ANSWERS says."""

    client: HttpClient
    clock: Clock
    url: str
    dead: str


class FakeServer:
    """A script."""

    url, dead = "http://a.test", "http://dead.test"

    def __init__(self) -> None:
        self.clock: Clock = FakeClock()
        refused: list[Step] = [failed(Code.UPSTREAM_UNAVAILABLE, "nobody answers")]
        script: dict[str, list[Step]] = {
            f"{self.url}{path}": [self._answer(status)] for path, status in ANSWERS.items()
        }
        self.client: HttpClient = FakeHttp({**script, self.dead: refused})

    def _answer(self, status: int) -> Response:
        lines = (("Location", f"{self.url}/ok"), ("X-Line", "1"), ("X-Line", "2"))
        return Response(status, lines, CANARY, self.clock.boot(), self.clock.wall(), "127.0.0.1")


class RealServer:
    """On loopback."""

    def __init__(self, client: AiohttpClient, port: int, *, dead: int) -> None:
        self.client: HttpClient = client
        self.clock: Clock = SystemClock()
        self.url, self.dead = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{dead}"


async def answer(request: web.Request) -> web.Response:
    """As ANSWERS says."""
    response = web.Response(status=ANSWERS[request.path], body=CANARY, headers={"Location": "/ok"})
    for value in "12":
        response.headers.add("X-Line", value)
    return response


@pytest.fixture(params=["fake", "system"])
async def server(request: pytest.FixtureRequest) -> AsyncIterator[Server]:
    """Both."""
    if request.param == "fake":
        yield FakeServer()
        return
    with contextlib.closing(socket.socket()) as nobody:  # bound, but not listening
        nobody.bind(("127.0.0.1", 0))
        async with serving(answer) as port, AiohttpClient(SystemClock()) as client:
            yield RealServer(client, port, dead=nobody.getsockname()[1])


def get(url: str) -> Request:
    """A request to this machine."""
    return Request("GET", url, dial=Dial(own=True))


async def test_time_does_not_go_back_and_a_limit_that_is_over_ends_a_wait(clock: Clock) -> None:
    """A limit that is not over leaves its block alone."""
    before = clock.boot()
    await clock.sleep(0)
    assert clock.boot() >= before
    with pytest.raises(TimeoutError):
        async with clock.timeout(0):
            await clock.sleep(1000)
    async with clock.timeout(1000):
        await clock.sleep(0)


async def test_a_missing_file_gives_none(folder: Folder) -> None:
    """For every method, and after a deletion, too."""
    for write in (False, True):
        if write:
            folder.put("f", b"x")
            folder.remove("f")
        assert await folder.files.version(folder.path("f")) is None
        assert await folder.files.read(folder.path("f")) is None
        assert await folder.files.judged(folder.path("f"), folder.path("")) is None


async def test_a_file_has_one_version_until_it_is_rewritten(folder: Folder) -> None:
    """The version becomes part of the key."""
    folder.put("f", b"one")
    versions = [await folder.files.version(folder.path("f")) for _ in range(2)]
    folder.put("f", b"another")
    versions.append(await folder.files.version(folder.path("f")))
    assert versions[0] == versions[1] != versions[2]
    assert versions[0] is not None
    assert versions[2] is not None
    assert versions[0].stamp != versions[2].stamp
    assert await folder.files.read(folder.path("f")) == b"another"


async def test_a_private_file_is_trusted_and_its_content_not_shown(folder: Folder) -> None:
    """Its content is a secret."""
    folder.put("f", CANARY)
    found = await folder.files.judged(folder.path("f"), folder.path("").rstrip("/"))
    assert found is not None
    assert (found.content, found.exposures) == (CANARY, ())
    assert CANARY.decode() not in repr(found)


async def test_one_at_a_time_holds_a_lock_and_leaves_a_note(folder: Folder) -> None:
    """Until it is closed; a missing lock file is made."""
    lock = await folder.files.lock(folder.path("l"))
    assert lock is not None
    assert lock.note == b""
    await lock.mark(b"note")
    assert await folder.files.lock(folder.path("l")) is None
    lock.close()
    again = await folder.files.lock(folder.path("l"))
    assert again is not None
    assert again.note == b"note"
    again.close()


async def test_a_file_is_replaced_or_unchanged(folder: Folder) -> None:
    """And the writer knows its version."""
    folder.put("f", b"old")
    place = await folder.files.reserve(folder.path("f"))
    await place.close()
    assert await folder.files.read(folder.path("f")) == b"old"
    place = await folder.files.reserve(folder.path("f"))
    version = await place.commit(b"new")
    await place.close()
    assert await folder.files.read(folder.path("f")) == b"new"
    assert await folder.files.version(folder.path("f")) == version
    found = await folder.files.judged(folder.path("f"), folder.path("").rstrip("/"))
    assert found is not None
    assert found.exposures == ()


async def test_what_cannot_be_read_is_an_error_with_a_remedy(folder: Folder) -> None:
    """For each method, with the one code that sources let pass."""
    folder.spoil("f")
    path = folder.path("f")
    for ask in (folder.files.version(path), folder.files.read(path), folder.files.judged(path, "")):
        with pytest.raises(Failed) as caught:
            await ask
        assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
        assert caught.value.failure.hint


@pytest.mark.parametrize("status", [0, 3])
async def test_a_program_is_run_to_its_exit_and_its_output_is_not_shown(programs: Programs, status: int) -> None:
    """A status is a value and not an error; unread input is fine."""
    done = await programs.processes.run(programs.command(status, stdin=b"x" * 100_000))
    assert (done.status, done.stdout) == (status, CANARY)
    assert CANARY.decode() not in repr(done)


async def test_to_look_for_a_program_does_not_start_it(programs: Programs) -> None:
    """For ``explain``."""
    await programs.processes.find(programs.command())
    assert not programs.started()
    await programs.processes.run(programs.command())
    assert programs.started()


@pytest.mark.parametrize("missing", ["", "install the thing"])
async def test_a_program_that_is_not_there_is_an_error_with_a_remedy(programs: Programs, missing: str) -> None:
    """The hint comes from the rule that names it, if there is one."""
    command = Command(("/nowhere/helper",), missing=missing)
    for ask in (programs.processes.run(command), programs.processes.find(command)):
        with pytest.raises(Failed) as caught:
            await ask
        assert caught.value.failure.code is Code.HELPER_NOT_RUNNABLE
        assert (caught.value.failure.hint == missing) is bool(missing)
        assert caught.value.failure.hint


@pytest.mark.parametrize("path", ANSWERS)
async def test_every_status_is_a_response_and_nothing_is_followed(server: Server, path: str) -> None:
    """With all field lines, and a body that no repr shows."""
    before = server.clock.boot()
    response = await server.client.send(get(server.url + path), FixedTerms(deadline=1e12, patience=1e12))
    assert (response.status, response.body) == (ANSWERS[path], CANARY)
    assert response.all("x-line") == ("1", "2")
    assert before <= response.sent <= server.clock.boot()
    assert CANARY.decode() not in repr(response)


async def test_a_port_without_a_listener_is_an_error(server: Server) -> None:
    """A temporary one."""
    with pytest.raises(Failed) as caught:
        await server.client.send(get(f"{server.dead}/"), FixedTerms(deadline=1e12, patience=1e12))
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE
