"""What is remembered about a registry, for how long and for which caller; and the rare token requests."""

import asyncio

import pytest
import structlog

from credproxy.core.ask.credential import Identity, IdentityToken, Secret, UserPassword
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Repository
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.oci import BareHost, OciHost
from tests.fakes import settle
from tests.registry_world import BEARER, World, ok, world


MANIFEST = "https://reg.test/v2/a/b/manifests/latest"
IDENTITY = IdentityToken(Secret("idt"))
BOTH = IdentityToken(Secret("idt"), "u", Secret("p"))


def host(**keys: object) -> OciHost:
    """Give the rule of reg.test with these keys."""
    return OciHost(match="reg.test", **keys)  # type: ignore[arg-type]  # a test's keys are any of them


def methods(made: World) -> list[str]:
    """Give the methods of what was sent."""
    return [one.method for one in made.http.requests]


async def test_docker_io_is_asked_where_its_api_is() -> None:
    """TX-2: ``docker.io`` itself has none."""
    async with world(OciHost(match="docker.io")) as w:
        line = 'Bearer realm="https://auth.docker.io/token",service="registry.docker.io"'
        w.http.script["https://registry-1.docker.io/v2/"] = [w.challenge(line)]
        w.http.script["https://auth.docker.io/token"] = [w.granted()]
        assert await w.ask("https://docker.io/v2/library/a/manifests/x") == ok("tok1", 270)


async def test_an_open_repository_says_nothing_of_the_next_one() -> None:
    """TX-3: if the ping is open, one repository may be public and another private."""
    async with world() as w:
        w.script(ping=w.respond(200))
        w.http.script["https://reg.test/v2/public/tags/list"] = [w.respond(200, {})]
        w.http.script["https://reg.test/v2/private/tags/list"] = [w.challenge(BEARER)]
        assert (await w.ask("https://reg.test/v2/public/manifests/x")).authorization is None
        assert await w.ask("https://reg.test/v2/private/manifests/x") == ok("tok1", 270)


async def test_a_login_after_an_open_ping_is_seen_at_once() -> None:
    """TX-3: A login must take effect within ten seconds, and not after the hour of a challenge."""
    async with world(host(anonymous="pull"), stored=None) as w:
        w.script(ping=w.respond(200))
        assert (await w.ask(MANIFEST)).authorization is None
        w.http.script["https://reg.test/v2/a/b/tags/list"] = [w.challenge(BEARER)]
        w.sources["reg.test"].authority, w.sources["reg.test"].stored = "reg.test", UserPassword("u", Secret("p"))
        assert await w.ask(MANIFEST) == ok("tok1", 270)


async def test_a_repository_that_is_yet_to_be_pushed_needs_no_login_either() -> None:
    """TX-3: an open registry answers 404 to the second look."""
    async with world() as w:
        w.script(ping=w.respond(200))
        w.http.script["https://reg.test/v2/a/b/tags/list"] = [w.respond(404)]
        assert (await w.ask(MANIFEST)).authorization is None


async def test_many_repositories_at_once_are_one_ping() -> None:
    """TX-1: the challenge is the registry's; each repository has its own token."""
    async with world() as w:
        await asyncio.gather(*(w.ask(f"https://reg.test/v2/r{n}/manifests/x") for n in range(10)))
        assert w.requests.count("GET /v2/") == 1
        assert len(w.requests) == 11


async def test_waiters_of_a_failed_ping_share_its_failure() -> None:
    """Otherwise ten flights would fail one after another, each with all its attempts."""
    async with world() as w:
        gate = w.http.hold["https://reg.test/v2/"] = asyncio.Event()
        w.script(ping=w.respond(404))
        tasks = [asyncio.ensure_future(w.refusal(f"https://reg.test/v2/r{n}/manifests/x")) for n in range(10)]
        await settle()
        gate.set()
        assert await asyncio.gather(*tasks) == [Code.NO_CHALLENGE] * 10
        assert w.requests == ["GET /v2/"]
        await w.refusal("https://reg.test/v2/later/manifests/x")
        assert len(w.requests) == 2


async def test_a_waiter_with_more_patience_than_the_failed_ping_retries() -> None:
    """Only a caller in a hurry fails; the registry is back while the others still wait."""
    async with world() as w:
        w.script(ping=[*[w.respond(503)] * 2, w.challenge(BEARER)])
        hasty = asyncio.ensure_future(w.ask("https://reg.test/v2/hasty/manifests/x", patience=0.5))
        await settle()
        patient = asyncio.ensure_future(w.ask(MANIFEST))
        await w.clock.advance(2)
        assert (await patient).authorization is not None
        with pytest.raises(Failed) as caught:
            await hasty
        assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE


async def test_a_ping_of_actions_that_hangs_is_not_waited_for_by_the_user() -> None:
    """T16: the answer would be the same, but each side pings by itself; what one has learned serves the other."""
    async with world() as w:
        gate = w.http.hold["https://reg.test/v2/"] = asyncio.Event()
        hanging = asyncio.ensure_future(w.ask(MANIFEST, grants=(Repository(RepositoryName("a/b"), ("pull",)),)))
        await settle()
        w.http.hold["https://reg.test/v2/"] = asyncio.Event()
        w.http.hold["https://reg.test/v2/"].set()
        assert (await w.ask(MANIFEST)).authorization is not None
        assert w.requests.count("GET /v2/") == 2
        gate.set()
        await hanging
        assert w.requests.count("GET /v2/") == 2


async def test_a_method_learned_for_refresh_tokens_is_not_used_for_passwords() -> None:
    """TX-9: a user and password goes by GET first."""
    async with world(host(allow_password_grant=True), stored=IDENTITY) as w:
        await w.ask(MANIFEST)
        w.sources["reg.test"].stored = UserPassword("u", Secret("p"))
        w.sources["reg.test"].identity = Identity("docker-config", "reg.test", 2)
        await w.ask(MANIFEST)
        assert methods(w) == ["GET", "POST", "GET"]


@pytest.mark.parametrize("status", [404, 405])
async def test_a_password_is_posted_where_get_is_unknown_and_that_is_allowed(status: int) -> None:
    """Section 2.1: 404/405 to the GET, ``allow_password_grant = true``; it is remembered."""
    async with world(host(allow_password_grant=True)) as w:
        w.script(token=[w.respond(status), w.granted()])
        assert await w.ask(MANIFEST) == ok("tok1", 270)
        await w.ask("https://reg.test/v2/c/manifests/x")
        assert methods(w) == ["GET", "GET", "POST", "POST"]


async def test_a_password_is_not_posted_where_that_is_not_allowed() -> None:
    """Section 2.1."""
    async with world() as w:
        w.script(token=w.respond(405))
        assert await w.refusal(MANIFEST) is Code.NO_CHALLENGE
        assert methods(w) == ["GET", "GET"]


async def test_a_fixed_method_is_not_replaced() -> None:
    """RQ-2: an operator who fixes POST may not want the password in a GET."""
    async with world(host(method="POST"), stored=BOTH) as w:
        w.script(token=w.respond(405))
        assert await w.refusal(MANIFEST) is Code.NO_CHALLENGE
        assert methods(w) == ["GET", "POST"]


async def test_a_refused_push_falls_back_to_pull_by_post_as_well() -> None:
    """TX-10: the status is the token endpoint's, whichever the method."""
    async with world(host(actions={"**": ("pull", "push")}), stored=IDENTITY) as w:
        w.script(token=[w.respond(403), w.granted()])
        assert await w.ask(MANIFEST) == ok("tok1", 270)
        assert w.form(2)["scope"] == ["repository:a/b:pull"]


async def test_a_success_other_than_200_is_not_a_token() -> None:
    """TX-7: 200 only."""
    async with world() as w:
        w.script(token=w.respond(204))
        assert await w.refusal(MANIFEST) is Code.BAD_TOKEN


async def test_a_refresh_token_that_is_over_is_a_bad_login() -> None:
    """U4, RFC 6749 section 5.2: 400 invalid_grant."""
    async with world(stored=IDENTITY) as w:
        w.script(token=w.respond(400, {"error": "invalid_grant"}))
        assert await w.refusal(MANIFEST) is Code.BAD_CREDENTIALS


async def test_a_refused_rotated_token_gives_way_to_the_stored_one() -> None:
    """TX-13: else a login would stay broken until its file changes."""
    async with world(stored=IDENTITY) as w:
        w.script(token=[w.granted("a", refresh_token="new"), w.respond(401), w.granted("c")])
        await w.ask(MANIFEST)
        assert await w.refusal("https://reg.test/v2/c/manifests/x") is Code.BAD_CREDENTIALS
        await w.ask("https://reg.test/v2/d/manifests/x")
        assert [w.form(index)["refresh_token"] for index in (1, 2, 3)] == [["idt"], ["new"], ["idt"]]


@pytest.mark.parametrize("realm", ["https://AUTH.test/token", "https://auth.test:443/token", "https://10.0.0.6/token"])
async def test_a_configured_realm_needs_no_pair_however_it_is_spelled(realm: str) -> None:
    """CH-17: it is the operator's own word."""
    async with world(host(realm=realm, service="s")) as w:
        w.http.script |= {"https://auth.test/": [w.granted()], "https://10.0.0.6/": [w.granted()]}
        w.script(ping=w.respond(401))
        assert await w.ask(MANIFEST) == ok("tok1", 270)


@pytest.mark.parametrize("listed", ["AUTH.test", "auth.test:443", "auth.test."])
async def test_realm_hosts_are_compared_in_canonical_form(listed: str) -> None:
    """SEC-R: the list as much as the realm."""
    async with world(host(realm_hosts=(listed,))) as w:
        w.http.script["https://auth.test/"] = [w.granted()]
        w.script(ping=w.challenge('Bearer realm="https://auth.test/t"'))
        assert await w.ask(MANIFEST) == ok("tok1", 270)


async def test_a_bare_host_of_an_insecure_rule_means_plain_http() -> None:
    """SC-4."""
    async with world(host(insecure=True, bare_host=BareHost(scopes=("repository:a:pull",)))) as w:
        w.http.script["http://reg.test/v2/"] = [w.challenge('Bearer realm="http://reg.test/token"')]
        w.http.script["http://reg.test/token"] = [w.granted()]
        assert await w.ask("reg.test") == ok("tok1", 270)


async def test_a_token_that_lives_too_short_is_asked_for_once_a_minute() -> None:
    """T-37, SC-18: below ``min_lifetime`` the broker asks again, and would with every question."""
    async with world(host(bare_host=BareHost(scopes=("repository:a:pull",)))) as w:
        w.script(token=w.granted(expires_in=120))
        with structlog.testing.capture_logs() as events:
            await w.ask("reg.test")
        assert [one["log_level"] for one in events if one["event"] == "no credential for a bare host"] == ["warning"]
        await w.clock.advance(50)
        assert (await w.ask("reg.test")).authorization is None
        assert len(w.requests) == 2
        await w.clock.advance(20)
        await w.ask("reg.test")
        assert len(w.requests) == 3


async def test_a_realm_that_changes_is_reported() -> None:
    """SEC-R: it is judged again, and a warning names both."""
    async with world(host(realm_hosts=("auth.test",))) as w:
        await w.ask(MANIFEST)
        w.http.script["https://auth.test/"] = [w.granted()]
        w.script(ping=w.challenge('Bearer realm="https://auth.test/t"'))
        w.clock.suspend(3700)
        with structlog.testing.capture_logs() as events:
            await w.ask(MANIFEST)
        told = [one for one in events if one["event"] == "token server changed"]
        assert [(one["before"], one["now"], one["log_level"]) for one in told] == [("reg.test", "auth.test", "warning")]


async def test_unchecked_certificates_are_reported() -> None:
    """RQ-2: ``tls_verify = false`` is loudly logged."""
    with structlog.testing.capture_logs() as events:
        async with world(host(tls_verify=False)):
            pass
    assert [one["log_level"] for one in events if one["event"] == "certificates are not checked"] == ["warning"]


async def test_after_a_lost_answer_the_store_is_read_again_and_nothing_is_sent_twice() -> None:
    """U14: whether the refresh token was spent is not known: it is sent once, and the next try uses what is stored then."""
    async with world(stored=IDENTITY) as w:
        w.script(token=[failed(Code.UPSTREAM_UNAVAILABLE, "closed the connection without an answer"), w.granted()])
        assert await w.refusal(MANIFEST) is Code.UPSTREAM_UNAVAILABLE
        assert methods(w) == ["GET", "POST"]
        w.sources["reg.test"].stored = IdentityToken(Secret("rotated"))
        await w.clock.advance(2)
        assert await w.ask(MANIFEST) == ok("tok1", 272)
        assert [w.form(index)["refresh_token"] for index in (1, 2)] == [["idt"], ["rotated"]]
        assert w.sources["reg.test"].reads == 2
