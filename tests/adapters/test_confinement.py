"""A process that confined itself, tested from inside: each test starts one."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from credproxy.adapters.confinement import PRELOAD, landlock_version
from credproxy.adapters.seccomp import filtered


BEGIN = """
import ctypes, importlib, json, os, socket, sys
from credproxy.adapters.confinement import PRELOAD, confine
for name in PRELOAD:
    importlib.import_module(name)
def tried(what):
    try:
        what()
    except BaseException as error:
        return type(error).__name__
    return "done"
os.environ.clear()
force = confine(parent=os.getppid(), descriptors=64, memory=256 << 20, written=0)
"""
needs_landlock = pytest.mark.skipif(
    landlock_version() < 1, reason="this kernel has no Landlock (>= 5.13, lsm=landlock)"
)


def inside(code: str, begin: str = BEGIN) -> object:
    """What a confined process prints, as JSON."""
    done = subprocess.run([sys.executable, "-c", begin + code], capture_output=True, text=True, check=False, timeout=9)
    assert done.returncode == 0, done.stderr
    found: object = json.loads(done.stdout)
    return found


@needs_landlock
def test_no_file_is_opened_executed_made_or_removed(tmp_path: Path) -> None:
    """An import opens a file, too; what was open before keeps working."""
    (tmp_path / "here").write_text("x")
    here, new = str(tmp_path / "here"), str(tmp_path / "new")
    said = inside(
        f"""
print(json.dumps([
    tried(lambda: open({here!r})), tried(lambda: open({new!r}, "w")), tried(lambda: os.unlink({here!r})),
    tried(lambda: os.mkdir({new!r})), tried(lambda: os.listdir("/")), tried(lambda: os.truncate({here!r}, 0)),
    tried(lambda: os.execv("/bin/sh", ["sh", "-c", "echo"])), tried(lambda: os.rename({here!r}, {new!r})),
    tried(lambda: open("/proc/self/mem", "rb")),
]))"""
    )
    assert said == ["PermissionError"] * 9
    assert (tmp_path / "here").read_text() == "x"


@pytest.mark.skipif(
    landlock_version() < 6, reason="this kernel's Landlock does not know TCP ports and scopes (>= 6.12)"
)
def test_no_port_is_bound_and_no_other_process_is_signalled() -> None:
    """Connecting by TCP stays possible: it is the purpose of the process."""
    said = inside(
        """
bound = tried(lambda: socket.socket().bind(("127.0.0.1", 0)))
signalled = tried(lambda: os.kill(os.getppid(), 0))
connected = tried(lambda: socket.create_connection(("127.0.0.1", 1), 2))
print(json.dumps([bound, signalled, connected]))"""
    )
    assert said == ["PermissionError", "PermissionError", "ConnectionRefusedError"]


@pytest.mark.skipif(not filtered(), reason="there is no filter of system calls for this machine")
def test_no_socket_of_this_machine_is_reached(tmp_path: Path) -> None:
    """Those of the user's other programs have paths: the helper socket, the session bus, docker's."""
    door = tmp_path / "s"
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(door))
        listening.listen()
        said = inside(
            f"""
def connected(kind):
    made = socket.socket(socket.AF_UNIX, kind)
    made.connect({str(door)!r})
libc = ctypes.CDLL(None, use_errno=True)
print(json.dumps([
    tried(lambda: connected(socket.SOCK_STREAM)), tried(lambda: connected(socket.SOCK_DGRAM)),
    tried(lambda: socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)), tried(lambda: socket.socket(16, 3)),
    tried(socket.socketpair), tried(lambda: socket.socket(socket.AF_INET6)),
    libc.syscall(425, 8, 0), "no local sockets" in force,
]))"""
        )
    assert said == ["PermissionError"] * 4 + ["done", "done", -1, True]


@pytest.mark.skipif(sys.platform != "linux", reason="prctl and RLIMIT_DATA for mappings are Linux's")
def test_it_is_bounded_and_private() -> None:
    """Too much memory raises an exception and does not kill; no debugger, core file, new privileges or further files."""
    said = inside(
        """
import resource
libc = ctypes.CDLL(None)
print(json.dumps([
    tried(lambda: bytearray(300 << 20)), tried(lambda: [os.dup(1) for _ in range(99)]), libc.prctl(3), libc.prctl(39, 0, 0, 0, 0),
    list(resource.getrlimit(resource.RLIMIT_CORE)), list(resource.getrlimit(resource.RLIMIT_FSIZE)),
]))"""
    )
    assert said == ["MemoryError", "OSError", 0, 1, [0, 0], [0, 0]]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ("os.environ['A'] = 'canary'", "its environment is not empty"),
        (
            "import threading, time; threading.Thread(target=time.sleep, args=(9,), daemon=True).start()",
            "it has more than one thread",
        ),
        pytest.param(
            "parent = 1 << 22",
            "the process that started it has ended",
            marks=pytest.mark.skipif(sys.platform != "linux", reason="only Linux signals the death of a parent"),
        ),
    ],
)
def test_a_process_that_cannot_be_confined_says_why(change: str, why: str) -> None:
    """It must not go on; and the value of a variable is not shown."""
    begin = BEGIN.split("force =", maxsplit=1)[0]
    said = inside(
        f"""
parent = os.getppid()
{change}
try:
    confine(parent=parent, descriptors=64, memory=256 << 20, written=0)
except Exception as error:
    print(json.dumps(error.failure.message))""",
        begin,
    )
    assert said == f"this process cannot be confined: {why}"


def test_the_modules_to_preload_are_there() -> None:
    """Each can be imported by its name here, and none is listed twice."""
    assert len(set(PRELOAD)) == len(PRELOAD)
    assert inside("print(json.dumps([name for name in PRELOAD if name not in sys.modules]))") == []


def test_a_redirect_to_a_name_in_any_script_needs_no_file() -> None:
    """The library reads its table of letters from a module of its own, once the first one is outside ASCII."""
    said = inside(
        """
from credproxy.gateway.uri_reference import resolve
places = [resolve("https://reg.test/", f"https://{name}.test/").authority for name in ("b\u00fccher", "b%C3%BCcher", "\u212belf")]
print(json.dumps(places))"""
    )
    assert said == ["xn--bcher-kva.test", "xn--bcher-kva.test", "xn--elf-tla.test"]


def test_aiohttp_serves_and_fetches_without_a_file() -> None:
    """Chunked bodies, an error with its traceback, a time limit, names in IDNA, on a listener from before."""
    begin = BEGIN.replace("os.environ.clear()", "os.environ.clear(); door = socket.create_server(('127.0.0.1', 0))")
    said = inside(
        """
import asyncio, aiohttp, io, structlog, traceback
from aiohttp import web
out = io.StringIO()
log = structlog.wrap_logger(structlog.PrintLogger(out), processors=[structlog.processors.format_exc_info, structlog.processors.JSONRenderer()])
async def chunked(request):
    answer = web.StreamResponse()
    await answer.prepare(request)
    await answer.write(b"a" * 100_000)
    await answer.write(b"b")
    return answer
async def broken(request):
    try:
        raise ValueError("no")
    except ValueError as error:
        log.error("broke", exc_info=error)
    return web.json_response({}, status=502)
async def slow(request):
    await asyncio.Event().wait()
async def main():
    app = web.Application()
    app.router.add_get("/chunked", chunked); app.router.add_get("/broken", broken); app.router.add_get("/slow", slow)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.SockSite(runner, door).start()
    at = f"http://127.0.0.1:{door.getsockname()[1]}"
    async with aiohttp.ClientSession() as session:
        async with session.get(at + "/chunked") as answer:
            size = len(await answer.read())
        async with session.get(at + "/broken") as answer:
            status = answer.status
        try:
            await session.get(at + "/slow", timeout=aiohttp.ClientTimeout(total=0.2))
            late = ""
        except asyncio.TimeoutError:
            late = "late"
    await runner.cleanup()
    return [size, status, late, "b\\u00fccher.example".encode("idna").decode(), "ValueError: no" in json.loads(out.getvalue())["exception"]]
print(json.dumps(asyncio.run(main())))""",
        begin,
    )
    assert said == [100_001, 502, "late", "xn--bcher-kva.example", True]
