"""Everything for a registry goes through a real proxy with a login: exchanges, blobs, manifests and pushes."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.real.clients import find
from tests.real.conftest import ROBOT
from tests.real.content import Image, digest
from tests.real.pki import Pki
from tests.real.registry import Registry
from tests.real.test_gateway import EVERYTHING, OCI_MANIFEST, Gateway, allow, blob, gateway, host, realm_hosts, start
from tests.real.tinyproxy import Tinyproxy
from tests.real.token_server import TokenServer


__all__ = ["gateway"]  # a fixture

pytestmark = [pytest.mark.real, pytest.mark.timeout(90)]

USER, PASSWORD = "corp", "canary-4711"


@pytest.fixture
def proxy(tmp_path: Path) -> Iterator[Tinyproxy]:
    """A proxy with a login."""
    with Tinyproxy(find("tinyproxy"), tmp_path / "proxy", USER, PASSWORD) as running:
        yield running


def through(
    gateway: Gateway, registry: Registry, token_server: TokenServer, pki: Pki, proxy: str, account: str = "robot"
) -> None:
    """Start a daemon that may do everything in ``team/**`` of the registry, through that proxy."""
    gateway.secrets = (*gateway.secrets, PASSWORD)
    rule = host(registry.authority, pki, account, realm_hosts=realm_hosts(token_server), proxy=json.dumps(proxy))
    start(gateway, rule + allow(registry.authority, operations=EVERYTHING))


def test_everything_goes_through_a_proxy_with_a_login(
    gateway: Gateway, registry: Registry, token_server: TokenServer, pushed: Image, pki: Pki, proxy: Tinyproxy
) -> None:
    """A token by the helper socket, a large blob by the pump, a manifest and an upload: all by CONNECT, with the login."""
    place = f"http://{USER}:{PASSWORD}@127.0.0.1:{proxy.port}"
    through(gateway, registry, token_server, pki, place, "pusher")
    got = gateway.staged.credproxy("get", f"https://{registry.authority}/v2/team/app/manifests/v1")
    assert got.returncode == 0, got.stderr
    answer = gateway.get(registry.authority, blob(pushed.layer))
    assert (answer.status, digest(answer.body)) == (200, digest(pushed.layer))
    manifest = gateway.get(registry.authority, "/v2/team/app/manifests/v1", "-H", OCI_MANIFEST)
    assert (manifest.status, manifest.body) == (200, pushed.manifest)
    begun = gateway.get(registry.authority, "/v2/team/app/blobs/uploads/", "-X", "POST")
    assert begun.status == 202
    put = f"{begun.headers['location']}?digest={digest(b'hello')}"
    binary = ("-H", "Content-Type: application/octet-stream", "--data-binary", "hello")
    assert gateway.get(registry.authority, put, "-X", "PUT", *binary).status == 201
    ports = {registry.authority.rpartition(":")[2], token_server.realm.split("/")[2].rpartition(":")[2]}
    assert all(f"CONNECT localhost:{port}" in proxy.log for port in ports)


@pytest.mark.parametrize("login", ["", f"{USER}:wrong@"], ids=["none", "another"])
def test_a_proxy_that_wants_another_login_is_named(
    gateway: Gateway, registry: Registry, token_server: TokenServer, pki: Pki, proxy: Tinyproxy, login: str
) -> None:
    """For a credential and for a blob: the registry is not to blame, and a login for it would not help."""
    through(gateway, registry, token_server, pki, f"http://{login}127.0.0.1:{proxy.port}")
    got = gateway.staged.credproxy("get", f"https://{registry.authority}/v2/team/app/manifests/v1")
    answer = gateway.get(registry.authority, blob(b"x"))
    assert (got.returncode, answer.status) == (1, 403)
    for said in (got.stderr, answer.message):
        assert f"proxy '127.0.0.1:{proxy.port}'" in said
        assert "(status 40" in said  # tinyproxy's status for another login is 401
        assert "docker login" not in said
        assert "wrong" not in said


def test_a_host_that_a_proxy_does_not_allow_is_attributed_to_the_proxy(
    gateway: Gateway, registry: Registry, token_server: TokenServer, pki: Pki, tmp_path: Path
) -> None:
    """403 to CONNECT is the proxy's, and final."""
    with Tinyproxy(find("tinyproxy"), tmp_path / "strict", USER, PASSWORD, allowed=(1,)) as strict:
        through(gateway, registry, token_server, pki, f"http://{USER}:{PASSWORD}@127.0.0.1:{strict.port}")
        answer = gateway.get(registry.authority, blob(b"x"))
        assert answer.status == 403
        expected = f"proxy '127.0.0.1:{strict.port}' refuses to connect to registry '{registry.authority}' (status 403)"
        assert expected in answer.message


def test_a_proxy_that_is_down_is_attributed_to_the_proxy(
    gateway: Gateway, registry: Registry, token_server: TokenServer, pki: Pki
) -> None:
    """It may be back in a moment, so a client may ask again."""
    through(gateway, registry, token_server, pki, f"http://{USER}:{PASSWORD}@127.0.0.1:1")
    answer = gateway.get(registry.authority, blob(b"x"))
    assert answer.status == 503
    assert "proxy '127.0.0.1:1' cannot be reached: connection refused" in answer.message
    assert ROBOT.password not in answer.message
