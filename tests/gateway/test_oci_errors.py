"""Failures and refusals in the error shape of the OCI distribution specification, golden."""

import json

import pytest

from credproxy.core.ask.disclosure import outward
from credproxy.core.errors import Code, Failure
from credproxy.gateway.incoming import UpstreamAnswer
from credproxy.gateway.oci_errors import failure_reply, refusal_reply
from credproxy.gateway.request_reader import wanted
from credproxy.gateway.wanted import What
from tests.gateway.world import D, incoming
from tests.img_client import RETRIED


CANARY = "canary-4711"

STATUSES = {
    Code.BAD_REQUEST: (400, "UNSUPPORTED"),
    Code.NOT_FOUND: (404, "UNSUPPORTED"),
    Code.METHOD_NOT_ALLOWED: (405, "UNSUPPORTED"),
    Code.TOO_LARGE: (413, "SIZE_INVALID"),
    Code.PEER_REFUSED: (403, "DENIED"),
    Code.POLICY_DENIED: (403, "DENIED"),
    Code.USE_GATEWAY: (403, "DENIED"),
    Code.CONFIG_INVALID: (403, "DENIED"),
    Code.CREDENTIAL_UNREADABLE: (403, "DENIED"),
    Code.HELPER_FAILED: (403, "DENIED"),
    Code.HELPER_NOT_RUNNABLE: (403, "DENIED"),
    Code.BAD_CREDENTIALS: (403, "DENIED"),
    Code.DENIED: (403, "DENIED"),
    Code.NO_CHALLENGE: (403, "DENIED"),
    Code.UNSUPPORTED_SCHEME: (403, "DENIED"),
    Code.POISONED_CHALLENGE: (403, "DENIED"),
    Code.REALM_REFUSED: (403, "DENIED"),
    Code.DOWNGRADE: (403, "DENIED"),
    Code.REDIRECT_REFUSED: (403, "DENIED"),
    Code.ADDRESS_REFUSED: (403, "DENIED"),
    Code.BAD_TOKEN: (403, "DENIED"),
    Code.EXPIRED_ON_ARRIVAL: (403, "DENIED"),
    Code.TLS_FAILED: (403, "DENIED"),
    Code.ANSWER_TOO_LARGE: (413, "SIZE_INVALID"),
    Code.UPSTREAM_UNAVAILABLE: (503, "UNAVAILABLE"),
    Code.OVERLOADED: (503, "UNAVAILABLE"),
    Code.STILL_TRYING: (504, "UNAVAILABLE"),
    Code.RATE_LIMITED: (429, "TOOMANYREQUESTS"),
    Code.INTERNAL: (500, "UNKNOWN"),
}


@pytest.mark.parametrize("code", Code)
def test_every_code_golden(code: Code) -> None:
    """T19: cause, remedy and our code, and nothing else; never a 401, which would make the client ask for a token on our socket."""
    status, oci = STATUSES[code]
    failure = Failure(code, "it went wrong", "do this")
    reply, told = failure_reply(failure), outward(failure)
    message = f"{told.message}; {told.hint} ({code.value})"
    document = {"errors": [{"code": oci, "message": message, "detail": {"code": code.value}}]}
    assert (reply.status, json.loads(reply.body if isinstance(reply.body, bytes) else b"")) == (status, document)
    headers = (("Content-Type", "application/json"), ("Docker-Distribution-API-Version", "registry/2.0"))
    assert reply.headers == headers
    assert (reply.code, reply.reason) == (code.value, "it went wrong")


def test_img_repeats_only_what_time_may_fix() -> None:
    """docs/design/clients.md#the-img-client: for six requests and 35 s; so a refusal by policy or by a login is none of these."""
    repeated = {code for code, (status, _) in STATUSES.items() if status in RETRIED}
    assert repeated == {
        Code.UPSTREAM_UNAVAILABLE,
        Code.OVERLOADED,
        Code.STILL_TRYING,
        Code.RATE_LIMITED,
        Code.INTERNAL,
    }


def test_when_to_ask_again() -> None:
    """Whole seconds, at least one; without a hint no semicolon."""
    reply = failure_reply(Failure(Code.OVERLOADED, "too much", "", 0.2))
    assert ("Retry-After", "1") in reply.headers
    assert isinstance(reply.body, bytes)
    assert json.loads(reply.body)["errors"][0]["message"] == "too much (overloaded)"


@pytest.mark.parametrize("code", Code)
def test_a_final_refusal_invites_no_repeats(code: Code) -> None:
    """A remembered failure has a known end, but that is not a reason to ask again then."""
    failure = Failure(code, "it went wrong", "do this", 10.0)
    told = dict(failure_reply(failure).headers).get("Retry-After")
    assert told == ("10" if failure.may_pass else None)


TARGETS = {
    What.BLOB: ("GET", f"/v2/a/blobs/{D}"),
    What.MANIFEST: ("GET", "/v2/a/manifests/x"),
    What.TAGS: ("GET", "/v2/a/tags/list"),
    What.REFERRERS: ("GET", f"/v2/a/referrers/{D}"),
    What.UPLOADS: ("POST", "/v2/a/blobs/uploads/"),
    What.SESSION: ("PATCH", "/v2/a/blobs/uploads/Id"),
}


def refusal(
    status: int,
    body: bytes = b"",
    *headers: tuple[str, str],
    what: What = What.BLOB,
    anonymous: bool = False,
) -> tuple[int, str, str, dict[str, str]]:
    """Status, code, message and headers that the client gets for a registry's answer."""
    method, target = TARGETS[what]
    reply = refusal_reply(
        wanted(incoming(target, method)), UpstreamAnswer(status, headers, anonymous=anonymous), body=body
    )
    assert isinstance(reply.body, bytes)
    assert CANARY not in f"{reply}{reply.body!r}"
    (error,) = json.loads(reply.body)["errors"]
    assert set(error) == {"code", "message", "detail"}
    return reply.status, error["code"], error["message"], dict(reply.headers)


@pytest.mark.parametrize("status", [401, 403])
def test_a_login_that_is_refused(status: int) -> None:
    """403 at once, with cause and remedy (docs/design/clients.md#the-gateway); an action does not learn whose login it is (T19)."""
    found, code, message, headers = refusal(status, b"", ("WWW-Authenticate", f'Bearer realm="{CANARY}"'))
    assert (found, code) == (403, "DENIED")
    assert message == (
        "registry 'reg.test' refuses blob:read of 'a' with the login that is stored for it; credproxy explain "
        "https://reg.test/v2/a/tags/list shows which login that is; another one: docker login reg.test (denied)"
    )
    assert "WWW-Authenticate" not in headers


def test_a_denied_anonymous_request_blames_no_login() -> None:
    """A different cause, with a different remedy."""
    assert refusal(401, anonymous=True)[2] == (
        "registry 'reg.test' refuses blob:read of 'a' without a login, and there is none for it; "
        "docker login reg.test (denied)"
    )


@pytest.mark.parametrize(
    ("what", "code"),
    [
        (What.BLOB, "BLOB_UNKNOWN"),
        (What.MANIFEST, "MANIFEST_UNKNOWN"),
        (What.TAGS, "NAME_UNKNOWN"),
        (What.REFERRERS, "NAME_UNKNOWN"),
        (What.UPLOADS, "NAME_UNKNOWN"),
        (What.SESSION, "BLOB_UPLOAD_UNKNOWN"),
    ],
)
def test_what_is_not_there(what: What, code: str) -> None:
    """404 with the specification's code for its kind, whatever the registry's body says."""
    found = refusal(404, b'{"errors":[{"code":"DENIED"}]}', what=what)
    assert found[:2] == (404, code)
    assert found[2] == f"registry 'reg.test' has no such {what.value} in 'a' (not_found)"


def test_a_rate_limit_keeps_its_pause() -> None:
    """U2: img honours it."""
    status, code, message, headers = refusal(429, b"", ("Retry-After", "7"))
    assert (status, code, headers["Retry-After"]) == (429, "TOOMANYREQUESTS", "7")
    assert message == "registry 'reg.test' limits the rate of requests; try again later (rate_limited)"


@pytest.mark.parametrize(
    ("status", "shown"),
    [(500, 502), (502, 502), (503, 503), (504, 504), (520, 502), (599, 502), (408, 502)],
)
def test_what_may_pass(status: int, shown: int) -> None:
    """U3: one of the three statuses for it, the registry's own if it is one of them."""
    found, code, message, headers = refusal(status, b"", ("Retry-After", "3"))
    assert (found, code, headers["Retry-After"]) == (shown, "UNAVAILABLE", "3")
    assert message == (
        f"registry 'reg.test' answered blob:read of 'a' with status {status}; try again (upstream_unavailable)"
    )


@pytest.mark.parametrize("status", [100, 101, 201, 202, 204, 206, 300, 301, 304, 307, 308, 399])
def test_an_answer_that_fits_no_request(status: int) -> None:
    """docs/design/clients.md#the-img-client: an unrequested 206 is an error for img, too; 502, so that a client may ask again."""
    assert refusal(status, b"", ("Location", f"https://{CANARY}"))[:2] == (502, "UNAVAILABLE")


@pytest.mark.parametrize("status", [400, 405, 409, 410, 416, 418, 422, 451, 499, 501, 505])
def test_what_stays_as_it_is(status: int) -> None:
    """Its own status, so that a client sees its mistake; the answer to an invalid range has the total length."""
    found, code, message, headers = refusal(status, b"", ("Content-Range", "bytes */5"), ("Set-Cookie", CANARY))
    assert (found, code, headers["Content-Range"]) == (status, "UNSUPPORTED", "bytes */5")
    assert message == f"registry 'reg.test' refuses blob:read of 'a' with status {status} (bad_request)"


def test_what_a_registry_finds_too_large() -> None:
    """The specification's code for it, also if the registry answers with a page."""
    assert refusal(413, b"<html>")[:2] == (413, "SIZE_INVALID")


def errors(**fields: object) -> bytes:
    """A registry's error body with a canary in it."""
    return json.dumps({"errors": [{"message": CANARY, "detail": {CANARY: CANARY}, **fields}]}).encode()


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (errors(code="DIGEST_INVALID"), "DIGEST_INVALID"),
        (errors(code="MANIFEST_INVALID"), "MANIFEST_INVALID"),
        (errors(code="SIZE_INVALID"), "SIZE_INVALID"),
        (errors(code="UNAUTHORIZED"), "UNSUPPORTED"),
        (errors(code="DENIED"), "UNSUPPORTED"),
        (errors(code="TOOMANYREQUESTS"), "UNSUPPORTED"),
        (errors(code=CANARY), "UNSUPPORTED"),
        (errors(code=f"DIGEST_INVALID{CANARY}"), "UNSUPPORTED"),
        (errors(code=["DIGEST_INVALID"]), "UNSUPPORTED"),
        (errors(code={"DIGEST_INVALID": CANARY}), "UNSUPPORTED"),
        (errors(code=None), "UNSUPPORTED"),
        (errors(), "UNSUPPORTED"),
        (b'{"errors": []}', "UNSUPPORTED"),
        (b'{"errors": {"0": 1}}', "UNSUPPORTED"),
        (b'{"errors": ["DIGEST_INVALID"]}', "UNSUPPORTED"),
        (b'{"errors": null}', "UNSUPPORTED"),
        (b'["errors"]', "UNSUPPORTED"),
        (b"null", "UNSUPPORTED"),
        (b"", "UNSUPPORTED"),
        (CANARY.encode(), "UNSUPPORTED"),
        (b"\xff\xfe", "UNSUPPORTED"),
        (b"[" * 60_000, "UNSUPPORTED"),
        (b'{"errors": [{"code": ' + b"9" * 10_000 + b"}]}", "UNSUPPORTED"),
        (errors(code="DIGEST_INVALID", padding="x" * 70_000), "UNSUPPORTED"),
        (f"<html>{CANARY}</html>".encode(), "UNSUPPORTED"),
    ],
)
def test_of_an_upstreams_body_a_known_code_passes_and_nothing_else(body: bytes, code: str) -> None:
    """SEC-6, T19: it may echo the request, and with it a credential."""
    assert refusal(400, body)[:2] == (400, code)
    assert refusal(503, body)[1] == "UNAVAILABLE"
