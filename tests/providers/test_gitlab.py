"""GitLab: which token is sent where in which header, and which URLs get none."""

import contextlib
from collections.abc import AsyncIterator

import pytest

from credproxy.broker.broker import Broker
from credproxy.broker.retry import RepeatingClient
from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import Caller, IdentityToken, PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.message import encode_answer
from credproxy.core.ask.target import Object, Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.parse import load
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds import BUILTIN, HostRule
from credproxy.core.kinds.basic import BasicHost
from credproxy.core.kinds.gitlab import GitlabHost, Header
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.policy.routing import Router
from credproxy.daemon.build import World, build_table
from credproxy.providers.dressed import Dressed
from credproxy.providers.learned import Learned
from tests.broker.world import question
from tests.contract import CANARY, HOST, SIGNED, ProviderContract
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeMetrics, FakeProcesses, FakeSigner, FakeSource, FixedTerms
from tests.hints import filled


API = "https://gitlab.com/api/v4/projects/1/packages/generic/p/1/f"
PYPI = "https://gitlab.com/api/v4/projects/1/packages/pypi/simple/x/"
ARCHIVE = "https://gitlab.com/o/r/-/archive/v1/r.tar.gz"
RELEASE = "https://gitlab.com/o/r/-/releases/v1/downloads/bin/tool"
HEX = "0123456789abcdef" * 4


def plain(token: str) -> Stored:
    """A token without a user name."""
    return PlainSecret(Secret(token))


def login(user: str, token: str) -> Stored:
    """A token with a user name."""
    return UserPassword(user, Secret(token))


def provider(stored: Stored | None, header: Header | None = None) -> Dressed:
    """Of the built-in rule."""
    source = FakeSource("gitlab.com", stored)
    return Dressed(GitlabHost("gitlab.com", header=header), source=source, clock=FakeClock(), required=False)


async def headers(stored: Stored, uri: str, header: Header | None = None) -> dict[str, str]:
    """What Bazel gets."""
    plan = await provider(stored, header).plan(question(uri))
    assert plan is not None
    grant = await plan.run(FixedTerms())
    return {name: values[0].reveal() for name, values in grant.headers}


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (plain("glpat-x"), {"PRIVATE-TOKEN": "glpat-x"}),
        (
            plain("of-an-instance-with-a-prefix-of-its-own"),
            {"PRIVATE-TOKEN": "of-an-instance-with-a-prefix-of-its-own"},
        ),
        (login("oauth2", "glpat-x"), {"PRIVATE-TOKEN": "glpat-x"}),
        (plain("gldt-x"), {"DEPLOY-TOKEN": "gldt-x"}),
        (login("gitlab+deploy-token-7", "x"), {"DEPLOY-TOKEN": "x"}),
        (plain("glcbt-64_x"), {"JOB-TOKEN": "glcbt-64_x"}),
        (login("gitlab-ci-token", "x"), {"JOB-TOKEN": "x"}),
        (plain(HEX), {"Authorization": f"Bearer {HEX}"}),
        (login("oauth2", "x"), {"Authorization": "Bearer x"}),
    ],
    ids=str,
)
async def test_each_token_has_its_header(stored: Stored, wanted: dict[str, str]) -> None:
    """Its prefix tells its kind, or else the user name that GitLab gives such tokens."""
    assert await headers(stored, API) == wanted


@pytest.mark.parametrize(
    ("header", "wanted"),
    [
        ("PRIVATE-TOKEN", {"PRIVATE-TOKEN": "glcbt-x"}),
        ("JOB-TOKEN", {"JOB-TOKEN": "glcbt-x"}),
        ("DEPLOY-TOKEN", {"DEPLOY-TOKEN": "glcbt-x"}),
        ("Authorization", {"Authorization": "Bearer glcbt-x"}),
    ],
)
async def test_a_rule_may_name_the_header(header: Header, wanted: dict[str, str]) -> None:
    """An older deploy token has no prefix."""
    assert await headers(plain("glcbt-x"), API, header) == wanted


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (plain("glpat-x"), basic(UserPassword("__token__", Secret("glpat-x"))).reveal()),
        (plain("gldt-x"), basic(UserPassword("gitlab-deploy-token", Secret("gldt-x"))).reveal()),
        (plain("glcbt-x"), basic(UserPassword("gitlab-ci-token", Secret("glcbt-x"))).reveal()),
        (login("oauth2", "x"), "Bearer x"),
    ],
    ids=str,
)
async def test_an_index_of_python_packages_takes_basic(stored: Stored, wanted: str) -> None:
    """A job token works in no other way."""
    assert await headers(stored, PYPI) == {"Authorization": wanted}


@pytest.mark.parametrize("uri", [ARCHIVE, RELEASE])
async def test_an_archive_takes_the_token_of_a_person_and_no_job_s(uri: str) -> None:
    """A token that would be ignored is not sent, and the log says why."""
    assert await headers(plain("glpat-x"), uri) == {"PRIVATE-TOKEN": "glpat-x"}
    assert await headers(login("oauth2", "x"), uri) == {"Authorization": "Bearer x"}
    for token in ("glcbt-x", "gldt-x"):
        plan = await provider(plain(token)).plan(question(uri))
        assert plan is not None
        grant = await plan.run(FixedTerms())
        assert grant.headers == ()
        assert grant.note == "GitLab accepts job and deploy tokens at its API, but not at this path"
        assert plan.detail["takes"] == "personal, project, group and OAuth tokens"


async def test_one_answer_serves_all_files_and_none_of_another_sort() -> None:
    """So a build with a thousand files needs one exchange."""
    keys = []
    for uri in (API, API + "2", PYPI, ARCHIVE):
        plan = await provider(plain("glpat-x")).plan(question(uri))
        assert plan is not None
        keys.append(plan.key)
    assert keys[0] == keys[1]
    assert len(set(map(str, keys))) == 3


@pytest.mark.parametrize(
    "token",
    ["gloas-canary", "glrt-canary", "glptt-canary", "glft-canary", "glimt-canary", "glagent-canary", "glsoat-canary"],
)
async def test_a_token_of_another_kind_is_named_and_not_sent(token: str) -> None:
    """GitLab would answer 401 and not say why."""
    with pytest.raises(Failed) as caught:
        await headers(plain(token), API)
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert "which reads neither packages nor files" in caught.value.failure.message
    filled(caught.value.failure.hint, "store a token of GitLab's there that has the scope read_api")
    assert "canary" not in str(caught.value)
    assert await headers(plain("glpat-x"), API) == {"PRIVATE-TOKEN": "glpat-x"}


@pytest.mark.parametrize(
    "stored", [plain("undefined"), login("oauth2", "null"), IdentityToken(Secret("canary"))], ids=str
)
async def test_an_invalid_token_is_refused(stored: Stored) -> None:
    """An empty variable of a script, or docker's refresh token."""
    with pytest.raises(Failed) as caught:
        await headers(stored, API)
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert "canary" not in str(caught.value)


async def test_nothing_that_is_shown_holds_the_token() -> None:
    """Key, subject, detail, repr."""
    for stored in (plain("glpat-canary"), login("oauth2", "canary"), plain("glcbt-canary")):
        for uri in (API, PYPI, ARCHIVE):
            plan = await provider(stored).plan(question(uri))
            assert plan is not None
            grant = await plan.run(FixedTerms())
            assert "canary" not in f"{plan!r} {plan.key} {plan.subject} {plan.detail} {grant!r} {grant.note}"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (
            "https://gitlab.com/g/s/p/-/raw/main/f",
            "ask for /api/v4/projects/g%2Fs%2Fp/repository/files/FILE/raw?ref=REF",
        ),
        ("https://gitlab.com/o/r/-/jobs/1/artifacts/raw/f", "ask for /api/v4/projects/o%2Fr/jobs/JOB/artifacts"),
        ("https://gitlab.com/v2/o/r/manifests/1", 'provider = "oci"'),
        ("https://gitlab.com/o/r.git/info/refs", "at no other path"),
        (f"{API}?private_token=x", "a token of its own"),
        (f"{API}?a=b&job_token=x", "a token of its own"),
        (f"{ARCHIVE}?token=x", "a token of its own"),
        (f"{API}?X-Amz-Signature=x", "carries its own signature"),
        ("gitlab.com", "not for a bare host"),
    ],
)
async def test_what_takes_no_token_gets_none_and_explain_says_what_does(uri: str, said: str) -> None:
    """A token that would be ignored is not sent."""
    one = provider(plain("glpat-x"))
    assert await one.plan(question(uri)) is None
    (reason,) = one.reasons(question(uri))
    assert said in reason


def test_a_person_logs_in_with_glab_or_where_the_rule_says() -> None:
    """The hint has the next command."""
    target = parse_uri("https://git.test:8443/api/v4/x")
    assert GitlabHost("git.test").setup(target) == "glab auth login --hostname git.test:8443"
    assert "credentials = " in GitlabHost("git.test", EnvSource("X")).setup(target)


@pytest.mark.parametrize("match", ["git.test/gitlab", "git.test/gitlab/"])
async def test_gitlab_may_live_below_a_path(match: str) -> None:
    """Its API is below that path."""
    rule = GitlabHost(match)
    assert rule.withheld(parse_uri("https://git.test/gitlab/api/v4/x")) == ""
    said = rule.withheld(parse_uri("https://git.test/gitlab/o/r/-/raw/main/f"))
    assert "/api/v4/projects/o%2Fr/" in said


async def test_a_build_action_is_given_no_token() -> None:
    """It has all rights of the user; the gateway carries the download."""
    asked = Question(parse_uri(API), Caller("actions", 0), grants=(Object(API, ("GET",)),))
    plan = await provider(plain("glpat-x")).plan(asked)
    assert plan is not None
    assert not plan.narrow


FILE = "/home/u/.config/glab-cli/config.yml"
LOGIN = "hosts:\n  gitlab.com:\n    token: glpat-x\n  gitlab.example:\n    token: glpat-y\n"


@contextlib.asynccontextmanager
async def daemon(
    *rules: HostRule,
    builtin: bool | tuple[str, ...] = True,
    config: str | None = LOGIN,
    netrc: str = "",
    **environ: str,
) -> AsyncIterator[Broker]:
    """A configuration in force, with a glab login and a network that must not be used."""
    clock, files = FakeClock(), FakeFiles()
    if config is not None:
        files.put(FILE, config)
    files.put("/home/u/.netrc", netrc)
    http = FakeHttp(clock=clock)
    world = World(
        {"HOME": "/home/u", **environ}, 1000, clock, http, FakeProcesses(), files, FakeSigner(), Learned(b"k")
    )
    table = build_table(Settings(host=rules, builtin=builtin), world)
    upstream = RepeatingClient(http, clock=clock, sample=lambda: 0.5)
    async with Broker(table, clock=clock, sample=lambda: 0.5, metrics=FakeMetrics(), upstream=upstream) as broker:
        yield broker


async def answer(broker: Broker, uri: str) -> str:
    """As Bazel gets it."""
    return encode_answer(await broker.ask(Question(parse_uri(uri), Caller()))).decode()


@pytest.mark.parametrize(
    ("uri", "answered"),
    [
        (API, True),
        (ARCHIVE, True),
        ("https://gitlab.com/api/v4/projects/g%2Fp/packages/maven/x", True),
        ("https://gitlab.example/api/v4/projects/1", False),
        ("https://cdn.registry.gitlab-static.net/x?sig=0&se=2030-01-01", False),
        ("https://storage.googleapis.com/gitlab-packages/x?X-Goog-Signature=0&X-Goog-Expires=9", False),
        ("https://gitlab-prod.s3.amazonaws.com/x?X-Amz-Signature=0&X-Amz-Expires=9", False),
        ("https://registry.gitlab.com/v2/o/r/manifests/1", False),
        ("https://gitlab.com.evil.example/api/v4/x", False),
        ("https://evilgitlab.com/api/v4/x", False),
        ("https://sub.gitlab.com/api/v4/x", False),
        ("http://gitlab.com/api/v4/x", False),
    ],
)
async def test_what_works_without_a_rule(uri: str, answered: bool) -> None:  # noqa: FBT001  a column
    """Only GitLab's own service: targets of redirects, and a host that only glab names, get nothing."""
    async with daemon() as broker:
        assert ("glpat-" in await answer(broker, uri)) is answered


@pytest.mark.parametrize("builtin", [False, ("netrc",), ("docker-config", "netrc")])
async def test_it_is_switched_off(builtin: bool | tuple[str, ...]) -> None:  # noqa: FBT001  as the key has it
    """By name, or with everything else."""
    async with daemon(builtin=builtin) as broker:
        assert "glpat-" not in await answer(broker, API)


async def test_it_is_selected() -> None:
    """By its name."""
    async with daemon(builtin=("gitlab",)) as broker:
        assert "glpat-x" in await answer(broker, API)


async def test_a_host_of_ones_own_is_served_by_a_rule() -> None:
    """With the login that glab has for it; a wider rule of another kind takes precedence over the built-in one."""
    async with daemon(GitlabHost("gitlab.example")) as broker:
        assert "glpat-y" in await answer(broker, "https://gitlab.example/api/v4/projects/1")
    async with daemon(BasicHost("*"), netrc="machine gitlab.com login u password p\n") as broker:
        assert "Basic" in await answer(broker, API)


async def test_without_a_login_netrc_is_asked_as_ever_and_explain_names_every_place() -> None:
    """Users of netrc for GitLab do not lose it."""
    async with daemon(config=None, netrc="machine gitlab.com login u password p\n") as broker:
        assert "Basic" in await answer(broker, API)
    async with daemon(config=None) as broker:
        explained = await broker.explain(Question(parse_uri(API), Caller()))
        told = "\n".join(explained.reasons)
        for part in ("GITLAB_TOKEN", "CI_JOB_TOKEN", FILE, "glab auth login --hostname gitlab.com"):
            assert part in told


async def test_a_rule_without_a_login_is_an_error_with_the_next_command() -> None:
    """The rule was written on purpose."""
    async with daemon(GitlabHost("git.test")) as broker:
        with pytest.raises(Failed) as caught:
            await answer(broker, "https://git.test/api/v4/x")
    assert "no token for 'git.test' is stored where its rule points" in caught.value.failure.message
    assert FILE in caught.value.failure.message
    assert caught.value.failure.hint == "glab auth login --hostname git.test"


async def test_a_job_s_token_goes_to_its_own_server() -> None:
    """And not to other servers that rules name."""
    rules = GitlabHost("git.test"), GitlabHost("other.test")
    job = {"CI_JOB_TOKEN": "glcbt-x", "CI_SERVER_HOST": "git.test"}
    async with daemon(*rules, builtin=False, config=None, **job) as broker:
        assert '"JOB-TOKEN":["glcbt-x"]' in await answer(broker, "https://git.test/api/v4/x")
        with pytest.raises(Failed):
            await answer(broker, "https://other.test/api/v4/x")


def test_a_rule_is_read_from_a_file() -> None:
    """As on the documentation page."""
    text = '[[host]]\nmatch = "git.test"\nprovider = "gitlab"\nheader = "DEPLOY-TOKEN"\n'
    text += 'credentials = { source = "file", path = "/s" }\n'
    (rule,) = load(text, "f").host
    assert isinstance(rule, GitlabHost)
    assert rule.header == "DEPLOY-TOKEN"
    assert any(one.tag() == "gitlab" and one.match == "gitlab.com" for one in BUILTIN)


CONTRACTS = {
    "gitlab": ProviderContract(
        GitlabHost(HOST),
        f"https://{HOST}/api/v4/x?canary={SIGNED}",
        f"https://{HOST}/api/v4/y",
        stored=PlainSecret(Secret(CANARY)),
    )
}


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("https://gitlab.com/my-group/p/-/archive/v1/p.tar.gz", "gitlab.com/my-group"),
        ("https://gitlab.com/api/v4/projects/my-group%2Fp/packages/generic/a/1/f", "gitlab.com/my-group"),
        ("https://gitlab.com/api/v4/projects/My-Group%2fsub%2Fp/packages/generic/a/1/f", "gitlab.com/my-group"),
        ("https://gitlab.com/api/v4/groups/my-group/-/packages/npm/x", "gitlab.com/my-group"),
        ("https://gitlab.com/api/v4/groups/my-group%2Fsub/-/packages/npm/x", "gitlab.com/my-group"),
        ("https://gitlab.com/api/v4/projects/my-groups%2Fp/packages/generic/a/1/f", "gitlab.com"),
        ("https://gitlab.com/api/v4/projects/other%2Fmy-group/packages/generic/a/1/f", "gitlab.com"),
        ("https://gitlab.com/api/v4/projects/1/packages/generic/a/1/f", "gitlab.com"),
    ],
)
def test_a_rule_for_a_group_answers_for_its_api_too(uri: str, wanted: str) -> None:
    """Two logins for gitlab.com, by path; everything else keeps the other one."""
    rule = Router([GitlabHost("gitlab.com/my-group")], BUILTIN).match(parse_uri(uri))
    assert isinstance(rule, GitlabHost)
    assert rule.match == wanted
    assert not rule.withheld(parse_uri(uri))
    assert rule.login_page(parse_uri(uri)) == "https://gitlab.com/api/v4/user"


def test_a_rule_for_a_path_of_another_host_is_for_a_gitlab_there() -> None:
    """Whether it is a group's is not known."""
    rule = GitlabHost("corp.test/gitlab")
    assert rule.matches() == ("corp.test/gitlab",)
    assert rule.login_page(parse_uri("https://corp.test/gitlab/x")) == "https://corp.test/gitlab/api/v4/user"
