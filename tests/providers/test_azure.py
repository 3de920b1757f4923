"""Azure: which URLs get a token in which dress, and who gets nothing."""

import json
from collections.abc import Mapping
from urllib.parse import parse_qs

import pytest

from credproxy.core.ask.credential import Caller, PlainSecret, Secret, reveal
from credproxy.core.ask.http import Response
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.ask.worker_messages import AzureToken, LibraryToken
from credproxy.core.config.parse import load
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.azure import AzureHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.policy.policy import Policy
from credproxy.daemon.build import World, build_table
from credproxy.providers.learned import Learned
from tests.broker.world import question
from tests.contract import CANARY, HOST, SIGNED, ProviderContract
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeLibraries, FakeProcesses, FakeSigner, FixedTerms
from tests.hints import filled
from tests.sources.azure_world import LOGGED_IN, PROFILE


CONTRACTS = {
    "azure": ProviderContract(
        AzureHost(HOST),
        uri=f"https://{HOST}/x?x={SIGNED}",
        alike=f"https://{HOST}/other",
        stored=PlainSecret(Secret(CANARY)),
    )
}

BLOB = "https://acct.blob.core.windows.net/c/b"
FEED = "https://pkgs.dev.azure.com/o/_packaging/f/pypi/simple/x/"


def machine(environ: Mapping[str, str] | None = None, *, logged_in: bool = True) -> World:
    """One on which somebody has logged in with az."""
    files, libraries = FakeFiles(), FakeLibraries()
    if logged_in:
        files.put(PROFILE, LOGGED_IN)
    libraries.answers[AzureToken] = lambda _: LibraryToken("canary")
    return World(
        {"HOME": "/home/u", **(environ or {})},
        1000,
        FakeClock(),
        FakeHttp(),
        FakeProcesses(),
        files,
        FakeSigner(),
        Learned(b"k"),
        libraries=libraries,
    )


async def headers(uri: str, world: World, text: str = "") -> Mapping[str, str]:
    """What Bazel gets."""
    plan = (await build_table(load(text, "test"), world).plan(question(uri))).plan
    if plan is None:
        return {}
    grant = await plan.run(FixedTerms())
    return {name: values[0].reveal() for name, values in grant.headers}


@pytest.mark.parametrize("uri", [BLOB, "https://acct.dfs.core.windows.net/c/b"])
async def test_storage_gets_the_version_of_its_api_beside_the_token(uri: str) -> None:
    """Without it no token is taken."""
    assert await headers(uri, machine()) == {"Authorization": "Bearer canary", "x-ms-version": "2021-12-02"}


@pytest.mark.parametrize(
    ("environ", "wanted"),
    [
        ({}, "Bearer canary"),
        ({"SYSTEM_ACCESSTOKEN": "job"}, "Bearer job"),
        ({"AZURE_DEVOPS_EXT_PAT": "pat", "SYSTEM_ACCESSTOKEN": "job"}, "Basic YXp1cmUtZGV2b3BzOnBhdA=="),
    ],
)
async def test_devops_gets_a_personal_access_token_or_that_of_the_job_first(
    environ: Mapping[str, str], wanted: str
) -> None:
    """Storage gets neither."""
    assert await headers(FEED, machine(environ)) == {"Authorization": wanted}
    assert (await headers(BLOB, machine(environ)))["Authorization"] == "Bearer canary"


@pytest.mark.parametrize(
    "uri",
    [
        f"{BLOB}?sv=1&sp=r&se=2030-01-01&sig=0",
        "https://evilblob.core.windows.net.evil.test/c",
        "https://evildev.azure.com.test/x",
        "https://blob.core.windows.net/x",
        "http://acct.blob.core.windows.net/c/b",
        "https://vault.azure.net/x",
    ],
)
async def test_who_gets_nothing(uri: str) -> None:
    """URLs with a shared access signature, look-alikes, and plain http."""
    assert await headers(uri, machine()) == {}


async def test_a_registry_is_asked_with_the_same_login() -> None:
    """By the kind for registries."""
    for uri in ("https://team.azurecr.io/v2/i/manifests/1", "team.azurecr.io"):
        plan = (await build_table(Settings(), machine()).plan(question(uri))).plan
        assert plan is not None
        assert plan.identity is not None
        assert (plan.detail["provider"], plan.identity.source) == ("oci", "acr")


async def test_without_a_login_nothing_is_given_and_the_command_is_told() -> None:
    """Of a rule it is an error, with the same command."""
    world = machine(logged_in=False)
    table = build_table(Settings(), world)
    assert (await table.plan(question(BLOB))).plan is None
    told = "; ".join(table.why_nothing(question(BLOB)))
    assert f"the file {PROFILE!r} is not there" in told
    assert "to have a login for it: az login" in told
    with pytest.raises(Failed) as caught:
        await headers(BLOB, world, '[[host]]\nmatch = "acct.blob.core.windows.net"\nprovider = "azure"\n')
    assert filled(caught.value.failure.hint, "az login") == ()


async def test_an_answer_without_a_token_and_a_password_for_storage_are_not_sent() -> None:
    """And the next step is told."""
    world = machine()
    assert isinstance(world.libraries, FakeLibraries)
    world.libraries.answers[AzureToken] = lambda _: LibraryToken("")
    with pytest.raises(Failed) as empty:
        await headers(BLOB, world)
    assert filled(empty.value.failure.hint, "log in again: az login") == ()
    text = '[[host]]\nmatch = "acct.blob.core.windows.net"\nprovider = "azure"\ncredentials = { source = "env", name = "X", username = "u" }\n'
    with pytest.raises(Failed) as password:
        await headers(BLOB, machine({"X": "canary"}), text)
    assert "Azure Storage does not take" in password.value.failure.message


async def test_a_build_action_is_given_no_such_token() -> None:
    """It opens all that its owner may: the gateway fetches."""
    text = f'[[actions.rule]]\nurl = "{BLOB}"\naction = "allow"\n'
    settings, target = load(text, "test"), parse_uri(BLOB)
    asked = Question(target, Caller("actions"), Policy(settings.actions.rule, settings.router()).grants(target))
    with pytest.raises(Failed) as caught:
        await build_table(settings, machine()).plan(asked)
    assert caught.value.failure.code is Code.USE_GATEWAY


def test_mistakes_and_what_is_told() -> None:
    """A token does not travel in plain http; a role may be missing."""
    rule = AzureHost("x.test", insecure=True, credentials=EnvSource("X"))
    assert [path for path, _ in rule.problems()] == [("insecure",)]
    assert rule.setup(parse_uri(BLOB)).startswith("add it there")
    assert "Storage Blob Data Reader" in AzureHost("x.test").about(("storage",))["if_403"]


async def test_an_image_of_azures_registry_is_had_with_a_token_for_its_repository() -> None:
    """By the login, the registry's refresh token and its token server; so a build action may have it."""
    world = machine()
    assert isinstance(world.http, FakeHttp)

    def said(body: object, status: int = 200, *headers: tuple[str, str]) -> Response:
        return Response(status, headers, json.dumps(body).encode(), world.clock.boot(), world.clock.wall())

    realm = "https://team.azurecr.io/oauth2/token"
    challenge = f'Bearer realm="{realm}",service="team.azurecr.io",scope="repository:app:pull"'
    world.http.script |= {
        "https://team.azurecr.io/v2/": [said({}, 401, ("WWW-Authenticate", challenge))],
        "https://team.azurecr.io/oauth2/exchange": [said({"refresh_token": "canary-refresh"})],
        realm: [said({"access_token": "narrow"})],
    }
    uri = "https://team.azurecr.io/v2/app/manifests/1"
    text = '[[actions.rule]]\nregistry = "team.azurecr.io"\nrepository = "app"\noperations = ["blob:read", "manifest:read"]\naction = "allow"\n'
    settings, target = load(text, "test"), parse_uri(uri)
    asked = Question(target, Caller("actions"), Policy(settings.actions.rule, settings.router()).grants(target))
    plan = (await build_table(settings, world).plan(asked)).plan
    assert plan is not None
    assert plan.narrow
    grant = await plan.run(FixedTerms(for_actions=True))
    assert [values[0].reveal() for _, values in grant.headers] == ["Bearer narrow"]
    (form,) = [parse_qs(reveal(one.body or "")) for one in world.http.requests if one.url.startswith(realm)]
    assert (form["grant_type"], form["refresh_token"]) == (["refresh_token"], ["canary-refresh"])
    assert form["scope"] == ["repository:app:pull"]
