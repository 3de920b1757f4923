"""``credproxy doctor`` beside a real daemon."""

import json
import os
import shutil
import socket

import pytest

from credproxy import __version__
from tests.e2e.stage import Stage, TokenRegistry


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]


def findings(staged: Stage, *args: str) -> dict[str, str]:
    """Run it; give severity by message."""
    done = staged.credproxy("doctor", "--json", *args)
    found = json.loads(done.stdout)["findings"]
    assert done.returncode == int(any(finding["severity"] == "error" for finding in found)), done.stdout
    return {finding["message"]: finding["severity"] for finding in found}


def test_a_daemon_that_runs_is_seen_and_its_gate_is_tried(staged: Stage) -> None:
    """The process that listens, both sockets, and a refused caller in its own namespaces."""
    process = staged.start()
    found = findings(staged)
    assert found[f"the helper socket '{staged.socket}' answers, pid {process.pid}"] == "ok"
    actions = staged.home / "run" / "credproxy-actions" / "actions.sock"
    assert found[f"the actions socket '{actions}' answers, pid {process.pid}"] == "ok"
    refused, untried = "the helper socket refuses a caller in a sandbox", "not tried"
    assert refused in found or any(message.startswith(untried) for message in found)
    if shutil.which("unshare") and os.geteuid() == 0:
        assert found[refused] == "ok"
        assert "question failed" not in staged.log()
    told = json.loads(staged.credproxy("status", "--json").stdout)
    assert (told["version"], told["pid"]) == (__version__, process.pid)


def test_a_gate_that_was_opened_is_a_warning(staged: Stage) -> None:
    """T11: Tried, not read from the configuration."""
    if os.geteuid() != 0:
        pytest.skip("this user may have no namespaces; run as root")
    staged.configure('peer_namespaces = "any"\n')
    staged.start()
    message = (
        'the helper socket answers sandboxed build actions, because the configuration says peer_namespaces = "any"'
    )
    assert findings(staged)[message] == "warning"


@pytest.mark.parametrize("ahead", [360, -360], ids=["the machine is ahead", "the machine is behind"])
def test_a_clock_six_minutes_off_costs_no_token_and_is_a_finding(
    staged: Stage, registry: TokenRegistry, ahead: int
) -> None:
    """Tokens of 300 s, JWT with times, are used for as long as the server says; doctor and log report the clock."""
    registry.clock = -ahead
    staged.configure(registry.rule())
    staged.start(REGISTRY_PASSWORD=registry.password)
    for _ in range(2):
        staged.headers(registry.uri("org/app/manifests/v1"))
    assert registry.exchanges() == 1
    assert json.loads(staged.credproxy("status", "--json").stdout)["entries"][0]["left"] > 290
    (event,) = staged.events("clocks differ")
    assert abs(int(str(event["ahead"])) - ahead) <= 1
    where = "ahead of" if ahead > 0 else "behind"
    told = [message for message, severity in findings(staged).items() if severity == "warning" and where in message]
    assert len(told) == 1
    assert f"that of 'http://{registry.authority}'" in told[0]


def test_a_socket_that_a_killed_daemon_left_is_a_warning(staged: Stage) -> None:
    """P6: The next daemon takes it over."""
    process = staged.start()
    process.kill()
    process.wait()
    assert findings(staged)[f"nobody listens at '{staged.socket}': a killed daemon left it behind"] == "warning"


def test_a_listener_that_does_not_answer_is_an_error(staged: Stage) -> None:
    """Within seconds."""
    staged.socket.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(staged.socket))
        silent.listen()
        assert findings(staged)[f"the program that listens at '{staged.socket}' does not answer"] == "error"


def test_network_pings_registries_without_a_credential(staged: Stage, registry: TokenRegistry) -> None:
    """What each asks for, and what is wrong with it; without the option no registry is asked."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        dead = f"127.0.0.1:{closed.getsockname()[1]}"
        staged.configure(registry.rule() + f'[[host]]\nmatch = "{dead}"\nprovider = "oci"\n')
        findings(staged)
        assert registry.requests == []
        found = findings(staged, "--network")
    assert found[f"registry '{registry.authority}' answers and asks for bearer from '{registry.authority}'"] == "ok"
    assert [severity for message, severity in found.items() if repr(dead) in message] == ["error"]
    assert registry.requests == ["/v2/"]


def test_network_names_a_token_server_that_is_not_paired(staged: Stage, registry: TokenRegistry) -> None:
    """Before the first login would be sent there."""
    registry.realm = "https://auth.example.net/token"
    staged.configure(registry.rule())
    done = staged.credproxy("doctor", "--network", "--json")
    (error,) = [found for found in json.loads(done.stdout)["findings"] if found["topic"] == "network"]
    assert error["severity"] == "error"
    assert "sends logins to 'auth.example.net', which it is not paired with (realm_refused)" in error["message"]
    assert 'realm_hosts = ["auth.example.net"]' in error["remedy"]
