"""The normal case: input and output, in Bazel's order."""

import json
import os
import signal
import subprocess
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st

from tests.helper.conftest import VERSION
from tests.helper.harness import Helper, Place, at_end, call, drain, wait
from tests.helper.scripted import ScriptedDaemon, answer, kept_open, message, raw, silence


REQUEST = b'{"uri":"https://ghcr.io/v2/?x\\u003d1"}'
ANSWER = '{"headers":{"Authorization":["Bearer tökén"]}}'.encode()

USAGE = ["usage: credproxy-helper get < REQUEST", "       credproxy-helper get --uri URI"]


def test_the_request_arrives_byte_by_byte_with_our_headers(helper: Helper, place: Place) -> None:
    """The body is standard input as it was written, JSON escapes included; the head says what the daemon needs."""
    with ScriptedDaemon(place.socket) as daemon:
        call([helper.bazel, "get"], REQUEST, env=place.env())
    (heard,) = daemon.heard
    left = int(heard.headers.pop("x-credproxy-deadline-ms"))
    assert heard.line == "POST /v1/get HTTP/1.1"
    assert heard.body == REQUEST
    assert 8000 < left <= 9000
    assert heard.headers == {
        "host": "localhost",
        "content-type": "application/json",
        "accept": "text/plain",
        "content-length": str(len(REQUEST)),
        "x-credproxy-parent": str(os.getpid()),
        "x-credproxy-version": VERSION,
        "connection": "close",
    }


def test_the_answer_leaves_unchanged_and_nothing_else_does(helper: Helper, place: Place) -> None:
    """Exit 0, the body on standard output, an empty standard error, no process left that holds the pipes."""
    with ScriptedDaemon(place.socket, answer(200, ANSWER)):
        result = call([helper.bazel, "get"], REQUEST, env=place.env())
    assert (result.code, result.out, result.err, result.held) == (0, ANSWER, b"", ())


@pytest.mark.usefixtures("on_linux")
def test_the_answer_is_one_write(helper: Helper, place: Place) -> None:
    """A packet pipe keeps writes apart: there is exactly one (CL-3)."""
    read_end, write_end = os.pipe2(os.O_DIRECT)
    with ScriptedDaemon(
        place.socket, raw(message(200, b"x" * 4000)[:2000], message(200, b"x" * 4000)[2000:], pause=0.05)
    ):
        subprocess.run([helper.bazel, "get"], input=REQUEST, stdout=write_end, env=place.env(), check=True)
    os.close(write_end)
    assert os.read(read_end, 65536) == b"x" * 4000
    assert os.read(read_end, 65536) == b""
    os.close(read_end)


@pytest.mark.parametrize(
    "pieces",
    [
        pytest.param([bytes([byte]) for byte in message(200, ANSWER)], id="byte by byte"),
        pytest.param([message(200, ANSWER)[:-1], message(200, ANSWER)[-1:]], id="last byte apart"),
        pytest.param([message(200, ANSWER).replace(b"Content-Length", b"cONTENT-lENGTH")], id="header in another case"),
        pytest.param([message(200, ANSWER).replace(b"Length: ", b"Length:\t  ")], id="spaces before the length"),
        pytest.param([b"HTTP/1.1 200\r\nContent-Length:%d\r\n\r\n" % len(ANSWER) + ANSWER], id="no reason phrase"),
        pytest.param([message(200, ANSWER) + b"HTTP/1.1 400 and more"], id="more behind the answer"),
    ],
)
def test_an_answer_may_come_in_any_pieces(helper: Helper, place: Place, pieces: list[bytes]) -> None:
    """How the bytes are cut, and what HTTP leaves open, makes no difference."""
    with ScriptedDaemon(place.socket, raw(*pieces)):
        result = call([helper.bazel, "get"], env=place.env())
    assert (result.code, result.out) == (0, ANSWER)


def test_the_end_of_the_answer_is_its_length_and_not_the_connections_end(helper: Helper, place: Place) -> None:
    """A daemon that keeps the connection open costs no time."""
    with ScriptedDaemon(place.socket, kept_open(message(200, ANSWER))):
        result = call([helper.bazel, "get"], env=place.env(), patience=2.0)
    assert (result.code, result.out) == (0, ANSWER)


@pytest.mark.usefixtures("on_linux")
def test_the_largest_answer_fits_the_smallest_pipe(helper: Helper, place: Place) -> None:
    """8,192 bytes pass through a pipe of 8 KiB, although the reader waits for the exit (CL-4)."""
    with ScriptedDaemon(place.socket, answer(200, b"x" * 8192)):
        result = call([helper.bazel, "get"], env=place.env(), pipe_size=8192)
    assert (result.code, len(result.out)) == (0, 8192)


@pytest.mark.parametrize(("size", "code"), [(65_536, 0), (65_537, 1), (300_000, 1)])
def test_a_request_is_at_most_64_kib_and_always_read_to_its_end(
    helper: Helper, place: Place, size: int, code: int
) -> None:
    """One byte more is our own error; the writer never meets a broken pipe (CL-2)."""
    with ScriptedDaemon(place.socket) as daemon:
        result = call([helper.bazel, "get"], b"x" * size, env=place.env())
    assert (result.code, result.stdin_broke) == (code, False)
    assert [len(heard.body) for heard in daemon.heard] == ([size] if code == 0 else [])
    assert result.lines[:1] == (["the request on standard input is longer than 65536 bytes"] if code else [])


def test_a_failure_is_the_daemons_two_lines_on_stderr(helper: Helper, place: Place) -> None:
    """Cause and remedy as the daemon worded them, exit 1, nothing on standard output."""
    with ScriptedDaemon(place.socket, answer(502, b"the login is too old\nlog in again\n")):
        result = call([helper.bazel, "get"], env=place.env())
    assert (result.code, result.out) == (1, b"")
    assert result.lines == ["the login is too old", "log in again"]


@pytest.mark.parametrize(
    ("text", "printed"),
    [
        pytest.param(b"no line end", b"no line end\n", id="line end added"),
        pytest.param(b"y" * 8000, b"y" * 2047 + b"\n", id="cut at 2 KiB"),
        pytest.param(b"y" * 2047 + b"\n", b"y" * 2047 + b"\n", id="2 KiB"),
        pytest.param(b"", b"the daemon answered with status 503 and no text\nlook in the daemon's log\n", id="empty"),
    ],
)
def test_an_error_text_ends_its_line_within_2_kib(helper: Helper, place: Place, text: bytes, printed: bytes) -> None:
    """Standard error shares the pipe's danger, so it is cut (CL-5); and it is never empty."""
    with ScriptedDaemon(place.socket, answer(503, text)):
        result = call([helper.bazel, "get"], env=place.env())
    assert (result.code, result.err) == (1, printed)


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("",),
        ("GET",),
        ("store",),
        ("--help", "get"),
        ("get", "--version"),
        ("get", "x"),
        ("get", "--uri"),
        ("get", "--url", "x"),
        ("get", "--uri", "a", "b"),
        ("--uri", "get", "x"),
    ],
    ids=repr,
)
def test_anything_but_get_is_usage(helper: Helper, place: Place, arguments: tuple[str, ...]) -> None:
    """Usage on standard error and exit 1; the daemon is not asked (CL-1)."""
    with ScriptedDaemon(place.socket) as daemon:
        result = call([helper.bazel, *arguments], b"", env=place.env())
    assert (result.code, result.out, result.lines) == (1, b"", USAGE)
    assert daemon.connections == 0


@pytest.mark.parametrize("flag", ["--version", "-V", "version"])
def test_the_version_is_printed_without_a_daemon(helper: Helper, place: Place, flag: str) -> None:
    """The package's own, on standard output."""
    result = call([helper.bazel, flag], b"", env=place.env())
    assert (result.code, result.out.decode(), result.err) == (0, f"credproxy-helper (credproxy) {VERSION}\n", b"")


@pytest.mark.parametrize("flag", ["--help", "-h", "help"])
def test_the_help_names_every_command_and_variable(helper: Helper, place: Place, flag: str) -> None:
    """On standard output, exit 0; its first lines are those that a wrong call gets."""
    result = call([helper.bazel, flag], b"", env=place.env())
    lines = result.out.decode().splitlines()
    assert (result.code, result.err, lines[:2]) == (0, b"", USAGE)
    assert {line.split()[0].partition("=")[0] for line in lines if line.startswith("  CREDPROXY_")} == {
        "CREDPROXY_SOCKET",
        "CREDPROXY_AUTOSTART",
        "CREDPROXY_TIMEOUT",
        "CREDPROXY_PEER_NAMESPACES",
    }
    assert lines[-1].startswith("Exit status: 0")
    assert max(map(len, lines)) <= 60, "it fits beside an editor"


def test_empty_stdin_without_uri_is_an_exact_error(helper: Helper, place: Place) -> None:
    """A caller that writes nothing is told what to do (CL-41)."""
    result = call([helper.bazel, "get"], b"", env=place.env())
    assert (result.code, result.out) == (1, b"")
    assert result.lines == [
        "the request on standard input is empty",
        'write {"uri": "https://..."} to it, or use `credproxy-helper get --uri URI`',
    ]


def test_get_uri_needs_no_stdin(helper: Helper, place: Place) -> None:
    """Standard input is not even read: this one never ends (CL-41, reclient)."""
    read_end, write_end = os.pipe()
    with ScriptedDaemon(place.socket) as daemon:
        argv = [str(helper.bazel), "get", "--uri", "https://ghcr.io/"]
        done = subprocess.run(argv, stdin=read_end, capture_output=True, env=place.env(), timeout=5, check=True)
    os.close(read_end)
    os.close(write_end)
    assert (done.stdout, done.stderr) == (b"{}", b"")
    assert [heard.body for heard in daemon.heard] == [b'{"uri":"https://ghcr.io/"}']


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=25)
@given(
    uris=st.lists(
        st.text(st.one_of(st.characters(codec="utf-8", exclude_characters="\0"), st.sampled_from('"\\\n\x1f\x7f'))),
        min_size=1,
        max_size=4,
    ).map(lambda texts: [text for text in texts if text] or ["x"])
)
def test_a_uri_argument_survives_json(helper: Helper, uris: list[str]) -> None:
    """Whatever the argument holds, a JSON parser finds exactly that under "uri"."""
    with tempfile.TemporaryDirectory(prefix="cp-", dir="/tmp") as root:
        place = Place(Path(root))
        place.directory.mkdir(parents=True, mode=0o700)
        with ScriptedDaemon(place.socket) as daemon:
            for uri in uris:
                call([helper.bazel, "get", "--uri", uri], b"", env=place.env())
        assert [json.loads(heard.body) for heard in daemon.heard] == [{"uri": uri} for uri in uris]


@pytest.mark.parametrize(
    ("uri", "cause"),
    [
        pytest.param("", "the URI after --uri is empty", id="empty"),
        pytest.param("x" * 65_527, "the URI makes a request longer than 65536 bytes", id="too long"),
        pytest.param("\x01" * 10_922, "the URI makes a request longer than 65536 bytes", id="too long when escaped"),
    ],
)
def test_a_uri_argument_that_cannot_be_asked_is_an_error(helper: Helper, place: Place, uri: str, cause: str) -> None:
    """The cause is named, and the daemon is not asked."""
    with ScriptedDaemon(place.socket) as daemon:
        result = call([helper.bazel, "get", "--uri", uri], b"", env=place.env())
    assert (result.code, result.lines[0], daemon.connections) == (1, cause, 0)


def test_the_longest_uri_argument_is_asked(helper: Helper, place: Place) -> None:
    """The limit is the daemon's own: 64 KiB for the whole request."""
    with ScriptedDaemon(place.socket) as daemon:
        result = call([helper.bazel, "get", "--uri", "x" * 65_526], b"", env=place.env())
    assert (result.code, len(daemon.heard[0].body)) == (0, 65_536)


@pytest.mark.parametrize("status", [200, 503])
def test_a_caller_that_hung_up_is_left_in_peace(helper: Helper, place: Place, status: int) -> None:
    """Bazel's Ctrl-C closes the pipes: no traceback, no death by SIGPIPE (CL-8)."""
    with (
        ScriptedDaemon(place.socket, answer(status, b"x")),
        subprocess.Popen(
            [helper.bazel, "get"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=place.env(),
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stderr is not None
        (process.stdout if status == 200 else process.stderr).close()
        process.stdin.write(REQUEST)
        process.stdin.close()
        assert wait(process, 5.0)
        if status == 200:
            assert drain(process.stderr.fileno()) == b""
    assert process.returncode == (0 if status == 200 else 1)


def test_a_descriptor_that_the_caller_closed_is_not_taken_for_another(helper: Helper, place: Place) -> None:
    """With 1 and 2 closed the connection must not become standard error, which would receive our message."""
    with ScriptedDaemon(place.socket, raw(b"garbage")) as daemon:
        argv = ["/bin/sh", "-c", 'exec "$0" get >&- 2>&-', str(helper.bazel)]
        result = call(argv, REQUEST, env=place.env())
    assert (result.code, result.out, result.err) == (1, b"", b"")
    assert [heard.body for heard in daemon.heard] == [REQUEST]


def test_a_closed_stdin_counts_as_empty(helper: Helper, place: Place) -> None:
    """The same error as for an empty one, and no "Bad file descriptor"."""
    result = call(["/bin/sh", "-c", 'exec "$0" get <&-', str(helper.bazel)], b"", env=place.env())
    assert (result.code, result.lines[0]) == (1, "the request on standard input is empty")


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["default", "inherited as ignored"])
def test_sigterm_ends_it_within_100_ms(helper: Helper, place: Place, trap: str) -> None:
    """Bazel waits for that without limit, so SIGTERM works even if the caller ignored it (CL-7)."""
    with (
        ScriptedDaemon(place.socket, silence()) as daemon,
        subprocess.Popen(
            ["/bin/sh", "-c", trap + 'exec "$0" get', str(helper.bazel)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=place.env(),
        ) as process,
    ):
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(REQUEST)
        process.stdin.close()
        until = time.perf_counter() + 5
        while not daemon.heard and time.perf_counter() < until:
            daemon.over.wait(0.005)
        process.send_signal(signal.SIGTERM)
        assert wait(process, 0.1)
        assert at_end(process.stdout.fileno(), time.perf_counter() + 0.1)
    assert process.returncode == -signal.SIGTERM


@pytest.mark.parametrize("kind", ["root", "gone"])
def test_the_working_directory_does_not_matter(helper: Helper, place: Place, kind: str) -> None:
    """Outside a workspace it is the Bazel server's own, and may have been deleted (CL-12)."""
    gone = place.root / "gone"
    gone.mkdir()
    script = 'rmdir "$1" && exec "$0" get' if kind == "gone" else 'exec "$0" get'
    with ScriptedDaemon(place.socket, answer(200, ANSWER)):
        argv = ["/bin/sh", "-c", script, str(helper.bazel), str(gone)]
        env = place.env(PATH="/usr/bin:/bin")
        result = call(argv, REQUEST, env=env, cwd=gone if kind == "gone" else "/")
    assert (result.code, result.out, result.err) == (0, ANSWER, b"")


def test_an_empty_environment_with_nothing_but_the_socket_is_enough(helper: Helper, place: Place) -> None:
    """``env -i``: no HOME, no PATH, no locale."""
    with ScriptedDaemon(place.socket, answer(200, ANSWER)):
        result = call([helper.bazel, "get"], REQUEST, env={"CREDPROXY_SOCKET": str(place.socket)})
    assert (result.code, result.out, result.err) == (0, ANSWER, b"")


def test_eight_at_once_are_all_answered(helper: Helper, place: Place) -> None:
    """Bazel's usual burst."""
    with ScriptedDaemon(place.socket) as daemon, ThreadPoolExecutor(8) as pool:
        uris = [f'{{"uri":"https://ghcr.io/{number}"}}'.encode() for number in range(8)]
        results = list(pool.map(lambda uri: call([helper.bazel, "get"], uri, env=place.env()), uris))
    assert [(result.code, result.out) for result in results] == [(0, b"{}")] * 8
    assert sorted(heard.body for heard in daemon.heard) == uris
