"""What upstreams taught belongs to the process: it survives a reload, but not a flush; it is bounded, and keeps everything separate."""

import asyncio

import pytest

from credproxy.core.ask.credential import Identity, IdentityToken, Secret
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code
from credproxy.core.kinds.oci import OciHost
from credproxy.exchange.discovery import AskedRegistry, Asks, Found
from credproxy.providers.learned import Learned
from tests.fakes import settle
from tests.registry_world import World, ok, world


MANIFEST = "https://reg.test/v2/a/b/manifests/latest"
OTHER = "https://reg.test/v2/c/manifests/x"
IDENTITY = IdentityToken(Secret("idt"))
FOUND = Found(Asks.BEARER, "https://auth.test/token?x=1", "auth.test", "s")


def spent(w: World) -> list[str]:
    """Give the refresh tokens that were sent, in order."""
    forms = [w.form(index) for index, one in enumerate(w.http.requests) if one.method == "POST"]
    return [form["refresh_token"][0] for form in forms]


def rotating(w: World) -> None:
    """Let the token server take each refresh token once, and give the next one: r1, r2, ..."""
    count = 0

    def answer(request: Request) -> Response:
        nonlocal count
        wanted = f"r{count}" if count else "idt"
        assert request.body is not None
        if f"refresh_token={wanted}&" not in request.body.reveal():
            return w.respond(401)(request)
        count += 1
        return w.granted(f"tok{count}", refresh_token=f"r{count}")(request)

    w.script(token=answer)


async def test_a_reload_does_not_ping_again_or_spend_a_refresh_token_twice() -> None:
    """Only the rotated refresh token is valid: sending the spent one would lose the login."""
    async with world(stored=IDENTITY) as w:
        rotating(w)
        await w.ask(MANIFEST)
        w.reload()
        assert await w.ask(MANIFEST) == ok("tok2", 270)
        assert spent(w) == ["idt", "r1"]
        assert w.requests.count("GET /v2/") == 1


async def test_a_flush_forgets_it() -> None:
    """After ``credproxy flush`` everything starts again: with a ping, and the stored login."""
    async with world(stored=IDENTITY) as w:
        w.script(token=[w.granted("a", refresh_token="new"), w.granted("b")])
        await w.ask(MANIFEST)
        w.broker.flush()
        await w.ask(MANIFEST)
        assert spent(w) == ["idt", "idt"]
        assert w.requests.count("GET /v2/") == 2


@pytest.mark.parametrize(("match", "pings"), [("other.test", 1), ("reg.test", 2), ("*.test", 2)])
async def test_the_flush_of_one_host_leaves_what_others_taught(match: str, pings: int) -> None:
    """Otherwise flushing one registry would lose the login to another one."""
    async with world(stored=IDENTITY) as w:
        rotating(w)
        await w.ask(MANIFEST)
        w.broker.flush(match)
        if pings == 1:
            assert await w.ask(OTHER) == ok("tok2", 270)
        else:
            assert await w.refusal(OTHER) is Code.BAD_CREDENTIALS
        assert w.requests.count("GET /v2/") == pings


@pytest.mark.parametrize(
    "changed",
    [
        OciHost(match="reg.test", realm="https://reg.test/token"),
        OciHost(match="reg.test", service="other"),
        OciHost(match="reg.test", realm_hosts=("auth.test",)),
        OciHost(match="reg.test", allow_private=("10.0.0.0/8",)),
        OciHost(match="reg.test", ca_bundle="/ca.pem"),
        OciHost(match="reg.test", proxy="http://proxy:3128"),
    ],
)
async def test_settings_that_a_challenge_depends_on_are_not_answered_from_the_old_ones(changed: OciHost) -> None:
    """After such a reload the registry is asked again."""
    async with world() as w:
        await w.ask(MANIFEST)
        w.reload(changed)
        await w.ask(MANIFEST)
        assert w.requests.count("GET /v2/") == 2


async def test_settings_that_have_nothing_to_do_with_it_cost_no_ping() -> None:
    """Such as the requested scopes."""
    async with world() as w:
        await w.ask(MANIFEST)
        w.reload(OciHost(match="reg.test", actions={"**": ("pull", "push")}))
        await w.ask(MANIFEST)
        assert w.requests.count("GET /v2/") == 1


async def test_a_new_login_takes_the_place_of_what_the_old_one_became() -> None:
    """``docker login`` stores another refresh token: the rotated successor of the old one is not sent again."""
    async with world(stored=IDENTITY) as w:
        w.script(token=[w.granted("a", refresh_token="rotated"), w.granted("b")])
        await w.ask(MANIFEST)
        w.sources["reg.test"].stored = IdentityToken(Secret("new login"))
        w.sources["reg.test"].identity = Identity("docker-config", "reg.test", 2)
        await w.ask(MANIFEST)
        assert spent(w) == ["idt", "new login"]


async def test_a_login_to_another_registry_does_not_bring_the_spent_token_back() -> None:
    """It rewrites the same file, which changes this entry's version, but not this entry."""
    async with world(stored=IDENTITY) as w:
        rotating(w)
        await w.ask(MANIFEST)
        w.sources["reg.test"].identity = Identity("docker-config", "reg.test", 2)
        assert await w.ask(MANIFEST) == ok("tok2", 270)
        assert spent(w) == ["idt", "r1"]


async def test_forty_repositories_spend_no_refresh_token_twice() -> None:
    """Whether a server rotates is known after its first answer; then exchanges with it run one at a time."""
    async with world(stored=IDENTITY) as w:
        rotating(w)
        gate = w.http.hold["https://reg.test/token"] = asyncio.Event()
        asking = [asyncio.ensure_future(w.ask(f"https://reg.test/v2/r{n}/manifests/x")) for n in range(10)]
        await settle()
        gate.set()
        answers = await asyncio.gather(*asking)
        assert spent(w) == ["idt", *(f"r{n}" for n in range(1, 10))]
        assert len({answer.authorization for answer in answers}) == 10


async def test_a_server_that_does_not_rotate_is_asked_by_all_at_once() -> None:
    """After its first answer exchanges do not wait for one another."""
    async with world(stored=IDENTITY) as w:
        await w.ask(MANIFEST)
        gate = w.http.hold["https://reg.test/token"] = asyncio.Event()
        asking = [asyncio.ensure_future(w.ask(f"https://reg.test/v2/r{n}/manifests/x")) for n in range(10)]
        await settle()
        assert len(spent(w)) == 11
        gate.set()
        await asyncio.gather(*asking)


async def test_a_server_that_begins_to_rotate_between_two_exchanges_costs_neither() -> None:
    """The second one finds its token spent, and uses the newer one from the first."""
    async with world(stored=IDENTITY) as w:
        await w.ask(MANIFEST)
        w.script(token=[w.granted("a", refresh_token="new"), w.respond(401), w.granted("b")])
        gate = w.http.hold["https://reg.test/token"] = asyncio.Event()
        asking = [asyncio.ensure_future(w.ask(f"https://reg.test/v2/r{n}/manifests/x")) for n in range(2)]
        await settle()
        gate.set()
        assert await asyncio.gather(*asking) == [ok("a", 270), ok("b", 270)]
        assert spent(w) == ["idt", "idt", "idt", "new"]
        await w.ask("https://reg.test/v2/r2/manifests/x")
        assert spent(w)[-1] == "new"


def test_it_is_bounded() -> None:
    """A wildcard rule may match any number of names, and a login may be stored any number of times."""
    learned = Learned(b"key")
    first = learned.registry(AskedRegistry(parse_uri("r0.test")))
    one = learned.rotation(FOUND, Secret("0"), registry="r0.test")
    for number in range(1, 1200):
        learned.registry(AskedRegistry(parse_uri(f"r{number}.test")))
        learned.rotation(FOUND, Secret(str(number)), registry="reg.test")
    assert learned.registry(AskedRegistry(parse_uri("r0.test"))) is not first
    assert learned.rotation(FOUND, Secret("0"), registry="r0.test") is not one
    assert learned.rotation(FOUND, Secret("1199"), registry="reg.test") is learned.rotation(
        FOUND, Secret("1199"), registry="reg.test"
    )


def test_each_token_server_and_each_stored_token_has_its_own() -> None:
    """A token that one server rotated is not used for another; the query of an endpoint does not matter."""
    learned = Learned(b"key")
    one = learned.rotation(FOUND, Secret("a"), registry="reg.test")
    assert (
        learned.rotation(Found(Asks.BEARER, "https://auth.test/token", "auth.test", "s"), Secret("a"), registry="x")
        is one
    )
    for found, token in [
        (Found(Asks.BEARER, "https://auth.test/other", "auth.test", "s"), "a"),
        (Found(Asks.BEARER, "https://auth.test/token", "auth.test", "t"), "a"),
        (FOUND, "b"),
    ]:
        assert learned.rotation(found, Secret(token), registry="reg.test") is not one


def test_it_shows_no_refresh_token() -> None:
    """SEC-11."""
    learned = Learned(b"key")
    rotation = learned.rotation(FOUND, Secret("canary"), registry="reg.test")
    rotation.note(Secret("canary"), Secret("canary too"))
    assert rotation.token == Secret("canary too")
    assert "canary" not in f"{rotation!r}{learned!r}{vars(learned)!r}"
