"""Which kind answers for a URI without a written rule, if there is a login of each kind."""

import json
from pathlib import Path
from typing import Final

import pytest

from credproxy.core.ask.credential import Caller
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri, without_userinfo
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Failed
from credproxy.core.kinds import BUILTIN
from credproxy.core.kinds.basic import BasicHost
from credproxy.core.kinds.github import GithubHost
from credproxy.core.kinds.none import NoneHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.sources.netrc import NetrcSource
from credproxy.daemon.build import World, build_table
from credproxy.ports.processes import Completed
from credproxy.providers.learned import Learned
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeLibraries, FakeProcesses, FakeSigner, FixedTerms
from tests.hints import filled
from tests.sources.azure_world import LOGGED_IN


CASES: Final = json.loads((Path(__file__).parents[1] / "data" / "builtin-hosts.json").read_text())["cases"]
KNOWN: Final = {rule.tag() for rule in BUILTIN} | {
    f"oci+{source.__struct_config__.tag}"
    for rule in BUILTIN
    if isinstance(rule, OciHost)
    for _, source in rule.secrets()
}
"""Kinds to come have their lines already: until then nothing answers for them."""

AMAZON: Final = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
R2: Final = ("R2_ACCESS_KEY_ID", "R2_SECRET_ACCESS_KEY")
ADC: Final = '{"type": "authorized_user", "account": "u@corp.test"}'

GH: Final = "github.com:\n  user: u\n  oauth_token: gho_canary\n"


def world(environ: dict[str, str] | None = None, gh: str = "", *, everything: bool = False) -> World:
    """A machine with a login of each kind."""
    files = FakeFiles()
    if gh:
        files.put("/home/u/.config/gh/hosts.yml", gh)
    if everything:
        files.put("/home/u/.config/gcloud/application_default_credentials.json", ADC)
        files.put("/home/u/.azure/azureProfile.json", LOGGED_IN)
    return World(
        environ={"HOME": "/home/u", "XDG_CONFIG_HOME": "/home/u/.config", **(environ or {})},
        uid=1000,
        clock=FakeClock(),
        http=FakeHttp(),
        processes=FakeProcesses(),
        files=files,
        signer=FakeSigner(),
        learned=Learned(b"k"),
        libraries=FakeLibraries(),
    )


async def kind(settings: Settings, uri: str, machine: World) -> str:
    """Which kind answers, and of the kind for registries with whose login unless it is Google's; ``none`` for nobody."""
    routed = await build_table(settings, machine).plan(Question(parse_uri(without_userinfo(uri)), Caller()))
    if routed.plan is None:
        return "none"
    source = "" if routed.plan.identity is None else routed.plan.identity.source
    provider = routed.plan.detail["provider"]
    return f"oci+{source}" if provider == "oci" and source in {"acr", "ecr"} else provider


@pytest.mark.parametrize("case", CASES, ids=[case["uri"] for case in CASES])
async def test_the_kind_that_answers(case: dict[str, str]) -> None:
    """Look-alikes and signed URLs get nothing, whatever login there is."""
    tokens = dict.fromkeys(("GH_TOKEN", "GITLAB_TOKEN", "HF_TOKEN", "BUILDBUDDY_API_KEY", *AMAZON, *R2), "canary")
    wanted = case["kind"] if case["kind"] in KNOWN else "none"
    assert await kind(Settings(), case["uri"], world(tokens, everything=True)) == wanted


SIBLINGS: Final = {
    "https://b.s3.eusc-de-east-1.amazonaws.eu/k": "s3",
    "https://s3-fips-us-gov-west-1.amazonaws.com/b/k": "s3",
    "https://bucket.vpce-1a2b-5e6f.s3.us-east-1.vpce.amazonaws.com/b/k": "s3",
    "https://b.s3.us-west-2.amazonaws.com/k?Policy=0&Signature=0&Key-Pair-Id=0": "none",
    "https://b.s3-website.eu-west-1.amazonaws.com/k": "none",
    "https://123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu/v2/i/manifests/1": "oci+ecr",
    "https://ecr-public.aws.com/v2/a/i/manifests/1": "oci+ecr",
    "https://d-123456789012.codeartifact.eu-west-1.on.aws/npm/r/x": "codeartifact",
    "https://x.lambda-url.eu-west-1.on.aws/npm/r/x": "none",
    "https://acct.blob.core.windows.net/c/b?sv=1&si=policy&sr=b&sig=0": "none",
    "https://name.eastus.geo.azurecr.io/v2/i/manifests/1": "oci+acr",
    "https://name.eastus.data.azurecr.io/v2/i/manifests/1": "none",
    "https://name.eastus.data.azurecr.io/guid/b?se=1&sig=0": "none",
    "name.eastus.data.azurecr.io": "none",
    "https://name.azurecr.io/v2/i/blobs/sha256:0?se=1&sig=0": "none",
    "https://firebasestorage.googleapis.com/v0/b/b/o/o?alt=media&token=t": "none",
    "https://storage.googleapis.com/storage/v1/b/b/o/o?alt=media&access_token=t": "none",
    "https://huggingface.co/o/m/resolve/main/f?Policy=0&Signature=0&Key-Pair-Id=0": "none",
    "https://huggingface.co/api/resolve-cache/models/o/m/0/f": "huggingface",
}
"""Of the hosts and the signatures above: every other form that their owners give them."""


@pytest.mark.parametrize(("uri", "wanted"), SIBLINGS.items(), ids=SIBLINGS)
async def test_the_siblings_of_these(uri: str, wanted: str) -> None:
    """A region of a new partition, a second name, a host of content, another way to sign."""
    tokens = dict.fromkeys(("GH_TOKEN", "GITLAB_TOKEN", "HF_TOKEN", "BUILDBUDDY_API_KEY", *AMAZON, *R2), "canary")
    assert await kind(Settings(), uri, world(tokens, everything=True)) == wanted


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (Settings(), "github"),
        (Settings(builtin=("github",)), "github"),
        (Settings(builtin=False), "none"),
        (Settings(builtin=("docker-config", "netrc")), "none"),
        (Settings(host=(NoneHost("api.github.com"),)), "none"),
    ],
    ids=str,
)
async def test_github_is_switched_off_by_name(settings: Settings, wanted: str) -> None:
    """By ``builtin``, or for one host by a rule."""
    assert await kind(settings, "https://api.github.com/repos/o/r", world({"GH_TOKEN": "canary"})) == wanted


async def test_without_a_login_nothing_is_given_and_the_command_is_reported() -> None:
    """The rule is built in, so it is not an error."""
    table = build_table(Settings(), world())
    asked = Question(parse_uri("https://raw.githubusercontent.com/o/r/main/f"), Caller())
    assert (await table.plan(asked)).plan is None
    told = table.why_nothing(asked)
    assert "the built-in rule 'raw.githubusercontent.com' answers for it" in told
    assert "to have a login for it: gh auth login --hostname github.com" in told


async def test_a_browsers_download_of_a_private_asset_is_told_its_other_url() -> None:
    """The token is still sent: for a public repository it raises the rate limit."""
    asked = Question(parse_uri("https://github.com/o/r/releases/download/v1/a.zip"), Caller())
    routed = await build_table(Settings(), world(gh=GH)).plan(asked)
    assert routed.plan is not None
    assert "https://api.github.com/repos/OWNER/REPOSITORY/releases/assets/ID" in routed.plan.detail["private"]
    grant = await routed.plan.run(FixedTerms())
    assert grant.headers[0][1][0].reveal() == "Bearer gho_canary"
    assert "canary" not in f"{routed} {grant} {routed.plan.key}"


async def test_a_token_of_github_is_not_narrow() -> None:
    """A build action is given none: the gateway fetches for it."""
    routed = await build_table(Settings(), world(gh=GH)).plan(
        Question(parse_uri("https://api.github.com/repos/o/r/tarball"), Caller())
    )
    assert routed.plan is not None
    assert not routed.plan.narrow


async def test_a_login_that_the_keyring_has_lost_is_made_again_as_the_hint_says() -> None:
    """The file still names it, so it is an error, and the next login is noticed."""
    machine = world(gh="github.com:\n  user: u\n")
    clock, files, processes = machine.clock, machine.files, machine.processes
    assert isinstance(clock, FakeClock)
    assert isinstance(files, FakeFiles)
    assert isinstance(processes, FakeProcesses)
    processes.programs["gh"] = lambda _: Completed(1, b"", "no oauth *** found for ***")
    table, asked = build_table(Settings(), machine), Question(parse_uri("https://api.github.com/repos/o/r"), Caller())
    plan = (await table.plan(asked)).plan
    assert plan is not None
    with pytest.raises(Failed) as caught:
        await plan.run(FixedTerms())
    assert (
        filled(caught.value.failure.hint, "log in again with gh auth login, or store a token of GitHub's there") == ()
    )
    files.put("/home/u/.config/gh/hosts.yml", GH)
    await clock.advance(1)
    plan = (await table.plan(asked)).plan
    assert plan is not None
    assert (await plan.run(FixedTerms())).headers[0][1][0].reveal() == "Bearer gho_canary"


async def test_a_rule_without_a_login_is_given_one_as_the_hint_says() -> None:
    """It is a written rule, so a missing login is an error."""
    machine = world()
    clock, files = machine.clock, machine.files
    assert isinstance(clock, FakeClock)
    assert isinstance(files, FakeFiles)
    table = build_table(Settings(host=(GithubHost("ghe.corp.test"),)), machine)
    asked = Question(parse_uri("https://ghe.corp.test/o/r/archive/v1.zip"), Caller())
    with pytest.raises(Failed) as caught:
        await table.plan(asked)
    (host,) = filled(caught.value.failure.hint, "gh auth login --hostname {}")
    files.put("/home/u/.config/gh/hosts.yml", GH.replace("github.com", host))
    await clock.advance(1)
    assert (await table.plan(asked)).plan is not None


@pytest.mark.parametrize("host", ["codeload.github.com", "files.corp.test"])
@pytest.mark.parametrize(("query", "answered"), [("", "basic"), ("?X-Amz-Signature=x", "none")])
async def test_a_signed_url_gets_nothing_of_netrc_either(host: str, query: str, answered: str) -> None:
    """What works without rules is used if a built-in rule has no login, but not if no header may be sent."""
    machine = world()
    assert isinstance(machine.files, FakeFiles)
    machine.files.put("/home/u/.netrc", f"machine {host} login u password canary\n")
    uri = f"https://{host}/o/r/zip/v1{query}"
    assert await kind(Settings(), uri, machine) == answered
    told = build_table(Settings(), machine).why_nothing(Question(parse_uri(uri), Caller()))
    assert not query or told == ("the URL carries its own signature, which a credential would break",)


async def test_a_rule_that_somebody_wrote_is_obeyed_for_a_signed_url() -> None:
    """It is a decision of theirs, and not one of ours."""
    machine = world()
    assert isinstance(machine.files, FakeFiles)
    machine.files.put("/home/u/.netrc", "machine files.corp.test login u password canary\n")
    settings = Settings(host=(BasicHost("files.corp.test", credentials=NetrcSource()),))
    assert await kind(settings, "https://files.corp.test/o?X-Amz-Signature=x", machine) == "basic"
