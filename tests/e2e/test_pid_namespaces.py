"""A daemon in its own pid namespace, as in any container, and callers outside of it that see the same socket."""

import base64
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, TokenRegistry


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="pid namespaces are Linux's"),
]

CONTAINER = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")
"""What a container has, and nothing that keeps files apart."""

AS_USER = ("--user", "--map-root-user")

QUESTIONS = {
    "/v1/docker/get": "http://{authority}",
    "/v1/get": '{{"uri": "http://{authority}/v2/a/b/manifests/x"}}',
    "/v1/explain": '{{"uri": "http://{authority}/v2/a/b/manifests/x"}}',
    "/v1/flush": "{{}}",
    "/v1/reload": "",
    "/v1/status": None,
    "/metrics": None,
    "/healthz": None,
}
"""Every path of the helper socket, and what is posted to it."""


@pytest.fixture(params=["root's", "a user's"])
def container(request: pytest.FixtureRequest, sandbox: tuple[str, ...]) -> tuple[str, ...]:
    """The command prefix for the daemon; only root makes a pid namespace without a user namespace."""
    del sandbox  # skips if there are no namespaces at all
    if request.param == "a user's":
        return (CONTAINER[0], *AS_USER, *CONTAINER[1:])
    if os.geteuid() != 0:
        pytest.skip("run as root, or see the test's other half")
    return CONTAINER


def ask(staged: Stage, path: str, body: str | None, *around: str) -> tuple[int, str]:
    """Ask with curl; give the status and the body."""
    data = () if body is None else ("--data", body)
    done = subprocess.run(
        [
            *around,
            "curl",
            "-sS",
            "--unix-socket",
            str(staged.socket),
            *data,
            "-w",
            "\n%{http_code}",
            f"http://localhost{path}",
        ],
        env=staged.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
    )
    assert done.returncode == 0, done.stderr
    text, _, status = done.stdout.rpartition("\n")
    return int(status), text


def beside(staged: Stage, container: tuple[str, ...]) -> tuple[str, ...]:
    """The prefix of a command that runs it in the daemon's namespaces."""
    assert staged.process is not None
    unshare = staged.process.pid
    child = Path(f"/proc/{unshare}/task/{unshare}/children").read_text().strip()
    user = ("--user", "--preserve-credentials") if "--user" in container else ()  # it cannot enter its own namespace
    return ("nsenter", f"--target={child}", *user, "--mount", "--pid")


def serve(staged: Stage, registry: TokenRegistry, container: tuple[str, ...], more: str = "") -> None:
    """Start a daemon with a stored login in that container."""
    docker = staged.home / ".docker" / "config.json"
    docker.parent.mkdir(mode=0o700)
    login = base64.b64encode(f"canary-user:{registry.password}".encode()).decode()
    docker.write_text(json.dumps({"auths": {f"http://{registry.authority}": {"auth": login}}}))
    docker.chmod(0o600)
    staged.configure(more + registry.rule())
    # With a user namespace it is a sandbox, which does not serve the usual path: so this one must not be usual.
    place = {"XDG_RUNTIME_DIR": "", "CREDPROXY_SOCKET": str(staged.socket)}
    staged.start(*container, REGISTRY_PASSWORD=registry.password, **place)


@pytest.mark.parametrize("where", ["outside", "in a sibling"])
def test_a_caller_outside_the_daemons_pid_namespace_is_refused(
    staged: Stage, registry: TokenRegistry, container: tuple[str, ...], where: str
) -> None:
    """SO_PEERCRED gives 0 for it, which once was read as "self", and opened the gate to the stored password."""
    serve(staged, registry, container)
    around = () if where == "outside" else container
    for path, body in QUESTIONS.items():
        filled = None if body is None else body.format(authority=registry.authority)
        status, text = ask(staged, path, filled, *around)
        assert (path, status) == (path, 403)
        assert json.loads(text)["error"]["code"] == "peer_refused", text
        assert "canary" not in text
    assert registry.requests == []
    helper = staged.helper(registry.uri("a/b/manifests/x"))
    assert (helper.returncode, helper.stdout) == (1, "")


def test_a_caller_in_the_daemons_pid_namespace_is_served(
    staged: Stage, registry: TokenRegistry, container: tuple[str, ...]
) -> None:
    """In devcontainers, the daemon and its callers are in one container."""
    serve(staged, registry, container)
    status, text = ask(staged, "/v1/docker/get", f"http://{registry.authority}", *beside(staged, container))
    assert (status, json.loads(text)["Secret"]) == (200, registry.password)


def test_the_audit_log_names_no_process_if_none_is_visible(
    staged: Stage, registry: TokenRegistry, container: tuple[str, ...]
) -> None:
    """With every namespace admitted an answer is given, and its line says that the process is unknown: not 0."""
    serve(staged, registry, container, 'peer_namespaces = "any"\nlog.audit = true\n')
    status, _ = ask(staged, "/v1/docker/get", f"http://{registry.authority}")
    assert status == 200
    (line,) = staged.events("handed out")
    assert (line["pid"], line["program"]) == (None, "")


def test_a_daemon_with_a_foreign_proc_refuses_all_and_says_why(
    staged: Stage, registry: TokenRegistry, container: tuple[str, ...]
) -> None:
    """In the outer /proc a caller's pid is another process, whose namespaces may be the daemon's."""
    serve(staged, registry, tuple(word for word in container if word != "--mount-proc"))
    status, text = ask(staged, "/v1/docker/get", f"http://{registry.authority}", *beside(staged, container))
    assert (status, "belongs to another pid namespace" in text) == (403, True)
    (line,) = staged.events("helper socket closed")
    assert "--mount-proc" in str(line["hint"])
