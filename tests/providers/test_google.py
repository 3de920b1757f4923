"""Google: which URLs get a token, which a build action may have, and who gets nothing."""

from collections.abc import Mapping

import pytest

from credproxy.core.ask.credential import Caller, Secret, UserPassword
from credproxy.core.ask.target import Object, Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.ask.worker_messages import GoogleObjects, GoogleToken, LibraryToken
from credproxy.core.config.parse import load
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.google import GoogleHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.google import GoogleSource
from credproxy.core.policy.policy import Policy
from credproxy.daemon.build import World, build_table
from credproxy.ports.provider import Plan
from credproxy.providers.learned import Learned
from tests.broker.world import question
from tests.contract import CANARY, HOST, SIGNED, ProviderContract
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeLibraries, FakeProcesses, FakeSigner, FixedTerms
from tests.hints import filled


CONTRACTS = {
    "google": ProviderContract(
        GoogleHost(HOST),
        uri=f"https://{HOST}/x?x={SIGNED}",
        alike=f"https://{HOST}/other",
        stored=UserPassword("oauth2accesstoken", Secret(CANARY)),
    )
}

ADC = "/home/u/.config/gcloud/application_default_credentials.json"
OBJECT = "https://storage.googleapis.com/bkt/a/b/c.tar"


def machine(
    content: str | None = '{"type": "authorized_user", "quota_project_id": "payer"}', *, missing: bool = False
) -> World:
    """One on which somebody has logged in with gcloud."""
    files, libraries = FakeFiles(), FakeLibraries()
    if content is not None:
        files.put(ADC, content)
    libraries.answers[GoogleToken] = lambda _: LibraryToken("canary", None, "", "payer")
    libraries.missing = frozenset({"google"} if missing else ())
    return World(
        {"HOME": "/home/u"},
        1000,
        FakeClock(),
        FakeHttp(),
        FakeProcesses(),
        files,
        FakeSigner(),
        Learned(b"k"),
        libraries=libraries,
    )


def asked_of(world: World) -> list[GoogleToken]:
    """What the library was asked."""
    assert isinstance(world.libraries, FakeLibraries)
    return [question for question in world.libraries.asked if isinstance(question, GoogleToken)]


async def plan(world: World, asked: Question, text: str = "") -> Plan | None:
    """Of the built-in rules, behind those of a configuration."""
    return (await build_table(load(text, "test"), world).plan(asked)).plan


async def headers(uri: str, world: World) -> Mapping[str, str]:
    """What Bazel gets."""
    found = await plan(world, question(uri))
    if found is None:
        return {}
    grant = await found.run(FixedTerms())
    return {name: values[0].reveal() for name, values in grant.headers}


@pytest.mark.parametrize(
    ("uri", "scope"),
    [
        (OBJECT, "devstorage.read_only"),
        ("https://bkt.storage.googleapis.com/o", "devstorage.read_only"),
        ("https://storage.googleapis.com/download/storage/v1/b/bkt/o/o?alt=media", "devstorage.read_only"),
        ("https://www.googleapis.com/storage/v1/b/bkt/o/o", "devstorage.read_only"),
        ("https://www.googleapis.com/compute/v1/projects", "cloud-platform.read-only"),
        ("https://europe-python.pkg.dev/p/r/simple/x/", "cloud-platform.read-only"),
        ("https://remotebuildexecution.googleapis.com/google.bytestream.ByteStream", "cloud-platform.read-only"),
    ],
)
async def test_a_token_reads_and_who_pays_goes_along(uri: str, scope: str) -> None:
    """One for storage, one for all else."""
    world = machine()
    assert await headers(uri, world) == {"Authorization": "Bearer canary", "x-goog-user-project": "payer"}
    (asked,) = asked_of(world)
    assert asked == GoogleToken((f"https://www.googleapis.com/auth/{scope}",), ADC)


async def test_one_look_serves_all_objects() -> None:
    """The library is asked once for each set of scopes."""
    world = machine()
    table = build_table(Settings(), world)
    keys = set()
    for number in range(50):
        found = (await table.plan(question(f"https://storage.googleapis.com/bkt{number}/o"))).plan
        assert found is not None
        keys.add(found.key)
        await found.run(FixedTerms())
    assert (len(keys), len(asked_of(world))) == (1, 1)


@pytest.mark.parametrize(
    "uri",
    [
        f"{OBJECT}?X-Goog-Signature=0&X-Goog-Expires=9",
        f"{OBJECT}?GoogleAccessId=a&Expires=9&Signature=0",
        "https://storage.googleapis.com.evil.test/b/o",
        "https://evilpkg.dev/p/r",
        "https://pkg.dev/",
        "https://googleapis.com/x",
        "http://storage.googleapis.com/b/o",
    ],
)
async def test_who_gets_nothing(uri: str) -> None:
    """Signed URLs, look-alikes, and plain http."""
    assert await headers(uri, machine()) == {}


async def test_registries_get_their_token_by_an_exchange() -> None:
    """At the hosts for images; with the name that Google wants beside a token."""
    for uri in (
        "https://us-docker.pkg.dev/v2/p/r/i/manifests/1",
        "us-docker.pkg.dev",
        "https://gcr.io/v2/p/i/manifests/1",
    ):
        found = await plan(machine(), question(uri))
        assert found is not None
        assert found.detail["provider"] == "oci"
        assert found.identity is not None
        assert found.identity.source == "google"


async def test_a_login_of_dockers_comes_first() -> None:
    """As it was before."""
    world = machine()
    assert isinstance(world.files, FakeFiles)
    world.files.put("/home/u/.docker/config.json", '{"auths": {"gcr.io": {"auth": "dTpw"}}}')
    found = await plan(world, question("https://gcr.io/v2/p/i/manifests/1"))
    assert found is not None
    assert found.identity is not None
    assert found.identity.source == "docker-config"


async def test_without_a_login_nothing_is_given_and_the_command_is_told() -> None:
    """The rule is built in, so it is not an error; a public image needs no login."""
    table = build_table(Settings(), machine(None))
    asked = question(OBJECT)
    assert (await table.plan(asked)).plan is None
    told = "; ".join(table.why_nothing(asked))
    assert f"the file {ADC!r} is not there" in told
    assert "this machine is not one of Google's" in told
    assert "gcloud auth application-default login" in told


async def test_a_missing_library_is_told_with_the_command_that_brings_it() -> None:
    """Of a rule it is an error; without one nothing is given."""
    world = machine(missing=True)
    table = build_table(Settings(), world)
    assert (await table.plan(question(OBJECT))).plan is None
    assert "google is not installed" in "; ".join(table.why_nothing(question(OBJECT)))
    with pytest.raises(Failed) as caught:
        await plan(world, question(OBJECT), '[[host]]\nmatch = "storage.googleapis.com"\nprovider = "google"\n')
    assert caught.value.failure.message == f"the login in {ADC!r} cannot be used: google is not installed"
    assert "pip install 'google-auth[requests]>=2.40'" in caught.value.failure.hint


async def test_without_a_login_a_missing_library_is_told_first() -> None:
    """Else a user logs in, and only then hears of it."""
    table = build_table(Settings(), machine(None, missing=True))
    asked = question(OBJECT)
    assert (await table.plan(asked)).plan is None
    told = table.why_nothing(asked)
    assert told[1] == "google is not installed: pip install 'google-auth[requests]>=2.40'"
    assert told[-1].startswith("to have a login for it: pip install 'google-auth[requests]>=2.40'; then, unless ")


async def test_a_rule_without_a_login_is_given_one_as_the_hint_says() -> None:
    """For each place that a rule names."""
    for options, wanted in (
        ("", "gcloud auth application-default login"),
        ('credentials = { source = "google", account = "a@b.test" }', "gcloud auth login {}"),
    ):
        text = f'[[host]]\nmatch = "storage.googleapis.com"\nprovider = "google"\n{options}\n'
        with pytest.raises(Failed) as caught:
            await plan(machine(None), question(OBJECT), text)
        assert filled(caught.value.failure.hint, wanted) in {(), ("a@b.test",)}


ALLOWED = """
[[actions.rule]]
url = "https://storage.googleapis.com/bkt/a/**"
action = "allow"
"""


def by_action(uri: str, text: str) -> Question:
    """What a build action asks under these rules."""
    settings = load(text, "test")
    target = parse_uri(uri)
    return Question(target, Caller("actions"), Policy(settings.actions.rule, settings.router()).grants(target))


async def test_a_build_action_gets_a_token_for_the_folder_that_its_rule_names() -> None:
    """One for all of it; the widest that the rules allow, and no wider."""
    world = machine()
    table, keys = build_table(load(ALLOWED, "test"), world), set()
    for name in ("a/b/c.tar", "a/x", "a/b%20c/d/e/f/g"):
        found = (await table.plan(by_action(f"https://storage.googleapis.com/bkt/{name}", ALLOWED))).plan
        assert found is not None
        assert found.narrow
        keys.add(found.key)
        grant = await found.run(FixedTerms(for_actions=True))
        assert not grant.direct
    (asked,) = asked_of(world)
    assert (asked.scopes, asked.objects, len(keys)) == ((), GoogleObjects("bkt", "a/"), 1)


async def test_the_other_form_of_its_url_names_the_same_objects() -> None:
    """With the bucket in the host."""
    world = machine()
    text = ALLOWED.replace("storage.googleapis.com/bkt/a", "bkt.storage.googleapis.com")
    found = await plan(world, by_action("https://bkt.storage.googleapis.com/x/y", text), text)
    assert found is not None
    await found.run(FixedTerms(for_actions=True))
    assert asked_of(world)[0].objects == GoogleObjects("bkt", "")


@pytest.mark.parametrize(
    "text",
    [
        ALLOWED.replace("a/**", "a/b/c.tar"),
        '[[actions.rule]]\nurl = "https://bkt.storage.googleapis.com/a/b/secret"\naction = "deny"\n' + ALLOWED,
        '[[actions.rule]]\nurl = "https://storage.googleapis.com/storage/v1/b/bkt/o/**?*"\naction = "deny"\n' + ALLOWED,
    ],
    ids=["one object", "denied in another form", "denied at the API"],
)
async def test_where_the_rules_do_not_allow_all_of_a_folder_the_gateway_fetches(text: str) -> None:
    """Nothing in it may be denied, however its URL is written."""
    with pytest.raises(Failed) as caught:
        await plan(machine(), by_action(OBJECT, text), text)
    assert caught.value.failure.code is Code.USE_GATEWAY


@pytest.mark.parametrize(
    "uri",
    [
        "https://storage.googleapis.com/download/storage/v1/b/bkt/o/a?alt=media",
        "https://storage.googleapis.com/bkt/a/it's",
        "https://europe-python.pkg.dev/p/r/x",
    ],
)
async def test_what_is_not_narrowed_is_the_gateways(uri: str) -> None:
    """Names that are other text in a condition, the API's form, and all that is not storage: never a wide token."""
    text = ALLOWED.replace(
        "https://storage.googleapis.com/bkt/a/**", f"{uri.split('/', 3)[0]}//{uri.split('/')[2]}/**?*"
    )
    asked = by_action(uri, text)
    with pytest.raises(Failed) as caught:
        await plan(machine(), asked, text)
    assert caught.value.failure.code is Code.USE_GATEWAY


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"account": "x"}, "account"),
        ({"account": "a@b.test", "credentials_file": "/x"}, "account"),
        ({"credentials_file": "x"}, "credentials_file"),
        ({"impersonate": "x"}, "impersonate"),
        ({"scopes": ("cloud-platform",)}, "scopes"),
        ({"audience": ""}, "audience"),
        ({"audience": "x", "scopes": ("https://www.googleapis.com/auth/x",)}, "audience"),
        ({"quota_project": "A b"}, "quota_project"),
        ({"proxy": "https://x"}, "proxy"),
        ({"ca_bundle": "x"}, "ca_bundle"),
    ],
)
def test_mistakes_of_its_source(options: Mapping[str, str], key: str) -> None:
    """Each names its key."""
    rule = GoogleHost("storage.googleapis.com", credentials=(GoogleSource(**options),))  # type: ignore[arg-type]  # a row of a table
    assert [path[-1] for path, _ in rule.problems()] == [key]


@pytest.mark.parametrize("match", ["x-abc.a.run.app", "*.RUN.app", "eu-p.cloudfunctions.net/f", "x.run.app:443"])
def test_a_service_that_users_run_gets_no_access_token(match: str) -> None:
    """It could use that as its own; an ID token is for its URL alone."""
    ((path, said),) = GoogleHost(match).problems()
    assert path == ("credentials",)
    assert 'wanted { source = "google", audience = "https://' in said
    assert list(GoogleHost(match, credentials=GoogleSource(audience="https://x.run.app")).problems()) == []
    assert list(GoogleHost("x.run.app.corp.test").problems()) == []


def test_mistakes_of_the_kind() -> None:
    """A token does not travel in plain http; and how to log in is told for what a rule names."""
    assert [path for path, _ in GoogleHost("x.googleapis.com", insecure=True).problems()] == [("insecure",)]
    target = parse_uri(OBJECT)
    elsewhere = GoogleHost("x.test", credentials=EnvSource("X"))
    assert elsewhere.setup(target).startswith("add it there")
    assert elsewhere.openings(target) == ()
    file = GoogleSource(credentials_file="/k.json")
    assert "service-accounts keys create /k.json" in GoogleHost("x.test", credentials=file).setup(target)
    assert OciHost("gcr.io", credentials=file).setup(target) == file.log_in


def test_objects_are_granted_with_the_folder() -> None:
    """As ``credproxy actions test`` shows it."""
    assert by_action(OBJECT, ALLOWED).grants == (
        Object(OBJECT, ("GET", "HEAD")),
        Object("https://storage.googleapis.com/bkt/a/**", ("GET", "HEAD")),
    )


async def test_an_answer_without_a_token_is_not_sent() -> None:
    """And the next step is told."""
    world = machine()
    assert isinstance(world.libraries, FakeLibraries)
    world.libraries.answers[GoogleToken] = lambda _: LibraryToken("")
    with pytest.raises(Failed) as caught:
        await headers(OBJECT, world)
    assert filled(caught.value.failure.hint, "log in again: gcloud auth application-default login") == ()
