"""The conformance cases of docs/design/cases.md, by id: from a question's URI to what Bazel reads."""

import asyncio
import json

import pytest

from credproxy.core.ask.credential import (
    Caller,
    Identity,
    IdentityToken,
    PlainSecret,
    RegistryToken,
    Secret,
    UserPassword,
)
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.target import Question, Repository, Target
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.oci import BareHost, OciHost
from tests.contract import CANARY, HOST, ISSUED, SIGNED, Ground, ProviderContract, Setting
from tests.fakes import FakeSource, settle
from tests.registry_world import BEARER, D, World, basic, ok, world


MANIFEST = "https://reg.test/v2/a/b/manifests/latest"
IDENTITY = IdentityToken(Secret("idt"))
IDENTITY_AND_LOGIN = IdentityToken(Secret("idt"), "u", Secret("p"))
EVIL = OciHost(match="evil.test", anonymous="pull")


def host(**keys: object) -> OciHost:
    """Give the rule of reg.test with these keys."""
    return OciHost(match="reg.test", **keys)  # type: ignore[arg-type]  # a test's keys are any of them


async def nothing(made: World, uri: str) -> None:
    """Assert that a URI gets the empty answer for a minute, without a request."""
    before = len(made.http.requests)
    answer = await made.ask(uri)
    assert answer.authorization is None
    assert answer.expires == 60
    assert len(made.http.requests) == before


async def test_ping_then_token_by_get_with_basic() -> None:
    """T-01: the ping carries no Authorization; the token request carries Basic, service and scope."""
    async with world() as w:
        assert await w.ask(MANIFEST) == ok("tok1", 270)
        assert w.requests == ["GET /v2/", "GET /token?service=reg.test&scope=repository:a/b:pull"]
        assert w.header(0, "Authorization") is None
        assert w.header(1, "Authorization") == basic("u:p")
        assert w.header(1, "Accept") == "application/json"


async def test_other_reads_of_the_repository_are_answered_from_memory() -> None:
    """T-02: blobs, tags and referrers share the manifest's token."""
    async with world() as w:
        await w.ask(MANIFEST)
        for path in (f"blobs/{D}", "tags/list", f"referrers/{D}"):
            assert await w.ask(f"https://reg.test/v2/a/b/{path}") == ok("tok1", 270)
        assert len(w.requests) == 2


async def test_fifty_at_once_cost_one_ping_and_one_exchange() -> None:
    """T-03: fifty different blobs, nothing cached."""
    async with world() as w:
        uris = [f"https://reg.test/v2/a/b/blobs/sha256:{n:064x}" for n in range(50)]
        assert await asyncio.gather(*map(w.ask, uris)) == [ok("tok1", 270)] * 50
        assert len(w.requests) == 2


async def test_an_upload_gets_pull_and_push() -> None:
    """T-04: the protocol does not contain the method, but the path implies it."""
    async with world() as w:
        assert await w.ask("https://reg.test/v2/a/b/blobs/uploads/") == ok("tok1", 270)
        assert w.requests[1] == "GET /token?service=reg.test&scope=repository:a/b:pull,push"


async def test_a_mount_asks_for_both_repositories_in_order() -> None:
    """T-05: two parameters, the upload's repository first."""
    async with world() as w:
        assert await w.ask(f"https://reg.test/v2/dst/blobs/uploads/?mount={D}&from=src/x") == ok("tok1", 270)
        wanted = "GET /token?service=reg.test&scope=repository:dst:pull,push&scope=repository:src/x:pull"
        assert w.requests[1] == wanted


async def test_a_mount_from_what_may_not_be_pulled_is_refused() -> None:
    """T-06: otherwise a client could read by mounting."""
    async with world(host(actions={"src/**": ()})) as w:
        assert await w.refusal(f"https://reg.test/v2/dst/blobs/uploads/?mount={D}&from=src/x") is Code.POLICY_DENIED
        assert w.requests == []


async def test_an_identity_token_is_exchanged_by_post() -> None:
    """T-07: every field of the OAuth form, and no Authorization."""
    async with world(stored=IDENTITY) as w:
        w.script(token=w.respond(200, {"access_token": "acc", "expires_in": 900}))
        assert await w.ask(MANIFEST) == ok("acc", 840)
        assert w.requests[1] == "POST /token"
        assert w.form(1) == {
            "grant_type": ["refresh_token"],
            "refresh_token": ["idt"],
            "service": ["reg.test"],
            "client_id": ["credproxy"],
            "scope": ["repository:a/b:pull"],
        }
        assert w.header(1, "Authorization") is None
        assert not w.http.requests[1].repeatable


async def test_two_scopes_share_one_field_of_a_post() -> None:
    """T-08: separated by a space, once."""
    async with world(stored=IDENTITY) as w:
        await w.ask(f"https://reg.test/v2/a/blobs/uploads/?mount={D}&from=b")
        assert w.form(1)["scope"] == ["repository:a:pull,push repository:b:pull"]


@pytest.mark.parametrize(
    ("status", "case"), [(404, "T-09"), (405, "T-10"), (401, "T-11"), (400, "T-12"), (501, "TX-9")]
)
async def test_a_refused_post_is_followed_by_a_get_with_the_login(status: int, case: str) -> None:
    """T-09 to T-12: Quay, Artifactory, ACR and the specification each refuse the POST with another status."""
    async with world(stored=IDENTITY_AND_LOGIN) as w:
        w.script(token=[w.respond(status), w.granted()])
        assert await w.ask(MANIFEST) == ok("tok1", 270), case
        assert [one.split(" ")[0] for one in w.requests] == ["GET", "POST", "GET"]
        assert w.header(2, "Authorization") == basic("u:p")


async def test_a_403_is_an_answer_and_no_reason_to_try_otherwise() -> None:
    """T-13."""
    async with world(stored=IDENTITY_AND_LOGIN) as w:
        w.script(token=w.respond(403))
        assert await w.refusal(MANIFEST) is Code.DENIED
        assert len(w.requests) == 2


async def test_without_a_password_no_anonymous_get_follows() -> None:
    """T-14: it would turn a private pull into "not found"."""
    async with world(stored=IDENTITY) as w:
        w.script(token=w.respond(404))
        assert await w.refusal(MANIFEST) is Code.NO_CHALLENGE
        assert [one.split(" ")[0] for one in w.requests] == ["GET", "POST"]


async def test_the_method_that_worked_is_remembered() -> None:
    """T-15: the second exchange asks by GET at once."""
    async with world(stored=IDENTITY_AND_LOGIN) as w:
        w.script(token=[w.respond(405), w.granted()])
        await w.ask(MANIFEST)
        await w.ask("https://reg.test/v2/c/manifests/x")
        assert w.requests[3:] == ["GET /token?service=reg.test&scope=repository:c:pull"]


async def test_a_rotated_refresh_token_is_used_from_then_on() -> None:
    """T-16: the newest is kept in memory and sent to the same realm."""
    async with world(stored=IDENTITY) as w:
        w.script(token=[w.granted("a", refresh_token="new"), w.granted("b")])
        await w.ask(MANIFEST)
        await w.ask("https://reg.test/v2/c/manifests/x")
        assert w.form(2)["refresh_token"] == ["new"]


async def test_an_anonymous_pull_where_it_is_allowed() -> None:
    """T-17: GHCR wants an exchange even for public images."""
    async with world(host(anonymous="pull"), stored=None) as w:
        assert await w.ask(MANIFEST) == ok("tok1", 270)
        assert w.header(1, "Authorization") is None


async def test_no_credential_and_no_permission_to_go_anonymously() -> None:
    """T-18: no request is sent."""
    async with world(stored=None) as w:
        await nothing(w, MANIFEST)


async def test_a_refused_login_is_an_error_and_remembered_for_ten_seconds() -> None:
    """T-19: no anonymous retry, and no second request for a moment: GitLab bans clients that fail too often."""
    async with world() as w:
        w.script(token=w.respond(401))
        assert await w.refusal(MANIFEST) is Code.BAD_CREDENTIALS
        assert len(w.requests) == 2
        assert await w.refusal(MANIFEST) is Code.BAD_CREDENTIALS
        assert len(w.requests) == 2
        await w.clock.advance(12.5)
        await w.refusal(MANIFEST)
        assert len(w.requests) == 3


async def test_refused_push_falls_back_to_pull() -> None:
    """T-20: GCR answers 403 to users that may not push."""
    async with world(host(actions={"a/**": ("pull", "push")})) as w:
        w.script(token=[w.respond(403), w.granted()])
        assert await w.ask(MANIFEST) == ok("tok1", 270)
        assert w.requests[1:] == [
            "GET /token?service=reg.test&scope=repository:a/b:pull,push",
            "GET /token?service=reg.test&scope=repository:a/b:pull",
        ]


async def test_an_open_registry_needs_no_credential() -> None:
    """T-21: the ping says 200, so the answer is empty."""
    async with world(host(anonymous="pull"), stored=None) as w:
        w.script(ping=w.respond(200))
        assert (await w.ask(MANIFEST)).authorization is None
        assert w.requests == ["GET /v2/"]


async def test_a_credential_earns_a_second_look_behind_an_open_ping() -> None:
    """TX-3: Artifactory's anonymous ping hides that it wants a login."""
    async with world() as w:
        w.http.script["https://reg.test/v2/a/b/tags/list"] = [w.challenge(BEARER)]
        w.script(ping=w.respond(200))
        assert await w.ask(MANIFEST) == ok("tok1", 270)
        assert w.requests[:2] == ["GET /v2/", "GET /v2/a/b/tags/list?n=1"]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("/v2/a%2Fb/manifests/x", id="T-22"),
        pytest.param("/v2/a/../b/manifests/x", id="T-23 dots"),
        pytest.param("/v2/a/%2e%2e/b/manifests/x", id="T-23 escaped dots"),
        pytest.param("/v2/a/blobs/uploads/manifests/latest", id="T-24"),
        pytest.param(f"/v2/z/blobs/uploads/?mount={D}&from=a&from=b", id="T-25 twice"),
        pytest.param(f"/v2/z/blobs/uploads/?mount={D};from=a", id="T-25 semicolon"),
        pytest.param("/v2/", id="T-27"),
        pytest.param("/v2", id="T-27 bare"),
        pytest.param("/v2/_catalog", id="T-28 without"),
        pytest.param("/v2/A/manifests/x", id="T-29"),
        pytest.param("/token?service=reg.test", id="SC-15"),
    ],
)
async def test_only_reads_and_writes_of_one_repository_get_a_token(path: str) -> None:
    """T-22 to T-29: the empty answer, without a request."""
    async with world() as w:
        await nothing(w, "https://reg.test" + path)


async def test_a_name_may_contain_the_words_of_the_grammar() -> None:
    """T-26: ``foo/manifests`` is a repository."""
    async with world() as w:
        await w.ask(f"https://reg.test/v2/foo/manifests/blobs/{D}")
        assert w.requests[1].endswith("scope=repository:foo/manifests:pull")


async def test_the_catalog_where_it_is_allowed() -> None:
    """T-28."""
    async with world(host(allow_catalog=True)) as w:
        await w.ask("https://reg.test/v2/_catalog")
        assert w.requests[1].endswith("scope=registry:catalog:*")


async def test_host_case_and_default_port_are_the_same_registry() -> None:
    """T-34: answered from memory."""
    async with world() as w:
        await w.ask(MANIFEST)
        assert await w.ask("https://REG.TEST:443/v2/a/b/manifests/x") == ok("tok1", 270)
        assert len(w.requests) == 2


async def test_an_unconfigured_bare_host() -> None:
    """T-35."""
    async with world() as w:
        await nothing(w, "registry.example.com")


BARE = BareHost(scopes=("repository:app:pull,push", "repository:base:pull"), min_lifetime=240)


async def test_a_bare_host_with_configured_scopes_gets_one_bearer_for_them() -> None:
    """T-36: the primary scope first (helper socket)."""
    async with world(host(bare_host=BARE)) as w:
        assert await w.ask("reg.test") == ok("tok1", 270)
        wanted = "GET /token?service=reg.test&scope=repository:app:pull,push&scope=repository:base:pull"
        assert w.requests[1] == wanted


async def test_a_token_that_lives_too_short_for_a_bare_host_is_not_given() -> None:
    """T-37: img keeps it for the whole process and cannot renew it."""
    async with world(host(bare_host=BARE)) as w:
        w.script(token=w.granted(expires_in=120))
        assert (await w.ask("reg.test")).authorization is None
        assert len(w.requests) == 2


async def test_a_cached_token_with_too_little_time_left_is_exchanged_again() -> None:
    """T-37: SC-18: first a new exchange, then the empty answer."""
    async with world(host(bare_host=BARE)) as w:
        w.script(token=[w.granted("old"), w.granted("new")])
        assert await w.ask("reg.test") == ok("old", 270)
        await w.clock.advance(100)
        assert await w.ask("reg.test") == ok("new", 370)


async def test_the_bare_hosts_empty_answer_is_not_a_repositorys() -> None:
    """T-37: A too short token for ``img`` is a good one for Bazel."""
    settings = host(bare_host=BareHost(scopes=("repository:a/b:pull",), min_lifetime=240))
    async with world(settings) as w:
        w.script(token=w.granted(expires_in=120))
        assert (await w.ask("reg.test")).authorization is None
        assert await w.ask(MANIFEST) == ok("tok1", 108)


async def test_a_bare_host_gets_the_stored_login() -> None:
    """T-38: Basic without ``expires``, without a request (helper socket)."""
    async with world() as w:
        answer = await w.ask("reg.test")
        assert answer.authorization == basic("u:p")
        assert answer.expires is None
        assert w.requests == []


async def test_bare_host_none_switches_that_off() -> None:
    """T-38."""
    async with world(host(bare_host="none")) as w:
        await nothing(w, "reg.test")


async def test_a_refresh_token_is_never_given_to_a_bare_host() -> None:
    """T-38: SC-18: only a user and password is."""
    async with world(stored=IDENTITY) as w:
        assert (await w.ask("reg.test")).authorization is None


@pytest.mark.parametrize("uri", ["reg.test:5000", "https://reg.test:5000", "https://reg.test:5000/"])
async def test_a_bare_host_keeps_its_port_and_may_be_written_as_a_url(uri: str) -> None:
    """T-39, T-40."""
    async with world(OciHost(match="reg.test:5000")) as w:
        assert (await w.ask(uri)).authorization == basic("u:p")
        await nothing(w, "https://reg.test/v2/a/manifests/x")


@pytest.mark.parametrize(
    ("answer", "expires"),
    [
        pytest.param({}, 54, id="T-41"),
        pytest.param({"expires_in": 0}, 54, id="T-42 zero"),
        pytest.param({"expires_in": -5}, 54, id="T-42 negative"),
        pytest.param({"expires_in": "300"}, 270, id="T-42 digits"),
        pytest.param({"expires_in": "5m"}, 54, id="T-42 text"),
        pytest.param({"expires_in": 299.9}, 269, id="T-42 float"),
        pytest.param({"expires_in": 1e9}, 54, id="T-42 beyond belief"),
        pytest.param({"expires_in": 100_000}, 43_140, id="T-42 capped"),
        pytest.param({"expires_in": True}, 54, id="T-42 true"),
        pytest.param({"expires_in": None}, 54, id="T-42 null"),
        pytest.param({"expires_in": 30}, 27, id="T-43"),
        pytest.param({"expires_in": 300, "issued_at": "2026-01-01T00:08:20Z"}, 270, id="T-44 future"),
        pytest.param({"expires_in": 300, "issued_at": "2025-12-31T23:58:20Z"}, 180, id="T-44 past"),
        pytest.param({"expires_in": 300, "issued_at": "2025-12-31T23:45:00Z"}, 54, id="T-44 dead"),
        pytest.param({"expires_in": 300, "issued_at": "yesterday"}, 270, id="T-44 unreadable"),
    ],
)
async def test_lifetimes(answer: dict[str, object], expires: int) -> None:
    """T-41 to T-44: 60 s if there is nothing usable, and no minimum."""
    async with world() as w:
        w.script(token=w.respond(200, {"token": "tok1"} | answer))
        assert await w.ask(MANIFEST) == ok("tok1", expires)


# Headers and payloads of JWTs, base64url: {"exp": T0+100}, {"exp": T0+8000}.
JWT_100 = "e30.eyJleHAiOjE3NjcyMjU3MDB9.c2ln"
JWT_8000 = "e30.eyJleHAiOjE3NjcyMzM2MDB9.c2ln"


@pytest.mark.parametrize(
    ("answer", "trust", "expires"),
    [
        pytest.param({"token": JWT_100, "expires_in": 3600}, False, 90, id="shortens"),
        pytest.param({"token": JWT_8000}, False, 54, id="does not lengthen"),
        pytest.param({"token": JWT_8000}, True, 7940, id="may lengthen where it is trusted"),
        pytest.param({"token": JWT_8000, "expires_in": 300}, True, 270, id="never beyond what the server says"),
    ],
)
async def test_a_jwts_exp(answer: dict[str, object], trust: bool, expires: int) -> None:  # noqa: FBT001
    """TX-16: it may shorten a lifetime; lengthen only if the operator says so."""
    async with world(host(trust_jwt_exp=trust)) as w:
        w.script(token=w.respond(200, answer))
        assert (await w.ask(MANIFEST)).expires == expires


async def test_inside_the_advisory_window_the_answer_is_immediate_and_one_renewal_runs() -> None:
    """T-45 (a)."""
    async with world() as w:
        w.script(token=[w.granted("old"), w.granted("new")])
        await w.ask(MANIFEST)
        await w.clock.advance(220)
        assert await w.ask(MANIFEST) == ok("old", 270)
        await settle()
        assert len(w.requests) == 3
        assert await w.ask(MANIFEST) == ok("new", 490)


async def test_inside_the_mandatory_window_it_waits_for_the_new_token() -> None:
    """T-45 (b)."""
    async with world() as w:
        w.script(token=[w.granted("old"), w.granted("new")])
        await w.ask(MANIFEST)
        w.clock.suspend(275)
        assert await w.ask(MANIFEST) == ok("new", 545)


async def test_with_a_silent_token_server_the_old_token_comes_after_three_seconds() -> None:
    """T-45 (c): with its true expiry."""
    async with world() as w:
        await w.ask(MANIFEST)
        w.clock.suspend(275)
        w.http.script["https://reg.test/token"] = [w.respond(200, {})]
        gate = asyncio.Event()
        w.http.hold["https://reg.test/token"] = gate
        task = asyncio.ensure_future(w.ask(MANIFEST))
        await w.clock.advance(2.9)
        assert not task.done()
        await w.clock.advance(0.2)
        assert await task == ok("tok1", 300)
        gate.set()
        await settle()


@pytest.mark.parametrize(
    ("body", "token"),
    [
        pytest.param({"access_token": "A", "token": "B"}, "A", id="both"),
        pytest.param({"access_token": "", "token": "B"}, "B", id="empty access_token"),
        pytest.param({"token": ""}, None, id="empty"),
        pytest.param({}, None, id="none"),
        pytest.param([], None, id="list"),
        pytest.param({"token": "a\r\nX: y"}, None, id="line break"),
        pytest.param({"token": 1}, None, id="number"),
        pytest.param(b"<html>login</html>", None, id="html"),
        pytest.param(b'\xef\xbb\xbf{"token":"t"}', None, id="bom"),
        pytest.param(b"", None, id="nothing"),
        pytest.param({"token": "é"}, None, id="not ascii"),
    ],
)
async def test_which_field_is_the_token(body: object, token: str | None) -> None:
    """T-46 and U10: ``access_token`` before ``token``; nothing unusable is cached or shown."""
    async with world() as w:
        w.script(token=w.respond(200, body))
        if token is None:
            assert await w.refusal(MANIFEST) is Code.BAD_TOKEN
        else:
            assert (await w.ask(MANIFEST)).authorization == f"Bearer {token}"


async def test_the_content_type_of_a_token_answer_does_not_matter() -> None:
    """T-47: nvcr.io has sent text."""
    async with world() as w:
        w.script(token=w.respond(200, {"token": "t", "expires_in": 300}, Content_Type="text/plain"))
        assert await w.ask(MANIFEST) == ok("t", 270)


async def test_no_service_in_the_challenge_none_in_the_request() -> None:
    """T-49: nvcr.io sends none, and works without."""
    async with world() as w:
        w.script(ping=w.challenge('Bearer realm="https://reg.test/token",scope="repository:nvidia/cuda:pull"'))
        await w.ask(MANIFEST)
        assert w.requests[1] == "GET /token?scope=repository:a/b:pull"


async def test_an_empty_scope_in_the_challenge_is_ignored() -> None:
    """T-50: exactly one ``scope``, the derived one."""
    async with world() as w:
        w.script(ping=w.challenge('Bearer realm="https://reg.test/token",service="reg.test",scope=""'))
        await w.ask(MANIFEST)
        assert w.requests[1] == "GET /token?service=reg.test&scope=repository:a/b:pull"


async def test_reliability_the_challenges_scope_is_ignored() -> None:
    """T22: a registry cannot have a wider token made."""
    async with world() as w:
        w.script(ping=w.challenge(BEARER + ',scope="repository:*:*"'))
        await w.ask(MANIFEST)
        assert w.requests[1] == "GET /token?service=reg.test&scope=repository:a/b:pull"


async def test_a_realms_own_query_stays_but_for_our_parameters() -> None:
    """T-51: ``tenant`` is kept, ``scope`` replaced."""
    async with world() as w:
        w.script(ping=w.challenge('Bearer realm="https://reg.test/token?tenant=1&scope=evil",service="reg.test"'))
        await w.ask(MANIFEST)
        assert w.requests[1] == "GET /token?tenant=1&service=reg.test&scope=repository:a/b:pull"


async def test_a_host_cannot_harvest_another_ones_login() -> None:
    """T-60, SEC-1: no host gets an Authorization, and the realm is refused."""
    async with world(extra=(EVIL,)) as w:
        w.http.script["https://evil.test/v2/"] = [w.challenge(BEARER)]
        assert await w.refusal("https://evil.test/v2/a/manifests/x") is Code.REALM_REFUSED
        assert w.requests == ["GET /v2/"]
        assert w.header(0, "Authorization") is None


@pytest.mark.parametrize(
    ("realm", "code"),
    [
        pytest.param("https://evil.test/token", Code.REALM_REFUSED, id="T-61"),
        pytest.param("https://169.254.169.254/t", Code.REALM_REFUSED, id="T-64"),
        pytest.param("http://reg.test/token", Code.DOWNGRADE, id="T-65"),
        pytest.param("https://reg.test:8443/token", Code.REALM_REFUSED, id="T-70"),
    ],
)
async def test_an_untrusted_realm_sees_nothing(realm: str, code: Code) -> None:
    """T-61, T-64, T-65, T-70: the ping is all that was sent."""
    async with world() as w:
        w.script(ping=w.challenge(f'Bearer realm="{realm}",service="reg.test"'))
        assert await w.refusal(MANIFEST) is code
        assert w.requests == ["GET /v2/"]


async def test_a_single_label_registry_shares_no_domain_with_its_realm() -> None:
    """T-62: distribution's own check would allow it."""
    async with world(OciHost(match="registry")) as w:
        w.http.script["https://registry/v2/"] = [w.challenge('Bearer realm="https://evilhost/t"')]
        assert await w.refusal("https://registry/v2/a/manifests/x") is Code.REALM_REFUSED


async def test_an_unconfigured_host_costs_nothing() -> None:
    """T-63, SEC-2: no request, not even a name look-up."""
    async with world() as w:
        await nothing(w, "https://unknown.example/v2/a/manifests/x")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("stored", [UserPassword("u", Secret("p")), IDENTITY], ids=["get", "post"])
async def test_a_redirected_token_request_is_not_followed(status: int, stored: UserPassword | IdentityToken) -> None:
    """T-66, T21: the second host sees nothing."""
    async with world(stored=stored) as w:
        w.script(token=w.respond(status, Location="https://evil.test/"))
        assert await w.refusal(MANIFEST) is Code.REDIRECT_REFUSED
        assert len(w.requests) == 2


async def test_where_the_client_may_connect() -> None:
    """T-67, T-68: the registry's own addresses for what has its host; a pair's realm only where the registry is."""
    settings = host(realm_hosts=("auth.test",), allow_private=("10.0.0.0/24",), tls_verify=False)
    async with world(settings) as w:
        w.http.script["https://auth.test/t"] = [w.granted()]
        w.script(ping=w.challenge('Bearer realm="https://auth.test/t",service="s"'))
        await w.ask(MANIFEST)
        ping, token = (one.dial for one in w.http.requests)
        assert (ping.own, ping.tls_verify, ping.networks) == (True, False, ("10.0.0.0/24",))
        assert (token.own, token.tls_verify, token.addresses) == (False, True, ("127.0.0.2",))


async def test_a_wildcard_rule_may_not_use_private_addresses() -> None:
    """SEC-4: anybody who can add a name below the wildcard could choose the address."""
    async with world(OciHost(match="*.test")) as w:
        w.sources["*.test"].authority = "reg.test"
        await w.ask(MANIFEST)
        assert not w.http.requests[0].dial.own


async def test_a_server_errors_body_is_in_no_error() -> None:
    """T-69, SEC-6."""
    async with world() as w:
        w.script(token=w.respond(500, b"SECRET"))
        task = asyncio.ensure_future(w.ask(MANIFEST))
        await w.clock.advance(9)
        with pytest.raises(Failed) as caught:
            await task
        assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE
        assert "SECRET" not in str(caught.value) + repr(caught.value.failure)
        assert len(w.requests) <= 10


async def test_a_well_known_realm_is_only_for_its_own_registry() -> None:
    """T-71, SEC-8: pairs, not a set."""
    async with world(OciHost(match="evil.test")) as w:
        w.http.script["https://evil.test/v2/"] = [w.challenge('Bearer realm="https://auth.docker.io/token"')]
        assert await w.refusal("https://evil.test/v2/a/manifests/x") is Code.REALM_REFUSED


async def test_two_logins_get_their_own_tokens() -> None:
    """T-76, SEC-12: the credential's identity is part of the key."""
    async with world() as w:
        w.script(token=[w.granted("first"), w.granted("second")])
        await w.ask(MANIFEST)
        w.sources["reg.test"].identity = Identity("docker-config", "reg.test", 2)
        assert await w.ask(MANIFEST) == ok("second", 270)


@pytest.mark.parametrize("line", ["Negotiate", 'Digest realm="d", nonce="n"'])
async def test_other_schemes_are_refused(line: str) -> None:
    """T-77, SEC-13."""
    async with world() as w:
        w.script(ping=w.challenge(line))
        assert await w.refusal(MANIFEST) is Code.UNSUPPORTED_SCHEME


@pytest.mark.parametrize(
    "lines",
    [
        pytest.param(['Basic realm="r", ' + BEARER], id="V11"),
        pytest.param(['Basic realm="r"', BEARER], id="V08"),
    ],
)
async def test_bearer_beats_basic(lines: list[str]) -> None:
    """T-78, P-4: the login goes to the token server, not to the registry."""
    async with world() as w:
        w.script(ping=w.challenge(*lines))
        assert await w.ask(MANIFEST) == ok("tok1", 270)


async def test_a_refused_realm_does_not_lead_to_basic() -> None:
    """T-79, V34: no downgrade."""
    async with world() as w:
        w.script(ping=w.challenge('Bearer realm="https://evil/t"', 'Basic realm="r"'))
        assert await w.refusal(MANIFEST) is Code.REALM_REFUSED


async def test_a_basic_only_registry_gets_basic() -> None:
    """T-80: Nexus, htpasswd; as docker pull would send (helper socket)."""
    async with world() as w:
        w.script(ping=w.challenge('BASIC realm="Sonatype Nexus Repository Manager"'))
        answer = await w.ask(MANIFEST)
        assert (answer.authorization, answer.expires) == (basic("u:p"), None)


async def test_allow_basic_false_switches_that_off() -> None:
    """T-80."""
    async with world(host(allow_basic=False)) as w:
        w.script(ping=w.challenge('Basic realm="r"'))
        assert (await w.ask(MANIFEST)).authorization is None


def harbor(w: World, request: Request) -> Response:
    """Answer Basic to a request with an Authorization, else Bearer. Source: goharbor v2auth/auth.go."""
    carries = any(name == "Authorization" for name, _ in request.headers)
    return w.challenge('Basic realm="harbor"' if carries else BEARER)(request)


async def test_harbor_is_pinged_without_authorization() -> None:
    """T-81, P-2."""
    async with world() as w:
        w.script(ping=lambda request: harbor(w, request))
        assert await w.ask(MANIFEST) == ok("tok1", 270)


async def test_an_expired_challenge_is_learned_again_with_a_cold_ping() -> None:
    """T-82: nvcr.io names another realm for an expired token."""
    async with world() as w:
        await w.ask(MANIFEST)
        w.clock.suspend(3700)
        await w.ask(MANIFEST)
        assert w.requests[2:] == ["GET /v2/", "GET /token?service=reg.test&scope=repository:a/b:pull"]
        assert w.header(2, "Authorization") is None


def quay(w: World, request: Request) -> Response:
    """Take one scope per parameter, of pull, push and ``*`` only, by GET. Source: quay endpoints/v2/v2auth.py."""
    if request.method == "POST":
        return w.respond(405)(request)
    scopes = [part.removeprefix("scope=") for part in request.url.split("?")[1].split("&") if part.startswith("scope=")]
    good = all(
        set(scope.rpartition(":")[2].split(",")) <= {"pull", "push", "*"} and " " not in scope for scope in scopes
    )
    return (w.granted() if good and scopes else w.respond(400))(request)


async def test_quays_grammar_is_kept() -> None:
    """T-83: two parameters, never a space, never delete, no POST."""
    async with world(stored=IDENTITY_AND_LOGIN) as w:
        w.script(token=lambda request: quay(w, request))
        assert await w.ask(f"https://reg.test/v2/a/blobs/uploads/?mount={D}&from=b") == ok("tok1", 270)


async def test_unknown_actions_are_left_out_after_a_400() -> None:
    """T-83: TX-10, TX-25: an operator's ``delete`` does not cost the pull."""
    async with world(host(actions={"**": ("pull", "delete")})) as w:
        w.script(token=lambda request: quay(w, request))
        assert await w.ask(MANIFEST) == ok("tok1", 270)


async def test_library_is_never_put_into_a_scope() -> None:
    """T-84, SC-12: the scope is the path's name."""
    hub = OciHost(match="registry-1.docker.io")
    async with world(hub) as w:
        w.http.script["https://registry-1.docker.io/v2/"] = [
            w.challenge('Bearer realm="https://auth.docker.io/token",service="registry.docker.io"')
        ]
        w.http.script["https://auth.docker.io/token"] = [w.granted()]
        await w.ask("https://registry-1.docker.io/v2/ubuntu/manifests/latest")
        assert w.requests[1] == "GET /token?service=registry.docker.io&scope=repository:ubuntu:pull"


async def test_docker_hubs_names_share_a_login_but_not_a_challenge() -> None:
    """T-59, SC-13: each name is pinged separately."""
    async with world(OciHost(match="docker.io")) as w:
        challenge = w.challenge('Bearer realm="https://auth.docker.io/token",service="registry.docker.io"')
        w.http.script |= {f"https://{name}/v2/": [challenge] for name in ("index.docker.io", "registry-1.docker.io")}
        w.http.script["https://auth.docker.io/token"] = [w.granted()]
        for name in ("index.docker.io", "registry-1.docker.io"):
            w.sources["docker.io"].authority = name
            assert await w.ask(f"https://{name}/v2/library/ubuntu/manifests/x") == ok("tok1", 270)
        assert w.requests[0] == w.requests[2] == "GET /v2/"


async def test_a_token_endpoints_own_url_gets_nothing() -> None:
    """T-85, SC-15: never Basic for a realm."""
    async with world(OciHost(match="auth.docker.io")) as w:
        await nothing(w, "https://auth.docker.io/token?scope=repository:x:pull&service=registry.docker.io")


async def test_a_presigned_url_gets_nothing() -> None:
    """T-86, SC-14."""
    async with world() as w:
        await nothing(w, "https://bucket.s3.amazonaws.com/x?X-Amz-Signature=SECRET")


async def test_one_header_one_value() -> None:
    """T-87: ``World.ask`` asserts it for every answer of this file; here for the first."""
    async with world() as w:
        assert (await w.ask(MANIFEST)).authorization == "Bearer tok1"


@pytest.mark.parametrize("pair", ["u:pä€:x", "$oauthtoken:p", "ns/u@d:p", "12345|n:p"])
async def test_basic_is_utf8_and_takes_odd_user_names(pair: str) -> None:
    """T-88: NVIDIA's, Oracle's, Red Hat's."""
    username, _, password = pair.partition(":")
    async with world(stored=UserPassword(username, Secret(password))) as w:
        await w.ask(MANIFEST)
        assert w.header(1, "Authorization") == basic(pair)


@pytest.mark.parametrize("patience", [8.5])
async def test_a_short_retry_after_is_waited_for(patience: float) -> None:
    """T-92: 429 with 2 s, then 200."""
    async with world() as w:
        w.script(token=[w.respond(429, Retry_After="2"), w.granted()])
        task = asyncio.ensure_future(w.ask(MANIFEST, patience))
        await w.clock.advance(1.9)
        assert len(w.requests) == 2
        await w.clock.advance(2)
        assert (await task).authorization == "Bearer tok1"


async def test_a_long_retry_after_is_an_error_at_once_and_kept() -> None:
    """T-92: 30 s; no request before they are over."""
    async with world() as w:
        w.script(token=w.respond(429, Retry_After="30"))
        assert await w.refusal(MANIFEST) is Code.RATE_LIMITED
        await w.clock.advance(10)
        assert await w.refusal("https://reg.test/v2/other/manifests/x") is Code.RATE_LIMITED
        assert len(w.requests) == 2


async def test_a_dead_token_server_does_not_break_valid_answers() -> None:
    """T-93: inside A at once, inside M within three seconds and with the true expiry, after the end an error."""
    async with world() as w:
        await w.ask(MANIFEST)
        w.script(token=Failed(w_unavailable()))
        w.clock.suspend(235)
        assert await w.ask(MANIFEST) == ok("tok1", 270)
        await w.clock.advance(5)
        w.clock.suspend(45)
        task = asyncio.ensure_future(w.ask(MANIFEST))
        await w.clock.advance(3)
        assert await task == ok("tok1", 300)
        w.clock.suspend(20)
        task2 = asyncio.ensure_future(w.refusal(MANIFEST))
        await w.clock.advance(9)
        assert await task2 is Code.UPSTREAM_UNAVAILABLE


def w_unavailable() -> Failure:
    """Give what the client raises without an answer."""
    return Failure(Code.UPSTREAM_UNAVAILABLE, "token server 'reg.test' refused the connection")


async def test_the_first_waiter_leaves_and_the_others_are_served() -> None:
    """T-94: one request."""
    async with world() as w:
        gate = w.http.hold["https://reg.test/token"] = asyncio.Event()
        tasks = [asyncio.ensure_future(w.ask(MANIFEST)) for _ in range(10)]
        await settle()
        tasks[0].cancel()
        await settle()
        gate.set()
        assert await asyncio.gather(*tasks[1:]) == [ok("tok1", 270)] * 9
        assert len(w.requests) == 2


async def test_a_failure_is_not_kept_as_a_token() -> None:
    """T-95: the next call after the short memory asks again."""
    async with world() as w:
        w.script(token=w.respond(500))
        task = asyncio.ensure_future(w.refusal(MANIFEST))
        await w.clock.advance(10)
        assert await task is Code.UPSTREAM_UNAVAILABLE
        w.script(token=w.granted())
        assert await w.ask(MANIFEST) == ok("tok1", 270 + 10)


@pytest.mark.parametrize("port", [":443", ""])
async def test_an_explicit_default_port_is_the_same_origin(port: str) -> None:
    """T-99: Artifactory writes it."""
    async with world() as w:
        w.http.script["https://reg.test:443/token"] = [w.granted()]
        w.script(ping=w.challenge(f'Bearer realm="https://reg.test{port}/token",service="reg.test"'))
        assert await w.ask(MANIFEST) == ok("tok1", 270)


async def test_a_realm_named_twice_is_never_used() -> None:
    """T-100, CH-8: five clients would send the login to the second."""
    async with world() as w:
        w.script(ping=w.challenge('Bearer realm="https://reg.test/token",realm="https://evil/t"'))
        assert await w.refusal(MANIFEST) is Code.POISONED_CHALLENGE
        assert w.requests == ["GET /v2/"]


async def test_a_digest_may_have_its_colon_escaped() -> None:
    """T-101."""
    async with world() as w:
        await w.ask("https://reg.test/v2/a/blobs/" + D.replace(":", "%3A"))
        assert w.requests[1].endswith("scope=repository:a:pull")


async def test_a_static_realm_stands_in_for_a_missing_challenge() -> None:
    """T-102, CH-17."""
    async with world(host(realm="https://reg.test/token", service="reg.test")) as w:
        w.script(ping=w.respond(401))
        assert await w.ask(MANIFEST) == ok("tok1", 270)
    async with world() as w:
        w.script(ping=w.respond(401))
        assert await w.refusal(MANIFEST) is Code.NO_CHALLENGE


async def test_a_redirected_ping_is_refused() -> None:
    """T-104, SEC-3."""
    async with world() as w:
        w.script(ping=w.respond(301, Location="https://evil.test/v2/"))
        assert await w.refusal(MANIFEST) is Code.REDIRECT_REFUSED
        assert len(w.requests) == 1


async def test_a_registry_token_is_sent_as_it_is() -> None:
    """Section 2.1: no exchange, and no ``expires``, because its end is unknown."""
    async with world(stored=RegistryToken(Secret("finished"))) as w:
        answer = await w.ask(MANIFEST)
        assert (answer.authorization, answer.expires) == ("Bearer finished", None)
        assert w.requests == []


async def test_a_plain_secret_is_not_a_login() -> None:
    """What is stored has to fit; the error says what is missing."""
    async with world(stored=PlainSecret(Secret("key"))) as w:
        assert await w.refusal(MANIFEST) is Code.CREDENTIAL_UNREADABLE


async def test_single_scope_asks_for_the_primary_one() -> None:
    """TX-21: an old GitLab sees only the last of two."""
    async with world(host(single_scope=True)) as w:
        await w.ask(f"https://reg.test/v2/dst/blobs/uploads/?mount={D}&from=src")
        assert w.requests[1] == "GET /token?service=reg.test&scope=repository:dst:pull,push"


async def test_account_param_names_the_user_where_it_is_wanted() -> None:
    """TX-4: off by default, because URLs are logged."""
    async with world(host(account_param=True)) as w:
        await w.ask(MANIFEST)
        assert w.requests[1].endswith("&account=u")


async def test_a_password_is_posted_only_where_that_is_allowed() -> None:
    """Section 2.1: GET first for a user and password."""
    async with world(host(method="POST", allow_password_grant=True)) as w:
        await w.ask(MANIFEST)
        assert w.form(1)["grant_type"] == ["password"]
    async with world(host(method="POST")) as w:
        await w.ask(MANIFEST)
        assert w.requests[1].startswith("GET ")


async def test_acrs_refresh_token_falls_back_with_the_null_guid() -> None:
    """TX-9: ``az acr login`` stores a GUID without a password."""
    guid = "00000000-0000-0000-0000-000000000000"
    async with world(stored=IdentityToken(Secret("idt"), guid)) as w:
        w.script(token=[w.respond(400), w.granted()])
        assert await w.ask(MANIFEST) == ok("tok1", 270)
        assert w.header(2, "Authorization") == basic(f"{guid}:idt")


async def test_forget_drops_the_challenge() -> None:
    """TX-1: ``flush`` pings again."""
    async with world() as w:
        await w.ask(MANIFEST)
        w.broker.flush(None)
        await w.ask(MANIFEST)
        assert [one for one in w.requests if one == "GET /v2/"] == ["GET /v2/"] * 2


async def test_a_token_that_expired_on_its_way_is_an_error() -> None:
    """U12: measured from the moment before the request."""
    async with world() as w:

        def slow(request: Request) -> Response:
            response = w.granted(expires_in=20)(request)
            w.clock.suspend(25)
            return response

        w.script(token=slow)
        assert await w.refusal(MANIFEST) is Code.EXPIRED_ON_ARRIVAL


async def test_the_error_says_which_login_was_refused_and_never_its_value() -> None:
    """U4: source and entry."""
    async with world() as w:
        w.script(token=w.respond(401, b"wrong password p"))
        with pytest.raises(Failed) as caught:
            await w.ask(MANIFEST)
        failure = caught.value.failure
        assert failure.message == "token server 'reg.test' refused the login from docker-config:reg.test"
        assert failure.hint.startswith("docker login reg.test")


async def test_stored_gives_the_login_for_the_docker_protocol() -> None:
    """The docker helper protocol hands out what is stored; a finished token is not a login."""
    async with world() as w:
        assert await w.provider.stored(target()) == UserPassword("u", Secret("p"))
        w.sources["reg.test"].stored = RegistryToken(Secret("x"))
        assert await w.provider.stored(target()) is None


def target() -> Target:
    """Give reg.test as a bare host."""
    return parse_uri("reg.test")


async def test_the_fake_source_is_read_only_inside_a_flight() -> None:
    """P-1: a plan reads no secret."""
    async with world() as w:
        source: FakeSource = w.sources["reg.test"]
        await w.provider.plan(question())
        assert source.reads == 0


def question() -> Question:
    """Give a question about the manifest."""
    return Question(parse_uri(MANIFEST), Caller("helper", 0))


def registry(status: int = 200, body: object = None, *, asks: str = BEARER, ping: int = 401) -> Setting:
    """A registry and its token server, for the checks of tests/contract.py."""
    content = json.dumps({"token": ISSUED, "expires_in": 300} if body is None else body).encode()

    def setting(ground: Ground) -> None:
        now, wall = ground.clock.boot(), ground.clock.wall()
        challenge = Response(ping, (("WWW-Authenticate", asks),), b"", now, wall, "127.0.0.2")
        token = Response(status, (("Location", f"https://evil.test/?t={ISSUED}"),), content, now, wall, "127.0.0.2")
        ground.http.script = {"https://reg.test/v2/": [challenge], "https://reg.test/token": [token]}

    return setting


LEAKY = {"errors": [{"code": "DENIED", "message": f"{CANARY} {ISSUED}"}]}
CONTRACTS = {
    "oci": ProviderContract(
        host(),
        f"{MANIFEST}?sig={SIGNED}",
        f"https://{HOST}/v2/a/b/blobs/{D}",
        granted=registry(),
        faults=(
            *(registry(status, LEAKY) for status in (307, 400, 401, 403, 404, 429, 500, 503)),
            *(registry(200, body) for body in (LEAKY, [ISSUED], {"token": f"{ISSUED}\r\n"}, {"token": ""})),
            registry(asks=f'Bearer realm="https://evil.test/{ISSUED}"'),
            registry(asks="Negotiate"),
            registry(ping=500),
        ),
        narrow=frozenset({Repository}),
    )
}
