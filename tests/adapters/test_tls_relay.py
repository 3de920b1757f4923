"""Bytes between TLS and a pair of sockets: all of them in order, no more in memory than fits, and no cut end that looks whole."""

import asyncio
import contextlib
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import trustme

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.connections import Connections
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.pump import Pump
from credproxy.adapters.relayed_socket import RelayedSocket
from credproxy.adapters.tls_relay import PIECE, TlsRelay, greeted
from credproxy.adapters.tls_socket import TlsSocket
from credproxy.core.ask.http import Dial, Request
from credproxy.core.errors import Failed
from tests.adapters.tls_messages import Records, secret, talkative
from tests.fakes import settle


CA = trustme.CA()
CERTIFICATE = CA.issue_cert("localhost")
MUCH = 8 << 20


def contexts(version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server and its client."""
    theirs, ours = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), ssl.create_default_context()
    CERTIFICATE.configure_cert(theirs)
    CA.configure_trust(ours)
    theirs.maximum_version = version
    return theirs, ours


class Relayed:
    """A relay; the server's end, which a test drives in a thread; and the carrier's end."""

    def __init__(self, version: ssl.TLSVersion, *, keys: Path | None = None) -> None:
        raw, client = socket.socketpair()
        theirs, ours = contexts(version)
        if keys is not None:
            talkative(theirs, keys)
        made: list[ssl.SSLSocket] = []
        self.tls = TlsSocket(client, ours, host="localhost")
        with ThreadPoolExecutor() as threads:
            threads.submit(lambda: made.append(theirs.wrap_socket(raw, server_side=True)))
            threads.submit(self.tls.shake_hands, 5)
        (self.server,) = made
        pair, other = socket.socketpair()
        self.carrier = RelayedSocket(fileno=other.detach())
        self.carrier.settimeout(5)
        self.server.settimeout(5)
        self.ends = 0
        self.relay = TlsRelay(self.tls, pair, early=greeted(self.tls, 0.0), ended=self._ended)

    def _ended(self) -> None:
        self.ends += 1


@contextlib.asynccontextmanager
async def relayed(
    version: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3, *, keys: Path | None = None
) -> AsyncIterator[Relayed]:
    """A relay; ``keys`` is a file for the secrets of its server, which then sends no ticket by itself."""
    made = Relayed(version, keys=keys)
    try:
        yield made
    finally:
        made.relay.close()
        made.server.close()
        made.carrier.close()
        assert made.ends == 1


def everything(sock: socket.socket) -> bytes:
    """What it gives to its end."""
    found = bytearray()
    while piece := sock.recv(1 << 20):
        found += piece
    return bytes(found)


def proper(server: ssl.SSLSocket) -> None:
    """The connection ends with TLS's word for it; servers do not wait for an answer to that."""
    server.settimeout(0)
    with contextlib.suppress(ssl.SSLWantReadError, ssl.SSLEOFError):  # its client may have left already
        server.unwrap()


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=lambda one: one.name)
async def test_bytes_pass_unchanged_both_ways_at_once(version: ssl.TLSVersion) -> None:
    """More than any buffer holds, in sizes that fit no record."""
    content, upload = bytes(range(251)) * (MUCH // 251), bytes(range(241)) * (MUCH // 241)
    async with relayed(version) as r:
        taken: list[bytes] = []

        def take() -> None:
            while sum(map(len, taken)) < len(upload):
                taken.append(r.server.recv(1 << 20))

        def serve() -> None:
            for start in range(0, len(content), 50_001):
                r.server.sendall(content[start : start + 50_001])
            take()
            proper(r.server)

        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(serve))
            group.create_task(asyncio.to_thread(r.carrier.sendall, upload))
            got = group.create_task(asyncio.to_thread(everything, r.carrier))
        assert got.result() == content
        assert b"".join(taken) == upload


def broken_off(server: ssl.SSLSocket) -> None:
    """The connection ends without TLS's word for it."""
    socket.socket.shutdown(server, socket.SHUT_RDWR)


def no_tls(server: ssl.SSLSocket) -> None:
    """Something that is not a record."""
    socket.socket.send(server, b"HTTP/1.1 400 Bad Request\r\n\r\n")  # not encrypted


@pytest.mark.parametrize("end", [broken_off, no_tls], ids=["broken off", "no TLS"])
async def test_an_end_that_is_not_a_proper_one_is_an_error_after_the_last_byte(
    end: Callable[[ssl.SSLSocket], None],
) -> None:
    """So no body that was cut off looks whole; one that ends properly does."""
    async with relayed() as r:

        def serve() -> None:
            r.server.sendall(b"x" * 100_000)
            end(r.server)

        await asyncio.to_thread(serve)
        got = await asyncio.to_thread(r.carrier.recv, 100_000, socket.MSG_WAITALL)
        assert got == b"x" * 100_000
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(r.carrier.recv_into, bytearray(10))
        assert r.ends == 1


async def test_messages_of_tls_without_end_do_not_stop_other_relays(tmp_path: Path) -> None:
    """A ticket costs more to take than to send, and OpenSSL takes all that have come before it gives an answer."""
    keys = tmp_path / "keys"
    async with relayed(keys=keys) as flooded, relayed() as other:
        records = Records(flooded.server, secret(keys))
        begun, stopped = threading.Event(), threading.Event()

        def flood() -> None:
            with contextlib.suppress(OSError):
                while not stopped.is_set():
                    records.tickets()
                    begun.set()

        def serve() -> None:
            try:
                begun.wait(5)
                for _ in range(20):
                    other.server.sendall(b"x")
                    assert other.carrier.recv(1) == b"x"
            finally:
                stopped.set()

        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(flood))
            group.create_task(asyncio.to_thread(serve))


async def test_a_server_that_wants_new_keys_and_takes_none_ends_its_relay(tmp_path: Path) -> None:
    """The answers would pile up in the process that has the key."""
    keys = tmp_path / "keys"
    async with relayed(keys=keys) as r:
        records = Records(r.server, secret(keys))

        def flood() -> None:
            with contextlib.suppress(OSError):
                while True:
                    records.key_updates(500)

        await asyncio.to_thread(flood)
        for _ in range(10):
            await settle()
        assert not r.relay.open


async def test_a_relay_that_is_gone_is_an_error() -> None:
    """Also when its process was killed, which closes its sockets and says nothing."""
    async with relayed() as r:
        r.relay.close()
        with pytest.raises(ConnectionResetError):
            await asyncio.to_thread(r.carrier.recv, 10)


async def test_a_carrier_that_is_gone_ends_the_connection() -> None:
    """Nothing is read for nobody."""
    async with relayed() as r:
        r.carrier.close()
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await asyncio.to_thread(r.server.sendall, b"x" * MUCH)
        assert not r.relay.open


async def test_after_a_proper_end_only_the_carriers_end_is_waited_for() -> None:
    """It may still send, and nobody is there to take it."""
    async with relayed() as r:
        proper(r.server)
        assert await asyncio.to_thread(r.carrier.recv, 1) == b""
        r.carrier.sendall(b"x" * 1000)
        await settle()
        assert r.relay.open
        r.carrier.close()
        for _ in range(100):
            await settle()
        assert r.ends == 1


@pytest.mark.parametrize("down", [True, False], ids=["a reader", "a server"])
async def test_who_takes_nothing_is_sent_nothing_more(*, down: bool) -> None:
    """What was not taken stays with the sender, beyond one buffer here and those of the kernel."""
    async with relayed() as r:
        source = r.server if down else r.carrier
        source.settimeout(0)
        sent = still = 0
        while still < 200:
            try:
                sent += source.send(b"x" * PIECE)
                still = 0
            except (ssl.SSLWantWriteError, BlockingIOError):
                still += 1
                await settle()
        assert PIECE < sent < 4 << 20


async def test_the_answer_of_a_server_that_speaks_at_once_is_kept() -> None:
    """It came with what was waited for after the handshake."""
    raw, client = socket.socketpair()
    theirs, ours = contexts()
    answer = b"HTTP/1.1 408 Request Timeout\r\n\r\n"

    def serve() -> None:
        with theirs.wrap_socket(raw, server_side=True) as server:
            server.sendall(answer)
            server.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    tls = TlsSocket(client, ours, host="localhost")
    await asyncio.to_thread(tls.shake_hands, 5)
    early = b""
    while not early:
        early = greeted(tls, 5)
    pair, other = socket.socketpair()
    relay = TlsRelay(tls, pair, early=early, ended=lambda: None)
    other.settimeout(5)
    assert await asyncio.to_thread(other.recv, 100) == answer
    relay.close()
    other.close()
    thread.join()


ENDS = {
    "whole": (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc", False, b"abc"),
    "cut": (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc", True, None),
    "without a length": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", True, b"abc"),
    "without a length, cut": (b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nabc", False, None),
    "chunks, cut": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n", True, None),
}
"""Answers; whether their connection ends properly; and the body, None for an error."""


REQUEST = Request("GET", "https://reg.test/v2/a", dial=Dial(relay="one"))


async def by_pump(lent: socket.socket) -> bytes:
    """The body of an answer, as downloads are read."""
    async with Pump(Connections(relayed=lambda _: lent)) as pump:
        transfer = await pump.open(REQUEST, "reg.test")
        with contextlib.closing(transfer):
            found = transfer.whole or b""
            while transfer.whole is None and (piece := await transfer.read()):
                found += piece
            return found


async def by_client(lent: socket.socket) -> bytes:
    """The body of an answer, as manifests are read."""

    async def ask(relay: str) -> socket.socket:
        assert relay == "one"
        return lent

    async with AiohttpClient(SystemClock(), relayed=ask) as client:
        return (await client.forward(REQUEST, None, limit=100)).body


@pytest.mark.parametrize("name", ENDS)
@pytest.mark.parametrize("read", [by_pump, by_client])
async def test_a_body_that_was_cut_is_an_error_for_both_clients(
    name: str, read: Callable[[socket.socket], Awaitable[bytes]]
) -> None:
    """With the URL's scheme and without TLS, by both ways to read one."""
    answer, whole, body = ENDS[name]
    async with relayed() as r:

        def serve() -> None:
            asked = r.server.recv(10_000)
            assert asked.startswith(b"GET /v2/a HTTP/1.1\r\n")
            assert b"host: reg.test" in asked.lower()
            r.server.sendall(answer)
            (proper if whole else broken_off)(r.server)

        got: bytes | None = None
        async with asyncio.TaskGroup() as group:
            group.create_task(asyncio.to_thread(serve))
            with contextlib.suppress(Failed):
                got = await read(RelayedSocket(fileno=r.carrier.detach()))
        assert got == body
