"""The actions socket as a build action meets it: curl, also in namespaces of its own, and a real daemon."""

import json
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.bazel_parser import parse
from tests.e2e.stage import HELPER, Stage, TokenRegistry


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

CANARIES = ("canary-pass", "canary-user", "Y2FuYXJ5LXVzZXI6Y2FuYXJ5LXBhc3M")


def rules(registry: TokenRegistry) -> str:
    """A rule for ``org/*`` of that registry."""
    return (
        f'[[actions.rule]]\naction = "allow"\nregistry = "{registry.authority}"\n'
        'repository = "org/*"\noperations = ["blob:read"]\n'
    )


def actions_socket(staged: Stage) -> Path:
    """The actions socket."""
    return staged.home / "run" / "credproxy-actions" / "actions.sock"


def ask(staged: Stage, uri: str, *around: str, path: str = "/v1/get") -> tuple[int, str]:
    """Ask with curl; give the status and the body."""
    done = subprocess.run(
        [
            *around,
            "curl",
            "-sS",
            "--unix-socket",
            str(actions_socket(staged)),
            f"http://localhost{path}",
            "--data",
            json.dumps({"uri": uri}),
            "-w",
            "\n%{http_code}",
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=20,
        env={"PATH": staged.environ["PATH"]},
    )
    assert done.returncode == 0, done.stderr
    body, _, status = done.stdout.rpartition("\n")
    assert not [canary for canary in CANARIES if canary in body]
    return int(status), body


@pytest.fixture
def served(staged: Stage, registry: TokenRegistry) -> Iterator[Stage]:
    """A daemon with a rule; at the end, its output must not hold a secret."""
    staged.configure(registry.rule() + rules(registry))
    staged.start(REGISTRY_PASSWORD=registry.password)
    yield staged
    assert staged.stop() == 0
    assert not [canary for canary in (*CANARIES, "canary-token") if canary in staged.log()]


def blob(registry: TokenRegistry, repository: str = "org/app") -> str:
    """A blob's URI."""
    return registry.uri(f"{repository}/blobs/sha256:{'a' * 64}")


def test_an_action_gets_a_token_for_its_repository(served: Stage, registry: TokenRegistry) -> None:
    """Only pull, and not the helper socket's token."""
    assert served.headers(blob(registry)) == {"Authorization": ["Bearer canary-token-1"]}
    for _ in range(3):
        status, body = ask(served, blob(registry))
        assert status == 200
        assert parse(body.encode()).headers == {"Authorization": ["Bearer canary-token-2"]}
    asked = [path for path in registry.requests if path.startswith("/token")]
    assert len(asked) == 2
    assert asked[1].endswith("scope=repository:org/app:pull")


def test_the_helper_socket_refuses_a_sandbox(served: Stage, registry: TokenRegistry, sandbox: tuple[str, ...]) -> None:
    """T11: The uid is the user's, the socket's path is visible: only the namespaces tell it from the user's own Bazel."""

    def helper(**environ: str) -> subprocess.CompletedProcess[str]:
        command = [*sandbox, str(HELPER), "get", "--uri", blob(registry)]
        return subprocess.run(
            command, env=served.environ | environ, capture_output=True, text=True, check=False, timeout=20
        )

    doubting = helper()
    assert (doubting.returncode, doubting.stdout) == (1, "")
    assert "in a build action use the actions socket" in doubting.stderr
    refused = helper(CREDPROXY_PEER_NAMESPACES="any")  # as a program without the helper's checks would ask
    assert refused.returncode == 1
    assert refused.stdout == ""
    assert "other namespaces than the daemon's (user, mnt, pid)" in refused.stderr
    assert "a build action uses the actions socket" in refused.stderr
    assert registry.requests == []
    assert served.headers(blob(registry)) == {"Authorization": ["Bearer canary-token-1"]}
    served.stop()
    served.configure('peer_namespaces = "any"\n' + registry.rule())
    served.start(REGISTRY_PASSWORD=registry.password)
    assert helper(CREDPROXY_PEER_NAMESPACES="any").returncode == 0


def test_inside_a_sandbox_without_a_network(served: Stage, registry: TokenRegistry, sandbox: tuple[str, ...]) -> None:
    """A socket that is a file crosses user, mount, pid and network namespaces; the registry itself is out of reach."""
    direct = subprocess.run(
        [*sandbox, "curl", "-s", "-m", "5", blob(registry)], capture_output=True, check=False, timeout=20
    )
    assert direct.returncode == 7, "the sandbox has a network"
    status, body = ask(served, blob(registry), *sandbox)
    assert status == 200
    assert "canary-token-1" in body
    status, body = ask(served, blob(registry, "other/app"), *sandbox)
    assert status == 403
    error = json.loads(body)["error"]
    assert error["code"] == "policy_denied"
    assert error["hint"] == f"credproxy actions allow '{registry.authority}/other/app'"


def test_what_a_build_action_was_given_is_in_the_audit_log(
    served: Stage, registry: TokenRegistry, sandbox: tuple[str, ...]
) -> None:
    """R28: Who, what and for how long, also for answers from memory; a refusal hands out nothing."""
    served.configure(registry.rule() + rules(registry) + "[log]\naudit = true\n")
    assert served.credproxy("reload").returncode == 0
    for _ in range(3):
        assert ask(served, blob(registry))[0] == 200
    assert ask(served, blob(registry), *sandbox)[0] == 200
    assert ask(served, blob(registry, "other/app"))[0] == 403
    told = served.events("handed out", least=4)
    assert [(line["socket"], line["target"], line["scope"]) for line in told] == [
        ("actions", blob(registry), "repository:org/app:pull")
    ] * 4
    assert {Path(str(line["program"])).name for line in told} == {"curl"}


def test_the_hint_of_a_refusal_is_its_remedy(served: Stage, registry: TokenRegistry) -> None:
    """After running what it prints, the same question is answered."""
    wanted = blob(registry, "other/app")
    status, body = ask(served, wanted)
    assert status == 403
    command = json.loads(body)["error"]["hint"].replace("'", "").split()
    assert served.credproxy(*command[1:]).returncode == 0
    assert ask(served, wanted)[0] == 200


def test_a_rule_that_is_taken_away_ends_what_was_remembered(served: Stage, registry: TokenRegistry) -> None:
    """Policy is checked before the memo and the cache."""
    for _ in range(3):
        assert ask(served, blob(registry))[0] == 200
    served.configure(registry.rule())
    assert served.credproxy("reload").returncode == 0
    assert ask(served, blob(registry))[0] == 403


def policy_file(staged: Stage, registry: TokenRegistry, repository: str, version: int = 1) -> Path:
    """A policy file that allows one repository's blobs; its registries have no port."""
    path = staged.home / "policy.yaml"
    host = registry.authority.partition(":")[0]
    path.write_text(
        f"version: {version}\nrules:\n- action: allow\n  registry: {host}\n"
        f"  repository: {repository}\n  operations: [blob:read]\n"
    )
    return path


def until_status(staged: Stage, uri: str, wanted: int) -> None:
    """Ask again until the daemon has taken up what changed."""
    for _ in range(30):
        if ask(staged, uri)[0] == wanted:
            return
        time.sleep(0.1)
    pytest.fail(f"no {wanted} within three seconds")


def test_a_policy_file_and_the_configuration_are_reloaded_together(staged: Stage, registry: TokenRegistry) -> None:
    """Either may change, and both are swapped; if one is wrong, both stay as they were."""
    path = policy_file(staged, registry, "org/app")
    staged.configure(f'{registry.rule()}[actions]\npolicy_file = "{path}"\n')
    staged.start(REGISTRY_PASSWORD=registry.password)
    assert ask(staged, blob(registry))[0] == 200
    status, body = ask(staged, blob(registry, "other/app"))
    assert status == 403
    assert json.loads(body)["error"]["hint"].startswith("add to the rules of 'policy.yaml': - {")
    policy_file(staged, registry, "other/app", version=2)
    done = staged.credproxy("reload")
    assert done.returncode == 1
    assert f"{path}:1: version: wanted version: 1" in done.stderr
    assert ask(staged, blob(registry))[0] == 200
    policy_file(staged, registry, "other/app")
    assert staged.process is not None
    staged.process.send_signal(signal.SIGHUP)
    until_status(staged, blob(registry, "other/app"), 200)
    assert ask(staged, blob(registry))[0] == 403
    assert staged.events("rules are broad", least=0) == []
    path.write_text("version: 1\ndefaultAction: allow\n")
    staged.process.send_signal(signal.SIGHUP)
    until_status(staged, blob(registry), 200)
    (event,) = staged.events("rules are broad")
    assert event["first"] == "defaultAction of 'policy.yaml' allows every registry"


def test_a_broken_policy_file_at_start_is_reported_and_heals(staged: Stage, registry: TokenRegistry) -> None:
    """P3: The daemon looks at the policy's own version, not at the configuration's alone."""
    path = policy_file(staged, registry, "org/app", version=2)
    staged.configure(f'{registry.rule()}[actions]\npolicy_file = "{path}"\n')
    staged.start(REGISTRY_PASSWORD=registry.password)
    status, body = ask(staged, blob(registry))
    assert status == 503
    assert json.loads(body)["error"]["code"] == "config_invalid"
    policy_file(staged, registry, "org/app")
    until_status(staged, blob(registry), 200)


def test_a_flush_ends_what_actions_were_given(served: Stage, registry: TokenRegistry) -> None:
    """On the helper socket, for both: one flush is enough after a logout."""
    for _ in range(3):
        assert "canary-token-1" in ask(served, blob(registry))[1]
    assert served.credproxy("flush").returncode == 0
    assert "canary-token-2" in ask(served, blob(registry))[1]


@pytest.mark.parametrize("path", ["/v1/docker/get", "/v1/explain", "/v1/flush", "/v1/reload", "/v1/status", "/metrics"])
def test_what_the_helper_socket_has_is_not_here(served: Stage, registry: TokenRegistry, path: str) -> None:
    """Neither logins nor other callers' answers."""
    status, body = ask(served, blob(registry), path=path)
    assert status == 404
    assert json.loads(body)["error"]["code"] == "not_found"
    assert json.loads(served.credproxy("status", "--json").stdout)["refused"] == {"not_found": 1}


def test_actions_cannot_starve_the_helper_socket(served: Stage, registry: TokenRegistry) -> None:
    """2,000 connections that say nothing: the helper is answered, and the daemon's descriptors are not used up."""
    with ExitStack() as stack:
        for _ in range(2000):
            idle = stack.enter_context(socket.socket(socket.AF_UNIX))
            idle.connect(str(actions_socket(served)))
        assert served.headers(blob(registry)) == {"Authorization": ["Bearer canary-token-1"]}
        page = served.credproxy("status", "--json")
        assert page.returncode == 0, page.stderr


def test_a_provider_that_cannot_narrow_is_refused(staged: Stage, registry: TokenRegistry) -> None:
    """A static header is the secret itself."""
    staged.configure(
        rules(registry)
        + f'[[host]]\nmatch = "{registry.authority}"\nprovider = "header"\n'
        + 'secret = { source = "env", name = "REGISTRY_PASSWORD" }\n'
    )
    staged.start(REGISTRY_PASSWORD=registry.password)
    status, body = ask(staged, blob(registry))
    assert status == 403
    assert json.loads(body)["error"]["code"] == "use_gateway"


def test_a_broken_configuration_is_reported_here_too(staged: Stage, registry: TokenRegistry) -> None:
    """Not "no rule allows it", which would be misleading."""
    staged.configure("empty_ttl = 0\n")
    staged.start()
    status, body = ask(staged, blob(registry))
    assert status == 503
    assert json.loads(body)["error"]["code"] == "config_invalid"


def test_a_second_daemon_of_another_helper_socket_serves_without_actions(
    served: Stage, registry: TokenRegistry
) -> None:
    """It says so, and what to set; the first one's socket is untouched."""
    second = Stage(
        served.home, served.environ | {"CREDPROXY_SOCKET": str(served.home / "run" / "credproxy" / "2.sock")}
    )
    second.logs.append(served.home / "unused")
    second.start(REGISTRY_PASSWORD=registry.password)
    (event,) = second.events("no actions socket")
    assert event["reason"] == "another daemon serves it"
    assert "CREDPROXY_ACTIONS_SOCKET" in str(event["hint"])
    assert second.stop() == 0
    assert ask(served, blob(registry))[0] == 200


class Serving(TokenRegistry):
    """Gives one blob to clients with a token of its token server."""

    BLOB = b"a layer"

    def refuse(self, handler: BaseHTTPRequestHandler) -> None:
        """Send the blob, or the challenge."""
        if "/blobs/" not in handler.path or handler.headers["Authorization"] != f"Bearer canary-token-{self.count}":
            super().refuse(handler)
            return
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(self.BLOB)))
        handler.end_headers()
        handler.wfile.write(self.BLOB)


def test_the_documented_header_recipe_downloads(staged: Stage, tmp_path: Path) -> None:
    """docs/lazy-layers.md: curl, sed and curl; the token is on no command line."""
    page = (Path(__file__).parents[2] / "docs" / "lazy-layers.md").read_text()
    script = page.partition("```bash header\n")[2].partition("```")[0]
    registry = Serving()
    try:
        staged.configure(registry.rule() + rules(registry))
        staged.start(REGISTRY_PASSWORD=registry.password)
        environ = {
            "PATH": staged.environ["PATH"],
            "SOCKET": str(actions_socket(staged)),
            "URL": blob(registry),
            "OUT": str(tmp_path / "layer"),
        }
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            env=environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )
    finally:
        registry.close()
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "layer").read_bytes() == Serving.BLOB


def test_the_loopback_port_serves_callers_with_the_token(staged: Stage, registry: TokenRegistry) -> None:
    """T34: The same answers as on the socket; without the token nothing, and a port in use is reported."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        listen = f'[actions]\nlisten = "127.0.0.1:{port}"\nlisten_token = {{ source = "env", name = "PORT_TOKEN" }}\n'
        staged.configure(registry.rule() + listen + rules(registry))
        staged.start(REGISTRY_PASSWORD=registry.password, PORT_TOKEN="canary-port-token")
        assert staged.events("no port")[0]["reason"] == "address already in use"
        staged.stop()
    staged.start(REGISTRY_PASSWORD=registry.password, PORT_TOKEN="canary-port-token")

    def ask_port(*headers: str) -> tuple[int, str]:
        named = [part for header in headers for part in ("-H", header)]
        body = json.dumps({"uri": blob(registry)})
        argv = ["curl", "-sS", *named, "--data", body, "-w", "\n%{http_code}", f"http://127.0.0.1:{port}/v1/get"]
        answer, _, status = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.rpartition("\n")
        return int(status), answer

    needed = ("X-Credproxy-Request: true", "Authorization: Bearer canary-port-token")
    status, answer = ask_port(*needed)
    assert (status, parse(answer.encode()).headers) == (200, {"Authorization": ["Bearer canary-token-1"]})
    for missing in range(len(needed)):
        status, answer = ask_port(*needed[:missing], *needed[missing + 1 :])
        assert status == 403
        assert "peer_refused" in answer
    assert ask_port(*needed, "Host: evil.example")[0] == 403
    assert staged.stop() == 0
    assert "canary-port-token" not in staged.log()
