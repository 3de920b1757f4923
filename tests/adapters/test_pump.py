"""The blob pump against servers on loopback that misbehave, byte by byte. After each test nothing is left over."""

import array
import asyncio
import contextlib
import fcntl
import gc
import os
import resource
import socket
import ssl
import termios
import threading
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
import trustme

from credproxy.adapters.connections import Connections
from credproxy.adapters.download import GATHER
from credproxy.adapters.pump import Pump, Pumped
from credproxy.adapters.pump_request import WHOLE, Waits
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial, Request
from credproxy.core.checksum import Checksum
from credproxy.core.errors import Code, Failed
from credproxy.ports.transfer import Poured, Stopped
from tests.adapters.scripted import Script, Scripted, Wire, answering, raw, serial
from tests.adapters.tls_messages import Records, secret, talkative


OWN = Dial(own=True)
CANARY = "canary-4711"
BODY = bytes(range(256)) * (3 * GATHER // 256) + b"and a bit"
SMALL = b"small"


@pytest.fixture(autouse=True)
async def _nothing_left_over() -> AsyncIterator[None]:
    """No thread, no descriptor, no unretrieved exception (PY24): neither after success nor after any failure."""
    gc.collect()  # what an earlier test let go is closed now and not in between
    gc.freeze()  # and what is left need not be looked through again
    before = _descriptors()
    complaints: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    yield
    gc.collect()
    assert not complaints
    assert not [thread.name for thread in threading.enumerate() if thread.name.startswith("pump")]
    # The threads that asyncio lends for closing a pump stay until the loop ends, and have no descriptors.
    assert _descriptors() == before


def _descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir()) if Path("/proc/self/fd").is_dir() else 0


def get(url: str, dial: Dial = OWN, *headers: tuple[str, str | Secret]) -> Request:
    """A gateway request."""
    return Request("GET", url, headers, dial=dial, subject="registry 'reg.test'")


class Client:
    """The client's end of a connection, and the descriptor that the pump is given."""

    def __init__(self, ours: socket.socket, theirs: socket.socket) -> None:
        self.sock = theirs
        self._ours = ours
        self._arrived = 0
        self.got = bytearray()

    def descriptor(self) -> int:
        """A duplicate, as the server makes one."""
        return os.dup(self._ours.fileno())

    def full(self) -> bool:
        """Whether something has arrived, and nothing more since the last look."""
        found = array.array("i", [0])
        fcntl.ioctl(self.sock, termios.FIONREAD, found)
        before, self._arrived = self._arrived, found[0]
        return 0 < found[0] == before

    def hang_up(self) -> None:
        """Leave."""
        self.sock.close()

    def read(self) -> None:
        """Read everything until the other side closes; for a thread."""
        while piece := self.sock.recv(65536):
            self.got += piece

    def close(self) -> None:
        """Close both ends."""
        self._ours.close()
        self.sock.close()


@contextlib.asynccontextmanager
async def client() -> AsyncIterator[Client]:
    """A client that reads nothing by itself."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    made = Client(ours, theirs)
    try:
        yield made
    finally:
        made.close()


async def poured(transfer: Pumped, count: int, check: Checksum | None = None) -> tuple[Poured, bytes]:
    """Pour to a client that reads; give the outcome and what arrived."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    with ours, theirs:
        reader = Client(ours, theirs)
        reading = asyncio.get_running_loop().run_in_executor(None, reader.read)
        outcome = await transfer.pour(reader.descriptor(), count, check=check)
        ours.close()
        await reading
        return outcome, bytes(reader.got)


async def fetch(pump: Pump, url: str, registry: str = "reg.test") -> bytes:
    """Fetch a body of announced length."""
    transfer = await pump.open(get(url), registry)
    try:
        if transfer.whole is not None:
            return transfer.whole
        assert transfer.length is not None
        outcome, body = await poured(transfer, transfer.length)
        assert outcome == Poured(len(body), Stopped.DONE)
        return body
    finally:
        transfer.close()


async def pieces(transfer: Pumped) -> list[bytes]:
    """Read a body to its end."""
    found = []
    while piece := await transfer.read():
        found.append(piece)
    return found


def leaving(wire: Wire) -> None:
    """Read a request and hang up."""
    wire.head()


def fleeing(wire: Wire) -> None:
    """Hang up as soon as the other side sends anything."""
    wire.sock.recv(1)


def plainly(wire: Wire) -> None:
    """Answer as nginx answers a TLS client on its plain port."""
    wire.sock.recv(1)
    wire.send("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    wire.stall()


async def refusal(pump: Pump, request: Request) -> Failed:
    """Open what cannot be opened; neither the error nor its traceback quotes the request."""
    with pytest.raises(Failed) as caught:
        await pump.open(request, "reg.test")
    shown = "".join(traceback.format_exception(caught.value, chain=True)) + repr(caught.value)
    assert CANARY not in shown
    assert pump.running == 0
    return caught.value


async def test_a_small_body_comes_with_its_head() -> None:
    """One hop between loop and thread; status and header lines in order, names as sent."""
    with Scripted(answering(SMALL, "ETag: x", "etag: y", status="203 Strange")) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(f"{server.url}/v2/a?b=%2F"), "reg.test")
            assert (transfer.status, transfer.length, transfer.whole) == (203, len(SMALL), SMALL)
            assert transfer.headers == (("Content-Length", "5"), ("ETag", "x"), ("etag", "y"))
            transfer.close()
            assert pump.running == 0
    assert server.heads[0].startswith("GET /v2/a?b=%2F HTTP/1.1\r\n")


async def test_only_our_headers_are_sent() -> None:
    """No default Accept-Encoding, so that nothing is compressed that the client did not ask for; secrets revealed."""
    with Scripted(answering(SMALL)) as server:
        async with Pump() as pump:
            transfer = await pump.open(
                get(server.url, OWN, ("Range", "bytes=1-"), ("Authorization", Secret("x"))), "reg.test"
            )
            transfer.close()
    assert server.heads[0].split("\r\n")[1:] == [
        f"Host: 127.0.0.1:{server.port}",
        "Range: bytes=1-",
        "Authorization: x",
    ]


async def test_a_large_body_is_poured_and_its_connection_used_again() -> None:
    """Keep-alive: three bodies, one connection; the descriptor is closed by the pump."""
    with Scripted(answering(BODY)) as server:
        async with Pump() as pump:
            for _ in range(3):
                assert await fetch(pump, server.url) == BODY
    assert server.connections == 1


@pytest.mark.parametrize(
    "body", [b"", b"x", b"x" * WHOLE, b"x" * (WHOLE + 1), b"x" * GATHER, b"x" * (GATHER + 1)], ids=len
)
async def test_every_size_of_a_body(body: bytes) -> None:
    """Around the limits for small bodies and for gathering, and empty."""
    with Scripted(answering(body)) as server:
        async with Pump() as pump:
            assert await fetch(pump, server.url) == body
            assert await fetch(pump, server.url) == body
    assert server.connections == 1


async def test_a_small_body_can_be_poured_too() -> None:
    """The rest of a resumed download may be small; it is handled like any other."""
    with Scripted(answering(SMALL)) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            assert await transfer.skip(2) == Poured(2, Stopped.DONE)
            assert await poured(transfer, 3) == (Poured(3, Stopped.DONE), b"all")
            transfer.close()


@pytest.mark.parametrize("version", ["HTTP/1.1 200 OK\r\nConnection: close", "HTTP/1.0 200 OK"])
@pytest.mark.parametrize("body", [SMALL, BODY], ids=["small", "large"])
async def test_a_connection_that_ends_with_its_answer(version: str, body: bytes) -> None:
    """The library lets go of such a connection before the body is read; the next request gets another one."""
    with Scripted(raw(f"{version}\r\nContent-Length: {len(body)}\r\n\r\n", body)) as server:
        async with Pump() as pump:
            assert await fetch(pump, server.url) == body
            assert await fetch(pump, server.url) == body
    assert server.connections == 2


async def test_a_body_until_the_connection_closes() -> None:
    """RFC 9112, section 6.3: without a length and without chunks it ends there."""
    with Scripted(raw("HTTP/1.1 200 OK\r\n\r\n", BODY)) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            assert (transfer.length, transfer.whole) == (None, None)
            assert b"".join(await pieces(transfer)) == BODY
            transfer.close()


def chunked(*chunks: bytes, end: str = "0\r\n\r\n") -> bytes:
    """A body in chunks."""
    return b"".join(b"%x;ext=1\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks) + end.encode()


CHUNKED = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def chunks(wire: Wire) -> None:
    """Answer every request with a body in chunks."""
    while True:
        wire.head()
        wire.send(CHUNKED, chunked(b"one", b"two" * 100_000, b"3", end="0\r\nTrailer: x\r\n\r\n"))


async def test_a_body_in_chunks() -> None:
    """Read piece by piece, bounded; its trailers are dropped, its connection is used again."""
    with Scripted(chunks) as server:
        async with Pump() as pump:
            for _ in range(2):
                transfer = await pump.open(get(server.url), "reg.test")
                assert (transfer.length, transfer.whole) == (None, None)
                found = await pieces(transfer)
                assert b"".join(found) == b"one" + b"two" * 100_000 + b"3"
                assert max(map(len, found)) <= GATHER
                transfer.close()
    assert server.connections == 1


def whole_bodies(wire: Wire) -> None:
    """Answer every request with a body of announced length."""
    while True:
        wire.head()
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n", BODY)


async def test_a_body_of_announced_length_can_be_read_as_well() -> None:
    """For a caller that needs the bytes and has no client to pour them to; its connection is reused."""
    with Scripted(whole_bodies) as server:
        async with Pump() as pump:
            for _ in range(2):
                transfer = await pump.open(get(server.url), "reg.test")
                found = await pieces(transfer)
                assert b"".join(found) == BODY
                assert max(map(len, found)) <= GATHER
                assert await transfer.read() == b""
                transfer.close()
    assert server.connections == 1


async def test_a_body_that_is_read_and_breaks_off_is_an_error() -> None:
    """The same as for a poured one."""
    with Scripted(raw(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY) + 1}\r\n\r\n", BODY)) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            with pytest.raises(Failed) as caught:
                await pieces(transfer)
            transfer.close()
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE


async def test_chunks_count_and_an_announced_length_does_not() -> None:
    """RFC 9112, section 6.1: with both, the length is a lie or an attack."""
    head = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
    with Scripted(raw(head, chunked(SMALL))) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            assert transfer.length is None
            assert await pieces(transfer) == [SMALL]
            transfer.close()


@pytest.mark.parametrize(
    "rest",
    [
        pytest.param(b"5\r\nhal", id="within a chunk"),
        pytest.param(b"5\r\nwhole\r\n", id="between chunks"),
        pytest.param(b"5\r\nwhole\r\nzz\r\n", id="no number"),
        pytest.param(b"5\r\nwhole\r\n" + b"1" * 70_000, id="an endless number"),
    ],
)
async def test_chunks_that_break_off_are_an_error(rest: bytes) -> None:
    """U9: never a clean end."""
    with Scripted(raw(CHUNKED, rest)) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            with pytest.raises(Failed) as caught:
                await pieces(transfer)
            transfer.close()
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE


async def test_a_chunk_of_negative_size_does_not_fill_the_memory() -> None:
    """The library takes -1 for a size; read(-1) would take all that comes, for ever."""
    sent = 0

    def flood(wire: Wire) -> None:
        nonlocal sent
        wire.head()
        wire.send(CHUNKED, "-1\r\n")
        while True:
            wire.send(b"x" * 65536)
            sent += 65536

    with Scripted(flood) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            with contextlib.suppress(Failed):
                assert len(await transfer.read()) <= GATHER
            transfer.close()
    assert sent < 64 * 1024 * 1024


def announced(length: int, sent: bytes) -> str:
    """A head that announces more than is sent."""
    return f"HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{sent.decode('latin-1')}"


def breaking(how: str) -> Script:
    """Send a part of BODY and then break off in that way."""

    def play(wire: Wire) -> None:
        wire.head()
        wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n", BODY[: GATHER + 17])
        if how == "reset":
            time.sleep(0.05)  # a reset overtakes what was sent
            wire.reset()
        if how == "stall":
            wire.stall()

    return play


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("how", ["close", "reset", "stall"])
async def test_an_upstream_that_breaks_off(how: str, encrypted: bool, trusted: "Trusted") -> None:  # noqa: FBT001  parametrized
    """U15: What arrived is passed on and counted exactly, so that the rest can be requested."""
    with Scripted(breaking(how), context=trusted.context if encrypted else None) as server:
        async with Pump(stalled=0.2) as pump:
            transfer = await pump.open(get(server.url, trusted.dial), "reg.test")
            outcome, body = await poured(transfer, len(BODY))
            transfer.close()
    assert outcome == Poured(len(body), Stopped.UPSTREAM)
    assert body == BODY[: len(body)]


async def test_a_small_body_that_breaks_off_is_an_error() -> None:
    """U9: it would have been given as complete."""
    with Scripted(raw("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n", SMALL)) as server:
        async with Pump() as pump:
            failure = (await refusal(pump, get(server.url))).failure
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert failure.message == "registry 'reg.test' broke off in the middle of its answer"


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_more_than_was_announced_is_never_completed(encrypted: bool, trusted: "Trusted") -> None:  # noqa: FBT001  parametrized
    """The last piece is held back, so that the client can see that something is wrong."""
    script = raw(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n", BODY, b"!")
    with Scripted(script, context=trusted.context if encrypted else None) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url, trusted.dial), "reg.test")
            outcome, body = await poured(transfer, len(BODY))
            transfer.close()
    assert outcome.stopped is Stopped.SURPLUS
    assert outcome.moved == len(body) < len(BODY)


async def test_a_small_body_followed_by_more_bytes_is_an_error() -> None:
    """Nor is its connection used again."""
    with Scripted(raw("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nsmallHTTP/1.1 200 OK\r\n\r\n")) as server:
        async with Pump() as pump:
            assert (await refusal(pump, get(server.url))).failure.code is Code.UPSTREAM_UNAVAILABLE
            assert (await refusal(pump, get(server.url))).failure.code is Code.UPSTREAM_UNAVAILABLE
    assert server.connections == 2


@pytest.mark.parametrize("left", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil"], ids=["closed", "spoke"])
async def test_a_connection_that_did_anything_while_idle_is_not_used_again(left: bytes) -> None:
    """It was closed, or holds an answer to a request that was not sent yet."""

    def once(wire: Wire) -> None:
        wire.answer(SMALL)
        go_on.wait()
        wire.send(left)
        if left:
            wire.stall()

    go_on = threading.Event()
    with Scripted(once, answering(b"other")) as server:
        async with Pump() as pump:
            assert await fetch(pump, server.url) == SMALL
            go_on.set()
            await asyncio.to_thread(time.sleep, 0.05)  # until the kernel has delivered it
            assert await fetch(pump, server.url) == b"other"
    assert server.connections == 2


async def test_a_connection_that_is_closed_by_the_next_request_is_replaced() -> None:
    """The server's idle limit and our request may cross: a request without a body may be sent again."""
    with Scripted(serial(lambda wire: wire.answer(SMALL), leaving), answering(b"2")) as server:
        async with Pump() as pump:
            assert await fetch(pump, server.url) == SMALL
            assert await fetch(pump, server.url) == b"2"
    assert (server.connections, len(server.heads)) == (2, 3)


async def test_a_fresh_connection_that_is_closed_is_an_error() -> None:
    """Once is enough; whether to ask again is the gateway's decision."""
    with Scripted(leaving) as server:
        async with Pump() as pump:
            failure = (await refusal(pump, get(server.url))).failure
    assert failure.message == "registry 'reg.test' closed the connection without an answer"
    assert server.connections == 1


async def test_a_redirect_is_an_answer_like_any_other() -> None:
    """Whether it is followed is decided elsewhere, with or without a body of its own."""
    with Scripted(answering(SMALL, "Location: https://elsewhere.test/", status="307 Go")) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            assert transfer.status == 307
            assert ("Location", "https://elsewhere.test/") in transfer.headers
            transfer.close()
    assert len(server.heads) == 1


@pytest.mark.parametrize(
    ("head", "status"),
    [
        pytest.param("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\nsmall", 204, id="204 with a body"),
        pytest.param("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 304, id="304"),
        pytest.param(
            "HTTP/1.1 100 Continue\r\n\r\n" * 3 + "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, id="100"
        ),
    ],
)
async def test_statuses_without_a_body(head: str, status: int) -> None:
    """RFC 9110: whatever they announce, there is none; an interim answer is skipped."""
    with Scripted(raw(head)) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            assert (transfer.status, transfer.whole) == (status, b"")
            transfer.close()


@pytest.mark.parametrize(
    "lines",
    ["Content-Length: 5, 5", "Content-Length: 5\r\nContent-Length: 5", "Content-Length: 5,5\r\nContent-Length: 5"],
)
async def test_a_length_that_is_repeated_is_that_length(lines: str) -> None:
    """RFC 9110, section 8.6: a proxy may have joined two equal ones; a body that ends earlier is cut."""
    for body, whole in ((b"hello", True), (b"hell", False)):
        with Scripted(raw(f"HTTP/1.1 200 OK\r\n{lines}\r\n\r\n", body)) as server:
            async with Pump() as pump:
                if whole:
                    assert await fetch(pump, server.url) == body
                else:
                    with pytest.raises(Failed, match="broke off"):
                        await fetch(pump, server.url)


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(f"{CANARY}\r\n\r\n", id="no http"),
        pytest.param(f"HTTP/2 200 {CANARY}\r\n\r\n", id="another version"),
        pytest.param(f"HTTP/1.1 9{CANARY}\r\n\r\n", id="no status"),
        pytest.param("", id="nothing"),
        pytest.param("HTTP/1.1 200 OK\r\nX: y\r\n", id="a head that breaks off between its lines"),
        pytest.param("HTTP/1.1 200 OK\r\nX: ", id="a head that breaks off in a line"),
        pytest.param("HTTP/1.1 200", id="a head that breaks off in its first line"),
        pytest.param("HTTP/1.1 103 Hints\r\nX: ", id="an interim answer that breaks off"),
        pytest.param("HTTP/1.1 103 Hints\r\n\r\n", id="an interim answer and no other"),
    ],
)
async def test_a_server_that_does_not_answer_is_a_failure_of_our_own(answer: str) -> None:
    """Within a limit, closed, and without quoting the answer (PY17)."""
    with Scripted(raw(answer)) as server:
        async with Pump() as pump:
            failure = (await refusal(pump, get(f"{server.url}/?X-Amz-Signature={CANARY}"))).failure
    assert failure.code is Code.UPSTREAM_UNAVAILABLE


@pytest.mark.parametrize(
    "url",
    [
        f"https://a..b/?{CANARY}",
        f"https://{'a' * 64}.test/?{CANARY}",
        f"https://.test/?{CANARY}",
        f"http://reg.invalid/?{CANARY}",
        f"http://[fe80::1%25lo]/?{CANARY}",
        f"http://127.0.0.1:1/?{CANARY}",
        f"http://127.0.0.1:1/{CANARY}\x00",
    ],
)
async def test_a_place_that_cannot_be_reached(url: str) -> None:
    """An invalid name is refused by three layers in four ways; the query, often presigned, is in no message."""
    async with Pump() as pump:
        failure = (await refusal(pump, get(url))).failure
    assert failure.code in {Code.UPSTREAM_UNAVAILABLE, Code.ADDRESS_REFUSED}


async def test_a_header_that_cannot_be_sent() -> None:
    """The library quotes it in its error; we do not."""
    with Scripted(answering()) as server:
        async with Pump() as pump:
            failure = (await refusal(pump, get(server.url, OWN, ("If-Range", f"{CANARY}\r\nx: y")))).failure
    assert failure.code is Code.UPSTREAM_UNAVAILABLE
    assert server.heads == []


@pytest.mark.parametrize("address", ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "localhost", "2130706433", "0x7f.1"])
async def test_a_forbidden_address_is_not_contacted(address: str) -> None:
    """T15, PY16: the dialled address is judged, however it is written."""
    with Scripted(answering()) as server:
        async with Pump() as pump:
            failure = (await refusal(pump, get(f"http://{address}:{server.port}/", Dial()))).failure
    assert failure.code in {Code.ADDRESS_REFUSED, Code.UPSTREAM_UNAVAILABLE}
    assert server.connections == 0
    if address == "127.0.0.1":
        assert failure.hint.endswith('with match = "127.0.0.1" and provider = "oci": allow_private = ["127.0.0.1/32"]')


async def test_a_name_that_leads_to_such_an_address() -> None:
    """T15: Rebinding: the first look-up gave a public address, this one does not; the address that is looked up is dialled."""
    with Scripted(answering()) as server:
        place = ("127.0.0.1", server.port)
        found = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", place)]
        async with Pump(Connections(lambda _host, _port: found)) as pump:
            failure = (await refusal(pump, get("http://reg.test/", Dial()))).failure
    assert failure.code is Code.ADDRESS_REFUSED
    assert server.connections == 0


class Trusted:
    """A server's TLS context, and a policy that trusts it."""

    def __init__(self, bundle: Path, *names: str) -> None:
        authority = trustme.CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1", *names).configure_cert(self.context)
        authority.cert_pem.write_to_path(str(bundle))
        self.dial = Dial(own=True, ca_bundle=str(bundle))


async def test_tls_with_a_private_ca(trusted: Trusted) -> None:
    """T32: trusted because the policy names it; bodies of both kinds, one connection."""
    with Scripted(answering(BODY), context=trusted.context) as server:
        async with Pump() as pump:
            for _ in range(2):
                transfer = await pump.open(get(server.url, trusted.dial), "reg.test")
                assert await poured(transfer, len(BODY)) == (Poured(len(BODY), Stopped.DONE), BODY)
                transfer.close()
    assert server.connections == 1


@pytest.mark.parametrize("case", ["another ca", "another name", "no tls"])
async def test_an_untrusted_certificate(case: str, trusted: Trusted, tmp_path: Path) -> None:
    """T32: no request is sent, nothing falls back."""
    context = Trusted(tmp_path / "other.pem").context if case == "another ca" else trusted.context
    host = "localhost" if case == "another name" else "127.0.0.1"
    with Scripted(plainly, context=None if case == "no tls" else context) as server:
        async with Pump() as pump:
            failure = (await refusal(pump, get(f"https://{host}:{server.port}/", trusted.dial))).failure
    assert failure.code is Code.TLS_FAILED
    assert server.heads == []


async def test_tls_that_is_closed_in_the_middle_of_the_handshake_may_pass() -> None:
    """A balancer that restarts says nothing about certificates: a client may ask again (503, not 403)."""
    with Scripted(fleeing) as server:
        async with Pump() as pump:
            failure = (await refusal(pump, get(f"https://127.0.0.1:{server.port}/"))).failure
    assert failure.code is Code.UPSTREAM_UNAVAILABLE


async def test_a_bundle_that_cannot_be_read(tmp_path: Path) -> None:
    """Says which, and how to look at it."""
    with Scripted(answering()) as server:
        async with Pump() as pump:
            dial = Dial(own=True, ca_bundle=str(tmp_path / "none.pem"))
            failure = (await refusal(pump, get(f"https://127.0.0.1:{server.port}/", dial))).failure
    assert failure.code is Code.TLS_FAILED
    assert "none.pem" in failure.message


async def test_a_plain_request_through_a_proxy() -> None:
    """In absolute form; the proxy resolves the target's address, so the guard only checks the proxy's."""
    with Scripted(answering(SMALL)) as proxy:
        async with Pump() as pump:
            transfer = await pump.open(get("http://10.0.0.1:81/v2/a?b", Dial(proxy=proxy.url)), "reg.test")
            assert transfer.whole == SMALL
            transfer.close()
    assert proxy.heads[0].startswith("GET http://10.0.0.1:81/v2/a?b HTTP/1.1\r\nHost: 10.0.0.1:81")


async def test_tls_through_a_proxy(trusted: Trusted) -> None:
    """CONNECT, then TLS with the target; the proxy cannot read the credential."""

    def tunnel(wire: Wire) -> None:
        wire.head()
        wire.send("HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n")
        wire.encrypt(trusted.context)
        answering(SMALL)(wire)

    dial = Dial(ca_bundle=trusted.dial.ca_bundle)
    with Scripted(tunnel) as proxy:
        async with Pump() as pump:
            for _ in range(2):
                request = get("https://127.0.0.1:444/v2/", Dial(ca_bundle=dial.ca_bundle, proxy=proxy.url))
                transfer = await pump.open(request, "reg.test")
                assert transfer.whole == SMALL
                transfer.close()
    assert proxy.connections == 1
    assert proxy.heads[0].startswith("CONNECT 127.0.0.1:444 HTTP/1.")
    assert proxy.heads[1].startswith("GET /v2/ HTTP/1.1\r\nHost: 127.0.0.1:444")


async def test_downloads_are_bounded() -> None:
    """PY10, T16: the body of the second waits for the first one's place; a small one needs none."""
    with Scripted(answering(BODY)) as server, Scripted(answering(SMALL)) as other:
        async with Pump(pumps=1) as pump:
            first = await pump.open(get(f"{server.url}/1"), "reg.test")
            async with asyncio.TaskGroup() as group:
                second = group.create_task(pump.open(get(f"{server.url}/2"), "reg.test"))
                await until(lambda: len(server.heads) == 2)
                assert await fetch(pump, other.url) == SMALL
                assert (pump.running, second.done()) == (1, False)
                first.close()
            second.result().close()
            assert pump.running == 0


async def test_a_refusal_waits_for_no_place() -> None:
    """Its body is not read, however long it is or whether it says so: the answer must not wait for others' downloads."""
    refusal = raw("HTTP/1.1 404 Not Found\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n")
    with Scripted(answering(BODY)) as server, Scripted(refusal) as other:
        async with Pump(pumps=1, queued=0.02) as pump:
            first = await pump.open(get(server.url), "reg.test")
            refused = await pump.open(get(other.url), "reg.test")
            assert (refused.status, pump.running) == (404, 1)
            refused.close()
            first.close()


async def test_a_download_that_waits_too_long_for_a_place_fails() -> None:
    """Overloaded, with the time to ask again; and it does not use up a place."""
    with Scripted(answering(BODY)) as server:
        async with Pump(pumps=1, queued=0.02) as pump:
            first = await pump.open(get(server.url), "reg.test")
            with pytest.raises(Failed) as caught:
                await pump.open(get(server.url), "other.test")
            first.close()
            first.close()
            (await pump.open(get(server.url), "reg.test")).close()
    assert (caught.value.failure.code, caught.value.failure.retry_after) == (Code.OVERLOADED, 1.0)
    assert caught.value.failure.message == "1 downloads are running, and none has ended for 0.02 s"


async def test_a_client_that_leaves() -> None:
    """P8: noticed at the next write; it is not an error, and the upstream is not asked again."""
    with Scripted(answering(BODY)) as server:
        async with Pump() as pump, client() as somebody:
            transfer = await pump.open(get(server.url), "reg.test")
            somebody.hang_up()
            outcome = await transfer.pour(somebody.descriptor(), len(BODY))
            transfer.close()
    assert outcome == Poured(0, Stopped.CLIENT)


async def test_a_client_that_takes_nothing() -> None:
    """It gets as long as an upstream does, and no longer."""
    with Scripted(answering(BODY * 20)) as server:
        async with Pump(stalled=0.2) as pump, client() as somebody:
            transfer = await pump.open(get(server.url), "reg.test")
            outcome = await transfer.pour(somebody.descriptor(), len(BODY) * 20)
            transfer.close()
    assert outcome.stopped is Stopped.CLIENT


async def test_the_clients_socket_stays_as_the_loop_needs_it() -> None:
    """O_NONBLOCK is shared by duplicates: a blocking descriptor would stop the event loop at the next write."""
    with Scripted(answering(BODY)) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            with ours, theirs:
                somebody = Client(ours, theirs)
                reading = asyncio.get_running_loop().run_in_executor(None, somebody.read)
                await transfer.pour(somebody.descriptor(), len(BODY))
                assert not os.get_blocking(ours.fileno())
                ours.close()
                await reading
            transfer.close()


def stalling(when: str) -> Script:
    """Say nothing more, from that moment on."""

    def play(wire: Wire) -> None:
        if when == "at once":
            wire.stall()
        wire.head()
        if when == "in a body":
            wire.send(f"HTTP/1.1 200 OK\r\nContent-Length: {len(BODY)}\r\n\r\n", SMALL)
        if when == "in a chunk":
            wire.send(CHUNKED, "ff\r\n", SMALL)
        wire.stall()

    return play


def working(pump: Pump, server: Scripted, when: str, somebody: Client) -> Awaitable[object]:
    """Do what makes a thread wait."""

    async def work() -> object:
        transfer = await pump.open(get(server.url), "reg.test")
        try:
            if when == "in a chunk":
                return [await transfer.read(), await transfer.read()]
            return await transfer.pour(somebody.descriptor(), len(BODY))
        finally:
            transfer.close()

    return work()


async def test_without_a_descriptor_for_a_pipe_a_body_goes_the_slower_way() -> None:
    """C5: splicing needs two more; at the limit a download that has begun is not lost."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with Scripted(answering(BODY)) as server:
        async with Pump() as pump:
            transfer = await pump.open(get(server.url), "reg.test")
            ours, theirs = socket.socketpair()
            ours.setblocking(False)
            with ours, theirs:
                somebody = Client(ours, theirs)
                reading = asyncio.get_running_loop().run_in_executor(None, somebody.read)
                descriptor = somebody.descriptor()
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
                try:
                    outcome = await transfer.pour(descriptor, len(BODY))
                finally:
                    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
                ours.close()
                await reading
            transfer.close()
    assert outcome == Poured(len(BODY), Stopped.DONE)
    assert somebody.got == BODY


STALLS = ["in a head", "in a body", "in a chunk"]


@pytest.mark.parametrize("when", STALLS)
async def test_a_caller_that_leaves_ends_the_download(when: str) -> None:
    """P8: cancelled while a thread waits for the upstream, it ends at once; the loop itself never waits."""
    with Scripted(stalling(when)) as server:
        async with Pump() as pump, client() as somebody, asyncio.TaskGroup() as group:
            task = group.create_task(_ending(working(pump, server, when, somebody)))
            await until(lambda: len(server.heads) == 1)
            await asyncio.to_thread(time.sleep, 0.05)  # until the thread waits
            task.cancel()
            await until(lambda: pump.running == 0)


@pytest.mark.parametrize("when", STALLS)
async def test_the_end_of_the_pump_is_the_end_of_its_threads(when: str) -> None:
    """P5: a stalled upstream does not hold up the daemon's end, wherever it stalls."""
    with Scripted(stalling(when)) as server:
        async with client() as somebody, asyncio.TaskGroup() as group:
            pump = Pump()
            task = group.create_task(_ending(working(pump, server, when, somebody)))
            await until(lambda: len(server.heads) == 1)
            await asyncio.to_thread(time.sleep, 0.05)  # until the thread waits
            await pump.close()
            assert pump.running == 0
            await task


@pytest.mark.parametrize("encrypted", [False, True], ids=["plain", "tls"])
async def test_an_upstream_that_stalls_holds_up_no_other(encrypted: bool, trusted: Trusted) -> None:  # noqa: FBT001  parametrized
    """Only one thread at a time empties a socket, but none does while it waits."""
    context = trusted.context if encrypted else None
    with Scripted(stalling("in a body"), context=context) as slow, Scripted(answering(BODY), context=context) as quick:
        async with Pump() as pump, client() as somebody:
            stalled = await pump.open(get(slow.url, trusted.dial), "slow.test")
            pouring = asyncio.ensure_future(stalled.pour(somebody.descriptor(), len(BODY)))
            transfer = await pump.open(get(quick.url, trusted.dial), "reg.test")
            assert await poured(transfer, len(BODY)) == (Poured(len(BODY), Stopped.DONE), BODY)
            assert not pouring.done()
            stalled.close()
            await pouring


FLOODED = {
    "before the head": b"",
    "in a body": b"HTTP/1.1 200 OK\r\nContent-Length: 999999\r\n\r\nx",
    "in chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n",
}
"""What an upstream has sent before it sends nothing but messages of TLS."""


@pytest.mark.parametrize("name", FLOODED)
async def test_messages_of_tls_without_end_hold_up_no_other_download(
    name: str, trusted: Trusted, tmp_path: Path
) -> None:
    """A ticket costs more to take than to send: neither the loop nor a thread goes on while they come."""
    flooding, keys = threading.Event(), tmp_path / "keys"

    def flood(wire: Wire) -> None:
        assert isinstance(wire.sock, ssl.SSLSocket)
        wire.head()
        if FLOODED[name]:
            wire.send(FLOODED[name])
        records = Records(wire.sock, secret(keys), sent=bool(FLOODED[name]))
        while True:
            records.tickets()
            flooding.set()

    other = Trusted(tmp_path / "other.pem")
    waits = Waits(answer=1.0, headed=1.0, small=1.0)
    with (
        Scripted(flood, context=talkative(trusted.context, keys)) as flooder,
        Scripted(answering(BODY), context=other.context) as server,
    ):
        async with Pump(stalled=1.0, waits=waits) as pump:
            ending = asyncio.ensure_future(_flooded(pump, get(flooder.url, trusted.dial)))
            await asyncio.to_thread(flooding.wait, 5)
            transfer = await pump.open(get(server.url, other.dial), "reg.test")
            assert await poured(transfer, len(BODY)) == (Poured(len(BODY), Stopped.DONE), BODY)
            transfer.close()
            async with asyncio.timeout(20):
                assert (await ending).failure.code is Code.UPSTREAM_UNAVAILABLE
    trusted.context.keylog_filename = None  # type: ignore[assignment]  # typeshed: a path, and not that this closes the file


async def _flooded(pump: Pump, request: Request) -> Failed:
    """How it ends."""
    with pytest.raises(Failed) as caught:
        await _read(pump, request)
    return caught.value


async def _read(pump: Pump, request: Request) -> None:
    transfer = await pump.open(request, "flood.test")
    with contextlib.closing(transfer):
        while await transfer.read():
            pass


async def test_the_end_of_the_pump_while_a_client_takes_nothing() -> None:
    """Its descriptor is woken, too."""
    with Scripted(answering(BODY * 20)) as server:
        async with client() as somebody, asyncio.TaskGroup() as group:
            pump = Pump()

            async def work() -> None:
                transfer = await pump.open(get(server.url), "reg.test")
                outcome = await transfer.pour(somebody.descriptor(), len(BODY) * 20)
                assert outcome.stopped is Stopped.CLIENT

            task = group.create_task(work())
            await until(lambda: len(server.heads) == 1)
            await until(somebody.full)
            await pump.close()
            await task


async def _ending(work: Awaitable[object]) -> None:
    with contextlib.suppress(Failed):
        await work


async def until(reached: Callable[[], bool]) -> None:
    """Wait until something has happened."""
    for _ in range(500):
        if reached():
            return
        await asyncio.to_thread(time.sleep, 0.01)  # threads and sockets are real here
    message = "it did not come to that"
    raise AssertionError(message)


async def test_connections_that_idle_are_closed_without_a_request() -> None:
    """A timer of the pump checks them, only while there are any, and ends with it."""
    closed = threading.Event()

    def watch(wire: Wire) -> None:
        wire.answer(SMALL)
        wire.rest()
        closed.set()

    with Scripted(watch) as server:
        async with Pump(idle=0.05) as pump:
            assert await fetch(pump, server.url) == SMALL
            assert await asyncio.to_thread(closed.wait, 5)
            await until(lambda: pump._sweeping is None)
