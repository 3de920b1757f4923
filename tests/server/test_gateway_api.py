"""The gateway's front over a real Unix socket: heads and bodies byte by byte, with a real pump if it matters."""

import asyncio
import contextlib
import json
import os
import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest
import structlog

from credproxy.adapters.pump import Pump
from credproxy.broker.broker import Broker
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.table import Table
from credproxy.core.ask.endpoint import Endpoint
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.target import Target
from credproxy.core.checksum import Checksum
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.none import NoneHost
from credproxy.core.policy.routing import Router
from credproxy.gateway.body_memory import MEMORY, WAIT, Memory
from credproxy.gateway.gateway import Gateway
from credproxy.ports.transfer import Downloads, Poured
from credproxy.server.actions_api import ActionsApi
from credproxy.server.answer_memo import Memo
from credproxy.server.broker_authorizer import BrokerAuthorizer
from credproxy.server.client_streams import IDLE
from credproxy.server.gateway_api import GatewayApi
from credproxy.server.narrow import NarrowAnswers
from credproxy.server.peer import Gate, Peer
from credproxy.server.protocol import GatedServer
from credproxy.server.sandboxes import UPLOADS_AT_ONCE, Sandboxes
from tests.adapters.scripted import Scripted, Wire, answering, raw
from tests.fakes import (
    FakeAudit,
    FakeClock,
    FakeDownloads,
    FakeForwarder,
    FakeHttp,
    FakeMetrics,
    FakeProvider,
    FakeTransfer,
    settle,
)
from tests.server.answering import InProcess


D = "sha256:" + "a" * 64
BLOB = f"/v2/a/blobs/{D}"
BODY = bytes(range(256)) * 4096
HOST = "X-Rules_img-Original-Host: reg.test"


@dataclass
class Served:
    """The actions socket under test."""

    path: Path
    server: GatedServer
    clock: FakeClock
    forwarder: FakeForwarder
    audit: FakeAudit
    memory: Memory

    @contextlib.asynccontextmanager
    async def connected(self) -> AsyncIterator["Client"]:
        """A client's connection."""
        reader, writer = await asyncio.open_unix_connection(str(self.path))
        try:
            yield Client(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def ask(self, *lines: str, body: bytes = b"") -> "Answer":
        """Send one request on a connection of its own, with its host."""
        async with self.connected() as client:
            await client.send(*lines, HOST, body=body)
            return await client.answer(head=lines[0].startswith("HEAD"))


@dataclass
class Answer:
    """A response as it came. ``whole`` is false if it ended before its announced end."""

    line: str
    headers: list[tuple[str, str]]
    body: bytes
    whole: bool

    @property
    def status(self) -> int:
        """Of the response."""
        return int(self.line.split()[1])

    def header(self, name: str) -> str | None:
        """One header."""
        return dict(self.headers).get(name)

    def error(self) -> tuple[str, str]:
        """Code and message, where it is in the specification's shape."""
        (error,) = json.loads(self.body)["errors"]
        return error["code"], error["message"]


class Client:
    """Speaks HTTP/1.1 by hand, so that nothing is corrected on the way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, *lines: str, body: bytes = b"") -> None:
        """Send a request; the first line may leave its version out."""
        first = lines[0] if " HTTP/" in lines[0] else f"{lines[0]} HTTP/1.1"
        await self.write("\r\n".join([first, "Host: localhost", *lines[1:], "", ""]).encode() + body)

    async def write(self, data: bytes) -> None:
        """Send bytes."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, head: bool = False) -> Answer:
        """Read one response."""
        line = (await self.reader.readline()).decode("latin-1")
        headers: list[tuple[str, str]] = []
        while (field := await self.reader.readline()) not in {b"\r\n", b""}:
            name, _, value = field.decode("latin-1").rstrip("\r\n").partition(": ")
            headers.append((name, value))
        known = dict(headers)
        if head or not line or line.split()[1] in {"100", "204", "304"}:
            return Answer(line.rstrip("\r\n"), headers, b"", bool(line))
        if known.get("Transfer-Encoding") == "chunked":
            return Answer(line.rstrip("\r\n"), headers, *await self._chunks())
        try:
            body = await self.reader.readexactly(int(known["Content-Length"]))
        except (asyncio.IncompleteReadError, ConnectionError) as error:
            partial = error.partial if isinstance(error, asyncio.IncompleteReadError) else b""
            return Answer(line.rstrip("\r\n"), headers, partial, whole=False)
        return Answer(line.rstrip("\r\n"), headers, body, whole=True)

    async def ended(self) -> bool:
        """Whether the server has closed, after nothing more."""
        try:
            return await self.reader.read(1) == b""
        except ConnectionError:
            return True

    async def _chunks(self) -> tuple[bytes, bool]:
        body = b""
        try:
            while length := int((await self.reader.readline()).strip() or b"-1", 16):
                if length < 0:
                    return body, False
                body += await self.reader.readexactly(length)
                await self.reader.readexactly(2)
        except (asyncio.IncompleteReadError, ConnectionError):
            return body, False
        return body, await self.reader.readexactly(2) == b"\r\n"


class Deny:
    """Denies what is called denied."""

    def permit(self, registry: str, method: str, *, path: str, endpoint: Endpoint) -> None:
        """Policy: everything but the repository ``denied``."""
        del registry, method, path
        if endpoint.repository == "denied":
            raise failed(Code.POLICY_DENIED, "no rule allows it", hint="allow it")

    def permit_object(self, target: Target, method: str) -> None:
        """Let it pass."""
        del target, method


class Sandboxed(GatedServer):
    """Every caller is in that sandbox."""

    sandbox: str | None = None

    def identify(self, sock: socket.socket) -> Peer:
        """As the kernel would tell it."""
        return replace(super().identify(sock), sandbox=self.sandbox)


@contextlib.asynccontextmanager
async def serving(
    short_path: Path,
    downloads: Downloads,
    *forwarded: Response | Failed | Callable[[Request], Response],
    rule: NoneHost | None = None,
    memory: int = MEMORY,
    sandbox: str | None = None,
    sandboxes: Sandboxes | None = None,
) -> AsyncIterator[Served]:
    """Serve the actions socket, to callers in that sandbox."""
    clock = FakeClock()
    held = Memory(clock, memory)
    provider = FakeProvider(clock)
    rules = () if rule is None else (rule,)
    table = Table(Router(rules), {one.match: provider for one in rules}, fallback=[provider])
    upstream = RepeatingClient(FakeHttp(), clock=clock, sample=lambda: 0.5)
    broker = Broker(table, clock=clock, sample=lambda: 0.5, metrics=FakeMetrics(), upstream=upstream)
    forwarder, audit = FakeForwarder(clock, list(forwarded)), FakeAudit()
    gateway = Gateway(
        authorizer=BrokerAuthorizer(broker, Deny(), audit=audit),
        forwarder=forwarder,
        downloads=downloads,
        clock=clock,
        token=lambda: "id1",
    )
    refused: Counter[str] = Counter()
    api = ActionsApi(
        answers=InProcess(NarrowAnswers(broker=broker, memo=Memo(audit), grants=lambda _: ())),
        clock=clock,
        gateway=GatewayApi(gateway, clock=clock, refused=refused, memory=held),
        sandboxes=sandboxes or Sandboxes(clock),
        refused=refused,
    )
    server = Sandboxed(api.handle, gate=Gate(uid=os.getuid()), limit=64, lifelines=0, audit=audit, abandoned=True)
    server.sandbox = sandbox
    path = short_path / "s"
    async with broker:
        listening = await asyncio.get_running_loop().create_unix_server(server, str(path))
        try:
            yield Served(path, server, clock, forwarder, audit, held)
        finally:
            listening.close()
            server.pre_shutdown()
            await server.shutdown(1.0)
            await settle()
            assert server.open == 0
            assert held.free == memory


def fake(*steps: FakeTransfer | Failed) -> FakeDownloads:
    """Downloads that give these, or nothing."""
    return FakeDownloads(list(steps))


def response(status: int, body: bytes = b"", *headers: tuple[str, str]) -> Response:
    """A registry's whole answer."""
    return Response(status, headers, body, 0.0, 0.0)


@contextlib.asynccontextmanager
async def pumping(short_path: Path, server: Scripted, *, stalled: float = 5.0) -> AsyncIterator[tuple[Served, Pump]]:
    """Serve the actions socket in front of a registry that is scripted, with the real pump between."""
    host = f"127.0.0.1:{server.port}"
    async with (
        Pump(stalled=stalled) as pump,
        serving(short_path, pump, rule=NoneHost(match=host, insecure=True)) as served,
    ):
        yield served, pump
        await until(lambda: pump.running == 0)


def lines(server: Scripted, *more: str, target: str = BLOB) -> tuple[str, ...]:
    """A GET of a blob of the scripted registry."""
    return (f"GET {target}", f"X-Rules_img-Original-Host: 127.0.0.1:{server.port}", *more)


async def until(reached: Callable[[], bool]) -> None:
    """Wait for threads and sockets, which are real here."""
    for _ in range(1000):
        if reached():
            return
        await asyncio.to_thread(lambda: None)
        await asyncio.sleep(0.005)  # noqa: TID251  threads and sockets are real here
    message = "it did not come to that"
    raise AssertionError(message)


async def test_a_head_byte_by_byte(short_path: Path) -> None:
    """T19: permitted fields, the gateway's own, the date, and no version."""
    headers = (("Content-Type", "a/b"), ("ETag", '"x"'), ("Server", "nginx/1.2.3"), ("Set-Cookie", "x"))
    async with serving(short_path, fake(FakeTransfer(headers=headers, body=b"hello", small=True))) as served:
        answer = await served.ask(f"GET {BLOB}")
    assert answer.line == "HTTP/1.1 200 OK"
    assert [name for name, _ in answer.headers] == ["Content-Type", "ETag", "Server", "Content-Length", "Date"]
    assert dict(answer.headers) | {"Date": ""} == {
        "Content-Type": "a/b",
        "ETag": '"x"',
        "Server": "credproxy",
        "Content-Length": "5",
        "Date": "",
    }
    assert (answer.body, answer.whole) == (b"hello", True)


@pytest.mark.parametrize("path", ["/v2", "/v2/", "/v2/?x"])
async def test_the_ping_needs_no_host_and_no_network(short_path: Path, path: str) -> None:
    """docs/design/clients.md#the-gateway."""
    async with serving(short_path, fake()) as served, served.connected() as client:
        await client.send(f"GET {path}")
        answer = await client.answer()
        assert (answer.status, answer.body) == (200, b"{}")
        assert answer.header("Docker-Distribution-API-Version") == "registry/2.0"
        assert answer.header("WWW-Authenticate") is None
        await client.send("HEAD /v2/")
        assert (await client.answer(head=True)).status == 200
        assert served.forwarder.requests == []


@pytest.mark.parametrize(
    ("line", "status", "code"),
    [
        (f"GET {BLOB}", 400, "UNSUPPORTED"),
        (f"GET /v2/denied/blobs/{D}", 400, "UNSUPPORTED"),
        ("GET /v2/_catalog", 400, "UNSUPPORTED"),
    ],
)
async def test_a_missing_host_is_reported_before_anything_else(
    short_path: Path, line: str, status: int, code: str
) -> None:
    """docs/design/clients.md#the-gateway: 400, with how to name it."""
    async with serving(short_path, fake()) as served, served.connected() as client:
        await client.send(line)
        answer = await client.answer()
    assert (answer.status, answer.error()[0]) == (status, code)
    assert "X-Rules_img-Original-Host is missing" in answer.error()[1]


async def test_refusals_are_in_the_specifications_shape_and_in_the_log(short_path: Path) -> None:
    """Policy, a path that is none, a method; what is logged holds no query."""
    async with serving(short_path, fake()) as served:
        with structlog.testing.capture_logs() as events:
            answers = [
                await served.ask(f"GET /v2/denied/blobs/{D}"),
                await served.ask("GET /v2/_catalog"),
                await served.ask(f"PUT {BLOB}"),
                await served.ask(f"GET {BLOB}?canary=canary"),
            ]
    assert [answer.status for answer in answers] == [403, 404, 405, 400]
    assert answers[0].error() == ("DENIED", "no rule allows it; allow it (policy_denied)")
    refused = [event for event in events if event["event"] == "gateway refused"]
    assert [event["code"] for event in refused] == ["policy_denied", "not_found", "method_not_allowed", "bad_request"]
    assert "canary" not in str(refused[:3]) + str(refused[3]["path"])


async def test_what_a_registry_refuses_is_said_of_it_and_what_it_has_not_is_ordinary(short_path: Path) -> None:
    """A build sends a HEAD for each blob that it pushes: "not there" is an answer like any other."""
    steps = fake(FakeTransfer(404, small=True), FakeTransfer(403, small=True))
    async with serving(short_path, steps, response(404), response(200), response(403)) as served:
        with structlog.testing.capture_logs() as events:
            statuses = [
                (await served.ask(f"GET {BLOB}")).status,
                (await served.ask(f"HEAD {BLOB}")).status,
                (await served.ask("HEAD /v2/a/manifests/x")).status,
                (await served.ask(f"GET {BLOB}")).status,
                (await served.ask("GET /v2/a/manifests/x")).status,
                (await served.ask("DELETE /v2/a/manifests/x")).status,
            ]
    assert statuses == [404, 404, 200, 403, 403, 403]
    told = [event for event in events if event["event"] in {"gateway refused", "upstream refused", "client left"}]
    assert [(event["event"], event["method"], event["code"]) for event in told] == [
        ("upstream refused", "GET", "denied"),
        ("upstream refused", "GET", "denied"),
        ("upstream refused", "DELETE", "denied"),
    ]


async def test_head_has_the_length_and_no_body(short_path: Path) -> None:
    """And the connection goes on; a blob's length is its registry's, a refusal's that of its text."""
    known = response(200, b"", ("Content-Length", "123456789"), ("Docker-Content-Digest", D))
    async with serving(short_path, fake(), known) as served, served.connected() as client:
        for target in (BLOB, BLOB, "/v2/a/manifests/x"):
            await client.send(f"HEAD {target}", HOST)
            answer = await client.answer(head=True)
            assert (answer.status, answer.header("Content-Length")) == (200, "123456789")
        await client.send(f"HEAD /v2/denied/blobs/{D}", HOST)
        answer = await client.answer(head=True)
        assert (answer.status, answer.header("Warning")) == (404, '299 - "no rule allows it; allow it (policy_denied)"')
        assert int(answer.header("Content-Length") or 0) > 0
        await client.send("GET /v2/")
        assert (await client.answer()).body == b"{}"


async def test_304_has_neither(short_path: Path) -> None:
    """Nor does the connection wait for one."""
    not_modified = FakeTransfer(304, (("ETag", '"x"'),), small=True)
    async with serving(short_path, fake(not_modified)) as served, served.connected() as client:
        for _ in range(2):
            await client.send(f"GET {BLOB}", HOST, 'If-None-Match: "x"')
            answer = await client.answer()
            assert (answer.status, answer.header("ETag")) == (304, '"x"')


async def test_a_poured_body_and_what_comes_after_it(short_path: Path) -> None:
    """The pump writes past aiohttp, which still answers the next requests on the same connection."""
    with Scripted(answering(BODY)) as registry:
        async with pumping(short_path, registry) as (served, _), served.connected() as client:
            for _ in range(2):
                await client.send(*lines(registry))
                answer = await client.answer()
                assert (answer.header("Content-Length"), answer.whole) == (str(len(BODY)), True)
                assert answer.body == BODY
                await client.send("GET /v2/")
                assert (await client.answer()).body == b"{}"
    assert registry.connections == 1


async def test_requests_that_are_pipelined_while_a_body_is_poured(short_path: Path) -> None:
    """T16: their answers come after it, in order, and not in between."""
    with Scripted(answering(BODY)) as registry:
        async with pumping(short_path, registry) as (served, _), served.connected() as client:
            for _ in range(3):
                await client.send(*lines(registry))
                await client.send("GET /v2/")
            for _ in range(3):
                assert (await client.answer()).body == BODY
                assert (await client.answer()).body == b"{}"


async def test_garbage_while_a_body_is_poured(short_path: Path) -> None:
    """The error for them comes behind the body, and closes."""
    with Scripted(answering(BODY)) as registry:
        async with pumping(short_path, registry) as (served, _), served.connected() as client:
            await client.send(*lines(registry))
            await until(lambda: len(registry.heads) == 1)
            await client.write(b"\x00\x01nonsense\r\n\r\n")
            assert (await client.answer()).body == BODY
            assert (await client.answer()).status == 400
            assert await client.ended()


async def test_the_answers_before_a_body_come_before_it(short_path: Path) -> None:
    """A client that is slow to read: what aiohttp has not written yet is not overtaken by what the pump writes."""
    manifest = response(200, b"m" * 3_000_000)
    with Scripted(answering(BODY)) as registry:
        rule = NoneHost(match=f"127.0.0.1:{registry.port}", insecure=True)
        async with (
            Pump() as pump,
            serving(short_path, pump, manifest, rule=rule) as served,
            served.connected() as client,
        ):
            await client.send(*lines(registry, target="/v2/a/manifests/x"))
            await client.send(*lines(registry))
            await asyncio.sleep(0.05)  # noqa: TID251  until its socket is full
            assert (await client.answer()).body == b"m" * 3_000_000
            assert (await client.answer()).body == BODY


async def test_a_client_that_does_not_read_cannot_begin_downloads(short_path: Path) -> None:
    """T16: a blob after unread answers is not requested; after half a minute the connection is closed."""
    downloads = fake()
    async with serving(short_path, downloads, response(200, b"m" * 20_000)) as served, served.connected() as client:
        served.server.outgoing.piece_seconds = 2.0
        transport = await _transport(served)
        while not transport.get_write_buffer_size():  # until the kernel takes no more
            await client.send("GET /v2/a/manifests/x", HOST)
            await settle(50)
        await client.send(f"GET {BLOB}", HOST)
        await settle(50)
        assert served.server.outgoing.unread.held == transport.get_write_buffer_size() <= 21_000
        await until(lambda: served.server.open == 0)
        assert served.server.outgoing.unread.held == 0
        assert downloads.opened == []


async def _transport(served: Served) -> asyncio.Transport:
    """The server's end of the one connection."""
    await until(lambda: len(served.server.connections) == 1)
    (connection,) = served.server.connections
    assert connection.transport is not None
    return connection.transport


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_short_body_is_seen_to_be_short(short_path: Path, how: str) -> None:
    """U15, T16: the length is not met, the connection ends, and aiohttp does not append a 500."""

    def part(wire: Wire) -> None:
        if server.connections == 1:
            wire.head()
            wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n", BODY[:300_000])
        if how == "reset":
            wire.reset()

    with structlog.testing.capture_logs() as events, Scripted(part) as server:
        async with pumping(short_path, server) as (served, _), served.connected() as client:
            await client.send(*lines(server))
            reading = asyncio.ensure_future(client.answer())
            while not reading.done():
                await served.clock.advance(0.5)
                await asyncio.sleep(0.005)  # noqa: TID251  threads and sockets are real here
            answer = reading.result()
            assert not answer.whole
            assert BODY.startswith(answer.body)
            assert await client.ended()
    broke = [event for event in events if event["event"] == "blob broke off"]
    assert [event["code"] for event in broke] == ["upstream_unavailable"]
    assert not [event for event in events if event["log_level"] == "error"]


async def test_a_body_without_a_length_that_breaks_off_has_no_last_chunk(short_path: Path) -> None:
    """U15: So that a client knows."""
    downloads = fake(FakeTransfer(body=b"hello world", announced=False, cut=8))
    async with serving(short_path, downloads) as served, served.connected() as client:
        await client.send(f"GET {BLOB}", HOST)
        answer = await client.answer()
        assert answer.header("Transfer-Encoding") == "chunked"
        assert (answer.body, answer.whole) == (b"hello wo", False)
        assert await client.ended()


async def test_a_body_without_a_length(short_path: Path) -> None:
    """In chunks, to its end, and the connection goes on."""
    downloads = fake(FakeTransfer(body=b"hello world", announced=False))
    async with serving(short_path, downloads) as served, served.connected() as client:
        for _ in range(2):
            await client.send(f"GET {BLOB}", HOST)
            answer = await client.answer()
            assert (answer.body, answer.whole) == (b"hello world", True)


class Coarse(FakeTransfer):
    """Gives large pieces."""

    async def read(self) -> bytes:
        """Give up to 64 KiB."""
        piece = self.body[self.at : min(self.at + 65536, self.cut or len(self.body))]
        self.at += len(piece)
        return piece


class Buggy(FakeTransfer):
    """Fails as a bug would, in the middle of a body."""

    async def read(self) -> bytes:
        """Give one piece."""
        if self.at:
            raise RuntimeError("canary")
        return await super().read()


async def test_a_bug_in_the_middle_of_a_body_aborts_it(short_path: Path) -> None:
    """PY17: class and place in the log, and nothing appended to the body."""
    with structlog.testing.capture_logs() as events:
        async with (
            serving(short_path, fake(Buggy(body=b"hello", announced=False))) as served,
            served.connected() as client,
        ):
            await client.send(f"GET {BLOB}", HOST)
            answer = await client.answer()
            assert (answer.body, answer.whole) == (b"hell", False)
            assert await client.ended()
    assert [event["error"] for event in events if event["log_level"] == "error"] == ["RuntimeError"]
    assert "canary" not in str(events)


@pytest.mark.parametrize("when", ["in a head", "in a body"])
async def test_a_client_that_leaves_ends_its_download(short_path: Path, when: str) -> None:
    """P8, PY13: at once, also while the registry is silent; it is not an error."""

    def silent(wire: Wire) -> None:
        wire.head()
        if when == "in a body":
            wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n", BODY[:100])
        wire.stall()

    with structlog.testing.capture_logs() as events, Scripted(silent) as server:
        async with pumping(short_path, server, stalled=60) as (served, pump):
            async with served.connected() as client:
                await client.send(*lines(server))
                await until(lambda: len(server.heads) == 1)
                await asyncio.sleep(0.05)  # noqa: TID251  until the pump waits
            await until(lambda: pump.running == 0)
            await until(lambda: served.server.open == 0)
    assert not [event for event in events if event["log_level"] in {"warning", "error"}]
    assert [event["event"] for event in events if event["event"] == "client left"] == ["client left"] * (
        when == "in a body"
    )


async def test_the_end_of_the_server_ends_what_streams(short_path: Path) -> None:
    """P5: within its grace, while a registry stalls; the client sees that its body is short."""

    def silent(wire: Wire) -> None:
        wire.head()
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n", BODY[:100])
        wire.stall()

    with Scripted(silent) as server:
        async with pumping(short_path, server, stalled=60) as (served, pump), served.connected() as client:
            await client.send(*lines(server))
            await until(lambda: len(server.heads) == 1)
            await served.server.shutdown(0.05)
            await until(lambda: pump.running == 0)
            assert not (await client.answer()).whole


async def test_the_absolute_form_is_refused(short_path: Path) -> None:
    """PY14: the host would be ambiguous. Nothing is sent upstream."""
    async with serving(short_path, fake(), response(200)) as served:
        answer = await served.ask("GET http://evil.test/v2/a/manifests/x")
        assert answer.status == 404
        answer = await served.ask("GET http://evil.test/v2/")
        assert answer.status == 404
        assert served.forwarder.requests == []


@pytest.mark.parametrize("path", ["/v2x", "//v2/", "/V2/", "/v1/../v2/a/manifests/x", "/%762/", "/v2%2Fa/manifests/x"])
async def test_what_looks_like_the_gateway_and_is_not(short_path: Path, path: str) -> None:
    """T2: 404 of the socket's own, which says what socket it is and what it has."""
    async with serving(short_path, fake(), response(200)) as served:
        answer = await served.ask(f"GET {path}")
        assert answer.status == 404
        assert b'"the actions socket has nothing at this path","hint":"it has /v1/get, /healthz"' in answer.body
        assert served.forwarder.requests == []


@pytest.mark.parametrize("more", [(), ("Connection: keep-alive",)])
@pytest.mark.parametrize("target", [BLOB, "/v2/a/tags/list"])
async def test_http_1_0_gets_no_body_whose_end_it_could_not_tell(
    short_path: Path, target: str, more: tuple[str, ...]
) -> None:
    """Without chunks a body that was cut would look whole: refused before its first byte, and its download is closed."""
    downloads = fake(FakeTransfer(body=b"x" * 300_000, announced=False, cut=200_000))
    downloads.steps = [lambda _: Coarse(body=b"x" * 300_000, announced=False, cut=200_000)]
    async with serving(short_path, downloads) as served, served.connected() as client:
        await client.send(f"GET {target} HTTP/1.0", HOST, *more)
        answer = await client.answer()
        assert (answer.status, answer.error()[0], answer.whole) == (400, "UNSUPPORTED", True)
        assert "HTTP/1.1" in answer.error()[1]
        assert answer.header("Transfer-Encoding") is None
        assert [transfer.closed for transfer in downloads.opened] == [True]


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_small_list_without_a_length_has_one_for_every_client(short_path: Path, version: str) -> None:
    """It is read to its end first."""
    downloads = fake(FakeTransfer(body=b'{"tags":[]}', announced=False))
    async with serving(short_path, downloads) as served, served.connected() as client:
        await client.send(f"GET /v2/a/tags/list HTTP/{version}", HOST)
        answer = await client.answer()
        assert (answer.status, answer.body, answer.header("Content-Length")) == (200, b'{"tags":[]}', "11")


async def test_a_body_without_a_length_is_chunked_although_the_connection_closes(short_path: Path) -> None:
    """HTTP/1.1 with ``Connection: close``: a body that breaks off has no last chunk."""
    downloads = fake(FakeTransfer(body=b"hello world", announced=False, cut=8))
    async with serving(short_path, downloads) as served, served.connected() as client:
        await client.send(f"GET {BLOB}", HOST, "Connection: close")
        answer = await client.answer()
        assert answer.header("Transfer-Encoding") == "chunked"
        assert (answer.body, answer.whole) == (b"hello wo", False)
        assert await client.ended()


async def test_a_head_over_http_1_0_is_answered_without_a_length(short_path: Path) -> None:
    """Where its registry gave none: it has no body that could be cut, and a length of 0 would not be true."""
    async with serving(short_path, fake(), response(200)) as served, served.connected() as client:
        await client.send(f"HEAD {BLOB} HTTP/1.0", HOST)
        answer = await client.answer(head=True)
        assert (answer.status, answer.header("Content-Length")) == (200, None)


@dataclass
class Slow(FakeTransfer):
    """Its thread has written the last byte but reports it only when it is woken."""

    woken: asyncio.Event = field(default_factory=asyncio.Event)

    async def pour(self, client: int, count: int, *, check: Checksum | None = None) -> Poured:
        """Move everything, slowly."""
        poured = await super().pour(client, count, check=check)
        await self.woken.wait()
        return poured

    def close(self) -> None:
        """Wake it."""
        super().close()
        self.woken.set()


async def test_a_client_that_took_its_whole_body_and_closed_has_not_left(short_path: Path) -> None:
    """Its end of the connection is often seen before the thread that wrote the last byte says so."""
    downloads = fake()
    downloads.steps = [lambda _: Slow(body=b"hello")]
    with structlog.testing.capture_logs() as events:
        async with serving(short_path, downloads) as served:
            async with served.connected() as client:
                await client.send(f"GET {BLOB}", HOST)
                assert (await client.answer()).body == b"hello"
            await until(lambda: served.server.open == 0)
            await settle()
    assert [event["event"] for event in events if event["event"] == "client left"] == []


async def test_a_client_that_left_just_before_the_end_has_left(short_path: Path) -> None:
    """The thread is asked what it has written, and not the connection whether it is closed."""

    def late(wire: Wire) -> None:
        wire.head()
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n", BODY[:-1])
        wire.stall()

    with structlog.testing.capture_logs() as events, Scripted(late) as registry:
        async with pumping(short_path, registry, stalled=60) as (served, pump):
            async with served.connected() as client:
                await client.send(*lines(registry))
                await client.reader.readuntil(b"\r\n\r\n")
            await until(lambda: pump.running == 0)
            await until(lambda: served.server.open == 0)
    assert [event["event"] for event in events if event["event"] in {"client left", "blob resumed"}] == ["client left"]
    assert len(registry.heads) == 1


async def test_http_1_0(short_path: Path) -> None:
    """PY14: answered, then closed; the body is still poured."""
    with Scripted(answering(BODY)) as registry:
        async with pumping(short_path, registry) as (served, _), served.connected() as client:
            first, *more = lines(registry)
            await client.send(f"{first} HTTP/1.0", *more)
            assert (await client.answer()).body == BODY
            assert await client.ended()


async def test_an_upload_in_chunks(short_path: Path) -> None:
    """Streamed on, without a length; what is announced is announced upstream."""
    begun = response(202, b"", ("Location", "/v2/a/blobs/uploads/uuid"))
    async with serving(short_path, fake(), begun) as served, served.connected() as client:
        await client.send("POST /v2/a/blobs/uploads/", HOST, "Content-Length: 0")
        place = (await client.answer()).header("Location")
        assert place == "/v2/a/blobs/uploads/id1"
        await client.send(f"PATCH {place}", HOST, "Transfer-Encoding: chunked", body=b"5\r\nhello\r\n")
        await settle()
        await client.write(b"6\r\n world\r\n0\r\n\r\n")
        assert (await client.answer()).status == 202
        await client.send(f"PATCH {place}", HOST, "Content-Length: 5", body=b"again")
        assert (await client.answer()).status == 202
        assert served.forwarder.bodies == [None, b"hello world", b"again"]


async def test_expect_100_continue(short_path: Path) -> None:
    """Sent when the body is wanted, and only then: a refused upload is not sent at all."""
    async with serving(short_path, fake(), response(201)) as served, served.connected() as client:
        expects = ("Expect: 100-continue", "Content-Length: 2")
        await client.send("PUT /v2/a/manifests/x", HOST, *expects)
        assert (await client.answer()).line == "HTTP/1.1 100 Continue"
        await client.write(b"{}")
        answer = await client.answer()
        assert (answer.status, answer.header("Location")) == (201, "/v2/a/manifests/x")
        await client.send("PUT /v2/denied/manifests/x", HOST, *expects)
        assert (await client.answer()).status == 403
        assert served.forwarder.bodies == [b"{}"]


async def test_a_manifest_that_is_too_large_is_refused_before_it_is_read(short_path: Path) -> None:
    """By its announced length; without one, as soon as it is seen."""
    async with serving(short_path, fake(), response(201)) as served:
        answer = await served.ask("PUT /v2/a/manifests/x", "Content-Length: 99999999999")
        assert (answer.status, answer.error()[0]) == (413, "SIZE_INVALID")
        chunk = b"400001\r\n" + b"x" * 0x400001 + b"\r\n0\r\n\r\n"
        async with served.connected() as client:
            await client.send("PUT /v2/a/manifests/x", HOST, "Transfer-Encoding: chunked")
            with contextlib.suppress(ConnectionError):
                await client.write(chunk)
            assert (await client.answer()).status == 413
        assert served.forwarder.requests == []


async def test_an_upload_that_stalls(short_path: Path) -> None:
    """F10: after a minute of silence, the client gets the error."""
    async with serving(short_path, fake(), response(201)) as served, served.connected() as client:
        await client.send("PUT /v2/a/manifests/x", HOST, "Content-Length: 2", body=b"{")
        await settle(100)
        await served.clock.advance(IDLE)
        answer = await client.answer()
        assert (answer.status, answer.error()[1]) == (
            400,
            "the request's body did not arrive within 60 s (bad_request)",
        )
        assert served.forwarder.requests == []


@pytest.mark.parametrize(
    "length", [pytest.param("Content-Length: 2", id="small"), pytest.param("Content-Length: 9999999", id="streams")]
)
async def test_a_body_that_does_not_come_holds_no_place(short_path: Path, length: str) -> None:
    """T16: as many as a sandbox may have under way, and its other requests are answered."""
    async with serving(short_path, fake(), sandbox="user:[1]") as served, contextlib.AsyncExitStack() as held:
        for _ in range(UPLOADS_AT_ONCE):
            client = await held.enter_async_context(served.connected())
            await client.send("PATCH /v2/a/blobs/uploads/x", HOST, length, body=b"{")
        await settle(100)
        assert (await served.ask("GET /v2/")).status == 200


@pytest.mark.parametrize("path", [BLOB, "/v1/get", "/healthz"])
async def test_a_head_that_is_larger_than_64_kib_is_refused(short_path: Path, path: str) -> None:
    """T16: a carrier keeps the head of each request that is under way."""
    fields = [f"X-{number}: {'a' * 8000}" for number in range(9)]
    async with serving(short_path, fake()) as served:
        answer = await served.ask(f"GET {path}", *fields)
        assert (answer.status, b"head is larger than 65536 bytes" in answer.body) == (413, True)
        assert (await served.ask("GET /v2/", *fields[:8])).status == 200


class CountingSandboxes(Sandboxes):
    """Notes what each request counts on."""

    def __init__(self) -> None:
        super().__init__(FakeClock())
        self.registries: list[str] = []

    def admit(self, peer: Peer, *, whole: bool = True, registry: str = "") -> AbstractAsyncContextManager[None]:
        """Admit it."""
        self.registries.append(registry)
        return super().admit(peer, whole=whole, registry=registry)


async def test_a_request_that_is_for_no_registry_counts_on_none_whatever_it_names(short_path: Path) -> None:
    """S11: with another name each time, requests for one host of objects would get more than half of the slots."""
    counting = CountingSandboxes()
    async with serving(short_path, fake(), sandbox="user:[1]", sandboxes=counting) as served:
        for line in (f"GET {BLOB}", "GET /v1/fetch?url=https%3A%2F%2Ffiles.test%2Fa", "POST /v1/get", "GET /v2x"):
            await served.ask(line, "Content-Length: 0")
    assert counting.registries == ["reg.test", "", "", ""]


@pytest.mark.parametrize("sandbox", ["user:[1]", None])
async def test_a_download_counts_on_its_sandbox(short_path: Path, sandbox: str | None) -> None:
    """T16: each of them has a share of the downloads; the user's own have none to keep to."""
    downloads = fake(FakeTransfer(body=b"x", small=True))
    async with serving(short_path, downloads, sandbox=sandbox) as served:
        assert (await served.ask(f"GET {BLOB}")).status == 200
    assert downloads.accounts == [sandbox]


async def test_an_upload_that_drips_ends(short_path: Path) -> None:
    """S11: less than 4 KiB a second over a minute; each wait for a byte was short, but there was no end."""
    async with serving(short_path, fake(), response(202)) as served, served.connected() as client:
        await client.send("PUT /v2/a/manifests/x", HOST, "Content-Length: 3000000", body=b"{")
        for _ in range(7):
            await settle(50)
            await served.clock.advance(10.0)
            await client.write(b"x")
        answer = await client.answer()
        assert answer.status == 400
        assert answer.error()[1] == "the upload brought less than 4,096 bytes a second over 60 s (bad_request)"


async def test_an_upload_that_breaks_off_is_not_logged_as_an_error(short_path: Path) -> None:
    """PY12: no traceback, nothing sent."""
    with structlog.testing.capture_logs() as events:
        async with serving(short_path, fake(), response(201)) as served:
            async with served.connected() as client:
                await client.send("PUT /v2/a/manifests/x", HOST, "Content-Length: 2", body=b"{")
                await settle(100)
            await until(lambda: served.server.open == 0)
            assert served.forwarder.requests == []
    assert not [event for event in events if event["log_level"] == "error"]


async def test_a_peer_that_is_refused(short_path: Path) -> None:
    """T7: in the gateway's own shape, and the connection ends."""
    async with serving(short_path, fake(), response(200)) as served:
        served.server.gate = Gate(uid=os.getuid() + 1)
        async with served.connected() as client:
            await client.send(f"GET {BLOB}", HOST)
            answer = await client.answer()
            assert (answer.status, answer.error()[0]) == (403, "DENIED")
            assert await client.ended()
        assert served.forwarder.requests == []


@pytest.mark.parametrize(
    "request_bytes",
    [
        f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n{HOST}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n{HOST}\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n{HOST}\r\nContent-Length: -1\r\n\r\n",
        f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n{HOST}\r\nTransfer-Encoding: xchunked\r\n\r\n",
        f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n{HOST}\r\nRange: a\r\n b\r\n\r\n",
        f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n{HOST}\r\nRange: a\x00b\r\n\r\n",
        f"GET {BLOB} HTTP/1.1\r\nHost: x\r\n{HOST}\r\nRange : a\r\n\r\n",
        f"GET {BLOB} HTTP/1.1\r\nHost: x\r\nHost: y\r\n{HOST}\r\n\r\n",
        f"GET {BLOB} X HTTP/1.1\r\nHost: x\r\n{HOST}\r\n\r\n",
        f"GET {BLOB} HTTP/1.1\nHost: x\n{HOST}\n\n",
    ],
)
async def test_requests_that_two_parsers_read_otherwise(short_path: Path, request_bytes: str) -> None:
    """PY14: refused by the first parser, or answered as one invalid request; nothing reaches the registry."""
    downloads = fake(FakeTransfer(body=b"hello", small=True))
    async with serving(short_path, downloads) as served, served.connected() as client:
        await client.write(request_bytes.encode())
        answer = await client.answer()
        assert (answer.status, downloads.requests) == (400, [])


async def test_a_registry_cannot_split_our_answer(short_path: Path) -> None:
    """Through the real pump: an old line folding, a bare CR, a second answer behind the first."""
    head = (
        'HTTP/1.1 200 OK\r\nContent-Length: 5\r\nETag: "x\r\n Set-Cookie: a=b"\r\n'
        "Content-Type: a/b\rSet-Cookie: c=d\r\nConnection: close\r\n\r\n"
    )
    with Scripted(raw(head, b"hello")) as registry:
        async with pumping(short_path, registry) as (served, _), served.connected() as client:
            await client.send(*lines(registry))
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"hello")
            assert answer.header("Set-Cookie") is None
            assert answer.header("ETag") is None


async def test_the_rest_of_the_socket_is_as_before(short_path: Path) -> None:
    """T2: Header mode and health stand beside it."""
    async with serving(short_path, fake()) as served:
        assert (await served.ask("GET /healthz")).body == b"ok\n"
        body = json.dumps({"uri": "https://reg.test/v2/"}).encode()
        answer = await served.ask("POST /v1/get", f"Content-Length: {len(body)}", body=body)
        assert answer.status == 200


MANIFEST = f"/v2/a/manifests/{D}"
LARGE = bytes(2 * 1024 * 1024)


async def test_a_manifest_counts_until_its_client_has_it(short_path: Path) -> None:
    """Otherwise clients that do not read would hold any number of them, each of four megabytes."""
    manifests = serving(short_path, fake(), response(200, LARGE), memory=3 * 1024 * 1024)
    async with manifests as served, served.connected() as slow:
        await slow.send(f"GET {MANIFEST}", HOST)
        await until(lambda: served.memory.free < len(LARGE))
        waiting = asyncio.ensure_future(served.ask(f"GET {MANIFEST}"))
        await until(lambda: len(served.forwarder.requests) == 2)
        assert not waiting.done()
        assert (await slow.answer()).body == LARGE
        assert (await waiting).body == LARGE


async def test_no_more_than_a_piece_of_an_unread_body_is_copied(short_path: Path) -> None:
    """T16: a transport would keep a second copy of the whole manifest."""
    async with serving(short_path, fake(), response(200, LARGE)) as served, served.connected() as slow:
        await slow.send(f"GET {MANIFEST}", HOST)
        transport = await _transport(served)
        await until(lambda: transport.get_write_buffer_size() > 0)
        assert transport.get_write_buffer_size() <= 64 * 1024 + 1024
        assert (await slow.answer()).body == LARGE
        assert served.server.outgoing.unread.held == 0


async def test_a_request_that_waits_too_long_for_memory_fails(short_path: Path) -> None:
    """503, which a client repeats; and a client that does not read is disconnected after a minute."""
    manifests = serving(short_path, fake(), response(200, LARGE), memory=3 * 1024 * 1024)
    async with manifests as served, served.connected() as slow:
        await slow.send(f"GET {MANIFEST}", HOST)
        await until(lambda: served.memory.free < len(LARGE))
        waiting = asyncio.ensure_future(served.ask(f"GET {MANIFEST}"))
        await until(lambda: len(served.forwarder.requests) == 2)
        await served.clock.advance(WAIT + 1)
        answer = await waiting
        assert answer.status == 503
        assert answer.error()[1].startswith("3145728 bytes are held for manifests")
        await served.clock.advance(IDLE)
        await until(lambda: served.memory.free == 3 * 1024 * 1024)


async def test_a_manifest_that_is_pushed_counts_as_well(short_path: Path) -> None:
    """From before it is read until the registry has it."""
    pushing = serving(short_path, fake(), response(201), memory=3 * 1024 * 1024)
    async with pushing as served, served.connected() as slow, served.connected() as other:
        await slow.send(f"PUT {MANIFEST}", HOST, f"Content-Length: {len(LARGE)}")
        await until(lambda: served.memory.free < len(LARGE))
        await other.send(f"PUT {MANIFEST}", HOST, f"Content-Length: {len(LARGE)}")
        await slow.write(LARGE)
        assert (await slow.answer()).status == 201
        await other.write(LARGE)
        assert (await other.answer()).status == 201
