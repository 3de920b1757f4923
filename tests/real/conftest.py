"""Real counterparts, started for the tests that ask for them."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real import clients
from tests.real.content import Image, image
from tests.real.pki import Pki
from tests.real.registry import Registry, basic_auth, token_auth
from tests.real.shell_helpers import BazelHelper, DockerHelper
from tests.real.token_server import TokenServer
from tests.real.tokens import Account
from tests.real.wire import Wire, basic


# `robot` may pull team/app, `other` may pull everything else; both in the token server and in the registry with Basic.
ROBOT = Account("robot's password", {"team/app": "pull"}, identity_token="robot-identity-token")
OTHER = Account("other's password", {"team/app": "", "*": "pull"})
# `pusher` may do everything: the gateway pushes with it.
PUSHER = Account("pusher's password", {"*": "pull,push,delete"})
ACCOUNTS = {"robot": ROBOT, "other": OTHER, "pusher": PUSHER}


@pytest.fixture(scope="session")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    """The authority that every server here is signed by."""
    return Pki(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="session")
def wire(pki: Pki) -> Wire:
    """The tests' own HTTP client, which trusts the authority."""
    return Wire(pki.client_context())


@pytest.fixture
def token_server(pki: Pki) -> Iterator[TokenServer]:
    """A token server that knows ACCOUNTS; anonymous callers get a token for public/app."""
    server = TokenServer(pki, ACCOUNTS, anonymous=Account("", {"public/app": "pull"}))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def registry(pki: Pki, token_server: TokenServer, tmp_path: Path) -> Iterator[Registry]:
    """A registry that trusts the token server; empty."""
    auth = token_auth(token_server.realm, pki)
    with Registry(clients.find("docker-registry"), tmp_path / "registry", pki, auth) as running:
        yield running
    _show(running)


@pytest.fixture
def basic_registry(pki: Pki, tmp_path: Path) -> Iterator[Registry]:
    """A registry that challenges with Basic and knows ACCOUNTS; empty."""
    auth = basic_auth(tmp_path / "htpasswd", {name: account.password for name, account in ACCOUNTS.items()})
    with Registry(clients.find("docker-registry"), tmp_path / "basic-registry", pki, auth) as running:
        yield running
    _show(running)


@pytest.fixture
def pushed(registry: Registry, token_server: TokenServer) -> Image:
    """An image that is team/app:v1 and public/app:v1 in `registry`; pushed without the token server."""
    made = image()
    for repository in ("team/app", "public/app"):
        access = [{"type": "repository", "name": repository, "actions": ["pull", "push"]}]
        registry.push(repository, "v1", made, authorization=f"Bearer {token_server.signer.sign(access)}")
    return made


@pytest.fixture
def basic_pushed(basic_registry: Registry) -> Image:
    """An image that is team/app:v1 in `basic_registry`."""
    made = image()
    basic_registry.push("team/app", "v1", made, authorization=basic("robot", ROBOT.password))
    return made


@pytest.fixture
def environment(pki: Pki, tmp_path: Path) -> dict[str, str]:
    """A clean environment for clients, with an empty HOME."""
    home = tmp_path / "home"
    (home / ".docker").mkdir(parents=True)
    return clients.clean_environment(home, pki.bundle)


@pytest.fixture
def docker_helper(tmp_path: Path) -> DockerHelper:
    """A docker-credential-* program without logins."""
    return DockerHelper(tmp_path / "docker-helper")


@pytest.fixture
def bazel_helper(tmp_path: Path) -> BazelHelper:
    """A Bazel credential helper that answers with a Bearer header."""
    return BazelHelper(tmp_path / "bazel-helper")


def _show(registry: Registry) -> None:
    """Let pytest print the end of the log if the test fails."""
    sys.stdout.write(f"{registry.log}, its end:\n{registry.log.read_text()[-3000:]}")
