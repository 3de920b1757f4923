"""Remote caches: each service's key in its own header, one answer for all URIs of a host, and never another service's key."""

import re
from pathlib import Path

import pytest

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import Caller, Grant, IdentityToken, PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.parse import load
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.remoteapis import RemoteapisHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.login import LoginSource
from credproxy.daemon.build import World, build_table
from credproxy.providers.dressed import Dressed
from credproxy.providers.learned import Learned
from tests.broker.world import question
from tests.contract import CANARY, HOST, ProviderContract
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeProcesses, FakeSigner, FakeSource, FixedTerms
from tests.hints import filled


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "providers" / "remoteapis.md"
KEY = PlainSecret(Secret("k"))
LOGIN = UserPassword("build", Secret("k"))
SERVICES = [
    "build.bazel.remote.execution.v2.Capabilities",
    "build.bazel.remote.execution.v2.Execution",
    "build.bazel.remote.execution.v2.Capabilities/GetCapabilities",
    "google.bytestream.ByteStream",
    "google.devtools.build.v1.PublishBuildEvent",
]


def provider(rule: RemoteapisHost, stored: Stored | None) -> Dressed:
    """The provider of a rule."""
    return Dressed(rule, source=FakeSource(rule.host.lower(), stored), clock=FakeClock())


async def granted(rule: RemoteapisHost, stored: Stored, uri: str = "") -> Grant:
    """What is given for a URI of the rule's host."""
    plan = await provider(rule, stored).plan(question(uri or f"https://{rule.host}/"))
    assert plan is not None
    assert not plan.narrow
    return await plan.run(FixedTerms())


def shown(grant: Grant) -> list[tuple[str, str]]:
    """Its headers."""
    return [(name, value.reveal()) for name, values in grant.headers for value in values]


def machine(environ: dict[str, str]) -> World:
    """A daemon's environment."""
    return World(
        environ={"HOME": "/home/u", **environ},
        uid=1000,
        clock=FakeClock(),
        http=FakeHttp(),
        processes=FakeProcesses(),
        files=FakeFiles(),
        signer=FakeSigner(),
        learned=Learned(b"k"),
    )


@pytest.mark.parametrize(
    ("rule", "stored", "wanted"),
    [
        (RemoteapisHost("remote.buildbuddy.io"), KEY, ("x-buildbuddy-api-key", "k")),
        (RemoteapisHost("ACME.BuildBuddy.io:443"), KEY, ("x-buildbuddy-api-key", "k")),
        (RemoteapisHost("remote.buildbuddy.io"), LOGIN, ("x-buildbuddy-api-key", "k")),
        (RemoteapisHost("evilbuildbuddy.io"), KEY, ("Authorization", "Bearer k")),
        (RemoteapisHost("cas-acme.build-faster.nativelink.net"), KEY, ("x-nativelink-api-key", "k")),
        (RemoteapisHost("acme.cluster.engflow.com"), KEY, ("Authorization", "Bearer k")),
        (RemoteapisHost("barn.test:8980"), LOGIN, ("Authorization", basic(LOGIN).reveal())),
        (RemoteapisHost("barn.test", header="x-key"), LOGIN, ("x-key", "k")),
        (RemoteapisHost("barn.test", header="x-key", prefix="Token "), KEY, ("x-key", "Token k")),
        (RemoteapisHost("barn.test", prefix="Token "), LOGIN, ("Authorization", "Token k")),
        (RemoteapisHost("barn.test", header="authorization"), KEY, ("authorization", "Bearer k")),
        (RemoteapisHost("remote.buildbuddy.io", header="Authorization"), KEY, ("Authorization", "Bearer k")),
    ],
    ids=str,
)
async def test_each_service_has_its_header(rule: RemoteapisHost, stored: Stored, wanted: tuple[str, str]) -> None:
    """A header that the rule names takes precedence over the one for the host."""
    assert shown(await granted(rule, stored)) == [wanted]


async def test_every_uri_of_a_host_has_one_answer() -> None:
    """Bazel asks about each service, siso about each method, rules_img about the bare host: one key, fetched once."""
    one = provider(RemoteapisHost("remote.buildbuddy.io"), KEY)
    uris = ["remote.buildbuddy.io", "grpcs://remote.buildbuddy.io", "https://remote.buildbuddy.io:443/cache/x"]
    plans = [await one.plan(question(uri)) for uri in (*uris, *(f"https://remote.buildbuddy.io/{s}" for s in SERVICES))]
    assert len({plan.key for plan in plans if plan is not None}) == 1
    assert None not in plans


async def test_a_signed_url_gets_nothing() -> None:
    """It carries its authorisation itself."""
    one = provider(RemoteapisHost("cache.test"), KEY)
    assert await one.plan(question("https://cache.test/x?X-Amz-Signature=0")) is None


@pytest.mark.parametrize(
    ("stored", "what"),
    [(IdentityToken(Secret(CANARY)), "not a key of a remote cache"), (PlainSecret(Secret("null")), "null")],
)
async def test_what_is_not_a_key_is_reported(stored: Stored, what: str) -> None:
    """And the hint makes it one."""
    with pytest.raises(Failed, match=what) as caught:
        await granted(RemoteapisHost("cache.test"), stored)
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert CANARY not in str(caught.value)
    assert filled(caught.value.failure.hint, "store the key of the remote cache in its place") == ()
    assert (await granted(RemoteapisHost("cache.test"), KEY)).headers


@pytest.mark.parametrize("name", ["x-key-bin", "x key", ""])
def test_a_header_that_grpc_cannot_send_is_a_mistake(name: str) -> None:
    """Bazel would answer UNAUTHENTICATED, which says nothing."""
    assert [path for path, _ in RemoteapisHost("cache.test", header=name).problems()] == [("header",)]


@pytest.mark.parametrize(
    ("match", "wanted"),
    [
        ("remote.buildbuddy.io", (LoginSource(), EnvSource("BUILDBUDDY_API_KEY"))),
        ("*.buildbuddy.io", (LoginSource(), EnvSource("BUILDBUDDY_API_KEY"))),
        ("cache.test", (LoginSource(),)),
        ("evilbuildbuddy.io", (LoginSource(),)),
        ("cas.nativelink.net", (LoginSource(),)),
    ],
)
def test_a_services_variable_is_only_for_that_service(match: str, wanted: tuple[object, ...]) -> None:
    """A rule for a private cache does not send BuildBuddy's key there."""
    assert RemoteapisHost(match).places == wanted
    assert tuple(source for _, source in RemoteapisHost(match).secrets()) == wanted
    assert RemoteapisHost(match, secret=EnvSource("X")).places == EnvSource("X")


@pytest.mark.parametrize(
    ("settings", "environ", "wanted"),
    [
        (Settings(), {"BUILDBUDDY_API_KEY": "k"}, True),
        (Settings(), {}, False),
        (Settings(builtin=("remoteapis",)), {"BUILDBUDDY_API_KEY": "k"}, True),
        (Settings(builtin=("github",)), {"BUILDBUDDY_API_KEY": "k"}, False),
        (Settings(builtin=False), {"BUILDBUDDY_API_KEY": "k"}, False),
    ],
    ids=str,
)
async def test_buildbuddy_works_without_a_rule_where_there_is_a_key(
    settings: Settings, environ: dict[str, str], *, wanted: bool
) -> None:
    """At a method's URI and at the bare host alike; it can be switched off by name."""
    table = build_table(settings, machine(environ))
    for uri in (f"https://remote.buildbuddy.io/{SERVICES[1]}", "remote.buildbuddy.io", "acme.buildbuddy.io"):
        asked = Question(parse_uri(uri), Caller())
        assert ((await table.plan(asked)).plan is not None) is wanted
        if not wanted and settings == Settings():
            host = asked.target.authority
            assert f"to have a login for it: credproxy login {host} --no-check" in table.why_nothing(asked)


async def test_a_rule_without_a_key_is_given_one_as_the_hint_says() -> None:
    """It is a written rule, so a missing key is an error."""
    world = machine({})
    assert isinstance(world.files, FakeFiles)
    assert isinstance(world.clock, FakeClock)
    table = build_table(Settings(host=(RemoteapisHost("barn.test:8980"),)), world)
    asked = Question(parse_uri(f"https://barn.test:8980/{SERVICES[0]}"), Caller())
    with pytest.raises(Failed) as caught:
        await table.plan(asked)
    (host,) = filled(caught.value.failure.hint, "credproxy login {} --no-check")
    login = f'{{"logins": {{"{host}": {{"kept": "file", "id": "1", "secret": "k"}}}}}}'
    world.files.put("/home/u/.local/state/credproxy/logins.json", login)
    await world.clock.advance(1)
    plan = (await table.plan(asked)).plan
    assert plan is not None
    assert shown(await plan.run(FixedTerms())) == [("Authorization", "Bearer k")]


def test_the_page_has_what_is_known_of_each_service() -> None:
    """What people look for is found there, and every example is of this kind."""
    text = PAGE.read_text()
    for rule in (*RemoteapisHost.builtin(), RemoteapisHost("x.nativelink.net")):
        assert f"`{rule.header_name}`" in text
    loaded = [load(example, "page") for example in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    assert {rule.tag() for settings in loaded for rule in settings.host} == {"remoteapis"}
    assert "another place" in RemoteapisHost("x.test", secret=EnvSource("X")).setup(parse_uri("x.test"))


CONTRACTS = {"remoteapis": ProviderContract(RemoteapisHost(HOST), f"https://{HOST}/{SERVICES[0]}", HOST)}
