"""Access tokens of Azure's: where a login is seen, what is asked of the library, and how long an answer is used."""

from collections.abc import Mapping

import pytest

from credproxy.core.ask.lifetime import remaining
from credproxy.core.ask.login import dressed
from credproxy.core.ask.uri import parse_uri
from credproxy.core.ask.worker_messages import AzureToken, LibraryToken
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.sources.azure import ASSET, AZURES, AzureSource
from tests.contract import Ground, SourceContract
from tests.sources.azure_world import BLOB, LOGGED_IN, PROFILE, SECRETS, AzureMachine, login, text


def put(ground: Ground, secret: str) -> None:
    """As az does; the token is what its login gives."""
    ground.files.put(PROFILE, secret)
    ground.libraries.answers[AzureToken] = lambda _: LibraryToken(secret)


def put_broken(ground: Ground) -> None:
    """A login that is over."""
    ground.files.put(PROFILE, LOGGED_IN)
    refusal = failed(Code.BAD_CREDENTIALS, "the login of az has expired, or there is none", hint="az login")
    ground.libraries.answers[AzureToken] = lambda _: refusal


CONTRACTS = {"azure": SourceContract(AzureSource(), put, put_broken, target=BLOB)}


async def test_each_way_in_which_there_is_a_login_is_asked_in_order() -> None:
    """In one question: which of them has one is for the library to find."""
    machine = AzureMachine(SECRETS | {"AZURE_FEDERATED_TOKEN_FILE": "/token", "IDENTITY_ENDPOINT": "http://x"})
    machine.files.put("/token", "t")
    machine.files.put(PROFILE, LOGGED_IN)
    assert await text(machine.azure()) == "aad"
    assert machine.asked == AzureToken(
        "https://storage.azure.com/.default",
        ("environment", "workload", "managed", "cli"),
        "login.microsoftonline.com",
        "",
        "",
    )
    only = AzureMachine(machine.environ, {"ways": ("cli", "environment")})
    only.files.put(PROFILE, LOGGED_IN)
    await login(only.azure())
    assert only.asked.ways == ("cli", "environment")


@pytest.mark.parametrize(
    ("environ", "files", "ways"),
    [
        ({}, {}, None),
        ({}, {PROFILE: LOGGED_IN}, ("cli",)),
        ({"AZURE_CONFIG_DIR": "/az"}, {"/az/azureProfile.json": LOGGED_IN}, ("cli",)),
        ({}, {PROFILE: f"\ufeff{LOGGED_IN}"}, ("cli",)),
        ({}, {PROFILE: "of another version"}, ("cli",)),
        ({}, {PROFILE: '{"installationId": "i", "subscriptions": []}'}, None),
        ({}, {PROFILE: '{"installationId": "i"}'}, None),
        ({}, {ASSET: f"{AZURES}\n"}, ("managed",)),
        ({}, {ASSET: "something else\n"}, None),
        ({"MSI_ENDPOINT": "http://x"}, {}, ("managed",)),
        ({"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}, {}, None),
        (
            {"AZURE_FEDERATED_TOKEN_FILE": "/t", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"},
            {"/t": "t"},
            ("workload",),
        ),
        ({"AZURE_FEDERATED_TOKEN_FILE": "/t", "AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"}, {}, None),
    ],
)
async def test_a_login_is_seen_without_asking_anybody(
    environ: Mapping[str, str], files: Mapping[str, str], *, ways: tuple[str, ...] | None
) -> None:
    """And what is not there is told by place; a metadata server is asked where the machine says that it is Azure's."""
    machine = AzureMachine(environ)
    for path, content in files.items():
        machine.files.put(path, content)
    source = machine.azure()
    found = await source.locate(BLOB, None)
    assert machine.libraries.asked == []
    if ways is None:
        assert found is None
        assert len(source.looked(BLOB)) == 4
        assert source.trouble(BLOB) is None
    else:
        await login(source)
        assert machine.asked.ways == ways


async def test_az_logout_leaves_its_file_and_no_login() -> None:
    """Which is seen within a second, as is the next login."""
    machine = AzureMachine({})
    machine.files.put(PROFILE, LOGGED_IN)
    source = machine.azure()
    assert await source.locate(BLOB, None) is not None
    machine.files.put(PROFILE, '{"installationId": "i", "subscriptions": []}')
    await machine.clock.advance(1)
    assert await source.locate(BLOB, None) is None
    assert f"the file {PROFILE!r} has no login of az in it" in source.looked(BLOB)
    machine.files.put(PROFILE, LOGGED_IN)
    await machine.clock.advance(1)
    assert await source.locate(BLOB, None) is not None


async def test_a_missing_library_is_told_with_the_command_that_brings_it() -> None:
    """Where there is a login that it would use."""
    machine = AzureMachine()
    machine.libraries.missing = frozenset({"azure"})
    source = machine.azure()
    assert await source.locate(BLOB, None) is None
    trouble = source.trouble(BLOB)
    assert trouble is not None
    assert trouble.message == "the login of Azure's cannot be used: azure is not installed"
    assert "pip install 'azure-identity>=1.19'" in trouble.hint
    assert "is not installed" in source.looked(BLOB)[0]


async def test_without_a_login_a_missing_library_is_told_first() -> None:
    """Else a user logs in, and only then hears of it."""
    machine = AzureMachine({"AZURE_TENANT_ID": "t", "AZURE_CLIENT_ID": "c"})
    machine.libraries.missing = frozenset({"azure"})
    source = machine.azure()
    assert await source.locate(BLOB, None) is None
    assert len(source.looked(BLOB)) == 5
    assert source.looked(BLOB)[0] == "azure is not installed: pip install 'azure-identity>=1.19'"


@pytest.mark.parametrize(
    ("uri", "scope"),
    [
        ("https://acct.blob.core.windows.net/c/b", "https://storage.azure.com/.default"),
        ("https://acct.z01.blob.storage.azure.net/c/b", "https://storage.azure.com/.default"),
        ("https://pkgs.dev.azure.com/o/_packaging/f", "499b84ac-1321-427f-aa17-267ca6975798/.default"),
        ("https://o.pkgs.visualstudio.com/x", "499b84ac-1321-427f-aa17-267ca6975798/.default"),
        ("https://dev.azure.com/o/p", "499b84ac-1321-427f-aa17-267ca6975798/.default"),
        ("https://feeds.dev.azure.com/o/_apis/packaging/feeds", "499b84ac-1321-427f-aa17-267ca6975798/.default"),
        ("https://o.visualstudio.com/_apis/x", "499b84ac-1321-427f-aa17-267ca6975798/.default"),
        ("https://evildev.azure.com/o", "https://storage.azure.com/.default"),
    ],
)
async def test_a_token_is_for_the_api_of_its_host(uri: str, scope: str) -> None:
    """One for all accounts of storage."""
    machine = AzureMachine()
    await login(machine.azure(), parse_uri(uri))
    assert machine.asked.scope == scope


async def test_one_token_serves_all_of_an_api_until_shortly_before_its_end() -> None:
    """Then another one is asked for; a refused one at once, and then not for ten seconds."""
    machine = AzureMachine()
    source = machine.azure()
    found = await login(source)
    assert (
        remaining(dressed(found, "x", boot=machine.clock.boot()), machine.clock.boot(), wall=machine.clock.wall())
        == 3599
    )
    await login(source, parse_uri("https://other.blob.core.windows.net/x"))
    assert len(machine.libraries.asked) == 1
    machine.clock.suspend(3500)
    machine.given = LibraryToken("second", machine.clock.wall() + 3599)
    assert await text(source) == "second"
    for _ in range(3):
        await login(source, anew=True)
    assert len(machine.libraries.asked) == 3
    identity = await source.locate(BLOB, None)
    assert identity is not None
    assert await source.peek(identity, BLOB) is not None
    source.forget()
    await login(source)
    assert len(machine.libraries.asked) == 4


async def test_options_go_into_the_question_and_make_another_login_of_it() -> None:
    """The old one's answers are not given to the new one."""
    options = {
        "tenant": "corp.example",
        "client_id": "c-1",
        "cloud": "china",
        "proxy": "http://p:1",
        "ca_bundle": "/ca",
    }
    machine = AzureMachine(SECRETS, options)
    await login(machine.azure())
    assert (machine.asked.tenant, machine.asked.client_id) == ("corp.example", "c-1")
    assert machine.asked.authority == "login.chinacloudapi.cn"
    assert (machine.asked.proxy, machine.asked.ca_bundle) == ("http://p:1", "/ca")
    plain = await AzureMachine().azure().locate(BLOB, None)
    assert await machine.azure().locate(BLOB, None) != plain
    for scheme in ("https", "http"):  # the library is given a host, and asks that over TLS alone
        named = AzureMachine(SECRETS | {"AZURE_AUTHORITY_HOST": f"{scheme}://login.microsoftonline.us/"})
        await login(named.azure())
        assert named.asked.authority == "login.microsoftonline.us"


async def test_what_the_library_says_is_said() -> None:
    """In the same words."""
    machine = AzureMachine()
    machine.given = failed(Code.BAD_CREDENTIALS, "has expired", hint="az login")
    with pytest.raises(Failed) as caught:
        await login(machine.azure())
    assert caught.value.failure.message == "has expired"


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"tenant": "a b"}, "tenant"),
        ({"client_id": ""}, "client_id"),
        ({"ways": ()}, "ways"),
        ({"ways": ("cli", "cli")}, "ways"),
        ({"proxy": "https://x"}, "proxy"),
        ({"ca_bundle": "x"}, "ca_bundle"),
        ({"scope": "https://storage.azure.com/"}, "scope"),
    ],
)
def test_mistakes(options: Mapping[str, object], key: str) -> None:
    """Each names its key."""
    assert [path for path, _ in AzureSource(**options).problems()] == [(key,)]  # type: ignore[arg-type]  # a row of a table


def test_how_to_log_in_names_the_tenant() -> None:
    """If the rule does."""
    assert AzureSource().log_in == "az login"
    assert AzureSource(tenant="t").log_in == "az login --tenant t"
