"""URLs that a registry names, and which host refuses: through the whole gateway."""

import asyncio
import re
import threading

import pytest
import structlog

from credproxy.core.ask.credential import Secret, UserPassword
from credproxy.core.ask.http import Request
from credproxy.core.errors import Code, failed
from credproxy.core.kinds.none import NoneHost
from credproxy.core.kinds.oci import OciHost
from credproxy.gateway.gateway import Gateway
from credproxy.gateway.incoming import Reply
from credproxy.gateway.listed import WHOLE
from credproxy.server.broker_authorizer import BrokerAuthorizer
from tests.fakes import FakeAudit, FakeDownloads, FakeForwarder, FakeSink, FakeTransfer, FakeUpload
from tests.gateway.world import BLOB, BODY, CANARY, D, Policy, incoming, reason, response, sent, world
from tests.registry_world import basic, world as registry_world


TAGS = "/v2/a/tags/list"
PAGE = b'{"tags":["x"]}'
UPLOADS = "/v2/a/blobs/uploads/"
AWAY = FakeTransfer(307, (("Location", f"https://cdn.test/x?sig={CANARY}"),), small=True)
OK = FakeTransfer(body=BODY, small=True)


def page(*links: str, body: bytes = PAGE) -> FakeTransfer:
    """A page of a list."""
    return FakeTransfer(headers=tuple(("Link", link) for link in links), body=body, small=True)


def refusing(status: int) -> FakeTransfer:
    """A small refusal, with what a storage host says in it."""
    headers = (("WWW-Authenticate", f'Bearer realm="https://evil.test/{CANARY}"'),)
    return FakeTransfer(status, headers, f"<Error>{CANARY}</Error>".encode(), small=True)


def next_page(reply: Reply) -> str:
    """The target of the one Link, which leads to the same list on the gateway."""
    found = re.fullmatch(r'<([^>]*)>; rel="next"', dict(reply.headers)["Link"])
    assert found is not None
    return found[1]


class Reading(FakeSink):
    """A client that reads all the time, more than a socket buffer holds."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0
        self._thread = threading.Thread(target=self._read)
        self._theirs.setblocking(True)
        self._thread.start()

    async def end(self) -> int:
        """How many bytes it got."""
        self._ours.close()
        await asyncio.to_thread(self._thread.join)
        self._theirs.close()
        return self.size

    def _read(self) -> None:
        while piece := self._theirs.recv(65536):
            self.size += len(piece)


async def test_every_page_of_quay_is_reached() -> None:
    """Its token comes back unchanged; the last page has no link."""
    tokens = iter(["gAAAA%3D%3D", "gAAAB_-=", None])

    def quay(request: Request) -> FakeTransfer:
        seen.append(request.url)
        token = next(tokens)
        return page() if token is None else page(f'<{TAGS}?n=50&next_page={token}>; rel="next"')

    seen: list[str] = []
    async with world(quay, quay, quay) as w:
        first = await w.get(f"{TAGS}?n=50")
        second = await w.get(next_page(first))
        third = await w.get(next_page(second))
        assert [reply.body for reply in (first, second, third)] == [PAGE] * 3
        assert "Link" not in dict(third.headers)
    assert seen == [
        f"https://reg.test{TAGS}?n=50",
        f"https://reg.test{TAGS}?n=50&next_page=gAAAA%3D%3D",
        f"https://reg.test{TAGS}?n=50&next_page=gAAAB_-=",
    ]


@pytest.mark.parametrize("listing", [TAGS, f"/v2/a/referrers/{D}"])
@pytest.mark.parametrize("query", ["state=x;y&state=z", "weird", "a=1&b=%20+c"])
async def test_an_unknown_query_is_accepted_from_the_user_it_was_handed_to(listing: str, query: str) -> None:
    """Not from other users, nor for another list: an invented query is still refused."""
    async with world(page(f"<{listing}?{query}>; rel=next"), page()) as w:
        place = next_page(await w.get(f"{listing}?n=1"))
        assert place == f"{listing}?{query}"
        assert (await w.get(place)).status == 200
        assert w.downloads.requests[-1].url == f"https://reg.test{place}"
        count = len(w.downloads.requests)
        assert (await w.get(place, uid=2)).status == 400
        assert (await w.get(f"/v2/b/tags/list?{query}")).status == 400
        assert (await w.get(f"{listing}?{query}x&invented=1")).status == 400
        assert len(w.downloads.requests) == count


async def test_a_client_may_rewrite_the_query() -> None:
    """In another order, with other escapes."""
    async with world(page(f"<{TAGS}?b=%7Ex&a=1>; rel=next"), page()) as w:
        await w.get(TAGS)
        assert (await w.get(f"{TAGS}?a=1&b=~x")).status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD"])
async def test_a_list_whose_next_page_is_lost_is_not_given_as_a_shorter_one(method: str) -> None:
    """403, which no client repeats; the list is closed (the world looks)."""
    link = f"<https://other.test{TAGS}?last=b>; rel=next"
    async with world(
        page(link), FakeTransfer(headers=(("Link", link),), body=BODY), forwarded=(response(200, b"", ("Link", link)),)
    ) as w:
        for _ in range(2):
            reply = await w.answer(incoming(TAGS, method))
            assert (reply.status, reply.code) == (403, "redirect_refused")
            assert "has the next page of the list of tags of 'a' at a place other than" in reply.reason


async def test_a_link_is_relative_to_where_the_answer_came_from() -> None:
    """A registry that redirects within itself (RFC 8288, section 3.2); only the list's own path is handed out."""
    moved = FakeTransfer(301, (("Location", "/mirror/v2/a/tags/list"),), small=True)
    async with world(moved, page("<../../../../v2/a/tags/list?last=b>; rel=next")) as w:
        assert next_page(await w.get(TAGS)) == f"{TAGS}?last=b"
    async with world(moved, page("<?last=b>; rel=next")) as w:
        assert (await w.get(TAGS)).code == "redirect_refused"


async def test_a_manifest_has_no_next_page() -> None:
    """Its Link is ignored here."""
    async with world(forwarded=(response(200, b"{}", ("Link", "<https://other.test/>; rel=next")),)) as w:
        reply = await w.get("/v2/a/manifests/x")
        assert (reply.status, reply.headers) == (200, ())


@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize("size", [0, 100, WHOLE + 1, 5 * 1024 * 1024])
async def test_a_list_of_any_size_arrives(size: int, announced: bool) -> None:  # noqa: FBT001  parametrized
    """The specification has no limit; a small one has a length even if its registry gave none."""
    body = bytes(size)

    class Large(FakeTransfer):
        async def read(self) -> bytes:
            piece = self.body[self.at : self.at + 65536]
            self.at += len(piece)
            return piece

    async with world(lambda _: Large(body=body, announced=announced)) as w:
        reply = await w.get(TAGS)
        if size <= WHOLE and not announced:
            assert reply.body == body
        elif not isinstance(reply.body, bytes):
            assert reply.body.length == (size if announced else None)
        if isinstance(reply.body, bytes):
            assert len(reply.body) == size
            return
        reading = Reading()
        await reply.body.send(reading)
        reply.body.close()
        assert await reading.end() == size


async def test_a_list_that_breaks_off_at_once_is_asked_for_again_by_the_client() -> None:
    """503, because nothing of it was sent."""
    async with world(FakeTransfer(body=BODY, announced=False, cut=50)) as w:
        reply = await w.get(TAGS)
        assert (reply.status, reply.code) == (503, "upstream_unavailable")


async def test_a_list_that_breaks_off_later_is_never_a_clean_answer() -> None:
    """A list may change, so it is not resumed."""
    async with world(FakeTransfer(body=BODY, cut=50)) as w:
        _, error = await w.delivered(await w.get(TAGS))
        assert error is not None
        assert len(w.downloads.requests) == 1


@pytest.mark.parametrize("prefix", ["/art/api/docker/x", None])
async def test_a_path_prefix_stands_before_what_the_gateway_asks(prefix: str | None) -> None:
    """TX-2: as for the exchange; the client sees the protocol's own path, for lists and for uploads."""
    before = prefix or ""
    async with registry_world(
        OciHost(match="reg.test", path_prefix=prefix), stored=UserPassword("u", Secret("p"))
    ) as r:
        r.http.script[f"https://reg.test{before}/v2/"] = [r.challenge('Basic realm="x"')]
        link = f"<https://reg.test:443{before}{TAGS}?last=b>; rel=next"
        downloads = FakeDownloads([page(link), page(f"<{TAGS}?last=c>; rel=next"), OK])
        forwarder = FakeForwarder(
            r.clock, [response(202, b"", ("Location", f"{before}{UPLOADS}uuid?_state=x")), response(201)]
        )
        gateway = Gateway(
            authorizer=BrokerAuthorizer(r.broker, Policy(), audit=FakeAudit()),
            forwarder=forwarder,
            downloads=downloads,
            clock=r.clock,
            token=lambda: "id",
        )
        for target, following in ((TAGS, "?last=b"), (f"{TAGS}?last=b", "?last=c")):
            reply = await gateway.answer(incoming(target), FakeUpload(), patience=8.5)
            assert next_page(reply) == f"{TAGS}{following}"
        assert (await gateway.answer(incoming(BLOB), FakeUpload(), patience=8.5)).status == 200
        assert (await gateway.answer(incoming(UPLOADS, "POST"), FakeUpload(), patience=8.5)).status == 202
        assert (
            await gateway.answer(incoming(f"{UPLOADS}id?digest={D}", "PUT"), FakeUpload(), patience=8.5)
        ).status == 201
        urls = [request.url for request in (*downloads.requests, *forwarder.requests)]
        assert urls == [
            f"https://reg.test{before}{TAGS}",
            f"https://reg.test{before}{TAGS}?last=b",
            f"https://reg.test{before}{BLOB}",
            f"https://reg.test{before}{UPLOADS}",
            f"https://reg.test{before}{UPLOADS}uuid?_state=x&digest={D}",
        ]
        for request in (*downloads.requests, *forwarder.requests):
            assert sent(request, "Authorization") == [basic("u:p")]


@pytest.mark.parametrize(
    "location",
    [
        "https://reg.test:443/v2/a/blobs/uploads/uuid",
        "HTTPS://REG.TEST./v2/a/blobs/uploads/uuid",
        "//reg.test/v2/a/blobs/uploads/uuid",
        "uuid",
        "./x/../uuid",
        "/v2/a/blobs/uploads/uuid#fragment",
    ],
)
async def test_an_upload_goes_on_at_the_registry_with_its_login_however_the_place_is_written(location: str) -> None:
    """And on another host without the login."""
    async with world(forwarded=(response(202, b"", ("Location", location)), response(202))) as w:
        place = dict((await w.answer(incoming(UPLOADS, "POST"))).headers)["Location"]
        assert (await w.answer(incoming(place, "PATCH"), FakeUpload(b"x"))).status == 202
        assert w.forwarder.requests[1].url == "https://reg.test/v2/a/blobs/uploads/uuid"
        assert w.tokens() == [["Bearer tok1"], ["Bearer tok1"]]


async def test_a_place_with_a_space_is_followed_as_a_browser_would() -> None:
    """Artifactory's storage does not encode file names."""
    async with world(FakeTransfer(307, (("Location", "https://cdn.test/my file{1}"),), small=True), OK) as w:
        assert (await w.get()).status == 200
        assert w.downloads.requests[1].url == "https://cdn.test/my%20file%7B1%7D"


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410])
async def test_an_expired_url_is_requested_again(status: int) -> None:
    """The storage host refuses its own URL; the registry names a new one, once, and its token stays valid."""
    async with world(AWAY, refusing(status), AWAY, OK) as w:
        with structlog.testing.capture_logs() as events:
            reply = await w.get()
        assert (reply.status, reply.body) == (200, BODY)
        assert w.tokens() == [["Bearer tok1"], [], ["Bearer tok1"], []]
        assert len(w.provider.runs) == 1
        assert [event["event"] for event in events if event["event"] in {"rejected", "place ran out"}] == [
            "place ran out"
        ]


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("target", [BLOB, "/v2/a/manifests/x", TAGS])
async def test_an_expired_url_is_requested_again_for_every_operation(method: str, target: str) -> None:
    """Manifests, lists and HEAD are redirected as well."""
    away, gone = response(302, b"", ("Location", "https://cdn.test/x")), response(403)
    steps = (AWAY, refusing(403), AWAY, OK)
    async with world(*steps, forwarded=(away, gone, away, response(200, b""))) as w:
        assert (await w.answer(incoming(target, method))).status == 200
        assert len(w.downloads.requests) + len(w.forwarder.requests) == 4


async def test_a_place_that_ran_out_while_a_body_is_resumed() -> None:
    """The resume asks the registry, and once more if that still names the old URL."""
    etag = ("ETag", '"x"')
    rest = FakeTransfer(206, (("Content-Range", "bytes 40-99/100"), etag), BODY[40:])
    cut = FakeTransfer(headers=(etag,), body=BODY, cut=40)
    async with world(AWAY, cut, AWAY, refusing(403), AWAY, rest) as w:
        assert await w.received(await w.get()) == BODY
        assert len(w.provider.runs) == 1


@pytest.mark.parametrize(("status", "shown"), [(400, 400), (401, 403), (403, 403), (404, 404), (410, 410)])
async def test_a_storage_host_that_refuses_is_named_and_the_login_is_not_blamed(status: int, shown: int) -> None:
    """The registry's token is not dropped either, whatever the host's challenge says."""
    async with world(AWAY, refusing(status), AWAY, refusing(status), OK) as w:
        reply = await w.get()
        assert reply.status == shown
        assert "host 'cdn.test', where registry 'reg.test' keeps it," in reason(reply)
        assert "docker login" not in reason(reply)
        assert CANARY not in f"{reply}{reply.body!r}"
        assert reply.upstream
        assert (await w.get()).status == 200
        assert (len(w.provider.runs), w.tokens()[-1]) == (1, ["Bearer tok1"])


@pytest.mark.parametrize(("status", "shown"), [(429, 429), (500, 502), (503, 503)])
async def test_what_passes_at_a_storage_host_is_said_of_it(status: int, shown: int) -> None:
    """And is not requested again: its client repeats it."""
    async with world(AWAY, refusing(status)) as w:
        reply = await w.get()
        assert (reply.status, len(w.downloads.requests)) == (shown, 2)
        assert reason(reply).startswith("host 'cdn.test', where registry 'reg.test' keeps it,")


@pytest.mark.parametrize("status", [401, 403])
async def test_an_upload_that_a_storage_host_refuses_says_nothing_of_the_login(status: int) -> None:
    """A write is not sent again, and the registry's token stays."""
    begun = response(202, b"", ("Location", f"https://storage.test/put?sig={CANARY}"))
    async with world(forwarded=(begun, response(status, b"", ("WWW-Authenticate", "Bearer realm=x")), begun)) as w:
        place = dict((await w.answer(incoming(UPLOADS, "POST"))).headers)["Location"]
        reply = await w.answer(incoming(place, "PATCH"), FakeUpload(b"x"))
        assert reply.status == 403
        assert reason(reply).startswith(
            f"host 'storage.test', where registry 'reg.test' keeps it, refuses blob:write of 'a' with status {status}; "
        )
        assert "new place" not in reason(reply)
        await w.answer(incoming(UPLOADS, "POST"))
        assert w.tokens() == [["Bearer tok1"], [], ["Bearer tok1"]]


async def test_the_registry_that_refuses_behind_a_redirect_of_its_own_is_the_registry() -> None:
    """There its token is dropped and fetched again, as everywhere on its origin."""
    moved = FakeTransfer(302, (("Location", "https://reg.test:443/elsewhere"),), small=True)
    async with world(moved, refusing(401), moved, OK) as w:
        assert (await w.get()).status == 200
        assert w.tokens() == [["Bearer tok1"], ["Bearer tok1"], ["Bearer tok2"], ["Bearer tok2"]]


async def test_a_proxy_that_wants_a_login_is_named() -> None:
    """407 never comes from an origin; passed on, it would make the client look for its own proxy."""
    async with world(refusing(407), rules=(NoneHost(match="reg.test", insecure=True),)) as w:
        reply = await w.get()
        assert (reply.status, reply.code) == (403, "denied")
        assert reason(reply).startswith(
            "a proxy in front of registry 'reg.test' wants a login of its own (status 407); "
        )
        assert "docker login" not in reason(reply)


@pytest.mark.parametrize("target", [BLOB, "/v2/a/manifests/x"])
async def test_a_head_that_policy_denies_makes_the_client_go_on_to_where_it_reads_why(target: str) -> None:
    """docs/design/clients.md#the-img-client: img only prints the status of a 403 to HEAD; after a 404 it pushes, and that refusal has a body."""
    async with world(forwarded=(response(200),)) as w:
        w.policy.denied = {"a"}
        reply = await w.head(target)
        assert (reply.status, reply.code, reply.reason) == (404, "policy_denied", "no rule allows it")
        why = "no rule allows it; credproxy actions allow (policy_denied)"
        assert dict(reply.headers)["Warning"] == f'299 - "{why}"'
        for method, place in (("POST", UPLOADS), ("PUT", "/v2/a/manifests/x"), ("GET", target)):
            refused = await w.answer(incoming(place, method), FakeUpload(b"x"))
            assert (refused.status, reason(refused)) == (403, why)
        assert w.forwarder.requests == []


@pytest.mark.parametrize("target", [BLOB, "/v2/a/manifests/x"])
async def test_a_head_that_is_refused_to_the_login_does_so_as_well(target: str) -> None:
    """Whether the registry refuses the login or no login is stored."""
    async with world(forwarded=(response(403),)) as w:
        reply = await w.head(target)
        assert (reply.status, reply.code) == (404, "denied")
        assert "docker login reg.test" in dict(reply.headers)["Warning"]
    async with world(forwarded=(response(403),)) as w:
        w.provider.error = failed(Code.BAD_CREDENTIALS, f"'{CANARY}' was refused", hint="mend it")
        reply = await w.head(target)
        assert reply.status == 404
        assert "mend it (bad_credentials)" in dict(reply.headers)["Warning"]


async def test_what_a_build_action_may_not_know_is_in_no_warning_either() -> None:
    """T19: the daemon's log has it."""
    async with world(forwarded=(response(200),)) as w:
        w.provider.error = failed(Code.CREDENTIAL_UNREADABLE, f"/home/me/{CANARY} cannot be read", hint="mend it")
        reply = await w.head()
        assert CANARY not in str(reply.headers)
        assert CANARY in reply.reason


@pytest.mark.parametrize(("status", "shown"), [(404, 404), (429, 429), (500, 502), (503, 503)])
async def test_other_refusals_of_a_head_keep_their_status(status: int, shown: int) -> None:
    """A "not found" needs no reason; the client repeats temporary failures."""
    async with world(forwarded=(response(status),)) as w:
        reply = await w.head()
        assert reply.status == shown
        assert ("Warning" in dict(reply.headers)) is (status != 404)
