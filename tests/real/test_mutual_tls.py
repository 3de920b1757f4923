"""Debian's registry behind an nginx that asks for a client certificate: curl, crane, skopeo and credproxy with the same files."""

import base64
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.stage import Stage, stage
from tests.real.clients import Ran, find, run
from tests.real.conftest import ROBOT
from tests.real.content import Image, digest
from tests.real.nginx import Nginx, front
from tests.real.pki import Pair, Pki
from tests.real.registry import Registry
from tests.real.test_gateway import realm_hosts
from tests.real.token_server import TokenServer
from tests.real.wire import basic


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]


def asking(registry: Registry, pki: Pki) -> str:
    """What nginx is told, so that nobody reaches the registry without a certificate of the authority."""
    return f"ssl_client_certificate {pki.bundle}; ssl_verify_client on; {front(registry.authority, pki)}"


@pytest.fixture
def pair(pki: Pki) -> Pair:
    """A person's certificate and key."""
    return pki.files("robot@test")


@pytest.fixture
def staged(short_path: Path) -> Iterator[Stage]:
    """A home without a daemon yet."""
    with stage(short_path) as made:
        yield made


@pytest.fixture
def guarded(basic_registry: Registry, pki: Pki, tmp_path: Path) -> Iterator[Nginx]:
    """In front of the registry that takes Basic."""
    with Nginx(find("nginx"), tmp_path / "guard", pki, asking(basic_registry, pki)) as running:
        yield running


def status(url: str, pki: Pki, *arguments: str) -> str:
    """What curl is answered."""
    argv = [
        str(find("curl")),
        "-sS",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "--cacert",
        str(pki.bundle),
        *arguments,
        url,
    ]
    return run(argv, env={}).out


def log_in(staged: Stage, authority: str) -> None:
    """As ``docker login`` does."""
    folder = staged.home / ".docker"
    folder.mkdir()
    auth = base64.b64encode(f"robot:{ROBOT.password}".encode()).decode()
    (folder / "config.json").write_text(json.dumps({"auths": {authority: {"auth": auth}}}))


def test_a_token_is_obtained_with_the_certificate_of_the_rule_and_curl_is_let_in_with_both(
    staged: Stage, registry: Registry, token_server: TokenServer, pushed: Image, pki: Pki, pair: Pair, tmp_path: Path
) -> None:
    """Without it nginx answers 400, and the error names the option."""
    with Nginx(find("nginx"), tmp_path / "guard", pki, asking(registry, pki)) as guard:
        url = f"https://{guard.authority}/v2/team/app/blobs/{digest(pushed.layer)}"
        shown = ("--cert", str(pair.certificate), "--key", str(pair.key))
        assert (status(url, pki), status(url, pki, *shown)) == ("400", "401")
        log_in(staged, guard.authority)
        rule = (
            f'[[host]]\nmatch = "{guard.authority}"\nprovider = "oci"\nca_bundle = "{pki.bundle}"\n'
            f"realm_hosts = {realm_hosts(token_server)}\n"
        )
        staged.configure(rule)
        staged.start()
        told = staged.helper(url).stderr
        assert "wants another client certificate, or one at all" in told
        staged.configure(f'{rule}client_cert = "{pair.certificate}"\nclient_key = "{pair.key}"\n')
        assert staged.credproxy("reload").returncode == 0
        (authorization,) = staged.headers(url)["Authorization"]
        assert authorization.startswith("Bearer ")
        assert status(url, pki, *shown, "-H", f"Authorization: {authorization}") == "200"
        assert pair.key.read_text() not in staged.log()


def test_certs_d_of_docker_and_podman_is_taken_without_a_rule(
    staged: Stage, guarded: Nginx, basic_pushed: Image, pki: Pki, pair: Pair, environment: dict[str, str]
) -> None:
    """The folder that skopeo reads: authority and certificate; crane, which has no such option, is sent away."""
    del basic_pushed
    folder = staged.home / "config" / "containers" / "certs.d" / guarded.authority
    folder.mkdir(parents=True)
    for source, name in ((pki.bundle, "ca.crt"), (pair.certificate, "client.cert"), (pair.key, "client.key")):
        shutil.copy(source, folder / name)
    name = f"{guarded.authority}/team/app:v1"
    login = ["--creds", f"robot:{ROBOT.password}"]
    skopeo = [str(find("skopeo")), "inspect", "--raw", "--cert-dir", str(folder), *login, f"docker://{name}"]
    seen = run(skopeo, env=environment)
    assert seen.code == 0, seen
    refused = run([str(find("crane")), "manifest", name], env=environment)
    assert refused.code != 0
    assert "400" in refused.err
    log_in(staged, guarded.authority)
    staged.start()
    url = f"https://{guarded.authority}/v2/team/app/manifests/v1"
    (authorization,) = staged.headers(url)["Authorization"]
    assert authorization == basic("robot", ROBOT.password)
    (folder / "client.key").unlink()
    assert staged.credproxy("flush").returncode == 0
    assert "has no key beside it" in staged.helper(url).stderr


def test_the_gateway_shows_the_certificate_of_certs_d_and_no_carrier_has_its_key(
    staged: Stage, guarded: Nginx, basic_pushed: Image, pki: Pki, pair: Pair
) -> None:
    """A layer, its manifest and an upload, as a build action has them, which has no certificate."""
    folder = staged.home / "config" / "containers" / "certs.d" / guarded.authority
    folder.mkdir(parents=True)
    for source, name in ((pki.bundle, "ca.crt"), (pair.certificate, "client.cert"), (pair.key, "client.key")):
        shutil.copy(source, folder / name)
    log_in(staged, guarded.authority)
    staged.configure(
        f'[[actions.rule]]\naction = "allow"\nregistry = "{guarded.authority}"\nrepository = "team/**"\n'
        'operations = ["*"]\n'
    )
    staged.start()

    def asked(path: str, *options: str) -> Ran:
        argv = [
            str(find("curl")),
            "-sS",
            "--unix-socket",
            str(staged.home / "run" / "credproxy-actions" / "actions.sock"),
            f"http://localhost/v2/team/app/{path}",
            "-H",
            f"X-Rules_img-Original-Host: {guarded.authority}",
            *options,
        ]
        done = run(argv, env={})
        assert done.code == 0, done
        return done

    target = staged.home / "got"
    asked(f"blobs/{digest(basic_pushed.layer)}", "-o", str(target))
    assert target.read_bytes() == basic_pushed.layer
    accept = "application/vnd.oci.image.manifest.v1+json"
    asked("manifests/v1", "-o", str(target), "-H", f"Accept: {accept}")
    assert target.read_bytes() == basic_pushed.manifest
    blob = os.urandom(300_000)
    (staged.home / "blob").write_bytes(blob)
    begun = asked("blobs/uploads/", "-X", "POST", "-D", "-", "-o", "/dev/null").out
    (place,) = re.findall(r"(?im)^location: /v2/team/app/(\S+)", begun)
    put = ["-T", str(staged.home / "blob"), "-H", "Content-Type: application/octet-stream", "-w", "%{http_code}"]
    assert asked(f"{place}?digest={digest(blob)}", *put).out == "201"
    asked(f"blobs/{digest(blob)}", "-o", str(target))
    assert target.read_bytes() == blob
    assert pair.key.read_text() not in staged.log()
