"""``docker login`` and its like through ``docker-credential-credproxy``: into the same store, seen by the daemon at once."""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import BIN, Stage, stage
from tests.real.clients import PLACES, Ran, find, run
from tests.real.conftest import OTHER, ROBOT
from tests.real.pki import Pki
from tests.real.registry import Registry
from tests.real.wire import basic


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]


@pytest.fixture
def staged(short_path: Path, basic_registry: Registry, pki: Pki) -> Iterator[Stage]:
    """A home whose clients ask credproxy for the registry's login, and a daemon."""
    with stage(short_path) as made:
        made.environ["PATH"] = f"{BIN}:{PLACES}"
        made.environ["SSL_CERT_FILE"] = str(pki.bundle)
        made.environ["REGISTRY_AUTH_FILE"] = str(made.home / ".docker/config.json")
        (made.home / ".docker").mkdir()
        (made.home / ".docker/config.json").write_text(
            json.dumps({"credHelpers": {basic_registry.authority: "credproxy"}})
        )
        made.configure(
            f'[[host]]\nmatch = "{basic_registry.authority}"\nprovider = "oci"\nca_bundle = "{pki.bundle}"\n'
        )
        made.start()
        yield made


# regctl keeps logins in a file of its own, and only reads what docker has
CLIENTS = {
    "skopeo": (["login", "--username", "{user}", "--password-stdin", "{registry}"], ["logout", "{registry}"]),
    "crane": (["auth", "login", "{registry}", "-u", "{user}", "--password-stdin"], ["auth", "logout", "{registry}"]),
}


def client(staged: Stage, name: str, words: list[str], registry: Registry, user: str = "", password: str = "") -> Ran:
    """Run one of its commands."""
    filled = [word.format(user=user, registry=registry.authority) for word in words]
    return run([find(name), *filled], env=staged.environ, stdin=password)


@pytest.mark.parametrize("name", CLIENTS)
def test_a_client_logs_in_and_out(staged: Stage, basic_registry: Registry, name: str) -> None:
    """The daemon answers with the login at once, with the next one at once, and with nothing after the logout."""
    log_in, log_out = CLIENTS[name]
    uri = f"https://{basic_registry.authority}"
    for user, account in (("robot", ROBOT), ("other", OTHER)):
        done = client(staged, name, log_in, basic_registry, user, account.password)
        assert done.code == 0, done.out + done.err
        assert staged.headers(uri)["Authorization"] == [basic(user, account.password)]
        assert account.password not in (staged.home / ".docker/config.json").read_text()
    asked = subprocess.run(
        ["docker-credential-credproxy", "list"], env=staged.environ, capture_output=True, check=True, timeout=20
    )
    assert json.loads(asked.stdout) == {basic_registry.authority: "other"}
    done = client(staged, name, log_out, basic_registry)
    assert done.code == 0, done.out + done.err
    assert staged.headers(uri) == {}
    for account in (ROBOT, OTHER):
        assert account.password not in staged.log()
