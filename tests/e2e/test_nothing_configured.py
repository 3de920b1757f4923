"""What the tools of each world have left on a machine is all that is needed: no line of configuration is written here."""

import base64
import json
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.e2e.stage import Stage, TokenRegistry
from tests.worker.token_server import TokenServer


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

CALLS = 200


class Tool(NamedTuple):
    """What a tool leaves, and what the helper answers then.

    Attributes:
        uri: that is asked about.
        kind: that answers.
        header: what the answer has, a part of it; the name in lower case.
        place: where ``explain`` says that it comes from.
    """

    uri: str
    kind: str
    header: tuple[str, str]
    place: str


def tools(registry: TokenRegistry) -> tuple[Tool, ...]:
    """One of each kind that needs nobody to write a rule."""
    basic = base64.b64encode(b"build:canary-netrc").decode()
    return (
        Tool(
            registry.uri("acme/app/manifests/v1"),
            "oci",
            ("authorization", "Bearer canary-token-"),
            f".docker/config.json#{registry.authority}",
        ),
        Tool(
            "https://api.github.com/repos/o/r",
            "github",
            ("authorization", "Bearer gho_canary"),
            "gh/hosts.yml#github.com",
        ),
        Tool(
            "https://gitlab.com/api/v4/projects/1",
            "gitlab",
            ("private-token", "glpat-canary"),
            "glab-cli/config.yml#gitlab.com",
        ),
        Tool(
            "https://huggingface.co/o/m/resolve/main/f",
            "huggingface",
            ("authorization", "Bearer hf_canary"),
            "huggingface/token",
        ),
        Tool("https://remote.buildbuddy.io", "remoteapis", ("x-buildbuddy-api-key", "canary-bb"), "BUILDBUDDY_API_KEY"),
        Tool(
            "https://storage.googleapis.com/b/o",
            "google",
            ("authorization", "Bearer canary-google"),
            "application_default_credentials.json#build@corp.test",
        ),
        Tool(
            "https://b.s3.eu-west-1.amazonaws.com/o",
            "s3",
            ("authorization", "AWS4-HMAC-SHA256 Credential=AKIDCANARY/"),
            "AWS_ACCESS_KEY_ID",
        ),
        Tool("https://files.corp.test/a.tar", "netrc", ("authorization", f"Basic {basic}"), ".netrc#files.corp.test"),
    )


@pytest.fixture
def issuer() -> Iterator[TokenServer]:
    """Google's token server."""
    with TokenServer() as running:
        yield running


@pytest.fixture
def logged_in(staged: Stage, registry: TokenRegistry, issuer: TokenServer) -> Stage:
    """A daemon on a machine where somebody has logged in with each tool."""
    pair = base64.b64encode(b"canary-user:canary-pass").decode()
    put(staged.home / ".docker/config.json", json.dumps({"auths": {registry.authority: {"auth": pair}}}))
    put(staged.home / "config/gh/hosts.yml", "github.com:\n  user: u\n  oauth_token: gho_canary\n")
    put(staged.home / "config/glab-cli/config.yml", "hosts:\n  gitlab.com:\n    token: glpat-canary\n")
    put(staged.home / ".cache/huggingface/token", "hf_canary\n")
    put(staged.home / ".netrc", "machine files.corp.test login build password canary-netrc\n")
    key = Path(issuer.service_account(staged.home))
    put(staged.home / ".config/gcloud/application_default_credentials.json", key.read_text())
    staged.start(
        BUILDBUDDY_API_KEY="canary-bb",
        AWS_ACCESS_KEY_ID="AKIDCANARY",
        AWS_SECRET_ACCESS_KEY="canary-aws",
    )
    assert not staged.config.exists()
    return staged


def put(path: Path, text: str) -> None:
    """Write a file as a tool does: for nobody else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o600)


def lowered(headers: Mapping[str, list[str]]) -> dict[str, str]:
    """Headers by name in lower case."""
    return {name.lower(): value for name, (value,) in headers.items()}


def test_eight_hosts_of_eight_kinds_are_answered(logged_in: Stage, registry: TokenRegistry) -> None:
    """Each with the login that its own tool has stored, and ``explain`` says where that is."""
    for tool in tools(registry):
        name, value = tool.header
        assert lowered(logged_in.headers(tool.uri))[name].startswith(value), tool
        told = logged_in.credproxy("explain", tool.uri)
        assert told.returncode == 0, told.stderr
        assert tool.kind in told.stdout, told.stdout
        assert f"{tool.place}\n" in told.stdout, told.stdout
    assert "canary" not in logged_in.log()


def test_logins_that_end_during_a_build_cause_no_error(
    logged_in: Stage, registry: TokenRegistry, issuer: TokenServer
) -> None:
    """Tokens of a few seconds, and a build that takes longer: each answer is a token that is still good."""
    registry.life = 4
    issuer.granting(seconds=4)
    asked = [(tools(registry)[0].uri, tools(registry)[5].uri)[number % 2] for number in range(CALLS)]

    def call(number: int) -> dict[str, str]:
        time.sleep(0.08)  # so that all of them together outlast three tokens
        return lowered(logged_in.headers(asked[number]))

    with ThreadPoolExecutor(2) as builds:
        answers = list(builds.map(call, range(CALLS)))
    assert all(answer["authorization"].startswith("Bearer canary-") for answer in answers)
    assert registry.exchanges() >= 2
    assert len(issuer.asked) >= 2
