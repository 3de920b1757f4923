"""Pushing: sessions whose URLs stay here, bodies that are sent once, and no redirects."""

import pytest
import structlog
from msgspec.structs import replace

from credproxy.core.ask.http import Dial
from credproxy.core.errors import Code, failed
from credproxy.core.kinds.none import NoneHost
from credproxy.gateway.incoming import Reply
from credproxy.gateway.uploads import SHARE
from credproxy.gateway.writes import MANIFEST_LIMIT
from tests.fakes import FakeUpload
from tests.gateway.world import BLOB, CANARY, D, World, incoming, reason, response, sent, unavailable, world


UPLOADS = "/v2/a/blobs/uploads/"
STATE = ("Location", f"/v2/a/blobs/uploads/uuid?_state={CANARY}")
SESSION = f"https://reg.test/v2/a/blobs/uploads/uuid?_state={CANARY}"
BEGUN = response(202, b"", STATE, ("Range", "0-0"), ("Docker-Upload-UUID", "uuid"), ("OCI-Chunk-Min-Length", "5"))
GONE = ("Location", "https://storage.test/put?sig=canary-4711")


def field(reply: Reply, name: str) -> str | None:
    """A header of an answer."""
    return dict(reply.headers).get(name)


async def begin(w: World, uid: int = 1000) -> str:
    """Begin an upload; give its path."""
    reply = await w.answer(incoming(UPLOADS, "POST", uid=uid))
    assert reply.status == 202
    place = field(reply, "Location")
    assert place is not None
    return place


async def write(w: World, method: str, target: str, body: bytes = b"", *headers: tuple[str, str]) -> Reply:
    """Send a body of announced length."""
    return await w.answer(incoming(target, method, *headers), FakeUpload(body))


async def test_an_upload_from_its_beginning_to_its_end() -> None:
    """The client sees ids of ours; the registry's state, which may be anything, stays here."""
    more = response(202, b"", ("Location", f"{SESSION}2"), ("Range", "0-4"))
    done = response(201, b"", ("Location", f"https://reg.test{BLOB}"), ("Docker-Content-Digest", D))
    with structlog.testing.capture_logs() as events:
        async with world(forwarded=(BEGUN, more, response(204, b"", ("Range", "0-4")), done, done)) as w:
            reply = await w.answer(incoming(UPLOADS, "POST", ("Content-Length", "0")))
            assert reply.headers == (
                ("Range", "0-0"),
                ("OCI-Chunk-Min-Length", "5"),
                ("Location", "/v2/a/blobs/uploads/id1"),
                ("Docker-Upload-UUID", "id1"),
            )
            place = field(reply, "Location")
            assert place is not None
            part = await write(w, "PATCH", place, b"hello", ("Content-Range", "0-4"), ("Content-Type", "x/y"))
            assert (part.status, field(part, "Location"), field(part, "Range")) == (202, place, "0-4")
            asked_for = await w.answer(incoming(place))
            assert (asked_for.status, field(asked_for, "Range")) == (204, "0-4")
            end = await write(w, "PUT", f"{place}?digest={D}")
            assert (end.status, field(end, "Location"), field(end, "Docker-Content-Digest")) == (201, BLOB, D)
            assert (await write(w, "PUT", f"{place}?digest={D}")).status == 404
            requests, bodies = w.forwarder.requests, w.forwarder.bodies
    assert [(request.method, request.url) for request in requests] == [
        ("POST", "https://reg.test/v2/a/blobs/uploads/"),
        ("PATCH", SESSION),
        ("GET", f"{SESSION}2"),
        ("PUT", f"{SESSION}2&digest={D}"),
    ]
    assert bodies == [None, b"hello", None, None]
    assert sent(requests[1], "Content-Range") == ["0-4"]
    assert {token for request in requests for token in sent(request, "Authorization")} == {"Bearer tok1"}
    assert CANARY not in str(events)


async def test_an_upload_that_goes_on_elsewhere_has_no_credential() -> None:
    """SEC-7: a registry names the next URL, usually on a storage host, which is not dialled at private addresses."""
    rules = (NoneHost(match="reg.test"),)
    there = response(202, b"", GONE)
    async with world(forwarded=(there, response(201)), rules=rules) as w:
        place = await begin(w)
        assert (await write(w, "PUT", f"{place}?digest={D}", b"hello")).status == 201
        first, second = w.forwarder.requests
        assert second.url == f"{GONE[1]}&digest={D}"
        assert w.tokens() == [["Bearer tok1"], []]
        assert (first.dial, second.dial) == (Dial(own=True), Dial())


async def test_back_at_the_registry_it_has_none_either() -> None:
    """SEC-7: As after a redirect."""
    steps = (response(202, b"", GONE), response(202, b"", ("Location", "https://reg.test/v2/secret/x")), response(201))
    async with world(forwarded=steps) as w:
        place = await begin(w)
        await write(w, "PATCH", place, b"x")
        await write(w, "PUT", f"{place}?digest={D}")
        assert w.tokens() == [["Bearer tok1"], [], []]


@pytest.mark.parametrize(
    ("location", "expected"),
    [
        ("http://reg.test/v2/a/blobs/uploads/x", "downgrade"),
        (f"https://u:{CANARY}@reg.test/x", "redirect_refused"),
        (f"file:///{CANARY}", "redirect_refused"),
        (f"//[x/{CANARY}", "redirect_refused"),
    ],
)
async def test_an_upload_that_goes_on_nowhere(location: str, expected: str) -> None:
    """The same rules as for redirects; the error names the registry, but not the URL."""
    async with world(forwarded=(response(202, b"", ("Location", location)),)) as w:
        reply = await w.answer(incoming(UPLOADS, "POST"))
        assert (reply.status, reply.code) == (403, expected)
        assert CANARY not in f"{reply}{reply.body!r}"


async def test_an_upload_without_a_place() -> None:
    """An error at the beginning; later the last URL stays valid, as with registries that only answer 202."""
    async with world(forwarded=(response(202),)) as w:
        reply = await w.answer(incoming(UPLOADS, "POST"))
        assert reply.status == 503
        assert reason(reply).startswith("registry 'reg.test' began an upload without saying where it continues")
    async with world(forwarded=(BEGUN, response(202), response(201))) as w:
        place = await begin(w)
        assert field(await write(w, "PATCH", place, b"x"), "Location") == place
        assert (await write(w, "PUT", f"{place}?digest={D}")).status == 201
        assert w.forwarder.requests[2].url == f"{SESSION}&digest={D}"


@pytest.mark.parametrize(
    ("target", "uid", "host"),
    [
        ("/v2/a/blobs/uploads/id1", 1001, "reg.test"),
        ("/v2/b/blobs/uploads/id1", 1000, "reg.test"),
        ("/v2/a/blobs/uploads/id1", 1000, "other.test"),
        ("/v2/a/blobs/uploads/id2", 1000, "reg.test"),
        ("/v2/a/blobs/uploads/uuid", 1000, "reg.test"),
    ],
)
async def test_an_upload_of_another_caller(target: str, uid: int, host: str) -> None:
    """T10: not found, and neither the registry nor the broker is asked."""
    async with world(forwarded=(BEGUN,)) as w:
        await begin(w)
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            reply = await w.answer(incoming(target, method, uid=uid, host=host), FakeUpload(b"x"))
            assert reply.status == 404
        assert (len(w.forwarder.requests), len(w.provider.runs)) == (1, 1)


async def test_an_upload_that_is_given_up() -> None:
    """DELETE ends it on both sides; if the registry refuses that, it continues."""
    async with world(forwarded=(BEGUN, response(400), response(204), response(204))) as w:
        place = await begin(w)
        assert (await w.answer(incoming(place, "DELETE"))).status == 400
        assert (await w.answer(incoming(place, "DELETE"))).status == 204
        assert (await w.answer(incoming(place, "DELETE"))).status == 404


async def test_a_refused_part_leaves_the_upload_as_it_is() -> None:
    """416 has the current offset; the client sends that part again."""
    async with world(forwarded=(BEGUN, response(416, b"", ("Content-Range", "0-4")), response(202, b"", STATE))) as w:
        place = await begin(w)
        reply = await write(w, "PATCH", place, b"x")
        assert (reply.status, field(reply, "Content-Range")) == (416, "0-4")
        assert (await write(w, "PATCH", place, b"x")).status == 202


async def test_an_upload_that_the_registry_has_forgotten() -> None:
    """The specification's code for it."""
    async with world(forwarded=(BEGUN, response(404))) as w:
        reply = await write(w, "PATCH", await begin(w), b"x")
        assert reply.status == 404
        assert reason(reply) == "registry 'reg.test' has no such begun upload in 'a' (not_found)"


async def test_a_mount() -> None:
    """201 if the registry has it, 202 and an upload if not; ``origin`` stays here."""
    target = f"{UPLOADS}?from=b%2Fc&mount={D}&origin=other.test"
    async with world(forwarded=(response(201, b"", ("Location", BLOB)), BEGUN)) as w:
        reply = await w.answer(incoming(target, "POST"))
        assert (reply.status, field(reply, "Location")) == (201, BLOB)
        reply = await w.answer(incoming(target, "POST"))
        assert (reply.status, field(reply, "Location")) == (202, "/v2/a/blobs/uploads/id1")
        assert {request.url for request in w.forwarder.requests} == {f"https://reg.test{UPLOADS}?from=b/c&mount={D}"}


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 410, 415, 422, 501])
async def test_a_mount_that_is_refused_becomes_an_upload(status: int) -> None:
    """TX-22: whatever a registry objects to in the source, or against a token without it; the specification says 202."""
    target = f"{UPLOADS}?from=b%2Fc&mount={D}&origin=other.test"
    async with world(forwarded=(*[response(status)] * (1 + (status == 401)), BEGUN)) as w:
        reply = await w.answer(incoming(target, "POST", ("Content-Length", "0")))
        assert (reply.status, field(reply, "Location")) == (202, "/v2/a/blobs/uploads/id1")
        assert w.forwarder.requests[0].url == f"https://reg.test{UPLOADS}?from=b/c&mount={D}"
        assert w.forwarder.requests[-1].url == f"https://reg.test{UPLOADS}"


@pytest.mark.parametrize(("status", "told"), [(429, 429), (500, 502), (503, 503)])
async def test_a_temporary_failure_of_a_mount_does_not_become_an_upload(status: int, told: int) -> None:
    """The next request may succeed in mounting it."""
    async with world(forwarded=(response(status),)) as w:
        reply = await w.answer(incoming(f"{UPLOADS}?from=b&mount={D}", "POST"))
        assert (reply.status, len(w.forwarder.requests)) == (told, 1)


async def test_an_upload_that_is_refused_as_well_is_reported() -> None:
    """Pushing to the target is refused: that is the answer."""
    async with world(forwarded=(response(403), response(403))) as w:
        reply = await w.answer(incoming(f"{UPLOADS}?from=b&mount={D}", "POST"))
        assert (reply.status, "refuses blob:write of 'a'" in reason(reply)) == (403, True)
        assert len(w.forwarder.requests) == 2


async def test_a_blob_in_one_request() -> None:
    """POST with a digest and the body."""
    async with world(forwarded=(response(201, b"", ("Location", BLOB)),)) as w:
        reply = await write(w, "POST", f"{UPLOADS}?digest={D}", b"hello", ("Content-Type", "x/y"))
        assert (reply.status, field(reply, "Location")) == (201, BLOB)
        assert (w.forwarder.requests[0].url, w.forwarder.bodies) == (
            f"https://reg.test{UPLOADS}?digest={D}",
            [b"hello"],
        )


async def test_a_small_body_is_sent_again_after_a_refused_token() -> None:
    """It was read first; the code that sends it sets the length."""
    async with world(forwarded=(response(401), response(202, b"", STATE))) as w:
        upload = FakeUpload(b"hello")
        assert (await w.answer(incoming(UPLOADS, "POST", ("Content-Length", "5")), upload)).status == 202
        assert (w.forwarder.bodies, upload.reads) == ([b"hello", b"hello"], 1)
        assert [sent(request, "Content-Length") for request in w.forwarder.requests] == [[], []]
        assert w.tokens() == [["Bearer tok1"], ["Bearer tok2"]]


async def test_a_streamed_body_that_the_same_login_would_be_refused_for_again_is_refused() -> None:
    """Trying again would be useless: the stored login is the refused one."""
    body = b"x" * 100_000
    async with world(forwarded=(BEGUN, response(401))) as w:
        place = await begin(w)
        w.provider.always = "tok1"
        reply = await w.answer(incoming(place, "PATCH", ("Content-Length", "7")), FakeUpload(body))
        assert reply.status == 403
        assert "docker login" in reason(reply)


@pytest.mark.parametrize("announced", [True, False])
async def test_a_streamed_body_is_sent_once(announced: bool) -> None:  # noqa: FBT001  parametrized
    """It is gone by then: 503, so that the client begins again, and finds a new token."""
    body = b"x" * 100_000
    async with world(forwarded=(BEGUN, response(401), response(202, b"", STATE))) as w:
        place = await begin(w)
        upload = FakeUpload(body, announced)
        reply = await w.answer(incoming(place, "PATCH", ("Content-Length", "7")), upload)
        assert reply.status == 503
        assert "no longer takes its token, and the upload cannot be sent twice; try again" in reason(reply)
        assert (w.forwarder.bodies[1:], upload.reads) == ([body], 1)
        assert sent(w.forwarder.requests[1], "Content-Length") == (["100000"] if announced else [])
        assert (await w.answer(incoming(place, "PATCH"), FakeUpload(body, announced))).status == 202
        assert w.tokens()[2] == ["Bearer tok2"]


async def test_a_streamed_body_with_a_login_that_may_not() -> None:
    """Within ten seconds of the first refusal it is refused as well, with its cause."""
    async with world(forwarded=(BEGUN, response(401))) as w:
        place = await begin(w)
        upload = FakeUpload(b"x" * 100_000)
        assert [(await w.answer(incoming(place, "PATCH"), upload)).status for _ in range(2)] == [503, 403]


async def test_an_upload_that_cannot_be_sent_is_not_sent_again() -> None:
    """It is unknown whether the registry has it."""
    async with world(forwarded=(BEGUN, unavailable())) as w:
        place = await begin(w)
        assert (await write(w, "PATCH", place, b"x")).status == 503
        assert len(w.forwarder.requests) == 2


async def test_a_manifest_is_pushed() -> None:
    """Its location is where it was put; the field about its subject passes."""
    headers = (("Location", f"/v2/elsewhere/{CANARY}"), ("Docker-Content-Digest", D), ("OCI-Subject", D))
    async with world(forwarded=(response(201, b"", *headers),)) as w:
        reply = await write(w, "PUT", "/v2/a/manifests/x", b"{}", ("Content-Type", "m"), ("Content-Length", "2"))
        assert reply.status == 201
        expected = (("Docker-Content-Digest", D), ("OCI-Subject", D), ("Location", "/v2/a/manifests/x"))
        assert reply.headers == expected
        assert (w.forwarder.bodies, sent(w.forwarder.requests[0], "Content-Type")) == ([b"{}"], ["m"])


async def test_a_manifest_is_4_mib_at_most() -> None:
    """Refused before any request."""
    async with world(forwarded=(response(201),)) as w:
        assert (await write(w, "PUT", "/v2/a/manifests/x", b"x" * MANIFEST_LIMIT)).status == 201
        reply = await write(w, "PUT", "/v2/a/manifests/x", b"x" * (MANIFEST_LIMIT + 1))
        assert (reply.status, reply.code) == (413, "too_large")
        assert len(w.forwarder.requests) == 1


@pytest.mark.parametrize("target", ["/v2/a/manifests/x", BLOB, "/v2/a/blobs/uploads/id1"])
async def test_an_unexpected_body_is_not_forwarded(target: str) -> None:
    """If a length were announced without its bytes, the registry would take the next request for them."""
    async with world(forwarded=(BEGUN, response(202))) as w:
        await begin(w)
        assert (await write(w, "DELETE", target, b"hello", ("Content-Length", "5"))).status == 202
        assert sent(w.forwarder.requests[1], "Content-Length") == []
        assert (w.forwarder.bodies[1] is None) is ("manifests" in target)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_write_is_not_redirected(status: int) -> None:
    """T26: only GET and HEAD are; otherwise the body would go wherever the registry likes."""
    away = response(status, b"", ("Location", f"https://evil.test/{CANARY}"))
    async with world(forwarded=(away,)) as w:
        for method, target in (("POST", UPLOADS), ("PUT", "/v2/a/manifests/x"), ("DELETE", BLOB)):
            reply = await write(w, method, target, b"{}")
            assert (reply.status, reply.code) == (403, "redirect_refused")
            assert CANARY not in str(reply.body)
        assert len(w.forwarder.requests) == 3


async def test_a_body_that_stalls_or_breaks_off() -> None:
    """It is the client's fault, and reported as such."""

    class Broken(FakeUpload):
        async def whole(self, limit: int) -> bytes:
            del limit
            raise failed(Code.BAD_REQUEST, "the upload broke off")

    async with world(forwarded=(response(201),)) as w:
        reply = await w.answer(incoming("/v2/a/manifests/x", "PUT"), Broken(b"{}"))
        assert (reply.status, w.forwarder.requests) == (400, [])


async def test_a_reload_takes_an_upload_along_and_sends_no_login_to_where_the_registry_was() -> None:
    """The registry is no longer ``insecure``: an upload at the old origin continues without a login."""
    async with world(
        forwarded=(response(202, b"", ("Location", "/x")), response(202)),
        rules=(NoneHost(match="reg.test", insecure=True),),
    ) as w:
        place = await begin(w)
        assert w.forwarder.requests[0].url == f"http://reg.test{UPLOADS}"
        w.reload(NoneHost(match="reg.test"))
        await write(w, "PATCH", place, b"x")
        assert w.forwarder.requests[1].url == "http://reg.test/x"
        assert w.forwarder.requests[1].dial == Dial()
        assert w.tokens()[1] == []


async def test_every_write_that_policy_denies_touches_nothing() -> None:
    """T18."""
    async with world(forwarded=(BEGUN,)) as w:
        w.policy.denied = {"a"}
        for method, target in (
            ("POST", UPLOADS),
            ("PUT", "/v2/a/manifests/x"),
            ("DELETE", BLOB),
            ("PATCH", f"{UPLOADS}x"),
        ):
            upload = FakeUpload(b"x")
            assert (await w.answer(incoming(target, method), upload)).status == 403
            assert upload.reads == 0
        assert (w.forwarder.requests, w.provider.runs) == ([], [])


async def test_an_upload_above_the_share_is_refused_before_its_registry_is_asked() -> None:
    """T16: 503 with the reason and the time to ask again; no abandoned session is left at the registry."""
    async with world(forwarded=(BEGUN,) * SHARE) as w:
        for _ in range(SHARE):
            await begin(w)
        reply = await w.answer(incoming(UPLOADS, "POST"))
        assert (reply.status, field(reply, "Retry-After")) == (503, "60")
        assert reason(reply).startswith("64 uploads of this caller have begun and not ended")
        assert len(w.forwarder.requests) == SHARE


async def test_another_sandbox_can_neither_use_nor_end_an_upload() -> None:
    """T10: not found, and the registry is not asked."""
    async with world(forwarded=(BEGUN,)) as w:
        place = await begin(w)
        for method in ("GET", "PATCH", "PUT", "DELETE"):
            reply = await w.answer(replace(incoming(place, method), sandbox="another"), FakeUpload(b"x"))
            assert reply.status == 404
        assert len(w.forwarder.requests) == 1
