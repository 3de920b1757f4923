"""The connection: judged at accept, bounded in number, and errors in our own words."""

import asyncio
import contextlib
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import structlog
from aiohttp import web

from credproxy.server.listener import Bound
from credproxy.server.namespaces import namespaces, program
from credproxy.server.peer import Gate
from credproxy.server.protocol import GatedServer, Handler
from credproxy.server.responses import text_response
from credproxy.server.routes import Route, Routes, connection
from tests.fakes import FakeAudit, settle


CANARY = "canary-4711"


@contextlib.asynccontextmanager
async def serving(
    bound: Bound,
    handler: Handler,
    *,
    limit: int = 8,
    gate: Gate | None = None,
    lifelines: int = 8,
    audit: FakeAudit | None = None,
) -> AsyncIterator[GatedServer]:
    """Serve ``handler`` on that socket."""
    server = GatedServer(
        handler, gate=gate or Gate(uid=os.getuid()), limit=limit, lifelines=lifelines, audit=audit or FakeAudit()
    )
    listening = await asyncio.get_running_loop().create_unix_server(server, sock=bound.sock, backlog=64)
    try:
        yield server
    finally:
        listening.close()
        server.pre_shutdown()
        await server.shutdown(1.0)


async def talk(bound: Bound, request: bytes) -> bytes:
    """Send raw bytes, read to the end."""
    reader, writer = await asyncio.open_unix_connection(str(bound.path))
    writer.write(request)
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


GET = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


async def fine(request: web.BaseRequest) -> web.Response:
    """Answer ok."""
    del request
    return text_response("ok\n")


FINE: tuple[Route[None], ...] = (Route("GET", "/", lambda _, request: fine(request)),)


async def broken(request: web.BaseRequest) -> web.StreamResponse:
    """Fail as a bug would, with a secret in the text."""
    raise RuntimeError(CANARY + request.path)


async def test_an_answer_names_no_versions(bound: Bound) -> None:
    """T19: neither aiohttp's version nor Python's."""
    async with serving(bound, fine):
        answer = await talk(bound, GET)
    assert answer.startswith(b"HTTP/1.1 200")
    assert b"Server: credproxy\r\n" in answer


async def test_a_bug_is_answered_without_its_text_and_logged_with_its_place(bound: Bound) -> None:
    """PY17: class and place are enough to find it, and the text may hold what the client sent."""
    async with serving(bound, broken):
        with structlog.testing.capture_logs() as events:
            answer = await talk(bound, GET)
    assert answer.startswith(b"HTTP/1.1 500")
    assert b'"code":"internal"' in answer
    assert CANARY not in answer.decode() + str(events)
    assert [(event["event"], event["error"]) for event in events] == [("request handler failed", "RuntimeError")]
    assert str(events[0]["place"]).startswith("broken:")


@pytest.mark.parametrize("error", [MemoryError(CANARY), RuntimeError("can't start new thread")], ids=["data", "stack"])
async def test_an_answer_without_memory_for_it_is_503(bound: Bound, error: Exception) -> None:
    """C6: It is not a bug, holders of memory are asked to free it, and asking again makes sense."""

    async def starved(request: web.BaseRequest) -> web.StreamResponse:
        del request
        raise error

    short: list[str] = []
    async with serving(bound, starved) as server:
        server.short = lambda: short.append("short")
        answer = await talk(bound, GET)
    assert answer.startswith(b"HTTP/1.1 503")
    assert b'"code":"overloaded"' in answer
    assert short == ["short"]


async def test_bytes_that_are_not_http_get_an_answer_that_quotes_none_of_them(bound: Bound) -> None:
    """PY12: aiohttp's own answer would repeat the line."""
    async with serving(bound, fine):
        answer = await talk(bound, CANARY.encode() + b"\r\n\r\n")
    assert answer.startswith(b"HTTP/1.0 400")
    assert CANARY.encode() not in answer


async def test_connections_above_the_limit_are_dropped_and_the_others_served(bound: Bound) -> None:
    """PY10: the cap is far below the descriptor limit, and a place is given back when its holder leaves."""
    async with serving(bound, fine, limit=2) as server:
        held = [await asyncio.open_unix_connection(str(bound.path)) for _ in range(2)]
        await settle()
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            assert await talk(bound, GET) == b""
        assert server.dropped == 1
        for _, writer in held:
            writer.close()
            await writer.wait_closed()
        await settle()
        assert server.open == 0
        assert (await talk(bound, GET)).startswith(b"HTTP/1.1 200")


async def test_the_handler_is_not_asked_for_a_refused_peer(bound: Bound) -> None:
    """T7: the verdict exists before the first byte; the handler only uses it for the answer."""
    seen: list[object] = []

    async def look(request: web.BaseRequest) -> web.StreamResponse:
        seen.append(connection(request).refusal())
        return text_response("")

    async with serving(bound, look) as server:
        server.gate = Gate(uid=1)
        await talk(bound, GET)
        server.gate = Gate(uid=os.getuid())
        await talk(bound, GET)
    assert seen[0] is not None
    assert seen[1] is None


async def told(program: str, bound: Bound, how: str) -> tuple[str, str]:
    """The output of another process that connects there, and its errors."""
    words = [sys.executable, "-c", program, str(bound.path), how]
    done = await asyncio.to_thread(subprocess.run, words, capture_output=True, text=True, check=False, timeout=8)
    return done.stdout, done.stderr


INHERITS = """
import os, select, socket, sys
talk = socket.socket(socket.AF_UNIX)
talk.connect(sys.argv[1])
def ask():
    talk.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    return talk.recv(4096)
if sys.argv[2] == "asks first":
    print(ask().split()[1].decode(), flush=True)
connector = os.pidfd_open(os.getpid())
if os.fork():
    sys.exit()
ended = select.poll()
ended.register(connector, select.POLLIN)
assert ended.poll(10_000)
answer = ask()
early = sys.argv[2] == "asks nothing" and b"namespaces cannot be read" in answer
print(answer.split()[1].decode(), early or b"the process that connected has ended" in answer, talk.recv(1) == b"")
"""
"""Leaves its connection to a child and exits; the child continues to ask. SPIRE's grandchild trick.

A process without a question may have ended before its connection was accepted: then it cannot be read.
"""


@pytest.mark.skipif(sys.platform != "linux", reason="a pidfd is Linux's")
@pytest.mark.parametrize(
    ("how", "printed"), [("asks first", "200\n403 True True\n"), ("asks nothing", "403 True True\n")]
)
async def test_inherited_fd_refused_after_connector_exit(bound: Bound, how: str, printed: str) -> None:
    """T9: the process judged at accept has ended, and its child may be anything; the connection ends with it."""
    handle = Routes("helper", None, table=FINE).handle
    gate = Gate(os.getuid(), namespaces=namespaces())
    async with serving(bound, handle, gate=gate):
        assert await told(INHERITS, bound, how) == (printed, "")


ENTERS = """
import ctypes, socket, sys
talk = socket.socket(socket.AF_UNIX)
talk.connect(sys.argv[1])
def ask():
    talk.sendall(b"GET / HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
    return talk.recv(4096)
if sys.argv[2] == "asks first":
    print(ask().split()[1].decode())
assert ctypes.CDLL(None, use_errno=True).unshare(0x10020000) == 0, ctypes.get_errno()  # CLONE_NEWUSER | CLONE_NEWNS
answer = ask()
print(answer.split()[1].decode(), b"namespaces than the daemon's (user, mnt)" in answer or b"cannot be read" in answer)
"""
"""Connects outside, enters namespaces of its own, and asks on."""


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
@pytest.mark.parametrize(
    ("how", "pause", "printed"),
    [
        ("asks first", 0.0, "200\n403 True\n"),
        ("asks nothing", 0.0, "403 True\n"),
        ("asks first", 3600.0, "200\n200 False\n"),
    ],
)
async def test_a_connection_is_refused_once_its_process_has_entered_a_sandbox(
    bound: Bound, sandbox: tuple[str, ...], how: str, pause: float, printed: str
) -> None:
    """T11: the namespaces at connect only count until a pause; without one they are not read again."""
    del sandbox  # skips where this user gets no namespaces
    handle = Routes("helper", None, table=FINE).handle
    async with serving(bound, handle, gate=Gate(os.getuid(), namespaces=namespaces())) as server:
        server.pause = pause
        assert await told(ENTERS, bound, how) == (printed, "")


def descriptors() -> int:
    """Open files of this process."""
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


TWICE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n" + GET


@pytest.mark.skipif(sys.platform != "linux", reason="a pidfd is Linux's")
async def test_connections_above_the_share_of_lifelines_are_answered_once(bound: Bound) -> None:
    """T9: PY10: a lifeline is a second descriptor; without one there must be no later request to judge."""
    handle = Routes("helper", None, table=FINE).handle
    before = descriptors()
    async with serving(bound, handle, gate=Gate(os.getuid(), namespaces=namespaces()), lifelines=1) as server:
        assert (await talk(bound, TWICE)).count(b"200 OK") == 2
        held = await asyncio.open_unix_connection(str(bound.path))
        await settle()
        assert server.held == 1
        assert (await talk(bound, TWICE)).count(b"200 OK") == 1
        held[1].close()
        await held[1].wait_closed()
        await settle()
        assert server.held == 0
        assert (await talk(bound, TWICE)).count(b"200 OK") == 2
    await settle()
    assert descriptors() == before - 1, "not only the listener was closed"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
@pytest.mark.parametrize("where", [True, False], ids=["helper socket", "actions socket"])
async def test_a_peers_program_is_looked_up_only_for_the_audit_log(bound: Bound, *, where: bool) -> None:
    """R28: It costs a system call, and nothing else needs it; no lifeline is kept for it, and no connection is cut."""
    seen: list[str] = []

    async def look(request: web.BaseRequest) -> web.Response:
        seen.append(connection(request).peer.program)
        return text_response("")

    gate = Gate(os.getuid(), namespaces=namespaces() if where else None)
    audit = FakeAudit()
    async with serving(bound, look, gate=gate, lifelines=8 if where else 0, audit=audit):
        await talk(bound, GET)
        audit.on = True
        assert (await talk(bound, TWICE)).count(b"200 OK") == 2
    assert seen == ["", program(os.getpid()), program(os.getpid())]
