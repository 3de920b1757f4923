"""Objects through the gateway: ``GET /v1/fetch?url=...``."""

import json
from urllib.parse import quote

import pytest
from structlog.testing import capture_logs

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial, Reach, Request
from credproxy.core.ask.names import Origin
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.conversation import Conversation, NeedCredential, Send
from credproxy.gateway.incoming import Incoming, Reply
from credproxy.gateway.request_reader import wanted
from credproxy.gateway.upstream_request import pull
from tests.fakes import FakeTransfer
from tests.gateway.world import response, sent, world


OBJECT = "https://files.test/releases/a.tar"


def fetch(url: str = OBJECT, method: str = "GET", *headers: tuple[str, str]) -> Incoming:
    """A request for an object."""
    return Incoming(method, "/v1/fetch", f"url={quote(url, safe='')}", headers, 1000)


def error(reply: Reply) -> tuple[str, str]:
    """Code and message, in the form of the JSON API."""
    assert isinstance(reply.body, bytes)
    found = json.loads(reply.body)["error"]
    return found["code"], found["message"]


async def test_an_object_is_carried_with_its_credential_and_judged_before() -> None:
    """Its host's credential goes to its host, and the action sees none of it."""
    async with world(FakeTransfer(headers=(("Content-Type", "x/y"), ("X-Amz-Id", "1")), body=b"bytes" * 50)) as w:
        reply = await w.answer(fetch())
        assert (reply.status, await w.received(reply)) == (200, b"bytes" * 50)
        assert reply.headers == (("Content-Type", "x/y"),)
        (request,) = w.downloads.requests
        assert request.url == OBJECT
        assert sent(request, "Authorization")
        assert w.policy.objects == [(OBJECT, "GET")]


async def test_a_redirect_is_followed_without_the_credential() -> None:
    """Release assets are on storage hosts, under a signed URL."""
    steps = (
        FakeTransfer(302, (("Location", "https://storage.test/a?sig=canary"),)),
        FakeTransfer(body=b"bytes", small=True),
    )
    async with world(*steps) as w:
        assert (await w.answer(fetch())).body == b"bytes"
        assert [bool(sent(request, "Authorization")) for request in w.downloads.requests] == [True, False]


async def test_a_host_that_redirects_back_cannot_choose_another_path() -> None:
    """The credential is sent to the allowed URL, and to no other one on its host."""
    steps = (
        FakeTransfer(302, (("Location", "https://storage.test/a"),)),
        FakeTransfer(302, (("Location", "https://files.test/private"),)),
        FakeTransfer(body=b"bytes", small=True),
    )
    async with world(*steps) as w:
        await w.answer(fetch())
        assert [bool(sent(request, "Authorization")) for request in w.downloads.requests] == [True, False, False]


async def test_a_body_that_breaks_off_goes_on_where_it_was() -> None:
    """As for blobs; without a digest, the entity tag decides."""

    def rest(request: Request) -> FakeTransfer:
        assert sent(request, "Range") == ["bytes=60-99"]
        headers = (("Content-Range", "bytes 60-99/100"), ("ETag", '"1"'))
        return FakeTransfer(206, headers, body=b"b" * 40)

    whole = FakeTransfer(headers=(("ETag", '"1"'), ("Accept-Ranges", "bytes")), body=b"a" * 60 + b"b" * 40, cut=60)
    async with world(whole, rest) as w:
        assert await w.received(await w.answer(fetch())) == b"a" * 60 + b"b" * 40


async def test_a_refusal_has_the_form_of_the_json_api() -> None:
    """With the policy's message, without the query, which may be a signature."""
    async with world(FakeTransfer(body=b"x", small=True)) as w:
        w.policy.denied = {"files.test"}
        reply = await w.answer(fetch(f"{OBJECT}?sig=canary"))
        assert reply.status == 403
        assert error(reply) == ("policy_denied", "no rule allows it; credproxy actions allow (policy_denied)")
        assert "canary" not in f"{reply.reason}{reply.told}{reply.body!r}"
        assert not w.downloads.requests


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "host 'files.test' refuses GET of 'https://files.test/releases/a.tar' with the credential that it has"),
        (404, "host 'files.test' has no such object"),
        (500, "host 'files.test' answered GET of 'https://files.test/releases/a.tar' with status 500"),
    ],
)
async def test_what_the_host_says_is_reported_as_its_own(status: int, message: str) -> None:
    """It is not a registry, and a docker login would not help."""
    async with world(FakeTransfer(status, body=b"canary", small=True)) as w:
        reply = await w.answer(fetch(f"{OBJECT}?canary"))
        assert error(reply)[1].startswith(message)
        assert "docker" not in error(reply)[1]
        assert b"canary" not in (reply.body if isinstance(reply.body, bytes) else b"")


async def test_a_token_that_single_sign_on_does_not_know_is_reported_with_the_page_that_fixes_it() -> None:
    """Without its query, which is for one person; and not for a request without a token."""
    page = "https://github.com/orgs/octo-org/sso"
    told = ("X-GitHub-SSO", f"required; url={page}?authorization_request=canary-4711")
    url = "https://api.github.com/repos/octo-org/hello/releases/assets/1"
    with capture_logs() as events:
        async with world(FakeTransfer(403, (told,), small=True)) as w:
            reply = await w.answer(fetch(url))
    code, message = error(reply)
    assert (reply.status, code) == (403, "denied")
    assert "is not authorised for the single sign-on of 'octo-org'; outside the build open " + page in message
    assert "then gh auth refresh" in message
    assert "canary" not in f"{message}{reply}{events}"
    async with world(FakeTransfer(403, (told,), small=True)) as w:
        w.provider.empty = True
        assert "without a credential" in error(await w.answer(fetch(url)))[1]


async def test_head() -> None:
    """Its length and its entity tag, for clients that ask first."""
    headers = (("Content-Length", "42"), ("ETag", '"1"'))
    async with world(FakeTransfer(), forwarded=(response(200, b"", *headers),)) as w:
        reply = await w.answer(fetch(method="HEAD"))
        assert (reply.status, reply.length, reply.headers) == (200, 42, (("ETag", '"1"'),))
        assert w.policy.objects == [(OBJECT, "HEAD")]


def test_a_credential_of_several_fields_replaces_the_clients() -> None:
    """A release asset wants ``Accept: application/octet-stream`` with its token, whatever the client accepts."""
    credential = (("Authorization", Secret("Bearer t")), ("Accept", Secret("application/octet-stream")))
    conversation: Conversation[FakeTransfer] = pull(wanted(fetch()), (("accept", "*/*"), ("Range", "bytes=0-1")))
    assert isinstance(next(conversation), NeedCredential)
    step = conversation.send(Passage(Reach(Origin("https://files.test"), Dial()), credential))
    assert isinstance(step, Send)
    assert sent(step.request, "Accept") == ["application/octet-stream"]
    assert sent(step.request, "Range") == ["bytes=0-1"]


@pytest.mark.parametrize(
    ("method", "query", "status"),
    [
        ("GET", "", 400),
        ("GET", "url=", 400),
        ("GET", "uri=https://files.test/a", 400),
        ("GET", "url=https://files.test/a&url=https://files.test/b", 400),
        ("GET", "url=https%3A%2F%2Ffiles.test", 400),
        ("GET", "url=https%3A%2F%2FFILES.test%2Fa", 400),
        ("GET", "url=https%3A%2F%2Fu:p@files.test%2Fa", 400),
        ("GET", "url=https%3A%2F%2Ffiles.test%2Fa%2F..%2Fb", 400),
        ("GET", f"url=https%3A%2F%2Freg.test%2Fv2%2Fa%2Fblobs%2Fsha256:{'a' * 64}", 400),
        ("PUT", "url=https://files.test/a", 405),
        ("POST", "url=https://files.test/a", 405),
    ],
)
async def test_what_names_no_object(method: str, query: str, status: int) -> None:
    """One URL, in its one form; a registry's API has its own path and rules."""
    async with world(FakeTransfer(body=b"x", small=True)) as w:
        reply = await w.answer(Incoming(method, "/v1/fetch", query, (), 1000))
        assert reply.status == status
        assert error(reply)[1]
        assert not w.downloads.requests
