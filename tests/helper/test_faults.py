"""Failures between the helper and the daemon: one retry, a clear message, and always an end in time."""

import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helper.harness import Helper, Place, call, wait
from tests.helper.scripted import (
    ScriptedDaemon,
    Step,
    answer,
    answer_unread,
    kept_open,
    message,
    raw,
    reset,
    silence,
)


HALF = "the daemon on {} has not answered for 0.5 s"
TWICE = "the daemon on {} closed the connection twice before its answer was complete"
RESTART = "ask again; restart the daemon if `credproxy status` does not answer either"

BROKEN = [
    pytest.param(reset(), id="reset before the headers"),
    pytest.param(raw(), id="end before the headers"),
    pytest.param(raw(b"HTT"), id="end in the status line"),
    pytest.param(raw(message(200, b"{}")[:40]), id="end in the headers"),
    pytest.param(raw(message(200, b'{"headers":{}}')[:-5]), id="truncated body"),
    pytest.param(raw(message(200, b"{}")[:-2]), id="no body"),
]


@pytest.mark.parametrize("broken", BROKEN)
def test_a_connection_that_breaks_is_tried_once_more(helper: Helper, place: Place, broken: Step) -> None:
    """A daemon that stops or was killed has a successor; nothing had been printed, so the caller does not notice (F7)."""
    with ScriptedDaemon(place.socket, broken, answer(200, b'{"headers":{}}')) as daemon:
        result = call([helper.bazel, "get"], env=place.env())
    assert (result.code, result.out, result.err) == (0, b'{"headers":{}}', b"")
    assert daemon.connections == 2


@pytest.mark.parametrize("broken", BROKEN)
def test_a_connection_that_breaks_twice_is_a_clear_error(helper: Helper, place: Place, broken: Step) -> None:
    """No third attempt, and no partial answer on standard output."""
    with ScriptedDaemon(place.socket, broken, broken) as daemon:
        result = call([helper.bazel, "get"], env=place.env())
    assert (result.code, result.out) == (1, b"")
    assert result.lines[0] == TWICE.format(repr(str(place.socket)))
    assert len(result.lines) == 2
    assert daemon.connections == 2


def test_the_retry_sends_the_same_request_with_the_time_that_is_left(helper: Helper, place: Place) -> None:
    """The body is the caller's again; only the deadline header has moved."""
    with ScriptedDaemon(place.socket, raw()) as daemon:
        call([helper.bazel, "get"], b'{"uri":"https://x.example/"}', env=place.env())
    first, second = daemon.heard
    before, after = (int(heard.headers.pop("x-credproxy-deadline-ms")) for heard in daemon.heard)
    assert first == second
    assert after < before


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"garbage", "not HTTP/1.1"),
        (b"\r\n\r\n", "not HTTP/1.1"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "not HTTP/1.1"),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", "not HTTP/1.1"),
        (b"HTTP/1.1 2000 OK\r\nContent-Length: 0\r\n\r\n", "no status line"),
        (b"HTTP/1.1 20x OK\r\nContent-Length: 0\r\n\r\n", "no status line"),
        (b"HTTP/1.1 \r\nContent-Length: 0\r\n\r\n", "no status line"),
        (b"HTTP/1.1 200 OK\r\nX: \0\r\nContent-Length: 0\r\n\r\n", "no status line"),
        (b"HTTP/1.1 200 OK\r\n\r\n{}", "no Content-Length"),
        (b"HTTP/1.1 200 OK\r\nX-Content-Length: 2\r\n\r\n{}", "no Content-Length"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\n{}", "a Content-Length that is not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}", "a Content-Length that is not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2 2\r\n\r\n{}", "a Content-Length that is not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2x\r\n\r\n{}", "a Content-Length that is not a number"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\ncontent-length: 2\r\n\r\n{}", "two lengths"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", "a Transfer-Encoding"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 8193\r\n\r\n", "more than 8192 bytes"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999999\r\n\r\n", "more than 8192 bytes"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000, "a head of more than 8192 bytes"),
        (
            b"HTTP/1.1 200 OK\r\nX: " + b"x" * 9000 + b"\r\nContent-Length: 2\r\n\r\n{}",
            "a head of more than 8192 bytes",
        ),
    ],
    ids=range(20),
)
def test_an_answer_that_is_not_our_daemons_is_refused(helper: Helper, place: Place, data: bytes, what: str) -> None:
    """At once, with what is wrong with it, and without a retry: it would be the same again."""
    with ScriptedDaemon(place.socket, kept_open(data)) as daemon:
        result = call([helper.bazel, "get"], env=place.env(), patience=3.0)
    assert (result.code, result.out, daemon.connections) == (1, b"", 1)
    assert result.lines == [
        f"unexpected answer from the daemon on '{place.socket}': {what}",
        "check that what listens there is credproxy, in the helper's version",
    ]


def test_an_answer_may_come_before_the_request_was_read(helper: Helper, place: Place) -> None:
    """The answer of a daemon that refuses by the head is read, although it does not read the rest."""
    with ScriptedDaemon(place.socket, answer_unread(413, b"too large\nsend less\n")) as daemon:
        result = call([helper.bazel, "get"], b"x" * 65_536, env=place.env())
    assert (result.code, result.lines, daemon.connections) == (1, ["too large", "send less"], 1)


@pytest.mark.parametrize(
    "slow",
    [
        pytest.param(silence(), id="silent"),
        pytest.param(kept_open(b"HTTP/1.1 200 OK\r\n"), id="stops in the headers"),
        pytest.param(kept_open(message(200, b"{}")[:-1]), id="stops in the body"),
        pytest.param(raw(b"HTTP/1.1 200 OK\r\nX: ", *[b"x"] * 60, pause=0.05), id="drips"),
    ],
)
def test_a_daemon_that_is_too_slow_is_named_in_time(helper: Helper, place: Place, slow: Step) -> None:
    """Our own deadline comes before Bazel's, which would discard the message (CL-6)."""
    with ScriptedDaemon(place.socket, slow):
        result = call([helper.bazel, "get"], env=place.env(CREDPROXY_TIMEOUT="0.5"))
    assert (result.code, result.out) == (1, b"")
    assert result.lines == [HALF.format(repr(str(place.socket))), RESTART]
    assert 0.45 < result.seconds < 4


def test_a_stdin_that_never_ends_is_an_error_in_time(helper: Helper, place: Place) -> None:
    """The deadline counts from the start, and covers the caller's own part."""
    with subprocess.Popen(
        [helper.bazel, "get"], stdin=subprocess.PIPE, stderr=subprocess.PIPE, env=place.env(CREDPROXY_TIMEOUT="0.3")
    ) as process:
        assert process.stderr is not None
        assert wait(process, 4.0)
        assert process.stderr.read().decode().splitlines()[0] == "standard input has not ended for 0.3 s"
    assert process.returncode == 1


def test_a_daemon_that_reads_nothing_is_named_in_time(helper: Helper, place: Place) -> None:
    """It accepts, and lets a request of 64 KiB pile up."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(place.socket))
        listener.listen(8)
        result = call([helper.bazel, "get"], b"x" * 65_536, env=place.env(CREDPROXY_TIMEOUT="0.5"))
    assert result.lines[0] == HALF.format(repr(str(place.socket)))
    assert result.seconds < 4


@pytest.mark.usefixtures("on_linux")
def test_a_full_queue_is_waited_for(helper: Helper, place: Place) -> None:
    """Connecting blocks until it is our turn, where a non-blocking connect would be refused (F8, PY9)."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(place.socket))
        listener.listen(0)
        first.connect(str(place.socket))

        def make_room() -> None:
            time.sleep(0.2)  # the helper must find the queue full first
            listener.accept()[0].close()
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                connection.sendall(message(200, b"{}"))

        thread = threading.Thread(target=make_room)
        thread.start()
        result = call([helper.bazel, "get"], env=place.env())
        thread.join()
    assert (result.code, result.out, result.err) == (0, b"{}", b"")
    assert result.seconds >= 0.15  # the sleep began a little before the call did


@pytest.mark.usefixtures("on_linux")
def test_a_queue_that_stays_full_is_an_error_in_time(helper: Helper, place: Place) -> None:
    """The message says that connecting took so long."""
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(place.socket))
        listener.listen(0)
        first.connect(str(place.socket))
        result = call([helper.bazel, "get"], env=place.env(CREDPROXY_TIMEOUT="0.5"))
    assert result.lines == [f"the daemon on '{place.socket}' has taken no connection for 0.5 s", RESTART]
    assert result.seconds < 4


@pytest.mark.parametrize(
    ("text", "least", "most"),
    [("2.5", 2300, 2500), ("600", 599_000, 600_000), ("0.9999", 800, 999), ("7.", 6800, 7000)],
)
def test_the_timeout_can_be_set(helper: Helper, place: Place, text: str, least: int, most: int) -> None:
    """The daemon is told what is left of it, and answers before that (CL-6)."""
    with ScriptedDaemon(place.socket) as daemon:
        result = call([helper.bazel, "get"], env=place.env(CREDPROXY_TIMEOUT=text))
    assert result.code == 0
    assert least <= int(daemon.heard[0].headers["x-credproxy-deadline-ms"]) <= most


@pytest.mark.parametrize(
    "text",
    [
        "0",
        "0.0",
        "0.05",
        "600.1",
        "99999999999999999999",
        "abc",
        "-1",
        "+1",
        "1e3",
        "inf",
        "0x9",
        "9 ",
        " 9",
        ".5",
        "1.x",
        "1_0",
        "²",
    ],
)
def test_an_invalid_timeout_is_an_error(helper: Helper, place: Place, text: str) -> None:
    """It is named, not guessed at; and standard input is read to its end before (CL-2)."""
    with ScriptedDaemon(place.socket) as daemon:
        result = call([helper.bazel, "get"], b"x" * 65_536, env=place.env(CREDPROXY_TIMEOUT=text))
    assert (result.code, result.stdin_broke, daemon.connections) == (1, False, 0)
    assert result.lines == [
        f"CREDPROXY_TIMEOUT must be from 0.1 to 600, not '{text}'",
        "give seconds, such as 9 or 2.5, or unset it",
    ]


@pytest.mark.parametrize("text", ["false", "no", "00", " 0", "2"])
def test_an_invalid_word_about_starting_is_an_error(helper: Helper, place: Place, text: str) -> None:
    """Somebody who writes it wants no daemon: it is not started, and not asked either."""
    with ScriptedDaemon(place.socket) as daemon:
        result = call([helper.bazel, "get"], b"x" * 65_536, env=place.env(CREDPROXY_AUTOSTART=text))
    assert (result.code, result.stdin_broke, daemon.connections) == (1, False, 0)
    assert result.lines == [
        f"CREDPROXY_AUTOSTART must be '0' or '1', not '{text}'",
        "set it to 0 or to 1, or unset it",
    ]


def test_a_daemon_that_breaks_every_first_connection_loses_no_answer(helper: Helper, place: Place) -> None:
    """Eight at once are cut off, and all ask again (R16)."""

    def unreliable(daemon: ScriptedDaemon, connection: socket.socket) -> None:
        heard = daemon.hear(connection)
        if [other.body for other in daemon.heard].count(heard.body) > 1:
            connection.sendall(message(200, heard.body))

    uris = [f'{{"uri":"https://ghcr.io/{number}"}}'.encode() for number in range(8)]
    with ScriptedDaemon(place.socket, *[unreliable] * 16) as daemon, ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda uri: call([helper.bazel, "get"], uri, env=place.env()), uris))
    assert [(result.code, result.out, result.err) for result in results] == [(0, uri, b"") for uri in uris]
    assert daemon.connections == 16


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, which only Linux has")
def test_an_answer_that_cannot_be_written_is_an_error(helper: Helper, place: Place) -> None:
    """A full disk is not a hang-up: the exit status says that the answer is missing."""
    with ScriptedDaemon(place.socket):
        result = call(["/bin/sh", "-c", 'exec "$0" get > /dev/full', str(helper.bazel)], env=place.env())
    assert (result.code, result.lines[0]) == (1, "cannot write the answer to standard output: No space left on device")
