"""The same registry, asked by the gateway: with any login, for what policy granted, and without one if necessary."""

import pytest

from credproxy.broker.era import GatewayAnswer
from credproxy.core.ask.credential import Caller, IdentityToken, RegistryToken, Secret, Stored, UserPassword
from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import Origin, RepositoryName
from credproxy.core.ask.target import Form, Granted, Question, Repository, Target
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.oci import BareHost, OciHost
from credproxy.providers.learned import Learned
from credproxy.providers.oci import OciProvider
from tests.fakes import FakeClock, FakeHttp, FakeSource
from tests.registry_world import World, basic, world


PULL: tuple[Granted, ...] = (Repository(RepositoryName("app"), ("pull",)),)
PUSH: tuple[Granted, ...] = (Repository(RepositoryName("app"), ("pull", "push")),)


def question(grants: tuple[Granted, ...] = PULL, host: str = "reg.test", port: int | None = None) -> Question:
    """A gateway question."""
    target = Target("https", host, port, "/v2/app/blobs/x", "", Form.URL)
    return Question(target, Caller("gateway", 0), grants, for_gateway=True)


async def ask_for_gateway(w: World, grants: tuple[Granted, ...] = PULL) -> GatewayAnswer:
    """Ask as the gateway does."""
    return await w.broker.ask_for_gateway(question(grants), 8.5)


def authorization(given: GatewayAnswer) -> str | None:
    """What it sends."""
    found = given.answer.headers
    return found[0][1][0].reveal() if found else None


async def test_a_token_for_what_policy_granted_and_no_more() -> None:
    """Least of all what the host's own rule would add (SEC-16)."""
    rule = OciHost(match="reg.test", actions={"app": ("pull", "push")}, bare_host=BareHost(("repository:other:pull",)))
    async with world(rule) as w:
        assert authorization(await ask_for_gateway(w)) == "Bearer tok1"
        assert w.requests[-1].endswith("scope=repository:app:pull")
        await ask_for_gateway(w, (*PUSH, Repository(RepositoryName("base"), ("pull",))))
        assert w.requests[-1].endswith("scope=repository:app:pull,push&scope=repository:base:pull")
        await ask_for_gateway(w, (Repository(RepositoryName("app"), ("pull", "delete")),))
        assert w.requests[-1].endswith(("scope=repository:app:delete,pull", "scope=repository:app:pull,delete"))


async def test_a_wide_token_of_the_gateway_is_never_an_actions() -> None:
    """T12, T13: the same grant, the other socket: it is exchanged again, judged, and refused."""
    async with world(stored=RegistryToken(Secret("wide"))) as w:
        assert authorization(await ask_for_gateway(w)) == "Bearer wide"
        assert await w.refusal("https://reg.test/v2/app/blobs/sha256:" + "a" * 64, PULL) is Code.USE_GATEWAY
        assert authorization(await ask_for_gateway(w)) == "Bearer wide"


async def test_a_narrow_token_is_not_shared_either() -> None:
    """SEC-16, in both orders."""
    async with world() as w:
        w.script(token=[w.granted("one"), w.granted("two")])
        assert authorization(await ask_for_gateway(w)) == "Bearer one"
        uri = "https://reg.test/v2/app/blobs/sha256:" + "a" * 64
        assert (await w.ask(uri, grants=PULL)).authorization == "Bearer two"
        assert authorization(await ask_for_gateway(w)) == "Bearer one"


@pytest.mark.parametrize(
    ("stored", "ping", "expected"),
    [
        pytest.param(UserPassword("u", Secret("p")), 'Basic realm="x"', basic("u:p"), id="basic"),
        pytest.param(RegistryToken(Secret("t")), 'Basic realm="x"', "Bearer t", id="registry token"),
        pytest.param(IdentityToken(Secret("t")), 'Basic realm="x"', None, id="basic, and only a refresh token"),
    ],
)
async def test_whatever_login_there_is(stored: Stored, ping: str, expected: str | None) -> None:
    """T13: it stays inside."""
    async with world(stored=stored) as w:
        w.script(ping=w.challenge(ping))
        assert authorization(await ask_for_gateway(w)) == expected


async def test_basic_that_was_switched_off_stays_off() -> None:
    """``allow_basic = false`` is about the registry's connection, for every caller."""
    async with world(OciHost(match="reg.test", allow_basic=False)) as w:
        w.script(ping=w.challenge('Basic realm="x"'))
        assert authorization(await ask_for_gateway(w)) is None


async def test_an_anonymous_token_if_there_is_no_login() -> None:
    """Docker Hub gives one for public images; without one everything is a 401."""
    async with world(stored=None) as w:
        w.script(token=w.granted("public"))
        assert authorization(await ask_for_gateway(w)) == "Bearer public"
        assert w.header(-1, "Authorization") is None


async def test_an_open_registry_needs_none() -> None:
    """200 to the ping."""
    async with world(stored=None) as w:
        w.script(ping=w.respond(200))
        assert authorization(await ask_for_gateway(w)) is None


async def test_a_rule_that_is_not_the_last_leaves_it_to_the_next() -> None:
    """Docker's configuration is asked before netrc, and only then a request is anonymous."""
    nowhere = FakeSource("elsewhere", None)
    provider = OciProvider(
        OciHost(match=""),
        exact=True,
        source=nowhere,
        http=FakeHttp(),
        clock=FakeClock(),
        learned=Learned(b"key"),
        last=False,
    )
    assert await provider.plan(question()) is None


async def test_anonymity_is_the_gateways_alone() -> None:
    """The helper's and the actions' own questions get ``{}`` as before."""
    async with world(stored=None) as w:
        uri = "https://reg.test/v2/app/blobs/sha256:" + "a" * 64
        assert (await w.ask(uri)).authorization is None
        assert (await w.ask(uri, grants=PULL)).authorization is None
        assert w.requests == []


@pytest.mark.parametrize(
    ("rule", "host", "port", "expected"),
    [
        (
            OciHost(match="reg.test"),
            "reg.test",
            None,
            Reach(Origin("https://reg.test"), Dial(own=True, certs_d="reg.test")),
        ),
        (OciHost(match="reg.test", insecure=True), "reg.test", None, Reach(Origin("http://reg.test"), Dial(own=True))),
        (OciHost(match="reg.test", insecure=True), "reg.test", 80, Reach(Origin("http://reg.test"), Dial(own=True))),
        (
            OciHost(match="docker.io"),
            "docker.io",
            None,
            Reach(Origin("https://registry-1.docker.io"), Dial(own=True, certs_d="docker.io")),
        ),
        (
            OciHost(match="docker.io"),
            "index.docker.io",
            None,
            Reach(Origin("https://index.docker.io"), Dial(own=True, certs_d="index.docker.io")),
        ),
        (
            OciHost(match="reg.test", client_cert="/c", client_key="/k"),
            "reg.test",
            None,
            Reach(Origin("https://reg.test"), Dial(own=True, client_cert="/c", client_key="/k")),
        ),
        (
            OciHost(match="reg.test", allow_private=("10.0.0.0/8",), ca_bundle="/x", proxy="http://p:1"),
            "reg.test",
            5000,
            Reach(
                Origin("https://reg.test:5000"),
                Dial(networks=("10.0.0.0/8",), own=True, ca_bundle="/x", proxy="http://p:1"),
            ),
        ),
    ],
)
async def test_where_its_requests_go(rule: OciHost, host: str, port: int | None, expected: Reach) -> None:
    """TX-2, RQ-2: the same address, dial guard, authorities and proxy as for the exchange itself."""
    source = FakeSource(host if port is None else f"{host}:{port}", UserPassword("u", Secret("p")))
    learned = Learned(b"key")
    provider = OciProvider(rule, exact=True, source=source, http=FakeHttp(), clock=FakeClock(), learned=learned)
    plan = await provider.plan(question(host=host, port=port))
    assert plan is not None
    assert (plan.reach, plan.narrow) == (expected, False)


async def test_a_login_that_is_refused_is_an_error_and_not_an_anonymous_try() -> None:
    """Otherwise a private image would be "not found"."""
    async with world() as w:
        w.script(token=w.respond(401))
        with pytest.raises(Failed) as caught:
            await ask_for_gateway(w)
        assert caught.value.failure.code is Code.BAD_CREDENTIALS
