"""TLS over a socket, against OpenSSL at the other end of a socket pair, record by record."""

import contextlib
import functools
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Self, TypeVar

import pytest
import trustme

from credproxy.adapters.tls_stream import STEP, TlsStream


T = TypeVar("T")

HOST = "reg.test"
RECORD = 16 * 1024
SOON = 0.1
"""Seconds; what has not come by then does not come."""


class Other:
    """The server: its records are made in memory, and leave when and as a test wants."""

    def __init__(self, sock: socket.socket, context: ssl.SSLContext) -> None:
        self.sock = sock
        self._coming, self._going = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self._coming, self._going, server_side=True)

    def handshake(self) -> None:
        """Its part of it."""
        while True:
            try:
                self.tls.do_handshake()
            except ssl.SSLWantReadError:
                self.sock.sendall(self._going.read())
                self.take()
            else:
                self.sock.sendall(self._going.read())
                return

    def take(self) -> None:
        """Take what the client has sent."""
        self._coming.write(self.sock.recv(1 << 20))

    def told(self) -> None:
        """Go through a handshake, and read what the client says to it."""
        self.handshake()
        self.take()
        self.tls.read(1)

    def records(self, *parts: bytes) -> bytes:
        """Encrypt: one record for each part, or more where that is longer than one."""
        for part in parts:
            self.tls.write(part)
        return self._going.read()

    def said_goodbye(self) -> bytes:
        """The record that announces the end."""
        with contextlib.suppress(ssl.SSLWantReadError):
            self.tls.unwrap()
        return self._going.read()


@functools.cache
def contexts(version: ssl.TLSVersion) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """Of a server, and of a client that believes it."""
    authority = trustme.CA()
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.minimum_version = theirs.maximum_version = version
    authority.issue_cert(HOST).configure_cert(theirs)
    ours = ssl.create_default_context()
    authority.configure_trust(ours)
    return theirs, ours


class Pair:
    """Both ends of one connection, the handshake behind them."""

    def __init__(self, version: ssl.TLSVersion) -> None:
        theirs, ours = contexts(version)
        self.raw, there = socket.socketpair()
        self.raw.settimeout(5)
        self.other = Other(there, theirs)
        self.stream = TlsStream(self.raw, ours, host=HOST)
        beside(self.other.handshake, self.stream.handshake)

    def close(self) -> None:
        """Close both."""
        self.stream.close()
        self.other.sock.close()


def beside(there: Callable[[], object], here: Callable[[], T]) -> T:
    """Do both at once; give what this side gives, and raise what the other one raises."""
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(there)
        found = here()
        waiting.result(5)
        return found


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    """A connection of either version."""
    made = Pair(request.param)
    yield made
    made.close()


def into(stream: TlsStream, size: int) -> bytes:
    """Read into a buffer of that size."""
    buffer = bytearray(size)
    return bytes(buffer[: stream.recv_into(memoryview(buffer))])


def test_both_directions(pair: Pair) -> None:
    """What the one sends the other reads."""
    assert pair.stream.send(b"question") == 8
    pair.other.take()
    assert pair.other.tls.read(100) == b"question"
    pair.other.sock.sendall(pair.other.records(b"answer"))
    assert pair.stream.recv(100) == b"answer"


def test_one_read_takes_every_record_that_is_here(pair: Pair) -> None:
    """The point of it: a large buffer is filled by one call, whatever the records are."""
    body = bytes(range(256)) * (4 * RECORD // 256)
    pair.other.sock.sendall(pair.other.records(b"x", body, b"y"))
    assert into(pair.stream, 8 * RECORD) == b"x" + body + b"y"


def test_one_call_of_the_loop_takes_one_record(pair: Pair) -> None:
    """A hundred thousand records of one byte may be here: between two of them the loop serves others."""
    pair.other.sock.sendall(pair.other.records(b"a", b"b"))
    assert (pair.stream.recv(100), pair.stream.recv(100)) == (b"a", b"b")


@pytest.mark.parametrize("size", [1, RECORD - 1, STEP - 1, STEP, STEP + 1])
def test_what_does_not_fit_is_there_for_the_next_read(pair: Pair, size: int) -> None:
    """Also where the caller's buffer is the one that the bytes come in by."""
    body = bytes(range(256)) * (10 * RECORD // 256)
    found = b""

    def read() -> None:
        nonlocal found
        while len(found) < len(body):
            found += into(pair.stream, size)

    beside(lambda: pair.other.sock.sendall(pair.other.records(body)), read)
    assert found == body


def test_a_record_comes_in_pieces(pair: Pair) -> None:
    """Half a record is nothing yet, and is not lost."""
    record = pair.other.records(b"whole")
    pair.stream.settimeout(0)
    for at in range(len(record)):
        with pytest.raises(ssl.SSLWantReadError):
            pair.stream.recv(100)
        pair.other.sock.sendall(record[at : at + 1])
    assert pair.stream.recv(100) == b"whole"


def test_who_does_not_wait_is_told_so(pair: Pair) -> None:
    """As by the standard library's own: what was read up to then is given first."""
    pair.stream.settimeout(0)
    pair.other.sock.sendall(pair.other.records(b"x"))
    assert into(pair.stream, 100) == b"x"
    with pytest.raises(ssl.SSLWantReadError):
        into(pair.stream, 100)


def test_a_time_out_is_that_of_the_whole_call(pair: Pair) -> None:
    """S11: a record that drips is no sign of life."""
    record, over = pair.other.records(b"whole"), threading.Event()

    def drip() -> None:
        for byte in record:
            if over.wait(SOON / 4):
                return
            pair.other.sock.sendall(bytes([byte]))

    def wait() -> float:
        begun = time.perf_counter()
        with pytest.raises(TimeoutError):
            into(pair.stream, 100)
        over.set()
        return time.perf_counter() - begun

    pair.stream.settimeout(SOON)
    assert pair.stream.gettimeout() == SOON
    assert SOON <= beside(drip, wait) < 5 * SOON


def test_an_announced_end(pair: Pair) -> None:
    """Nothing, again and again; also where an unannounced one would be none."""
    pair.other.sock.sendall(pair.other.records(b"last") + pair.other.said_goodbye())
    pair.stream.ragged = False
    assert [into(pair.stream, 100), into(pair.stream, 100), pair.stream.recv(100)] == [b"last", b"", b""]


def test_an_end_that_was_not_announced(pair: Pair) -> None:
    """It ends a body whose length is known, and cuts one that only it would end."""
    pair.other.sock.sendall(pair.other.records(b"last"))
    pair.other.sock.close()
    pair.stream.ragged = False
    assert into(pair.stream, 100) == b"last"
    for _ in range(2):
        with pytest.raises(ssl.SSLEOFError):
            into(pair.stream, 100)
        with pytest.raises(ssl.SSLEOFError):
            pair.stream.recv(100)
    pair.stream.ragged = True
    assert (into(pair.stream, 100), pair.stream.recv(100)) == (b"", b"")


def test_an_end_within_a_record_is_one_that_was_not_announced(pair: Pair) -> None:
    """What is missing of it cannot be told."""
    pair.other.sock.sendall(pair.other.records(b"last", b"torn")[:-1])
    pair.other.sock.close()
    pair.stream.ragged = False
    assert into(pair.stream, 100) == b"last"
    with pytest.raises(ssl.SSLEOFError):
        into(pair.stream, 100)


def test_a_record_that_was_changed_on_its_way(pair: Pair) -> None:
    """What stood before it is given first; then an error that is no end, whatever ends count."""
    changed = bytearray(pair.other.records(b"first", b"second"))
    changed[-1] ^= 1
    pair.other.sock.sendall(changed)
    assert into(pair.stream, 100) == b"first"
    for _ in range(2):
        with pytest.raises(ssl.SSLError) as caught:
            into(pair.stream, 100)
        assert not isinstance(caught.value, ssl.SSLEOFError)


def test_whoever_wakes_it_ends_its_wait(pair: Pair) -> None:
    """P8: by the socket, and not by taking its state away from under the thread that reads."""
    waiting: Future[bytes]
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(into, pair.stream, 100)
        time.sleep(SOON)
        pair.stream.shutdown(socket.SHUT_RDWR)
        assert waiting.result(5) == b""


def test_what_lies_unread_is_seen(pair: Pair) -> None:
    """A connection on which something came unasked is not used again."""
    assert pair.stream.pending() == 0
    pair.other.sock.sendall(pair.other.records(b"ab", b"c"))
    assert pair.stream.recv(1) == b"a"
    assert pair.stream.pending() > 0
    assert (pair.stream.recv(1), pair.stream.pending() > 0) == (b"b", True)
    assert (pair.stream.recv(1), pair.stream.pending()) == (b"c", 0)


def test_what_does_not_leave_at_once_is_sent_again_and_leaves_once(pair: Pair) -> None:
    """As OpenSSL has it: the same data are given again until they are gone."""
    data = b"x" * 4 * RECORD
    pair.raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    pair.stream.settimeout(0)
    with pytest.raises(ssl.SSLWantWriteError):
        pair.stream.send(data)
    found, sent = b"", 0
    while not sent:
        pair.other.take()
        with contextlib.suppress(ssl.SSLWantWriteError):
            sent = pair.stream.send(data)
    pair.other.sock.settimeout(SOON)
    with contextlib.suppress(TimeoutError, ssl.SSLWantReadError):
        while True:
            try:
                found += pair.other.tls.read(RECORD)
            except ssl.SSLWantReadError:
                pair.other.take()
    assert (sent, found) == (len(data), data)


def test_a_send_waits_no_longer_than_its_time_out(pair: Pair) -> None:
    """A registry that does not read what it is asked."""
    pair.raw.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
    pair.stream.settimeout(SOON)
    with pytest.raises(TimeoutError):
        pair.stream.send(b"x" * 1024 * 1024)


def test_a_certificate_that_is_not_believed_is_told_so() -> None:
    """The server's log says what its owner has to do; ours is raised as the standard library's is."""
    theirs, _ = contexts(ssl.TLSVersion.TLSv1_3)
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(5)
        stream, other = TlsStream(here, ssl.create_default_context(), host=HOST), Other(there, theirs)
        with ThreadPoolExecutor(1) as pool:
            waiting = pool.submit(other.told)
            with pytest.raises(ssl.SSLCertVerificationError):
                stream.handshake()
            with pytest.raises(ssl.SSLError, match="UNKNOWN_CA"):
                waiting.result(5)


def test_a_handshake_that_breaks_off() -> None:
    """It says nothing about certificates, so a client may ask again."""
    here, there = socket.socketpair()
    with here:
        here.settimeout(5)
        there.close()
        with pytest.raises((ssl.SSLEOFError, ConnectionError)):
            TlsStream(here, ssl.create_default_context(), host=HOST).handshake()


def test_a_handshake_that_is_not_answered() -> None:
    """It has as long as its socket was told, and no longer."""
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(SOON)
        with pytest.raises(TimeoutError):
            TlsStream(here, ssl.create_default_context(), host=HOST).handshake()


class Talkative(ssl.SSLContext):
    """Makes connections that answer each record by themselves, as key updates are answered."""

    def __new__(cls) -> Self:
        """As its base wants it."""
        return super().__new__(cls, ssl.PROTOCOL_TLS_CLIENT)

    def wrap_bio(self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, *_: object, **__: object) -> ssl.SSLObject:
        """What is read is what came, and is said back."""

        class Echo:
            def read(self, size: int, buffer: memoryview) -> int:
                found = incoming.read(size)
                if not found:
                    raise ssl.SSLWantReadError
                outgoing.write(found)
                buffer[: len(found)] = found
                return len(found)

        return Echo()  # type: ignore[return-value]  # all that is asked of it


def test_what_a_read_has_to_say_leaves_before_the_next_one() -> None:
    """A server that asks for new keys waits for the answer; the client may read for minutes and send nothing itself."""
    here, there = socket.socketpair()
    with here, there:
        here.settimeout(SOON)
        stream = TlsStream(here, Talkative(), host=HOST)
        there.sendall(b"update")
        assert into(stream, 100) == b"update"
        with pytest.raises(TimeoutError):
            into(stream, 100)
        assert there.recv(100) == b"update"


def test_while_it_cannot_leave_nothing_more_is_read() -> None:
    """A server that asks and asks, and reads no answer, would fill the memory."""
    here, there = socket.socketpair()
    with here, there:
        here.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        here.settimeout(0)
        there.setblocking(False)
        stream, read = TlsStream(here, Talkative(), host=HOST), 0

        def flood() -> None:
            nonlocal read
            while read < 1024 * 1024:
                with contextlib.suppress(BlockingIOError):
                    there.send(b"x" * 65536)
                read += len(into(stream, 65536))

        with pytest.raises(ssl.SSLWantWriteError):
            flood()
