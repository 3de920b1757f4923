"""TLS that reads its socket piece by piece: the same bytes as OpenSSL gives, and no server that keeps its reader."""

import contextlib
import itertools
import select
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path

import pytest
import trustme

from credproxy.adapters.tls_socket import PIECE, TlsSocket
from tests.adapters.tls_messages import Records, secret, talkative


AUTHORITY = trustme.CA()
CERTIFICATE = AUTHORITY.issue_cert("localhost")
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)
LETTERS = bytes(range(251)) * 4000


def theirs(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A server's context."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    CERTIFICATE.configure_cert(context)
    context.maximum_version = version
    return context


@contextlib.contextmanager
def pair(
    context: ssl.SSLContext, serve: Callable[[ssl.SSLSocket], object], *, host: str = "localhost"
) -> Iterator[tuple[TlsSocket, "Future[object]"]]:
    """The client's side before its handshake, and what ``serve`` will have given for the other one."""
    ours, other = socket.socketpair()
    trusting = ssl.create_default_context()
    AUTHORITY.configure_trust(trusting)
    other.settimeout(10)

    def work() -> object:
        with context.wrap_socket(other, server_side=True) as server:
            return serve(server)

    with ThreadPoolExecutor(1) as threads:
        made = TlsSocket(ours, trusting, host=host)
        try:
            yield made, threads.submit(work)
        finally:
            made.close()
            other.close()


def everything(tls: TlsSocket, *reads: Callable[[], bytes]) -> bytes:
    """What it gives to its end, if read in these ways by turns."""
    tls.settimeout(10)
    found = bytearray()
    for read in itertools.cycle(reads):
        with contextlib.suppress(ssl.SSLWantReadError):
            piece = read()
            if not piece:
                break
            found += piece
    return bytes(found)


def into(tls: TlsSocket, size: int) -> bytes:
    """Read by a buffer of some size."""
    buffer = bytearray(size)
    return bytes(buffer[: tls.recv_into(buffer)])


@pytest.mark.parametrize("version", VERSIONS, ids=lambda one: one.name)
@pytest.mark.parametrize("size", [1, 1000, 16384, 32767, 32768, 40_000, 1 << 18])
def test_all_bytes_come_in_order_whatever_the_buffer(version: ssl.TLSVersion, size: int) -> None:
    """A small buffer leaves some decrypted, and a large one is where encrypted bytes are put first."""
    content = LETTERS if size > 1 else LETTERS[:20_000]

    def serve(server: ssl.SSLSocket) -> None:
        for start in range(0, len(content), 50_001):
            server.sendall(content[start : start + 50_001])
        server.unwrap()

    with pair(theirs(version), serve) as (tls, _):
        tls.shake_hands(10)
        tls.strict = True
        assert everything(tls, partial(into, tls, size), partial(tls.recv, size)) == content


@pytest.mark.parametrize("strict", [False, True])
def test_an_end_without_tls_s_word_for_it(strict: bool) -> None:  # noqa: FBT001  parametrized
    """Truncation looks like the end only where the length of a body is known."""

    def serve(server: ssl.SSLSocket) -> None:
        server.sendall(LETTERS)
        server.shutdown(socket.SHUT_RDWR)

    with pair(theirs(VERSIONS[1]), serve) as (tls, _):
        tls.shake_hands(10)
        tls.strict = strict
        if not strict:
            assert everything(tls, partial(into, tls, 1 << 18)) == LETTERS
            assert tls.recv(1) == b""
            return
        with pytest.raises(ssl.SSLEOFError):
            everything(tls, partial(into, tls, 1 << 18))
        with pytest.raises(ssl.SSLEOFError):
            tls.recv(1)


def sent(tls: TlsSocket, data: bytes) -> None:
    """Send all of it, as the event loop does; the socket does not block."""
    tls.settimeout(0)
    done = 0
    while done < len(data):
        with contextlib.suppress(BlockingIOError):
            done += tls.send(memoryview(data)[done:])


def test_what_is_sent_arrives_once_and_encrypted_however_little_the_socket_takes() -> None:
    """Data that was accepted and not sent is given again by the caller, and not encrypted again."""

    def serve(server: ssl.SSLSocket) -> bytes:
        found = b""
        while len(found) < len(LETTERS):
            found += server.recv(1000)
        return found

    with pair(theirs(VERSIONS[1]), serve) as (tls, got):
        tls.shake_hands(10)
        sent(tls, LETTERS)
        assert got.result(10) == LETTERS
        assert not tls.unsent


def test_no_method_of_a_plain_socket_is_left_that_would_send_in_plain() -> None:
    """One that is not there fails, and sends no secret."""
    with pair(theirs(VERSIONS[1]), lambda server: server.recv(1)) as (tls, _):
        tls.shake_hands(10)
        for name in ("sendall", "sendto", "sendmsg", "sendfile", "makefile", "dup", "detach"):
            assert not hasattr(tls, name)


@pytest.mark.parametrize("case", ["another name", "silence", "no TLS"])
def test_a_handshake_that_fails(case: str) -> None:
    """Each as the standard library tells it; a silent server within its time."""
    ours, other = socket.socketpair()
    trusting = ssl.create_default_context()
    AUTHORITY.configure_trust(trusting)

    def serve() -> None:
        if case == "no TLS":
            other.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        elif case == "another name":
            with contextlib.suppress(ssl.SSLError):
                theirs(VERSIONS[1]).wrap_socket(other, server_side=True).close()

    thread = threading.Thread(target=serve)
    thread.start()
    wanted = {"another name": ssl.SSLCertVerificationError, "silence": TimeoutError, "no TLS": ssl.SSLError}[case]
    tls = TlsSocket(ours, trusting, host="other.test")
    with pytest.raises(wanted, match="Hostname mismatch" if case == "another name" else None):
        tls.shake_hands(0.2 if case == "silence" else 10)
    thread.join()
    tls.close()
    other.close()


def test_one_read_takes_one_piece_of_messages_without_data(tmp_path: Path) -> None:
    """Then it tells that there was no data, also where the socket blocks: a server can send tickets without end."""
    keys, go = tmp_path / "keys", threading.Event()

    def serve(server: ssl.SSLSocket) -> None:
        records = Records(server, secret(keys))
        with contextlib.suppress(OSError):
            while not go.is_set():
                records.tickets()

    with pair(talkative(theirs(VERSIONS[1]), keys), serve) as (tls, _):
        tls.shake_hands(10)
        for waits in (10.0, 0.0):
            tls.settimeout(waits)
            for size in (100, PIECE):
                with pytest.raises((ssl.SSLWantReadError, BlockingIOError)):
                    into(tls, size)
        go.set()


def until_it_fails(tls: TlsSocket) -> None:
    """Read for as long as there is nothing but messages of TLS."""
    while True:
        with contextlib.suppress(BlockingIOError, ssl.SSLWantReadError):
            into(tls, PIECE)


@pytest.mark.parametrize("what", ["tickets", "keys"])
def test_a_server_that_sends_nothing_but_messages_of_tls_is_given_up(tmp_path: Path, what: str) -> None:
    """Each new key costs as much work as half a megabyte of data; here the answers are taken."""
    keys = tmp_path / "keys"

    def serve(server: ssl.SSLSocket) -> None:
        records = Records(server, secret(keys))
        with contextlib.suppress(OSError):
            while True:
                if what == "tickets":
                    records.tickets()
                else:
                    records.key_updates(50)
                    socket.socket.recv(server, PIECE)

    with pair(talkative(theirs(VERSIONS[1]), keys), serve) as (tls, _):
        tls.shake_hands(10)
        tls.settimeout(0)
        with pytest.raises(ConnectionAbortedError):
            until_it_fails(tls)


def test_a_server_that_wants_new_keys_and_takes_none_is_given_up(tmp_path: Path) -> None:
    """Each request is answered, and OpenSSL would keep the answers in memory, however many."""
    keys = tmp_path / "keys"

    def serve(server: ssl.SSLSocket) -> None:
        records = Records(server, secret(keys))
        with contextlib.suppress(OSError):
            while True:
                records.key_updates(500)

    with pair(talkative(theirs(VERSIONS[1]), keys), serve) as (tls, _):
        tls.shake_hands(10)
        tls.settimeout(0)
        with pytest.raises(ConnectionAbortedError):
            until_it_fails(tls)


@pytest.mark.parametrize("read", [partial(into, size=100), partial(into, size=PIECE), lambda tls: tls.recv(100)])
def test_what_tls_answers_leaves_without_another_read(tmp_path: Path, read: Callable[[TlsSocket], bytes]) -> None:
    """A server that shakes hands again, as Apache does for a part of its site, sends nothing more before it has the answer."""
    keys = tmp_path / "keys"

    def serve(server: ssl.SSLSocket) -> bool:
        Records(server, secret(keys)).key_updates(2)
        return bool(select.select([server], [], [], 5)[0])

    with pair(talkative(theirs(VERSIONS[1]), keys), serve) as (tls, answered):
        tls.shake_hands(10)
        tls.settimeout(10)
        with pytest.raises(ssl.SSLWantReadError):
            read(tls)
        assert answered.result()
