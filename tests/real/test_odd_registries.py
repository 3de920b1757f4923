"""What other registries than Debian's do, tested with curl in a sandbox, crane, regctl and the requests of ``img``."""

import json
import re
from pathlib import Path

import pytest

from tests.img_client import download_blob, download_manifest
from tests.real.clients import find, run
from tests.real.content import digest, image
from tests.real.odd import Answer, OddRegistry, answered
from tests.real.pki import Pki
from tests.real.shim import Shim
from tests.real.test_gateway import Gateway, allow, gateway, host, start


__all__ = ["gateway"]

pytestmark = [pytest.mark.real, pytest.mark.timeout(90)]

CLOSE = "Connection: close"
LAYER = image(3_000).layer
BLOB = f"/v2/team/app/blobs/{digest(LAYER)}"
TAGS = "/v2/team/app/tags/list"


def served(gateway: Gateway, pki: Pki, registry: OddRegistry, **keys: str) -> Gateway:
    """A daemon that may read ``team/**`` of that registry."""
    private = {"allow_private": '["127.0.0.0/8"]'} | keys
    start(gateway, host(registry.authority, pki, **private) + allow(registry.authority))
    return gateway


def clients(tmp_path: Path) -> dict[str, str]:
    """An environment for crane and regctl."""
    (tmp_path / "client").mkdir()
    return {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path / "client")}


def quay(prefix: str) -> Answer:
    """Three pages of tags, named as Quay names them; the last link is written differently from the first."""

    def answer(method: str, target: str, fields: dict[str, str]) -> bytes:
        del method, fields
        query = target.partition("?")[2]
        page = {"": 1, "n=1000": 1}.get(query, 2 if query.endswith("next_page=gAAA%3D") else 3)
        link = {
            1: f'Link: <{prefix}{TAGS}?n=50&next_page=gAAA%3D>; rel="next"',
            2: "Link: <https://docs.test/>; rel=help, <?n=50&opaque=x%20y>; type=x; rel=next",
        }
        body = json.dumps({"name": "team/app", "tags": [f"v{page}"]}).encode()
        return answered("200 OK", body, CLOSE, *([link[page]] if page in link else []))

    return answer


def test_clients_see_every_page_of_a_list(gateway: Gateway, pki: Pki, tmp_path: Path) -> None:
    """Crane goes on by itself; every page is asked for with the registry's own query and with the login."""
    environment = clients(tmp_path)
    with OddRegistry(pki, quay("")) as registry:
        made = served(gateway, pki, registry)
        with Shim(made.socket, registry.authority) as shim:
            crane = run([find("crane"), "ls", f"{shim.authority}/team/app"], env=environment)
    assert (crane.code, crane.out.split()) == (0, ["v1", "v2", "v3"]), crane.err
    assert [target.partition("?")[2] for target in registry.targets][1:] == [
        "n=50&next_page=gAAA%3D",
        "n=50&opaque=x%20y",
    ]
    assert registry.logins == [True] * 3


def test_a_path_prefix_is_the_gateways_to_know(gateway: Gateway, pki: Pki) -> None:
    """Curl requests the protocol's paths, and follows the links that it gets."""
    with OddRegistry(pki, quay("/art/api/docker/x")) as registry:
        registry_asked = served(gateway, pki, registry, path_prefix='"/art/api/docker/x"')
        target: str | None = TAGS
        tags = []
        while target is not None:
            answer = registry_asked.get(registry.authority, target)
            assert answer.status == 200, answer.body
            tags += json.loads(answer.body)["tags"]
            found = re.match(r'<([^>]*)>; rel="next"', answer.headers.get("link", ""))
            target = None if found is None else found[1]
    assert tags == ["v1", "v2", "v3"]
    asked = [target for _, target, _ in registry.asked]
    assert all(target.startswith("/art/api/docker/x/v2/") for target in asked), asked


def test_a_next_page_elsewhere_is_an_error_and_no_shorter_list(gateway: Gateway, pki: Pki, tmp_path: Path) -> None:
    """Crane reports it, and does not print page one."""
    environment = clients(tmp_path)
    body = b'{"name":"team/app","tags":["v1"]}'
    page = answered("200 OK", body, CLOSE, f"Link: <https://other.test{TAGS}?last=v1>; rel=next")
    with OddRegistry(pki, lambda *_: page) as registry:
        made = served(gateway, pki, registry)
        with Shim(made.socket, registry.authority) as shim:
            crane = run([find("crane"), "ls", f"{shim.authority}/team/app"], env=environment)
    assert crane.code != 0
    assert "v1" not in crane.out
    assert "has the next page of the list of tags of 'team/app' at a place other than" in crane.err


def test_a_signed_url_that_ran_out_costs_neither_the_build_nor_the_login(
    gateway: Gateway, pki: Pki, sandbox: tuple[str, ...]
) -> None:
    """The storage host refuses the first, with a challenge of its own; the second works. It never sees the login."""

    def storing(method: str, target: str, fields: dict[str, str]) -> bytes:
        del method, fields
        if target.endswith("sig=1"):
            return answered("403 Forbidden", b"<Error>expired</Error>", 'WWW-Authenticate: Bearer realm="x"', CLOSE)
        return answered("200 OK", LAYER, CLOSE)

    with OddRegistry(pki, storing) as storage:

        def redirecting(method: str, target: str, fields: dict[str, str]) -> bytes:
            del method, target, fields
            place = f"Location: https://{storage.authority}/a file?sig={len(registry.targets)}"
            return answered("307 Temporary Redirect", b"", place, CLOSE)

        with OddRegistry(pki, redirecting) as registry:
            made = served(gateway, pki, registry)
            done = made.get(registry.authority, BLOB, around=sandbox)
            assert (done.status, done.body) == (200, LAYER)
            pings = len(registry.asked) - len(registry.targets)
            assert (registry.logins, storage.logins) == ([True, True], [False, False])
            assert storage.targets == ["GET /a%20file?sig=1", "GET /a%20file?sig=2"]
            assert download_blob(made.socket, registry.authority, "team/app", digest(LAYER)).error == ""
            assert len(registry.asked) - len(registry.targets) == pings
    assert '"rejected"' not in made.staged.log()


def test_a_storage_host_that_refuses_is_named(gateway: Gateway, pki: Pki) -> None:
    """For img at once, and without mentioning the login."""
    with (
        OddRegistry(pki, lambda *_: answered("403 Forbidden", b"", CLOSE)) as storage,
        OddRegistry(
            pki, lambda *_: answered("307 Go", b"", f"Location: https://{storage.authority}/x", CLOSE)
        ) as registry,
    ):
        made = served(gateway, pki, registry)
        done = download_blob(made.socket, registry.authority, "team/app", digest(LAYER))
    assert (done.exit_status, done.pauses) == (1, ())
    assert done.error.startswith("DENIED: host 'localhost', where registry")
    assert "docker login" not in done.error
    assert len(storage.asked) == 2


def test_a_body_that_was_cut_never_looks_whole(gateway: Gateway, pki: Pki, sandbox: tuple[str, ...]) -> None:
    """Curl fails with HTTP/1.1, and with HTTP/1.0 it is refused before it has a byte."""
    half = LAYER[: len(LAYER) // 2]
    cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + f"{len(half):x}\r\n".encode() + half + b"\r\n"
    with OddRegistry(pki, lambda *_: cut) as registry:
        made = served(gateway, pki, registry)
        for options in (("--http1.0",), ("--http1.0", "-H", "Connection: keep-alive")):
            refused = made.get(registry.authority, BLOB, *options, around=sandbox)
            assert refused.status == 400
            assert "HTTP/1.1" in refused.message
        assert made.curl(registry.authority, BLOB, around=sandbox).returncode in {18, 56}
        listed = made.get(registry.authority, TAGS, "--http1.0", around=sandbox)
        assert listed.status == 503  # small enough to be read first: nothing of it has left


def test_a_list_of_twenty_megabytes_arrives_and_a_manifest_of_five_is_refused_once(gateway: Gateway, pki: Pki) -> None:
    """Lists have no limit; a manifest is just as large the next time, so img gets the error at once."""
    tags = json.dumps({"name": "team/app", "tags": ["v" * 100] * 200_000}).encode()

    def answer(method: str, target: str, fields: dict[str, str]) -> bytes:
        del method, fields
        return answered("200 OK", tags if target == TAGS else bytes(5 * 1024 * 1024), CLOSE)

    with OddRegistry(pki, answer) as registry:
        made = served(gateway, pki, registry)
        assert made.get(registry.authority, TAGS).body == tags
        done = download_manifest(made.socket, registry.authority, "team/app", "v1")
    assert (done.exit_status, done.pauses) == (1, ())
    assert done.error.startswith("SIZE_INVALID: registry")
    assert len(registry.targets) == 2


def test_the_reason_of_a_denied_push_reaches_the_client(gateway: Gateway, pki: Pki, tmp_path: Path) -> None:
    """Crane is go-containerregistry, as img is: it asks HEAD first, goes on after a 404, and prints the next refusal."""
    environment = clients(tmp_path)
    made_image = image(1_000)
    paths = {f"/v2/team/app/blobs/{digest(part)}": part for part in (made_image.layer, made_image.config)}

    def answer(method: str, target: str, fields: dict[str, str]) -> bytes:
        del method, fields
        if target == "/v2/team/app/manifests/v1":
            kind = "Content-Type: application/vnd.oci.image.manifest.v1+json"
            return answered("200 OK", made_image.manifest, kind, CLOSE)
        return answered("200 OK", paths[target], CLOSE) if target in paths else answered("404 Not Found", b"", CLOSE)

    with OddRegistry(pki, answer) as registry:
        made = served(gateway, pki, registry)
        with Shim(made.socket, registry.authority) as shim:
            tar = tmp_path / "image.tar"
            pulled = run([find("crane"), "pull", f"{shim.authority}/team/app:v1", tar], env=environment)
            assert pulled.code == 0, pulled.err
            pushed = run([find("crane"), "push", tar, f"{shim.authority}/other/app:v1"], env=environment)
            named = run([find("crane"), "digest", f"{shim.authority}/other/app:v1"], env=environment)
    for denied in (pushed, named):
        assert denied.code != 0
        assert "no rule allows build actions" in denied.err, denied.err
        assert "credproxy actions allow" in denied.err
    head = made.get(registry.authority, "/v2/other/app/manifests/v1", "-I")
    assert head.status == 404
    assert "no rule allows build actions" in head.headers["warning"]
