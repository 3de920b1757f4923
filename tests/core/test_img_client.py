"""The conformance client does what ``img`` was measured to do: docs/design/clients.md#the-img-client, row by row."""

import gzip
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.img_client import Outcome, download_blob, download_manifest
from tests.scripted_gateway import Answer, Cut, ScriptedGateway, response


LAYER = b"a layer, " * 200
DIGEST = f"sha256:{hashlib.sha256(LAYER).hexdigest()}"
BLOB = f"/v2/lib/small/blobs/{DIGEST}"
DENIED = json.dumps({"errors": [{"code": "DENIED", "message": "no rule allows it"}]}).encode()
REGISTRY = "reg.test:15443"


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[ScriptedGateway]:
    """A gateway that answers everything well until it is told otherwise."""
    with ScriptedGateway(tmp_path / "actions.sock", for_blobs(response(200, LAYER))) as made:
        yield made


def blob(gateway: ScriptedGateway) -> Outcome:
    """Download the layer."""
    return download_blob(gateway.path, REGISTRY, "lib/small", DIGEST)


def for_blobs(data: bytes) -> Answer:
    """The ping goes well; every blob is answered so."""
    return lambda target, _: data if "/blobs/" in target else response(200)


PING = b"""\
GET /v2/ HTTP/1.1
Host: reg.test:15443
User-Agent: Go-http-client/1.1
X-Rules_img-Original-Host: reg.test:15443
Accept-Encoding: gzip

""".replace(b"\n", b"\r\n")


def test_3_5_download_blob_sends_two_requests_on_one_connection(gateway: ScriptedGateway) -> None:
    """Byte by byte; no HEAD, Range, Accept or Authorization."""
    done = blob(gateway)
    assert (done.error, done.exit_status, done.content, done.pauses) == ("", 0, LAYER, ())
    assert [sent.connection for sent in done.requests] == [1, 1]
    assert [sent.data for sent in done.requests] == gateway.heard
    assert gateway.heard == [
        PING,
        (
            f"GET {BLOB} HTTP/1.1\r\nHost: reg.test:15443\r\nUser-Agent: go-containerregistry/v0.21.7\r\n"
            "X-Rules_img-Original-Host: reg.test:15443\r\nAccept-Encoding: gzip\r\n\r\n"
        ).encode(),
    ]


def test_3_5_download_manifest_adds_one_accept_line(gateway: ScriptedGateway) -> None:
    """Of six types, in go-containerregistry's order; a tag is not verified, a digest is."""
    gateway.answer = lambda target, _: response(200, b"{}" if "/manifests/" in target else b"", "Content-Type: a/b")
    done = download_manifest(gateway.path, REGISTRY, "lib/small", "latest")
    assert (done.error, done.content) == ("", b"{}")
    assert done.response is not None
    assert done.response.headers["content-type"] == "a/b"
    assert gateway.heard[1] == (
        b"GET /v2/lib/small/manifests/latest HTTP/1.1\r\n"
        b"Host: reg.test:15443\r\n"
        b"User-Agent: go-containerregistry/v0.21.7\r\n"
        b"Accept: application/vnd.docker.distribution.manifest.v1+json,"
        b"application/vnd.docker.distribution.manifest.v1+prettyjws,"
        b"application/vnd.docker.distribution.manifest.v2+json,"
        b"application/vnd.oci.image.manifest.v1+json,"
        b"application/vnd.docker.distribution.manifest.list.v2+json,"
        b"application/vnd.oci.image.index.v1+json\r\n"
        b"X-Rules_img-Original-Host: reg.test:15443\r\n"
        b"Accept-Encoding: gzip\r\n\r\n"
    )
    assert "checksum" in download_manifest(gateway.path, REGISTRY, "lib/small", DIGEST).error


@pytest.mark.parametrize("registry", ["docker.io", "index.docker.io"])
def test_3_5_docker_hub_has_one_name(gateway: ScriptedGateway, registry: str) -> None:
    """``ubuntu@docker.io`` is ``library/ubuntu`` of ``index.docker.io``."""
    assert download_blob(gateway.path, registry, "ubuntu", DIGEST).error == ""
    assert f"GET /v2/library/ubuntu/blobs/{DIGEST} HTTP/1.1\r\nHost: index.docker.io\r\n".encode() in gateway.heard[1]


@pytest.mark.parametrize("status", [401, 403, 404, 501, 400, 416])
@pytest.mark.parametrize("challenge", [(), ('WWW-Authenticate: Bearer realm="https://auth.test/token"',)])
def test_3_5_final_statuses(gateway: ScriptedGateway, status: int, challenge: tuple[str, ...]) -> None:
    """One request, and the gateway's own words are printed."""
    gateway.answer = for_blobs(response(status, DENIED, *challenge))
    done = blob(gateway)
    assert (done.error, done.exit_status, done.content) == ("DENIED: no rule allows it", 1, b"")
    assert len(done.requests) == 2
    assert done.response is not None
    assert done.response.status == status


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_3_5_retried_statuses(gateway: ScriptedGateway, status: int) -> None:
    """Six requests, 31 seconds before jitter, and then the words of the last."""
    gateway.answer = for_blobs(response(status, DENIED))
    done = blob(gateway)
    assert done.error == "DENIED: no rule allows it"
    assert gateway.heard[1:] == [gateway.heard[1]] * 6
    assert done.pauses == (1, 2, 4, 8, 16)


def test_3_5_a_retry_may_succeed(gateway: ScriptedGateway) -> None:
    """Two faults that passed cost two pauses."""
    gateway.answer = lambda target, before: (
        response(200, LAYER) if before >= 2 else (response(503, DENIED) if "/blobs/" in target else response(200))
    )
    done = blob(gateway)
    assert (done.error, done.content, done.pauses, len(done.requests)) == ("", LAYER, (1, 2), 4)


@pytest.mark.parametrize(
    ("status", "seconds", "waited"),
    [(429, "7", 7.0), (503, "7", 7.0), (429, "600", 60.0), (502, "7", None), (429, "x", None)],
)
def test_3_5_retry_after(gateway: ScriptedGateway, status: int, seconds: str, waited: float | None) -> None:
    """Honoured on 429 and 503, up to a minute, beside the pauses of its own."""
    gateway.answer = for_blobs(response(status, DENIED, f"Retry-After: {seconds}"))
    pauses = blob(gateway).pauses
    assert [pause for pause in pauses if pause == waited] == ([] if waited is None else [waited] * 6)


def test_3_5_a_ping_with_a_bearer_challenge_asks_for_a_token_here(gateway: ScriptedGateway) -> None:
    """Through the same socket, for another host: therefore the gateway's ping must not be a 401."""
    challenge = 'WWW-Authenticate: Bearer realm="https://auth.test/token",service="svc x"'
    gateway.answer = lambda target, _: (
        response(401, b"", challenge) if target == "/v2/" else response(200, LAYER if "/blobs/" in target else b"{}")
    )
    done = blob(gateway)
    assert (done.error, len(done.requests)) == ("", 3)
    assert gateway.heard[1] == (
        b"GET /token?scope=repository%3Alib%2Fsmall%3Apull&service=svc+x HTTP/1.1\r\nHost: auth.test\r\n"
        b"User-Agent: go-containerregistry/v0.21.7\r\nX-Rules_img-Original-Host: auth.test\r\n"
        b"Accept-Encoding: gzip\r\n\r\n"
    )
    gateway.answer = lambda target, _: response(401, b"", challenge) if target == "/v2/" else response(404)
    assert blob(gateway).error == "unexpected status code 404 Not Found"


def test_3_5_a_ping_401_without_a_challenge_goes_on(gateway: ScriptedGateway) -> None:
    """Anonymously, as with a Basic challenge."""
    gateway.answer = lambda target, _: response(401) if target == "/v2/" else response(200, LAYER)
    assert (blob(gateway).error, len(gateway.heard)) == ("", 2)


@pytest.mark.parametrize(("status", "requests"), [(403, 1), (404, 1), (503, 6)])
def test_3_5_other_pings(gateway: ScriptedGateway, status: int, requests: int) -> None:
    """Final, or retried as anything else is; no blob is asked for."""
    gateway.answer = lambda _, __: response(status, DENIED)
    assert blob(gateway).error == "DENIED: no rule allows it"
    assert gateway.heard == [PING] * requests


def test_3_5_206_is_an_error(gateway: ScriptedGateway) -> None:
    """It sent no Range."""
    gateway.answer = for_blobs(response(206, LAYER))
    done = blob(gateway)
    assert done.error.startswith("unexpected status code 206 Partial Content: a layer, ")
    assert len(done.requests) == 2


def test_3_5_gzip_is_decoded(gateway: ScriptedGateway) -> None:
    """Its transport asked for it, so the digest is of what is inside."""
    gateway.answer = for_blobs(response(200, gzip.compress(LAYER), "Content-Encoding: gzip"))
    assert (blob(gateway).error, blob(gateway).content) == ("", LAYER)


def test_3_5_dropped_before_the_headers(gateway: ScriptedGateway) -> None:
    """Seven requests: on the kept connection, at once on a new one, then after each of five pauses."""
    gateway.answer = for_blobs(b"")
    done = blob(gateway)
    assert (done.error, done.response) == ("EOF", None)
    assert [sent.connection for sent in done.requests] == [1, 1, 2, 3, 4, 5, 6, 7]
    assert done.pauses == (1, 2, 4, 8, 16)


def test_3_5_a_dropped_ping(gateway: ScriptedGateway) -> None:
    """No connection was kept, so it is six."""
    gateway.answer = lambda _, __: b""
    assert (blob(gateway).error, len(gateway.heard)) == ("EOF", 6)


@pytest.mark.parametrize(
    ("data", "content"),
    [
        pytest.param(Cut(response(200, LAYER)[:-600]), LAYER[:-600], id="length"),
        pytest.param(
            Cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nb\r\na lay"), b"a lay", id="in-a-chunk"
        ),
        pytest.param(
            Cut(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\na lay\r\n"), b"a lay", id="between-chunks"
        ),
    ],
)
def test_3_5_a_truncated_body_is_final(gateway: ScriptedGateway, data: bytes, content: bytes) -> None:
    """Exit 1 after one request, and the partial file stays."""
    gateway.answer = for_blobs(data)
    done = blob(gateway)
    assert (done.error, done.exit_status, done.content, len(done.requests)) == ("unexpected EOF", 1, content, 2)


def test_3_5_no_socket(tmp_path: Path) -> None:
    """Final at once."""
    done = download_blob(tmp_path / "none.sock", REGISTRY, "lib/small", DIGEST)
    assert done.error == f"dial unix {tmp_path}/none.sock: connect: no such file or directory"
    assert (done.requests, done.pauses, done.response) == ((), (), None)


def test_3_4_a_redirect_is_followed_through_the_socket(gateway: ScriptedGateway) -> None:
    """With the other host's name and a Referer: therefore the gateway follows redirects itself."""
    gateway.answer = lambda target, _: (
        response(200, LAYER)
        if target.startswith("/x?")
        else response(307, b"", "Location: https://cdn.test/x?sig=1")
        if "/blobs/" in target
        else response(200)
    )
    done = blob(gateway)
    assert (done.error, done.content) == ("", LAYER)
    assert (
        gateway.heard[2]
        == (
            "GET /x?sig=1 HTTP/1.1\r\nHost: cdn.test\r\nUser-Agent: go-containerregistry/v0.21.7\r\n"
            f"Referer: http://{REGISTRY}{BLOB}\r\nX-Rules_img-Original-Host: cdn.test\r\nAccept-Encoding: gzip\r\n\r\n"
        ).encode()
    )


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (response(200, b"x"), "error verifying sha256 checksum after reading 1 bytes"),
        (Cut(b"HTTP/1.1 200 OK\r\n\r\nshort"), "error verifying sha256 checksum after reading 5 bytes"),
        (Cut(b"HTTP/1.1 200 OK\r\nContent-Le"), "malformed MIME header"),
        (Cut(b"SSH-2.0-x\r\n"), "malformed HTTP response"),
        (response(204), "unexpected status code 204 No Content"),
        (response(403, b"nope"), "unexpected status code 403 Forbidden: nope"),
        (response(403, b'{"errors": []}'), 'unexpected status code 403 Forbidden: {"errors": []}'),
        (
            response(403, b'{"errors": [{"code": "A", "message": "b"}, {"code": "C"}]}'),
            "multiple errors returned: A: b; C: ",
        ),
    ],
)
def test_what_else_is_final(gateway: ScriptedGateway, data: bytes, problem: str) -> None:
    """A wrong digest, a broken response, an error that is not in the OCI's form."""
    gateway.answer = for_blobs(data)
    done = blob(gateway)
    assert done.error.startswith(problem)
    assert len(done.requests) == 2


def test_chunks_and_closed_connections(gateway: ScriptedGateway) -> None:
    """The other usual ways to answer succeed, on as many connections as needed."""
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(LAYER), LAYER)
    gateway.answer = lambda target, _: chunked if "/blobs/" in target else response(200, b"", "Connection: close")
    done = blob(gateway)
    assert (done.error, done.content) == ("", LAYER)
    assert [sent.connection for sent in done.requests] == [1, 2]
