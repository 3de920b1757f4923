"""The use case: judged first, sent with a credential that stays here, redirects followed, blobs remembered."""

import asyncio
import hashlib

import pytest
import structlog

from credproxy.core.ask.credential import Secret, UserPassword
from credproxy.core.ask.http import Dial, Request
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.kinds.none import NoneHost
from credproxy.gateway.gateway import Gateway
from credproxy.gateway.known_blobs import KEEP
from credproxy.gateway.writes import MANIFEST_LIMIT
from credproxy.ports.transfer import Stopped
from credproxy.server.broker_authorizer import BrokerAuthorizer
from tests.fakes import FakeAudit, FakeDownloads, FakeForwarder, FakeTransfer, FakeUpload
from tests.gateway.world import BLOB, BODY, CANARY, D, Policy, incoming, reason, response, sent, unavailable, world
from tests.registry_world import basic, world as registry_world


OK = FakeTransfer(body=BODY)
SMALL = FakeTransfer(body=BODY, small=True)
GENUINE = FakeTransfer(
    headers=(("Content-Type", "a/b"), ("Age", "3"), ("Docker-Content-Digest", D)), body=BODY, small=True
)
GENUINE_BLOB = f"/v2/a/blobs/sha256:{hashlib.sha256(BODY).hexdigest()}"


def status(number: int, *headers: tuple[str, str]) -> FakeTransfer:
    """A small answer of that status."""
    return FakeTransfer(number, headers, small=True)


@pytest.mark.parametrize("path", ["/v2", "/v2/"])
async def test_the_ping_is_answered_here(path: str) -> None:
    """docs/design/clients.md#the-gateway: 200 without a challenge, a credential, a registry or its name; anything else would make the client ask for a token."""
    async with world() as w:
        for method in ("GET", "HEAD"):
            reply = await w.answer(incoming(path, method, host=()))
            assert (reply.status, reply.body) == (200, b"{}")
            assert ("Docker-Distribution-API-Version", "registry/2.0") in reply.headers
        assert (await w.answer(incoming(path, "POST"))).status == 405
        assert (w.provider.runs, w.policy.incoming) == ([], [])


@pytest.mark.parametrize("method", ["GET", "HEAD", "DELETE"])
async def test_a_denied_request_touches_nothing(method: str) -> None:
    """T18: neither the broker, nor the network, nor memory; the refusal is that of header mode."""
    async with world(OK) as w:
        w.policy.denied = {"a"}
        upload = FakeUpload(b"x")
        reply = await w.answer(incoming(BLOB, method), upload)
        assert (reply.status, reply.code) == (404 if method == "HEAD" else 403, "policy_denied")
        assert reason(reply) == "no rule allows it; credproxy actions allow (policy_denied)"
        assert (w.provider.runs, w.downloads.requests, w.forwarder.requests, upload.reads) == ([], [], [], 0)


async def test_remembered_blobs_do_not_bypass_policy() -> None:
    """T18: removing a rule ends answers to HEAD from memory."""
    async with world(GENUINE) as w:
        await w.get(GENUINE_BLOB)
        assert (await w.head(GENUINE_BLOB)).status == 200
        w.policy.denied = {"a"}
        assert (await w.head(GENUINE_BLOB)).code == "policy_denied"


async def test_policy_sees_what_is_sent() -> None:
    """The canonical registry, the method, the exact path, and both repositories of a mount (TX-22)."""
    async with world(SMALL, forwarded=(response(201),)) as w:
        await w.get()
        await w.answer(incoming(f"/v2/a/blobs/uploads/?mount={D}&from=b", "POST"))
        first, second, _ = (
            w.policy.incoming
        )  # a write's body is read only if it may be sent, and policy is asked again then
        assert first[:3] == ("reg.test", "GET", BLOB)
        assert (second[3].repository, second[3].mount_from) == ("a", "b")
        w.policy.denied = {"b"}
        assert (await w.answer(incoming(f"/v2/a/blobs/uploads/?mount={D}&from=b", "POST"))).status == 403
        assert len(w.forwarder.requests) == 1


async def test_what_cannot_be_read_is_not_even_judged() -> None:
    """A request that policy could misread does not reach it."""
    async with world() as w:
        for target, host in ((f"/v2/a%2Fb/blobs/{D}", "reg.test"), (BLOB, "REG.test")):
            assert (await w.answer(incoming(target, host=host))).status == 400
        assert w.policy.incoming == []


async def test_a_blob_is_fetched_with_our_credential() -> None:
    """Not with the client's, which is never sent; its ranges and encodings are; only permitted fields of the answer pass."""
    headers = (
        ("ETag", '"x"'),
        ("Content-Type", "a/b"),
        ("Set-Cookie", "x"),
        ("Server", "y"),
        ("Www-Authenticate", "z"),
    )
    async with world(FakeTransfer(headers=headers, body=BODY)) as w:
        reply = await w.get(BLOB, ("Authorization", "Bearer theirs"), ("Accept-Encoding", "gzip"), ("Cookie", "c"))
        assert await w.received(reply) == BODY
        assert (reply.status, reply.headers) == (200, (("ETag", '"x"'), ("Content-Type", "a/b")))
        (request,) = w.downloads.requests
        assert (request.method, request.url) == ("GET", f"https://reg.test{BLOB}")
        assert [name for name, _ in request.headers] == ["Accept-Encoding", "Authorization"]
        assert sent(request, "Authorization") == ["Bearer tok1"]
        assert isinstance(dict(request.headers)["Authorization"], Secret)


async def test_forty_blobs_are_one_exchange() -> None:
    """The credential is kept as for all callers."""
    async with world(SMALL) as w:
        for _ in range(40):
            assert (await w.get()).status == 200
        assert len(w.provider.runs) == 1


async def test_two_users_share_nothing() -> None:
    """T10: another uid is another key."""
    async with world(SMALL) as w:
        await w.get(uid=1)
        await w.get(uid=2)
        assert w.tokens() == [["Bearer tok1"], ["Bearer tok2"]]


async def test_a_refused_token_is_fetched_once_more() -> None:
    """It may have been revoked; the client notices nothing."""
    async with world(status(401), SMALL) as w:
        assert (await w.get()).status == 200
        assert w.tokens() == [["Bearer tok1"], ["Bearer tok2"]]


async def test_a_login_without_the_right_fails_at_once() -> None:
    """docs/design/clients.md#the-gateway: 403 with cause and remedy, never 401; and an action in a loop does not cause exchanges in a loop."""
    async with world(status(401, ("WWW-Authenticate", "Bearer realm=x"))) as w:
        for _ in range(3):
            reply = await w.get()
            assert reply.status == 403
            assert reason(reply).startswith(
                "registry 'reg.test' refuses blob:read of 'a' with the login that is stored"
            )
        assert len(w.provider.runs) == 2
        await w.clock.advance(10)
        await w.get()
        assert len(w.provider.runs) == 3


async def test_forty_downloads_with_a_revoked_token_are_one_exchange_and_forty_successes() -> None:
    """The first refusal drops it; the others do not get "the login has no right"."""

    def judge(request: Request) -> FakeTransfer:
        return status(401) if sent(request, "Authorization") == ["Bearer tok1"] else FakeTransfer(body=BODY, small=True)

    async with world(judge) as w, asyncio.TaskGroup() as group:
        tasks = [group.create_task(w.gateway.answer(incoming(BLOB), FakeUpload(), patience=8.5)) for _ in range(40)]
        done = [await task for task in tasks]
        assert {reply.status for reply in done} == {200}
        assert len(w.provider.runs) == 2


async def test_a_forbidden_request_is_not_repeated() -> None:
    """403 is a registry's answer to a valid token."""
    async with world(status(403)) as w:
        assert (await w.get()).status == 403
        assert len(w.downloads.requests) == 1


async def test_an_expired_login_that_was_renewed_in_its_store_is_found_within_the_request() -> None:
    """ECR says 403 of a Basic login whose twelve hours are over, others 401: the build does not see it."""
    for refusal in (401, 403):
        async with world(status(refusal), SMALL) as w:
            w.provider.direct = True
            assert (await w.get()).status == 200
            assert w.provider.anew == [False, True]
            assert w.tokens() == [["Bearer tok1"], ["Bearer tok2"]]


async def test_where_a_login_cannot_be_looked_up_again_a_403_stands() -> None:
    """The store is locked at that time: what the registry said is the better answer."""
    async with world(SMALL, status(403)) as w:
        w.provider.direct = True
        await w.get()
        w.provider.error = failed(Code.HELPER_FAILED, "the store is locked")
        reply = await w.get()
        assert reply.status == 403
        assert "locked" not in reason(reply)


async def test_the_same_login_is_not_sent_twice() -> None:
    """The refusal stands; a second try would only count towards the locking of the account."""
    for refusal in (401, 403):
        async with world(status(refusal)) as w:
            w.provider.direct, w.provider.always = True, "same"
            for _ in range(3):
                assert (await w.get()).status == 403
            assert w.provider.anew == [False, True], "once in ten seconds"
            assert len(w.downloads.requests) == 3


@pytest.mark.parametrize(
    ("failure", "expected"),
    [(Code.BAD_CREDENTIALS, 403), (Code.DENIED, 403), (Code.REALM_REFUSED, 403), (Code.RATE_LIMITED, 429)],
)
async def test_a_credential_that_cannot_be_had(failure: Code, expected: int) -> None:
    """The broker's own message; the registry is not asked."""
    async with world(OK) as w:
        w.provider.error = failed(failure, "token server says no", hint="mend it")
        reply = await w.get()
        assert (reply.status, reason(reply)) == (expected, f"token server says no; mend it ({failure.value})")
        assert w.downloads.requests == []


async def test_without_a_login_the_request_goes_out_without_one() -> None:
    """A public image needs none; if one is wanted after all, the remedy is a login."""
    async with world(SMALL, status(401)) as w:
        w.provider.key = lambda _: None
        assert (await w.get()).status == 200
        reply = await w.get()
        assert reply.status == 403
        assert "without a login, and there is none for it; docker login reg.test" in reason(reply)
        assert w.tokens() == [[], []]


async def test_a_registry_of_basic_is_served() -> None:
    """T13: through the whole OCI provider; header mode refuses the same question with ``use_gateway``."""
    async with registry_world(stored=UserPassword("u", Secret("p"))) as r:
        r.script(ping=r.challenge('Basic realm="x"'))
        downloads = FakeDownloads([FakeTransfer(body=BODY, small=True)])
        gateway = Gateway(
            authorizer=BrokerAuthorizer(r.broker, Policy(), audit=FakeAudit()),
            forwarder=FakeForwarder(r.clock),
            downloads=downloads,
            clock=r.clock,
            token=lambda: "id",
        )
        reply = await gateway.answer(incoming(BLOB), FakeUpload(), patience=8.5)
        assert reply.status == 200
        assert sent(downloads.requests[0], "Authorization") == [basic("u:p")]


async def test_no_credential_behind_a_redirect() -> None:
    """T26: the storage host gets the client's range and nothing of ours, and is not dialled at private addresses."""
    away = status(307, ("Location", f"https://cdn.test/x?sig={CANARY}"))
    with structlog.testing.capture_logs() as events:
        async with world(away, SMALL) as w:
            reply = await w.get(BLOB, ("Range", "bytes=5-"))
            first, second = w.downloads.requests
    assert (reply.status, reply.body) == (200, BODY)
    assert (second.method, second.url) == ("GET", f"https://cdn.test/x?sig={CANARY}")
    assert [name for name, _ in second.headers] == ["Range"]
    assert (first.dial, second.dial) == (Dial(), Dial())
    assert CANARY not in f"{events}{second.subject}"


async def test_a_redirect_gets_no_private_egress() -> None:
    """T26: an exact rule lets its own host be private, and no other."""
    rules = (NoneHost(match="reg.test"),)
    async with world(status(302, ("Location", "https://10.0.0.1/x")), SMALL, rules=rules) as w:
        await w.get()
        first, second = w.downloads.requests
        assert (first.dial.own, second.dial.own) == (True, False)


async def test_back_at_the_registry_there_is_no_credential_any_more() -> None:
    """T26: A storage host that sends us back chooses the path."""
    steps = (
        status(302, ("Location", "/here")),
        status(302, ("Location", "https://cdn.test/x")),
        status(302, ("Location", "https://reg.test/v2/secret/blobs/y")),
        SMALL,
    )
    async with world(*steps) as w:
        assert (await w.get()).status == 200
        assert w.tokens() == [["Bearer tok1"], ["Bearer tok1"], [], []]


@pytest.mark.parametrize(
    ("location", "expected"),
    [("http://cdn.test/x", "downgrade"), ("ftp://cdn.test/x", "redirect_refused"), ("/again", "redirect_refused")],
)
async def test_redirects_that_are_not_followed(location: str, expected: str) -> None:
    """T26: nor is a loop followed for ever; 403, because a repeated request would get the same redirect."""
    async with world(status(302, ("Location", location))) as w:
        reply = await w.get()
        assert (reply.status, reply.code) == (403, expected)
        assert len(w.downloads.requests) <= 11


async def test_a_redirect_without_a_location_is_an_error() -> None:
    """502."""
    async with world(status(302)) as w:
        assert (await w.get()).status == 502


async def test_manifests_follow_as_well() -> None:
    """GET and HEAD, through the other client."""
    away = response(307, b"", ("Location", "https://cdn.test/m"))
    for method in ("GET", "HEAD"):
        async with world(
            forwarded=(away, response(200, b"{}" if method == "GET" else b"", ("Content-Length", "2")))
        ) as w:
            reply = await w.answer(incoming("/v2/a/manifests/x", method))
            assert reply.status == 200
            assert [request.url for request in w.forwarder.requests] == [
                "https://reg.test/v2/a/manifests/x",
                "https://cdn.test/m",
            ]
            assert {request.method for request in w.forwarder.requests} == {method}
            assert w.tokens() == [["Bearer tok1"], []]


async def test_a_manifest_is_given_whole() -> None:
    """The accepted types are sent, the type of the body comes back; more than 4 MiB are not read."""
    answered = response(200, b"{}", ("Content-Type", "m"), ("Docker-Content-Digest", D), ("Link", "<x>"))
    async with world(forwarded=(answered,)) as w:
        reply = await w.get("/v2/a/manifests/x", ("Accept", "m"), ("Accept", "n"))
        assert (reply.status, reply.body) == (200, b"{}")
        assert reply.headers == (("Content-Type", "m"), ("Docker-Content-Digest", D))
        assert sent(w.forwarder.requests[0], "Accept") == ["m", "n"]
        assert w.forwarder.limits == [MANIFEST_LIMIT]


async def test_a_manifest_that_is_too_large() -> None:
    """413: it is just as large the next time, and 502 would be repeated for 35 s."""
    async with world(forwarded=(failed(Code.ANSWER_TOO_LARGE, "registry 'reg.test' answered with more"),)) as w:
        reply = await w.get("/v2/a/manifests/x")
        assert (reply.status, reply.code) == (413, "answer_too_large")
        assert isinstance(reply.body, bytes)
        assert b"SIZE_INVALID" in reply.body


@pytest.mark.parametrize("target", [BLOB, "/v2/a/manifests/x"])
@pytest.mark.parametrize("number", [304, 404, 416, 429, 500])
async def test_other_answers(target: str, number: int) -> None:
    """As our own refusals, except 304, which a client with the blob wants."""
    headers = (("Content-Range", "bytes */5"), ("Retry-After", "3"))
    async with world(status(number, *headers), forwarded=(response(number, b"", *headers),)) as w:
        reply = await w.get(target, ("If-None-Match", '"x"'))
        assert reply.status == {500: 502}.get(number, number)
        assert bool(reply.code) is (number not in {304, 404})
        assert reply.upstream is (number != 304)


async def test_an_unrequested_206() -> None:
    """docs/design/clients.md#the-img-client: img does not accept one either; 502 for both."""
    part = FakeTransfer(206, (("Content-Range", "bytes 0-4/100"),), BODY[:5])
    async with world(part, part) as w:
        assert (await w.get()).status == 502
        reply = await w.get(BLOB, ("Range", "bytes=0-4"))
        assert (reply.status, await w.received(reply)) == (206, BODY[:5])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", [BLOB, "/v2/a/manifests/x", "/v2/a/tags/list"])
@pytest.mark.parametrize(
    ("number", "fields", "told"),
    [
        pytest.param(206, (("Range", "bytes=5-9"),), "a part that was not asked for", id="another range"),
        pytest.param(304, (), "where no condition was set", id="not modified"),
    ],
)
async def test_an_answer_to_another_request(
    method: str, target: str, number: int, fields: tuple[tuple[str, str], ...], told: str
) -> None:
    """RFC 9110, sections 15.3.7 and 15.4.5: curl would write it to its file, or nothing, and end with status 0."""
    headers = (("Content-Range", "bytes 0-4/100"),)
    part = FakeTransfer(number, headers, BODY[:5])
    async with world(part, forwarded=(response(number, BODY[:5], *headers),)) as w:
        reply = await w.answer(incoming(target, method, *fields))
        assert (reply.status, reply.code, told in reply.told) == (502, "upstream_unavailable", True)


async def test_a_download_that_cannot_be_opened_is_tried_again() -> None:
    """U3: three times, with pauses; a client would wait for a second before each of its own tries."""
    async with world(unavailable(), unavailable(), SMALL) as w:
        before = w.clock.boot()
        assert (await w.get()).status == 200
        assert 0.5 <= w.clock.boot() - before < 1
    async with world(unavailable()) as w:
        assert (await w.get()).status == 503
        assert len(w.downloads.requests) == 3


SILENT = Failed(Failure(Code.UPSTREAM_UNAVAILABLE, "has not begun to answer within 300 s", unanswered=True))


@pytest.mark.parametrize(
    "error", [failed(Code.TLS_FAILED, "x"), failed(Code.OVERLOADED, "x"), unavailable(5.0), SILENT]
)
async def test_what_another_try_does_not_fix_is_not_tried_again(error: Failed) -> None:
    """A certificate, our own limits, an open breaker, a registry that has worked on the request for five minutes."""
    async with world(error) as w:
        await w.get()
        assert len(w.downloads.requests) == 1


async def test_a_blob_that_was_verified_is_known_to_be_there() -> None:
    """One HEAD for a build's many, with the blob's own fields and length; fields of the answer are not repeated."""
    async with world(GENUINE, forwarded=(response(404),)) as w:
        assert (await w.head(GENUINE_BLOB)).status == 404
        await w.get(GENUINE_BLOB)
        for _ in range(3):
            reply = await w.head(GENUINE_BLOB)
            assert (reply.status, reply.length) == (200, 100)
            assert reply.headers == (("Content-Type", "a/b"), ("Docker-Content-Digest", D))
        assert len(w.forwarder.requests) == 1
        await w.head(GENUINE_BLOB, uid=2)  # T18: another user learns nothing of it
        assert len(w.forwarder.requests) == 2


async def test_what_is_known_is_forgotten() -> None:
    """After five minutes, by a flush or a reload, by a deletion."""
    async with world(GENUINE, forwarded=(response(202),)) as w:
        for forget in ("time", "flush", "deletion"):
            await w.get(GENUINE_BLOB)
            count = len(w.forwarder.requests)
            assert (await w.head(GENUINE_BLOB)).length == 100
            assert len(w.forwarder.requests) == count
            if forget == "time":
                w.clock.suspend(KEEP)
            elif forget == "flush":
                w.gateway.forget()
            else:
                await w.answer(incoming(GENUINE_BLOB, "DELETE"))
            w.forwarder.steps = [response(404)]
            assert (await w.head(GENUINE_BLOB)).status == 404
            w.forwarder.steps = [response(202)]


PAGE = b"<html>please log in</html>"


@pytest.mark.parametrize(
    "transfer",
    [
        FakeTransfer(headers=(("Content-Type", "text/html"),), body=PAGE, small=True),
        FakeTransfer(headers=(("Docker-Content-Digest", GENUINE_BLOB[-71:]),), body=PAGE, small=True),
        FakeTransfer(headers=(("Content-Encoding", "gzip"),), body=BODY, small=True),
        FakeTransfer(206, (("Content-Range", "bytes 0-99/100"),), BODY, small=True),
        FakeTransfer(body=BODY),
        FakeTransfer(body=BODY, cut=50, how=Stopped.SURPLUS),
        FakeTransfer(body=BODY, announced=False),
        FakeTransfer(body=BODY, announced=False, cut=50),
    ],
)
async def test_what_was_not_verified_to_its_last_byte_is_asked_about(transfer: FakeTransfer) -> None:
    """A login page, a part, a coding, a body that broke off or that did not pass through us: the registry answers the HEAD."""
    async with world(transfer, forwarded=(response(404),)) as w:
        reply = await w.get(GENUINE_BLOB, ("Range", "bytes=0-99"))
        await w.delivered(reply)
        assert (await w.head(GENUINE_BLOB)).status == 404
        assert len(w.forwarder.requests) == 1


@pytest.mark.parametrize("target", ["/v2/a/manifests/x", f"/v2/a/manifests/{D}", "/v2/a/tags/list", BLOB])
async def test_an_answer_to_head_teaches_nothing(target: str) -> None:
    """Not a byte of the blob was seen: a proxy's page has a status and a length, too."""
    async with world(forwarded=(response(200, b"", ("Content-Length", "7"), ("Docker-Content-Digest", D)),)) as w:
        assert [(await w.head(target)).length for _ in range(2)] == [7, 7]
        assert len(w.forwarder.requests) == 2


async def test_insecure_says_where_the_registry_is() -> None:
    """RQ-2: http if the rule says so; an exact rule's own address may be private."""
    async with world(SMALL, rules=(NoneHost(match="reg.test", insecure=True),)) as w:
        await w.get()
        assert (w.downloads.requests[0].url, w.downloads.requests[0].dial) == (f"http://reg.test{BLOB}", Dial(own=True))


async def test_cancelled_while_it_is_opened() -> None:
    """P8: a caller that leaves ends what was begun for it; what was opened is closed (the world looks)."""
    async with world(status(302, ("Location", "/y")), OK) as w:
        task = asyncio.ensure_future(w.gateway.answer(incoming(BLOB), FakeUpload(), patience=8.5))
        await asyncio.sleep(0)  # noqa: TID251  one turn of the loop
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
