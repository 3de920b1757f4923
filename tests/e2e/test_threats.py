"""Attacks on a real daemon by real processes: of the same user, of another one, from sandboxes (docs/design/security.md)."""

import base64
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

from tests.e2e.halves import HALF, Halves, download
from tests.e2e.stage import CREDPROXY, HELPER, Stage, TokenRegistry
from tests.e2e.test_actions import rules


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="namespaces, /proc and uids as Linux has them"),
]

PLAIN_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""An ordinary user without capabilities that can read root's files, because outside it is root."""


@pytest.fixture
def plain_user() -> tuple[str, ...]:
    """The prefix of a command that runs it without capabilities: empty if there are none anyway."""
    if os.geteuid() != 0:
        return ()
    if shutil.which("unshare") is None or subprocess.run([*PLAIN_USER, "true"], check=False).returncode:
        pytest.skip("root, and no user namespaces to leave that behind: run the tests as a user")
    return PLAIN_USER


def intrude(staged: Stage, around: tuple[str, ...], what: str) -> object:
    """Run the intruder with its own daemon."""
    script = Path(__file__).with_name("intruder.py")
    done = subprocess.run(
        [*around, sys.executable, script, what, CREDPROXY],
        env=staged.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=40,
    )
    assert done.returncode == 0, done.stderr
    found: object = json.loads(done.stdout)
    return found


def test_same_uid_cannot_attach(staged: Stage, plain_user: tuple[str, ...]) -> None:
    """T1, F13: memory, environment, descriptors, debugger; the same attempts succeed on an unprotected process."""
    found = intrude(staged, plain_user, "attach")
    assert isinstance(found, dict)
    assert found["uid"] != 0
    assert set(found["daemon"].values()) <= {"EACCES", "EPERM"}, found["daemon"]
    assert set(found["plain"].values()) == {"done"}, found["plain"]


def test_nondumpable_peer_refused(staged: Stage, plain_user: tuple[str, ...]) -> None:
    """T11: a listener with unreadable namespaces may be anywhere; fail closed, and say what to do."""
    found = intrude(staged, plain_user, "nondumpable")
    assert isinstance(found, list)
    plain, hidden = found
    assert plain.startswith("HTTP/1.1 200")
    assert hidden.startswith("HTTP/1.1 403")
    assert "the caller's namespaces cannot be read" in hidden


WITHOUT_PTRACE = ("setpriv", "--bounding-set", "-sys_ptrace")
"""Root as in a container."""


def test_in_a_container_without_cap_sys_ptrace_all_is_served_and_with_it_there_is_a_warning(
    staged: Stage, halves: Halves, sandbox: tuple[str, ...]
) -> None:
    """Processes with the same privileges may inspect one another; one with more is refused if namespaces count."""
    if os.geteuid() != 0:
        pytest.skip("run as root: a user has no capability to lose")
    halves.rest.set()
    staged.configure(halves.rule() + "insecure = true\n" + rules(halves))
    staged.start(*WITHOUT_PTRACE, REGISTRY_PASSWORD=halves.password)
    for around in (WITHOUT_PTRACE, (*WITHOUT_PTRACE, *sandbox), sandbox):
        with download(staged, halves, *around) as one:
            assert (len(one.communicate(timeout=20)[0]), one.returncode) == (2 * HALF, 0), around
    argv = [*WITHOUT_PTRACE, str(CREDPROXY), "status", "--json"]
    status = subprocess.run(argv, env=staged.environ, capture_output=True, check=True, timeout=20).stdout
    assert json.loads(status)["carriers"][0]["memory_bytes"] > 1 << 20
    refused = staged.helper(halves.uri("org/app/manifests/x"))
    assert refused.returncode == 1
    assert "it has more privileges than the daemon" in refused.stderr
    assert "start the daemon with the caller's capabilities" in staged.credproxy("doctor").stdout
    assert staged.stop() == 0


ENTERS = """
import ctypes, socket, sys, time
talk = socket.socket(socket.AF_UNIX)
talk.connect(sys.argv[1])
def ask():
    talk.sendall(b"POST /v1/docker/get HTTP/1.1\\r\\nHost: x\\r\\nContent-Length: %d\\r\\n\\r\\n%s" % (len(sys.argv[2]), sys.argv[2].encode()))
    return talk.recv(65536).decode()
print(ask().split()[1])
assert ctypes.CDLL(None, use_errno=True).unshare(0x10020000) == 0, ctypes.get_errno()  # CLONE_NEWUSER | CLONE_NEWNS
time.sleep(0.5)
print(ask())
"""


def test_a_connection_that_was_made_outside_of_a_sandbox_is_not_answered_inside(
    staged: Stage, registry: TokenRegistry, sandbox: tuple[str, ...]
) -> None:
    """T11: the process connects, is answered, enters namespaces of its own, and asks again after a pause."""
    del sandbox  # skips if this user gets no namespaces
    staged.configure(registry.rule())
    staged.start(REGISTRY_PASSWORD=registry.password)
    argv = [sys.executable, "-c", ENTERS, str(staged.socket), f"http://{registry.authority}"]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=20)
    assert done.stdout.startswith("200\nHTTP/1.1 403 ")
    assert "peer_refused" in done.stdout
    assert registry.password not in done.stdout


GREEDY = Path(__file__).with_name("greedy.py")


def greedy(staged: Stage, registry: TokenRegistry, sandbox: tuple[str, ...], *how: int | str) -> dict[str, object]:
    """Run a build action in a sandbox that asks for the tokens of many repositories; see ``greedy.py``."""
    path = staged.home / "run" / "credproxy-actions" / "actions.sock"
    argv = [*sandbox, sys.executable, str(GREEDY), str(path), registry.authority, *map(str, how)]
    done = subprocess.run(argv, capture_output=True, text=True, check=True, timeout=40)
    found: dict[str, object] = json.loads(done.stdout)
    return found


@pytest.fixture
def open_to_actions(staged: Stage, registry: TokenRegistry) -> Stage:
    """A daemon whose policy lets actions pull everything below ``org``."""
    allowed = f'registry = "{registry.authority}"\nrepository = "org/**"\noperations = ["blob:read"]\n'
    staged.configure(registry.rule() + f'[[actions.rule]]\naction = "allow"\n{allowed}')
    staged.start(REGISTRY_PASSWORD=registry.password)
    return staged


def test_a_sandbox_makes_no_more_exchanges_than_its_budget(
    open_to_actions: Stage, registry: TokenRegistry, sandbox: tuple[str, ...]
) -> None:
    """T16: of 600 repositories fifty are fetched and five a second; the refusal names the sandbox, and the user goes on."""
    found = greedy(open_to_actions, registry, sandbox, 0, 600, 8)
    assert 50 <= registry.exchanges() <= 150
    statuses = found["statuses"]
    assert isinstance(statuses, list)
    assert statuses.count(200) == registry.exchanges()
    refusal = json.loads(str(found["refusal"]))["error"]
    assert (refusal["code"], refusal["retry_after"] >= 1, "this sandbox" in refusal["message"]) == (
        "rate_limited",
        True,
        True,
    )
    for number in range(60):
        open_to_actions.headers(registry.uri(f"org/mine{number}/blobs/sha256:{'a' * 64}"))


def test_what_a_sandbox_is_throttled_for_does_not_pause_its_user(
    open_to_actions: Stage, registry: TokenRegistry, sandbox: tuple[str, ...]
) -> None:
    """T16: a 429 for actions pauses actions for a minute or more; a broken answer to them opens no breaker of the user's."""
    mine = registry.uri(f"org/mine/blobs/sha256:{'a' * 64}")
    registry.status = 429
    greedy(open_to_actions, registry, sandbox, 0, 40, 8)
    registry.status = 200
    assert open_to_actions.headers(mine) == {"Authorization": [f"Bearer canary-token-{registry.count}"]}
    open_to_actions.credproxy("flush")
    registry.status = 503
    greedy(open_to_actions, registry, sandbox, 100, 40, 30)
    registry.status = 200
    begun = time.perf_counter()
    open_to_actions.headers(mine)
    assert time.perf_counter() - begun < 5


def test_exchanges_of_a_sandbox_that_hang_or_were_left_take_no_place_of_its_users(
    open_to_actions: Stage, registry: TokenRegistry, sandbox: tuple[str, ...]
) -> None:
    """T16: sixty that hang, whose callers have left, beside one of the user's that is answered."""
    registry.hanging = "org/r"
    greedy(open_to_actions, registry, sandbox, 0, 40, 8, "leave")
    for number in range(20):
        open_to_actions.headers(registry.uri(f"org/mine{number}/blobs/sha256:{'a' * 64}"))
    assert registry.exchanges() <= 20 + 2 * 16
    registry.hanging = ""


SANDBOX = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child")


def test_masked_dir_enoent(staged: Stage, registry: TokenRegistry) -> None:
    """T11: what ``--sandbox_block_path`` does: another mount hides the helper socket completely."""
    if shutil.which("unshare") is None or subprocess.run([*SANDBOX, "true"], check=False).returncode:
        pytest.skip("no namespaces for this user: sysctl kernel.unprivileged_userns_clone=1")
    staged.configure(registry.rule())
    staged.start(REGISTRY_PASSWORD=registry.password)
    hidden = staged.socket.parent
    inside = f'mount -t tmpfs -o mode=0700 none {hidden} && exec "$0" get --uri {registry.uri("a/manifests/x")}'
    done = subprocess.run(
        [*SANDBOX, "sh", "-c", inside, HELPER],
        env=staged.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert f"'{staged.socket}'" in done.stderr
    assert registry.requests == []


STRANGER = 65_533


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_other_uid_refused_even_if_mode_0777(staged: Stage, registry: TokenRegistry) -> None:
    """T7: even if all file modes are wrong, the kernel still identifies the caller."""
    staged.configure(registry.rule())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "run", "helper.sock")
        staged.start(REGISTRY_PASSWORD=registry.password, CREDPROXY_SOCKET=str(path))
        for place in (path, path.parent, Path(folder)):
            place.chmod(0o777)
        done = subprocess.run(
            [
                "setpriv",
                f"--reuid={STRANGER}",
                f"--regid={STRANGER}",
                "--clear-groups",
                "curl",
                "-s",
                "--unix-socket",
                path,
                "http://localhost/v1/get",
                "--data",
                json.dumps({"uri": registry.uri("a/manifests/x")}),
            ],
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    assert done.returncode == 0, done.stderr
    error = json.loads(done.stdout)["error"]
    assert (error["code"], error["message"]) == (
        "peer_refused",
        f"this daemon serves uid 0, the caller has uid {STRANGER}",
    )
    assert registry.requests == []


CANARIES = (
    "canary-pass",
    "canary-user",
    "Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBhc3M",
    "canary-token",
    "canary-signed",
    "canary-corp",
)


def test_canary_nowhere(staged: Stage, registry: TokenRegistry) -> None:
    """T5, PY17: after successes and failures, with every line logged: not in output, files, or programs' environments."""
    docker = staged.home / ".docker" / "config.json"
    docker.parent.mkdir(mode=0o700)
    login = base64.b64encode(f"canary-user:{registry.password}".encode()).decode()
    docker.write_text(json.dumps({"auths": {f"http://{registry.authority}": {"auth": login}}}))
    docker.chmod(0o600)
    program, seen = staged.home / "corp-helper", staged.home / "seen"
    program.write_text(
        f'#!/bin/sh\ntr "\\0" "\\n" </proc/self/environ >{seen}\necho "$0 $@" >>{seen}\ncat >/dev/null\n'
        'echo "{\\"headers\\":{\\"X-Corp\\":[\\"canary-corp\\"]}}"\n'
    )
    program.chmod(0o755)
    staged.configure(
        f'[[host]]\nmatch = "a.corp.example"\nprovider = "exec"\ncommand = ["{program}"]\n'
        f'[[host]]\nmatch = "b.corp.example"\nprovider = "header"\nsecret = {{ source = "file", path = "{docker}" }}\n'
        "[log]\naudit = true\n"
    )
    staged.start()
    assert staged.headers(registry.uri("a/manifests/x")) == {"Authorization": ["Bearer canary-token-1"]}
    assert staged.headers("https://a.corp.example/x?X-Amz-Signature=canary-signed") == {"X-Corp": ["canary-corp"]}
    registry.status = 401
    told = [
        staged.helper(registry.uri("b/manifests/x")),
        staged.helper("https://b.corp.example/x"),  # the file is not a header
        staged.helper("https://user:canary-signed@c.corp.example/x"),
        staged.credproxy("status", "--json"),
        staged.credproxy("status"),
        staged.credproxy("explain", registry.uri("a/manifests/x")),
        staged.credproxy("get", registry.uri("a/manifests/x")),
        staged.credproxy("doctor", "-v"),
        staged.credproxy("config", "show"),
    ]
    process = staged.process
    assert process is not None
    outputs = {" ".join(map(str, done.args)): done.stdout + done.stderr for done in told}
    for name in ("cmdline", "environ"):
        with contextlib.suppress(PermissionError):  # only root sees the environment of a process that is not dumpable
            outputs[name] = Path(f"/proc/{process.pid}/{name}").read_text()
    assert staged.stop() == 0
    written = [path for path in staged.home.rglob("*") if path.is_file() and path not in {docker, program}]
    outputs |= {str(path): path.read_text() for path in written}
    assert seen in written
    assert staged.logs[-1] in written
    for name, text in outputs.items():
        assert not [canary for canary in CANARIES if canary in text], name


SECRET_SETTINGS = """
[[host]]
match = "a.example"
provider = "oci"
proxy = "http://bob:canary-proxy@127.0.0.1:1"
realm = "https://auth.example/token?key=canary-realm"
credentials = {{ source = "command", argv = ["{program}", "--token", "canary-argument"], username = "bob" }}
[[host]]
match = "b.example"
provider = "exec"
command = ["{program}", "--password=canary-argument"]
env = {{ API_KEY = "canary-environment" }}
[[host]]
match = "c.example"
provider = "header"
prefix = "Key canary-prefix "
secret = {{ source = "command", argv = ["{program}", "--token", "canary-argument"] }}
"""


def test_no_command_shows_a_secret_of_the_configuration(staged: Stage) -> None:
    """Settings with one, failing programs that print one, and all commands that show either."""
    program = staged.home / "failing"
    program.write_text('#!/bin/sh\necho "login failed: password canary-said" >&2\nexit 3\n')
    program.chmod(0o755)
    staged.configure(SECRET_SETTINGS.format(program=program))
    staged.start()
    broken = staged.home / "broken.toml"
    broken.write_text('[[host]]\nmatch = "a.example"\nprovider = "oci"\nproxy = "https://bob:canary-proxy@proxy:1"\n')
    uris = ("https://a.example/v2/org/app/manifests/x", "https://b.example/x", "https://c.example/x")
    told = {
        "show": staged.credproxy("config", "show"),
        "show --json": staged.credproxy("config", "show", "--json"),
        "check": staged.credproxy("config", "check"),
        "check of a broken one": staged.credproxy("config", "check", str(broken)),
        "doctor": staged.credproxy("doctor", "-v"),
        "doctor --json": staged.credproxy("doctor", "--json"),
        "status": staged.credproxy("status", "--json"),
        **{f"helper {uri}": staged.helper(uri) for uri in uris},
        **{f"explain {uri}": staged.credproxy("explain", uri) for uri in uris},
    }
    assert staged.stop() == 0
    said = {name: done.stdout + done.stderr for name, done in told.items()} | {"log": staged.log()}
    for name, text in said.items():
        assert text, name
        assert "canary" not in text, name
    assert "a proxy of https:// is not supported" in said["check of a broken one"]
    assert [told[f"helper {uri}"].returncode for uri in uris] == [1, 1, 1]
    assert "login failed: password ***" in said["log"]
    assert f"argv as the configuration has it: {program} --token ***" in said["helper https://c.example/x"]
