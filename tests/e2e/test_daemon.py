"""The daemon as its user sees it: real processes, real sockets, a registry on loopback."""

import json
import os
import pty
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import pytest

from tests.bazel_parser import parse
from tests.e2e.stage import CREDPROXY, HELPER, Stage, TokenRegistry


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

CANARIES = ("canary-pass", "canary-token", "Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBhc3M")


def serve(staged: Stage, registry: TokenRegistry) -> None:
    """Start the daemon for that registry."""
    staged.configure(registry.rule())
    staged.start(REGISTRY_PASSWORD=registry.password)


def test_a_helper_call_gets_a_header_that_bazel_accepts(staged: Stage, registry: TokenRegistry) -> None:
    """The main job; the answer passes Bazel's parser."""
    serve(staged, registry)
    done = staged.helper(registry.uri("a/b/manifests/x"))
    assert (done.returncode, done.stderr) == (0, "")
    answer = parse(done.stdout.encode())
    assert answer.headers == {"Authorization": ["Bearer canary-token-1"]}
    assert answer.expires_epoch is not None
    assert 260 <= answer.expires_epoch - time.time() <= 271  # noqa: TID251  the daemon's clock is real, too


def test_fifty_helpers_at_once_cost_one_ping_and_one_exchange(staged: Stage, registry: TokenRegistry) -> None:
    """A comparable tool makes up to fifty."""
    registry.delay = 0.3
    serve(staged, registry)
    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(lambda n: staged.headers(registry.uri(f"a/b/blobs/sha256:{n:064x}")), range(50)))
    assert answers == [{"Authorization": ["Bearer canary-token-1"]}] * 50
    assert len(registry.requests) == 2


def test_a_token_server_of_eleven_seconds_gives_a_clear_error_and_then_an_answer(
    staged: Stage, registry: TokenRegistry
) -> None:
    """docs/design/faults.md#deadlines: the flight outlives its waiters; the predecessor starts over each time."""
    registry.delay = 11
    serve(staged, registry)
    begun = time.perf_counter()
    done = staged.helper(registry.uri("a/b/manifests/x"))
    assert time.perf_counter() - begun < 9.0
    assert done.returncode == 1
    assert "has not answered for 8.5 s; still trying" in done.stderr
    assert "run the build again" in done.stderr
    registry.delay = 0
    assert staged.headers(registry.uri("a/b/manifests/x"))["Authorization"][0].startswith("Bearer canary-token-")


def test_stopping_the_token_server_does_not_break_answers_that_are_still_valid(
    staged: Stage, registry: TokenRegistry
) -> None:
    """A registry's outage is felt only once tokens have expired."""
    serve(staged, registry)
    first = staged.headers(registry.uri("a/b/manifests/x"))
    registry.status = 503
    assert staged.headers(registry.uri("a/b/blobs/sha256:" + "0" * 64)) == first


def test_a_short_token_is_replaced_before_it_expires_while_callers_see_no_failure(
    staged: Stage, registry: TokenRegistry
) -> None:
    """Tokens of 6 s, requested over 10 s: no expired token and no failure is ever handed out."""
    registry.life = 6
    serve(staged, registry)
    end = time.perf_counter() + 10
    while time.perf_counter() < end:
        done = staged.helper(registry.uri("a/b/manifests/x"))
        assert done.returncode == 0, done.stderr
        expires = parse(done.stdout.encode()).expires_epoch
        assert expires is not None
        assert expires > time.time() - 1  # noqa: TID251  whole seconds, floored
        time.sleep(0.2)
    assert 2 <= registry.exchanges() <= 12


def test_a_refused_login_says_which_and_what_to_do(staged: Stage, registry: TokenRegistry) -> None:
    """The two lines that Bazel shows."""
    registry.status = 401
    serve(staged, registry)
    done = staged.helper(registry.uri("a/b/manifests/x"))
    assert done.returncode == 1
    cause, hint = done.stderr.splitlines()
    assert cause.startswith(f"token server '{registry.authority}' refused the login from env:REGISTRY_PASSWORD")
    assert f"docker login {registry.authority}" in hint


def test_no_secret_is_in_any_output(staged: Stage, registry: TokenRegistry) -> None:
    """T5, T-75: after successes and failures, at debug level: logs, status, explain, metrics, command lines."""
    serve(staged, registry)
    staged.headers(registry.uri("a/b/manifests/x"))
    registry.status = 403
    staged.helper(registry.uri("other/manifests/x"))
    staged.helper("https://b.s3.amazonaws.com/x?X-Amz-Signature=canary-token-signed")
    assert staged.process is not None
    outputs = {
        "log": staged.log(),
        "status": staged.credproxy("status", "--json").stdout + staged.credproxy("status").stdout,
        "explain": staged.credproxy("explain", registry.uri("a/b/manifests/x")).stdout,
        "get": staged.credproxy("get", registry.uri("a/b/manifests/x")).stdout,
        "metrics": http(staged, "GET /metrics"),
        "cmdline": Path(f"/proc/{staged.process.pid}/cmdline").read_text(),
    }
    for name, text in outputs.items():
        assert text, name
        for canary in CANARIES:
            assert canary not in text, f"{canary} is in {name}"


def http(staged: Stage, request: str, body: str = "") -> str:
    """Send a request by hand, and give the whole answer."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(15)
        sock.connect(str(staged.socket))
        lines = f"{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {len(body)}\r\n\r\n{body}"
        sock.sendall(lines.encode())
        answer = b""
        while chunk := sock.recv(65536):
            answer += chunk
    return answer.decode()


@pytest.mark.parametrize(
    ("body", "code", "words"),
    [
        ("", "bad_request", "the request is empty"),
        ("{", "bad_request", "not valid JSON"),
        ("[]", "bad_request", "not a JSON object"),
        ('{"uri": 5}', "bad_request", "uri"),
        ('{"url": "x"}', "bad_request", "uri"),
        ('{"uri": "https://a\\nb/"}', "bad_request", ""),
        ('{"uri": "' + "x" * 9000 + '"}', "bad_request", ""),
        ('{"uri": "ftp://a.b/c"}', "bad_request", "scheme"),
        (" " * 70_000, "too_large", "65536"),
    ],
    ids=["empty", "cut", "list", "number", "missing", "line break", "overlong", "scheme", "body"],
)
def test_bad_input_gets_a_clear_error_and_changes_nothing(staged: Stage, body: str, code: str, words: str) -> None:
    """Each has the code of the closed list; the daemon answers the next question."""
    staged.start()
    answer = http(staged, "POST /v1/get", body)
    head, _, content = answer.partition("\r\n\r\n")
    error = json.loads(content)["error"]
    assert error["code"] == code
    assert words in error["message"]
    assert "python" not in head.lower()
    assert staged.headers("https://unknown.example/x") == {}


def test_only_the_documented_paths_exist(staged: Stage) -> None:
    """T2: no store, no shutdown."""
    staged.start()
    for request, status in [
        ("GET /", 404),
        ("POST /v1/store", 404),
        ("POST /v1/shutdown", 404),
        ("GET /v1/get", 405),
        ("POST /v1/status", 405),
        ("DELETE /v1/flush", 405),
        ("GET /healthz", 200),
    ]:
        assert http(staged, request).startswith(f"HTTP/1.1 {status} "), request


def test_reload_puts_a_rule_in_force_and_a_broken_file_does_not(staged: Stage, registry: TokenRegistry) -> None:
    """P4: the answer names the line; what was in force goes on; SIGHUP and the command do the same."""
    staged.start(REGISTRY_PASSWORD=registry.password)
    assert staged.headers(registry.uri("a/manifests/x")) == {}
    staged.configure(registry.rule())
    assert staged.credproxy("reload").stdout.endswith("in force, with 1 host rule\n")
    assert staged.headers(registry.uri("a/manifests/x")) != {}
    staged.configure(registry.rule() + "nonsense = true\n")
    time.sleep(1.1)
    refused = staged.credproxy("reload")
    assert refused.returncode == 1
    assert "config.toml:5: host[0].nonsense: there is no such key" in refused.stderr
    assert staged.headers(registry.uri("a/manifests/x")) != {}
    staged.configure("")
    assert staged.process is not None
    staged.process.send_signal(signal.SIGHUP)
    for _ in range(50):
        if staged.headers(registry.uri("a/manifests/x")) == {}:
            break
        time.sleep(0.1)
    else:
        pytest.fail("SIGHUP did not reload")


def test_a_broken_configuration_at_start_is_served_as_an_error_and_heals(
    staged: Stage, registry: TokenRegistry
) -> None:
    """P3: exiting would be a crash loop; a fix is noticed within two seconds, without a restart."""
    staged.configure("[[host]]\nmatch = 5\n")
    staged.start(REGISTRY_PASSWORD=registry.password)
    done = staged.helper(registry.uri("a/manifests/x"))
    assert done.returncode == 1
    assert "config.toml:" in done.stderr
    assert "credproxy config check" in done.stderr
    staged.configure(registry.rule())
    end = time.perf_counter() + 3
    while staged.helper(registry.uri("a/manifests/x")).returncode != 0:
        assert time.perf_counter() < end
        time.sleep(0.1)


def test_a_second_daemon_says_so_and_leaves_with_0(staged: Stage) -> None:
    """P2."""
    staged.start()
    second = staged.credproxy("serve")
    assert second.returncode == 0
    assert "already running" in second.stderr
    assert staged.headers("https://unknown.example/x") == {}


def test_sigterm_ends_it_cleanly_and_leaves_no_socket(staged: Stage) -> None:
    """P5."""
    staged.start()
    assert staged.stop() == 0
    assert not staged.socket.exists()


def test_after_sigkill_the_next_daemon_takes_the_socket_over(staged: Stage) -> None:
    """P6: a stale file and no lock."""
    staged.start()
    staged.stop(signal.SIGKILL)
    assert staged.socket.exists()
    staged.start()
    assert staged.headers("https://unknown.example/x") == {}


def test_the_helper_starts_the_daemon_when_nothing_listens(staged: Stage, registry: TokenRegistry) -> None:
    """CL-9: the first call answers, and the second finds the daemon."""
    staged.configure(registry.rule())
    environ = {"CREDPROXY_AUTOSTART": "1", "REGISTRY_PASSWORD": registry.password}
    staged.logs.append(staged.home / ".local" / "state" / "credproxy" / "daemon.log")
    try:
        done = staged.helper(registry.uri("a/manifests/x"), **environ)
        assert done.returncode == 0, done.stderr
        assert staged.helper(registry.uri("a/manifests/x")).returncode == 0
        assert len(registry.requests) == 2
    finally:
        (ready,) = staged.events("ready")
        os.kill(int(str(ready["pid"])), signal.SIGTERM)


def test_the_daemon_cannot_be_read_by_others_of_the_same_user(staged: Stage) -> None:
    """T1: it is not dumpable, so its /proc entries belong to root."""
    staged.start()
    assert staged.process is not None
    limits = Path(f"/proc/{staged.process.pid}/limits").read_text()
    assert [line.split()[4:6] for line in limits.splitlines() if line.startswith("Max core")] == [["0", "0"]]
    assert staged.credproxy("status").returncode == 0


def test_an_existing_helper_behind_the_daemon_runs_once_per_uri_and_lifetime(staged: Stage) -> None:
    """A helper in shell, counted."""
    script = staged.home / "corp-helper"
    script.write_text(
        f"#!/bin/sh\ncat >/dev/null\necho run >>{staged.home}/runs\n"
        'echo \'{"headers":{"X-Corp":["made-up"]},"expires":"2099-01-01T00:00:00.5Z"}\'\n'
    )
    script.chmod(0o755)
    staged.configure(f'[[host]]\nmatch = "*.corp.example"\nprovider = "exec"\ncommand = ["{script}"]\n')
    staged.start()
    for _ in range(3):
        assert staged.headers("https://a.corp.example/x") == {"X-Corp": ["made-up"]}
    assert staged.headers("https://a.corp.example/y") == {"X-Corp": ["made-up"]}
    assert (staged.home / "runs").read_text() == "run\nrun\n"


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("echo garbage", "its answer is not one JSON object"),
        ("true", "it printed nothing"),
        ("echo no such user >&2; exit 3", "ended with status 3; it said: no such user"),
        ("kill -9 $$", "was killed by signal 9"),
        ("head -c 300000 /dev/zero", "printed more than 262144 bytes"),
        ('echo \'{"headers":{"Host":["x"]}}\'', "cannot be used"),
        ("sleep 30 & exit 4", "ended with status 4"),
    ],
)
def test_a_failing_helper_is_named_and_does_not_affect_others(staged: Stage, script: str, words: str) -> None:
    """H3 to H7 through the whole daemon."""
    program = staged.home / "bad-helper"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    staged.configure(f'[[host]]\nmatch = "bad.example"\nprovider = "exec"\ncommand = ["{program}"]\n')
    staged.start()
    done = staged.helper("https://bad.example/x")
    assert done.returncode == 1
    assert "helper 'bad-helper'" in done.stderr
    assert words in done.stderr
    assert staged.headers("https://unknown.example/x") == {}


def test_the_docker_protocol_hands_out_the_stored_login(staged: Stage, registry: TokenRegistry) -> None:
    """get, a host without a login, and the verbs that are refused."""
    serve(staged, registry)
    docker = HELPER.with_name("docker-credential-credproxy")

    def run(verb: str, stdin: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [docker, verb], input=stdin, env=staged.environ, capture_output=True, text=True, check=False
        )

    assert json.loads(run("get", registry.authority).stdout) == {
        "ServerURL": registry.authority,
        "Username": "canary-user",
        "Secret": "canary-pass",
    }
    missing = run("get", "registry.example.com")
    assert (missing.returncode, missing.stdout.strip()) == (1, "credentials not found in native keychain")
    assert run("list", "unused").stdout.strip() == "{}"
    assert run("store", "{}").returncode == 1


def test_every_hand_out_is_in_the_audit_log(staged: Stage, registry: TokenRegistry) -> None:
    """R28: Exchanged, from memory, and the login itself; not ``{}``, and no secret. A reload switches it off."""
    staged.configure(registry.rule() + "[log]\naudit = true\n")
    staged.start(REGISTRY_PASSWORD=registry.password)
    uri = registry.uri("a/b/manifests/x")
    for _ in range(3):
        staged.headers(uri)
    staged.headers("https://unknown.example/x")
    docker = [str(HELPER.with_name("docker-credential-credproxy")), "get"]
    subprocess.run(docker, input=registry.authority, env=staged.environ, check=True, capture_output=True, text=True)
    staged.configure(registry.rule())
    assert staged.credproxy("reload").returncode == 0
    staged.headers(uri)
    told = staged.events("handed out", least=4)
    assert [line["target"] for line in told] == [uri] * 3 + [f"https://{registry.authority}"]
    assert {line["token"] for line in told[:3]} == {sha256(b"canary-token-1").hexdigest()[:8]}
    assert {(line["scope"], line["credential"]) for line in told[:3]} == {
        ("repository:a/b:pull", "env:REGISTRY_PASSWORD")
    }
    assert {line["program"] for line in told[:3]} == {str(HELPER.resolve())}
    assert len({line["pid"] for line in told}) == 4
    assert not [canary for canary in CANARIES if canary in staged.log()]


def test_flush_forgets_and_says_how_much(staged: Stage, registry: TokenRegistry) -> None:
    """The next question causes a new exchange."""
    serve(staged, registry)
    staged.headers(registry.uri("a/manifests/x"))
    assert staged.credproxy("flush", registry.authority).stdout == "1 entry forgotten\n"
    assert staged.headers(registry.uri("a/manifests/x")) == {"Authorization": ["Bearer canary-token-2"]}


def test_watching_the_status_ends_with_ctrl_c(staged: Stage, registry: TokenRegistry) -> None:
    """On its own terminal: it draws, draws again, and exits with 0 and a visible cursor."""
    serve(staged, registry)
    staged.headers(registry.uri("a/b/manifests/x"))
    screen, terminal = pty.openpty()
    environ = staged.environ | {"TERM": "xterm", "COLUMNS": "160", "LINES": "40"}
    # In the background of a script SIGINT is ignored, and the command would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [CREDPROXY, "status", "--watch"],
        env=environ,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
    ) as process:
        signal.signal(signal.SIGINT, before)
        os.close(terminal)
        shown = read_screen(screen, "uses", 2)
        process.send_signal(signal.SIGINT)
        shown += read_screen(screen, "\x1b[?25h", 1)
        assert process.wait(10) == 0
    os.close(screen)
    assert "repository:a/b:pull" in shown
    assert "Aborted" not in shown


def read_screen(screen: int, words: str, count: int) -> str:
    """Read the screen until the words have appeared that often."""
    drawn = ""
    while drawn.count(words) < count:
        drawn += os.read(screen, 65536).decode("utf-8", "replace")
    return drawn


def test_explain_names_rule_credential_and_scope(staged: Stage, registry: TokenRegistry) -> None:
    """Every decision, without any request."""
    serve(staged, registry)
    shown = staged.credproxy("explain", registry.uri("a/b/manifests/x")).stdout
    for words in (registry.authority, "env:REGISTRY_PASSWORD", "repository:a/b:pull", "oci"):
        assert words in shown
    assert registry.requests == []


def test_a_rewritten_docker_configuration_is_seen_within_a_second(staged: Stage, registry: TokenRegistry) -> None:
    """DC-3: another login is another key; a registry named there needs no rule."""
    place = staged.home / ".docker" / "config.json"
    place.parent.mkdir()
    staged.start()
    assert staged.headers(registry.uri("a/manifests/x")) == {}
    place.write_text(json.dumps({"auths": {f"http://{registry.authority}": {"username": "u", "password": "p"}}}))
    os.utime(place)
    time.sleep(1.2)
    assert staged.headers(registry.uri("a/manifests/x")) == {"Authorization": ["Bearer canary-token-1"]}
