"""The worker with the libraries of clouds, from the daemon's side: what it is given, and what it may do to the daemon.

Most are about a worker that misbehaves: it is a program of a few lines, which has the same socket as the actual one.
"""

import asyncio
import os
import select
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from credproxy.adapters.libraries import WorkerLibraries, is_installed
from credproxy.adapters.own_metadata import own_copy
from credproxy.adapters.worker_client import PYTHON
from credproxy.core.ask.worker_messages import GoogleToken, LibraryToken
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.cloud_libraries import GOOGLE, LIBRARIES
from credproxy.core.kinds.uses import Library
from credproxy.ports.terms import under_way
from tests.fakes import FixedTerms, settle
from tests.hints import filled
from tests.worker.token_server import TokenServer


QUESTION = GoogleToken(("scope",), "/nowhere/adc.json")

BEGIN = """
import os, socket, struct, sys, time
import msgspec
from credproxy.core.ask.worker_messages import *
from credproxy.core.errors import *
sock = socket.socket(fileno=int(sys.argv[1]))
def say(message):
    frame = msgspec.msgpack.encode(message)
    sock.sendall(struct.pack("!I", len(frame)) + frame)
def heard():
    head = sock.recv(4, socket.MSG_WAITALL)
    if len(head) < 4:
        os._exit(0)
    return msgspec.msgpack.decode(sock.recv(struct.unpack("!I", head)[0], socket.MSG_WAITALL), type=LibraryCall)
def token(call, text="t"):
    say(LibraryAnswered(call.number, LibraryToken(text)))
"""
READY = "say(WorkerReady(VERSION))\n"


@asynccontextmanager
async def worker(
    code: str | None = None, environ: Mapping[str, str] | None = None, idle: float = 300.0
) -> AsyncIterator[WorkerLibraries]:
    """Libraries in a worker that does this; None for the actual one."""
    python = PYTHON if code is None else (sys.executable, "-c", BEGIN + code)
    made = WorkerLibraries(dict(os.environ) if environ is None else environ, python=python, idle=idle)
    try:
        yield made
    finally:
        await made.close()


async def ask(libraries: WorkerLibraries, question: GoogleToken = QUESTION, limit: float = 9.0) -> str:
    """The token that a question gives."""
    return (await libraries.ask(question, LibraryToken, limit=limit)).token


async def failure_of(libraries: WorkerLibraries, limit: float = 9.0) -> Failure:
    """Why a question has no answer."""
    with pytest.raises(Failed) as caught:
        await ask(libraries, limit=limit)
    return caught.value.failure


async def pause() -> None:
    """Let processes run for a moment."""
    await asyncio.to_thread(select.select, [], [], [], 0.01)


def process(libraries: WorkerLibraries) -> int:
    """The worker's process id."""
    pid = libraries.pid
    assert pid is not None
    return pid


def alive(pid: int) -> bool:
    """Whether a process runs."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until_ended(pid: int) -> None:
    """Wait for the end of a process."""
    async with asyncio.timeout(8):
        while alive(pid):
            await pause()


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("sock.sendall(b'\\xff' * 4096)", "broke the rules of the channel"),
        ("sock.sendall(struct.pack('!I', 3) + b'\\xc1\\xc1\\xc1'); time.sleep(9)", "is not understood"),
        (
            "frame = b'\\x93\\xa5ready\\x01' + b'\\x91' * 3000 + b'\\xc0'; sock.sendall(struct.pack('!I', len(frame)) + frame); time.sleep(9)",
            "is not understood",
        ),
        ("sock.sendall(struct.pack('!I', 1 << 20) + b'x' * 99999); time.sleep(9)", "broke the rules of the channel"),
        ("say(WorkerReady(VERSION + 1)); time.sleep(9)", "is of another version than the daemon"),
        ("say(LibraryAnswered(1, LibraryToken('x'))); time.sleep(9)", "said something that nobody asked"),
        ("sys.exit(3)", "ended with status 3"),
    ],
)
async def test_one_that_cannot_start_is_reported_with_the_command_that_shows_why(code: str, how: str) -> None:
    """And it is gone."""
    async with worker(code) as libraries:
        failure = await failure_of(libraries)
        assert failure.code is Code.HELPER_NOT_RUNNABLE
        assert failure.message.startswith("google-auth cannot be asked: the process that it runs in ")
        assert how in failure.message
        assert failure.hint.startswith(f"see why it does not start: {sys.executable} -c ")
        assert libraries.pid is None


async def test_a_program_that_is_not_there_is_reported_as_well() -> None:
    """An interpreter that an upgrade has taken away."""
    libraries = WorkerLibraries({}, python=("/nowhere/python",))
    failure = await failure_of(libraries)
    assert failure.code is Code.HELPER_NOT_RUNNABLE
    assert filled(failure.hint, "see why it does not start: {}") == ("/nowhere/python",)


@pytest.mark.parametrize(
    ("code", "how"),
    [
        ("os.kill(os.getpid(), 9)", "was ended by signal 9"),
        ("sock.sendall(b'\\x7f' * 65536)", "broke the rules of the channel"),
        (
            "sock.sendall(struct.pack('!I', 3) + b'\\xc1\\xc1\\xc1'); time.sleep(9)",
            "said something that is not understood",
        ),
        ("token(call); token(call); time.sleep(9)", ""),
        ("while True: say(LibraryAnswered(7777, LibraryToken('x' * 9999)))", "said something that nobody asked"),
        ("say(WorkerReady(VERSION)); time.sleep(9)", "said something that nobody asked"),
    ],
    ids=["killed", "floods", "garbage", "twice", "flood-of-answers", "ready-again"],
)
async def test_one_that_misbehaves_is_ended_and_the_question_asked_once_more(code: str, how: str) -> None:
    """It need not be the question's fault; where it is, there is a clear error, and the next step."""
    async with worker(READY + f"while True:\n    call = heard()\n    {code}\n") as libraries:
        if how:
            failure = await failure_of(libraries)
            assert failure.code is Code.HELPER_FAILED
            assert failure.message == f"google-auth did not answer: the process that it runs in {how}"
            assert filled(failure.hint, "see whether it works by hand: {}")
        else:
            assert await ask(libraries) == "t"


async def test_a_death_is_not_noticed_by_the_caller() -> None:
    """What was asked is asked of the next one."""
    async with worker(None) as libraries:
        pids = []
        for _ in range(2):
            assert (await failure_of(libraries)).code is Code.CREDENTIAL_UNREADABLE
            pid = process(libraries)
            pids.append(pid)
            os.kill(pid, signal.SIGKILL)
        assert len(set(pids)) == 2


async def test_one_that_hangs_gets_no_more_questions_and_then_ends(tmp_path: Path) -> None:
    """Callers are told in time what hangs; the next question has another worker; and what was under way may end."""
    marker = tmp_path / "hung"
    code = f"""
first, other = heard(), None
if os.path.exists({str(marker)!r}):
    token(first, "second worker")
    heard()
open({str(marker)!r}, "w").close()
other = heard()
time.sleep(0.6)
token(other, "late, but in time")
heard()
"""
    async with worker(READY + code) as libraries:
        hanging = asyncio.ensure_future(failure_of(libraries, limit=0.3))
        while libraries.pid is None or not marker.exists():
            await pause()
        slow, pid = asyncio.ensure_future(ask(libraries)), libraries.pid
        failure = await hanging
        assert (failure.code, failure.message) == (Code.HELPER_FAILED, "google-auth has not answered for 0.3 s")
        assert filled(failure.hint, "see what it waits for: {}")
        assert await ask(libraries) == "second worker"
        assert alive(pid)
        assert await slow == "late, but in time"
        await until_ended(pid)


async def test_one_that_does_not_read_is_ended() -> None:
    """What it leaves unread has a bound, since no more questions than it has threads are under way; those that wait are told."""
    async with worker(READY + "time.sleep(9)") as libraries:
        long = GoogleToken(("x" * 50_000,))
        waiting = [asyncio.ensure_future(libraries.ask(long, LibraryToken, limit=0.2)) for _ in range(8)]
        done = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(one) for one in done} == {Failed}


async def test_a_stopped_one_is_a_hanging_one() -> None:
    """And it is ended for good, as only SIGKILL can."""
    async with worker(READY + "while True: token(heard())") as libraries:
        assert await ask(libraries) == "t"
        pid = process(libraries)
        os.kill(pid, signal.SIGSTOP)
        assert (await failure_of(libraries, limit=0.1)).code is Code.HELPER_FAILED
        await until_ended(pid)
        assert await ask(libraries) == "t"


async def test_a_caller_that_leaves_does_not_disturb_others() -> None:
    """The answer to its question comes all the same, and is not taken for one that nobody asked."""
    async with worker(
        READY + "first = heard()\nother = heard()\ntoken(first)\ntoken(other, 'other')\nheard()"
    ) as libraries:
        leaving = asyncio.ensure_future(ask(libraries))
        while libraries.pid is None:
            await pause()
        leaving.cancel()
        await asyncio.wait([leaving])
        assert await ask(libraries) == "other"


async def test_build_actions_have_half_of_the_slots() -> None:
    """A person is answered while theirs hang."""
    code = READY + "while True:\n    call = heard()\n    if call.question.scopes == ('mine',): token(call, 'mine')\n"
    async with worker(code) as libraries:
        terms = under_way.set(FixedTerms(for_actions=True))
        theirs = [asyncio.ensure_future(ask(libraries, limit=0.5)) for _ in range(20)]
        under_way.reset(terms)
        await settle()
        assert await ask(libraries, GoogleToken(("mine",))) == "mine"
        for one in theirs:
            one.cancel()
        await asyncio.gather(*theirs, return_exceptions=True)


async def test_it_is_reported_with_its_calls_its_memory_and_how_often_it_was_replaced() -> None:
    """A worker that dies, and one that hangs, count once each, however many waited for it."""
    code = (
        READY
        + """
while True:
    call = heard()
    if call.question.scopes == ('die',): os._exit(1)
    if call.question.scopes != ('hang',): token(call)
"""
    )
    async with worker(code) as libraries:
        before = libraries.report()
        assert (before.state, before.pid, before.calls, before.restarts) == ("not started", None, 0, 0)
        assert before.installed == tuple(library.extra for library in LIBRARIES)
        assert before.missing == ()
        await ask(libraries)
        running = libraries.report()
        assert (running.state, running.pid, running.calls, running.restarts) == ("running", libraries.pid, 1, 0)
        assert running.memory_bytes > 1 << 20 or sys.platform != "linux"
        with pytest.raises(Failed):
            await ask(libraries, GoogleToken(("die",)))  # asked of two of them
        assert libraries.report().restarts == 2
        waiting = [asyncio.ensure_future(ask(libraries, GoogleToken(("hang",)), limit=0.1)) for _ in range(3)]
        assert {type(one) for one in await asyncio.gather(*waiting, return_exceptions=True)} == {Failed}
        report = libraries.report()
        assert (report.calls, report.restarts) == (5, 3)


async def test_it_ends_when_idle_and_starts_again() -> None:
    """Memory that nobody needs is given back."""
    async with worker(READY + "while True: token(heard())", idle=0.05) as libraries:
        assert not libraries.pid
        for _ in range(2):
            assert await ask(libraries) == "t"
            pid = process(libraries)
            await until_ended(pid)
            assert not libraries.pid


@pytest.mark.skipif(sys.platform != "linux", reason="its memory is read from /proc")
@pytest.mark.parametrize(("most", "stays"), [(120, True), (1, False)])
async def test_it_ends_by_what_it_holds_and_not_by_what_the_daemon_held(most: int, *, stays: bool) -> None:
    """For a process begins with the ``ru_maxrss`` of the one that started it: a large daemon's would end after each answer."""
    own = f"import credproxy.worker.__main__ as worker; worker._MEMORY = {most} << 20; worker.main()"
    code = f"b'x' * (150 << 20)\nos.execv(sys.executable, [sys.executable, '-c', {own!r}, sys.argv[1]])"
    async with worker(code) as libraries:
        await failure_of(libraries)
        if stays:
            pid = process(libraries)
            await failure_of(libraries)
            assert libraries.pid == pid
        else:
            async with asyncio.timeout(8):
                while libraries.pid:
                    await pause()


async def test_it_sees_the_variables_of_its_libraries_and_no_others() -> None:
    """Nothing secret is on its command line; its memory cannot be read by others; there is no terminal to prompt on."""
    environ = {"GOOGLE_APPLICATION_CREDENTIALS": "/x", "PATH": os.environ["PATH"], "GH_TOKEN": "canary", "X": "canary"}
    code = """
call = heard()
try:
    open("/dev/tty").close()
    tty = "a terminal"
except OSError:
    tty = "none"
token(call, repr((sorted(os.environ), os.getsid(0) == os.getpid(), tty, os.read(0, 1), sys.argv[2:], os.getcwd())))
heard()
"""
    async with worker(READY + code, environ) as libraries:
        names, leads, tty, stdin, arguments, place = eval(await ask(libraries))
        assert set(names) - {"LC_CTYPE"} == {"GOOGLE_APPLICATION_CREDENTIALS", "PATH"}
        assert (leads, tty, stdin, arguments, place) == (True, "none", b"", [], "/")


@pytest.mark.skipif(sys.platform != "linux", reason="looks at /proc")
async def test_the_actual_one_is_not_dumped_not_read_and_holds_three_descriptors_and_its_socket() -> None:
    """Of the daemon's files it has none, and root alone may look into it."""
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ} | {"GH_TOKEN": "canary"}
    async with worker(None, environ) as libraries:
        await failure_of(libraries)
        proc = Path(f"/proc/{libraries.pid}")
        assert (proc / "environ").stat().st_uid == 0
        assert b"canary" not in (proc / "environ").read_bytes() if os.geteuid() == 0 else True
        assert b"canary" not in (proc / "cmdline").read_bytes()
        limits = {line[:25].strip(): line[25:].split() for line in (proc / "limits").read_text().splitlines()}
        assert limits["Max core file size"][:2] == ["0", "0"]
        if os.geteuid() == 0:
            places = {int(one.name): str(one.readlink()) for one in (proc / "fd").iterdir()}
            assert [places[number] for number in range(3)] == ["/dev/null"] * 3
            assert len([place for place in places.values() if not place.startswith("/")]) == 1


async def test_a_library_that_dies_of_a_bug_is_reported_by_type_and_place_alone(tmp_path: Path) -> None:
    """Its text may hold a secret: here the file of credentials does, and what it has in a wrong place is quoted by the library."""
    path = tmp_path / "adc.json"
    path.write_text('{"type": "authorized_user", "client_id": 1, "client_secret": {}, "refresh_token": ["canary"]}')
    async with worker(None) as libraries:
        with pytest.raises(Failed) as caught:
            await ask(libraries, GoogleToken(("s",), str(path), "http://canary:canary@127.0.0.1:1"))
        assert "canary" not in repr(caught.value.failure)


async def test_a_token_of_google_comes_through_it(tmp_path: Path) -> None:
    """The whole way, with the library itself as the client."""
    with TokenServer() as server:
        path = server.service_account(tmp_path)
        async with worker(None) as libraries:
            found = await libraries.ask(GoogleToken(("a", "b"), path), LibraryToken)
            assert (found.token, found.account) == ("canary-google", "build@corp.test")
            assert "canary" not in repr(found)
            many = await asyncio.gather(*(ask(libraries, GoogleToken(("a", "b"), path)) for _ in range(20)))
            assert set(many) == {"canary-google"}


async def test_what_a_library_makes_of_an_odd_answer_is_no_bug_of_ours(tmp_path: Path) -> None:
    """It raises anything: here a TypeError, for a number that is a list; the worker goes on."""
    with TokenServer() as server:
        path = server.service_account(tmp_path)
        async with worker(None) as libraries:
            server.replies["/token"] = (200, {"access_token": "canary", "expires_in": ["canary"]})
            with pytest.raises(Failed) as caught:
                await ask(libraries, GoogleToken(("s",), path))
            failure = caught.value.failure
            assert failure.code is Code.BAD_TOKEN
            said = "google-auth cannot make anything of what it was answered (TypeError at google/"
            assert failure.message.startswith(said)
            assert "canary" not in repr(failure)
            by_hand = "see whether it works by hand: gcloud auth application-default print-access-token"
            assert filled(failure.hint, by_hand) == ()
            for odd in (
                5,
                ["canary"],
                "\ud800",
                10**400,
            ):  # what the daemon does not understand, or nothing can be written of
                server.granting(odd)  # type: ignore[arg-type]  # what no server should give
                with pytest.raises(Failed) as caught:
                    await ask(libraries, GoogleToken(("s",), path))
                assert caught.value.failure.code in {Code.BAD_TOKEN, Code.BAD_CREDENTIALS}
            assert libraries.restarts == 0


async def test_the_machines_own_service_account_is_asked_of_its_metadata_server() -> None:
    """Which a variable names here; one that is not there is told at once, and not after the library's three tries."""
    with TokenServer() as server:
        place = "/computeMetadata/v1/instance/service-accounts/default"
        server.replies |= {
            f"{place}/": (200, {"email": "vm@corp.test", "scopes": ["s"], "aliases": ["default"]}),
            f"{place}/token": (200, {"access_token": "canary-metadata", "expires_in": 3599, "token_type": "Bearer"}),
        }
        environ = {"GCE_METADATA_HOST": server.place, "GCE_METADATA_IP": server.place, "PATH": os.environ["PATH"]}
        async with worker(None, environ) as libraries:
            question = GoogleToken(("https://www.googleapis.com/auth/devstorage.read_only",))
            assert await ask(libraries, question) == "canary-metadata"
            assert any(path.startswith(f"{place}/token?scopes=") for _, path, _ in server.asked)
            server.replies[f"{place}/token"] = (404, {"error": "canary"})
            with pytest.raises(Failed) as caught:
                await ask(libraries, question)
            assert "canary" not in repr(caught.value.failure)
            assert "this machine's service account" in caught.value.failure.message


async def test_nothing_of_it_is_logged(capfd: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Neither by the library, nor by what is said of the worker."""
    with TokenServer() as server:
        server.granting("canary")
        path = server.service_account(tmp_path)
        async with worker(None) as libraries:
            assert await ask(libraries, GoogleToken(("s",), path)) == "canary"
            server.replies["/token"] = (400, {"error": "invalid_grant", "error_description": "canary"})
            with pytest.raises(Failed) as caught:
                await ask(libraries, GoogleToken(("s",), path))
            assert "canary" not in repr(caught.value.failure)
    assert "canary" not in "".join(capfd.readouterr())


def test_a_library_that_is_missing_is_reported_with_the_command_that_brings_it() -> None:
    """Without importing anything of it."""
    libraries = WorkerLibraries({})
    assert libraries.lacks(GOOGLE) == ""
    missing = Library("google", {"": "nowhere.auth"}, {"": "nowhere>=1"})
    assert libraries.lacks(missing) == f"'nowhere.auth' is not installed: {own_copy().adding('nowhere>=1')}"
    assert not is_installed("google.nowhere")


def test_by_hand_it_says_what_it_can_import() -> None:
    """The command that a hint names, without the daemon's socket."""
    done = subprocess.run(PYTHON, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"{library.module(sys.platform)}: fine" for library in LIBRARIES]


def test_the_daemon_imports_nothing_of_them() -> None:
    """Its memory and its start are as without them."""
    code = "import sys, credproxy.daemon; print(sorted(name for name in sys.modules if name.startswith(('google.', 'botocore', 'azure.'))))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert LIBRARIES
