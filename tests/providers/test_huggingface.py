"""Hugging Face: which URLs get the token, and which get nothing."""

import re
from pathlib import Path

import pytest

from credproxy.core.ask.credential import Caller, IdentityToken, PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.parse import load
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds import KINDS
from credproxy.core.kinds.huggingface import HuggingfaceHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.policy.routing import Router
from credproxy.daemon.build import World, build_table
from credproxy.providers.dressed import Dressed
from credproxy.providers.learned import Learned
from tests.broker.world import question
from tests.contract import CANARY, HOST, ProviderContract
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeProcesses, FakeSigner, FakeSource, FixedTerms
from tests.hints import filled


PAGE = Path(__file__).parents[2] / "docs" / "reference" / "providers" / "huggingface.md"
HOME = "/home/u"
FILE = f"{HOME}/.cache/huggingface/token"


def provider(stored: Stored | None) -> Dressed:
    """Of the built-in rule."""
    rule, source = HuggingfaceHost("huggingface.co"), FakeSource("huggingface.co", stored)
    return Dressed(rule, source=source, clock=FakeClock(), required=False)


def machine(*, token: str = "") -> World:
    """A daemon's environment, with hf's token."""
    files = FakeFiles()
    if token:
        files.put(FILE, token)
    return World(
        environ={"HOME": HOME},
        uid=1000,
        clock=FakeClock(),
        http=FakeHttp(),
        processes=FakeProcesses(),
        files=files,
        signer=FakeSigner(),
        learned=Learned(b"k"),
    )


@pytest.mark.parametrize("stored", [PlainSecret(Secret("hf_x")), UserPassword("me", Secret("hf_x"))], ids=str)
@pytest.mark.parametrize("path", ["/o/m/resolve/main/f", "/datasets/o/d/resolve/main/f", "/api/models/o/m", ""])
async def test_every_url_of_the_hub_gets_the_token(stored: Stored, path: str) -> None:
    """Whatever name is stored with it: one answer serves all."""
    plan = await provider(stored).plan(question(f"https://huggingface.co{path}"))
    assert plan is not None
    assert not plan.narrow
    grant = await plan.run(FixedTerms())
    assert [(name, values[0].reveal()) for name, values in grant.headers] == [("Authorization", "Bearer hf_x")]
    assert "gated" in plan.detail["if_403"]


async def test_what_is_stored_for_a_registry_is_not_a_token_of_the_hub() -> None:
    """It is reported, and following the hint makes it work."""
    plan = await provider(IdentityToken(Secret(CANARY))).plan(question("https://huggingface.co/o/m"))
    assert plan is not None
    with pytest.raises(Failed) as caught:
        await plan.run(FixedTerms())
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert CANARY not in str(caught.value)
    hint = caught.value.failure.hint
    assert filled(hint, "log in again with hf auth login, or store a token of Hugging Face's there") == ()


@pytest.mark.parametrize(
    "uri",
    [
        "https://huggingface.co/o/m/f?X-Amz-Signature=0",
        "https://cdn-lfs.huggingface.co/x",
        "https://cdn-lfs-us-1.hf.co/x",
        "https://cas-bridge.xethub.hf.co/xet-bridge-us/x",
        "https://cas-server.xethub.hf.co/reconstruction/x",
        "https://cas-bridge-direct.xethub.hf.co/xet-bridge-us/x",
        "https://us.gcp.cdn.hf.co/x",
    ],
)
async def test_storage_gets_nothing_of_a_wide_rule_either(uri: str) -> None:
    """A rule for ``*.hf.co`` means the Hub."""
    one = provider(PlainSecret(Secret("hf_x")))
    assert await one.plan(question(uri)) is None
    assert one.reasons(question(uri))


@pytest.mark.parametrize(
    ("uri", "wanted"),
    [
        ("https://huggingface.co/acme/m/resolve/main/f", "huggingface.co/acme"),
        ("https://hf.co/acme/m", "huggingface.co/acme"),
        ("https://huggingface.co/datasets/acme/d", "huggingface.co/acme"),
        ("https://huggingface.co/api/models/acme/m/revision/main", "huggingface.co/acme"),
        ("https://hf.co/api/datasets/acme/d", "huggingface.co/acme"),
        ("https://huggingface.co/api/resolve-cache/models/acme/m/0f/config.json?etag=x", "huggingface.co/acme"),
        ("https://huggingface.co/api/resolve-cache/datasets/acme/d/0f/x", "huggingface.co/acme"),
        ("https://huggingface.co/api/resolve-cache/models/other/m/0f/x", "huggingface.co"),
        ("https://huggingface.co/acme2/m", "huggingface.co"),
        ("https://hf.co/other/m", "huggingface.co"),
        ("https://huggingface.co/datasets/other/acme", "huggingface.co"),
        ("https://huggingface.co/datasets/shared/d", "huggingface.co/datasets/shared"),
        ("https://hf.co/datasets/shared/d", "huggingface.co"),
    ],
)
def test_a_rule_for_an_owner_is_for_all_that_the_owner_has(uri: str, wanted: str) -> None:
    """Two tokens for one host, by path; a rule that names a type of repository is only for that."""
    names = ("huggingface.co", "huggingface.co/acme", "huggingface.co/datasets/shared")
    rule = Router([HuggingfaceHost(name) for name in names]).match(parse_uri(uri))
    assert rule is not None
    assert rule.match == wanted


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        (Settings(), True),
        (Settings(builtin=("huggingface",)), True),
        (Settings(builtin=("github", "gitlab")), False),
        (Settings(builtin=False), False),
    ],
    ids=str,
)
async def test_the_hub_works_without_a_rule_unless_it_is_switched_off(settings: Settings, *, wanted: bool) -> None:
    """By name, or together with all."""
    table = build_table(settings, machine(token="hf_canary"))
    for uri in ("https://huggingface.co/o/m", "https://hf.co/o/m"):
        assert ((await table.plan(Question(parse_uri(uri), Caller()))).plan is not None) is wanted


async def test_without_a_token_the_command_is_reported_and_makes_one() -> None:
    """The rule is built in, so it is not an error."""
    world = machine()
    table, asked = build_table(Settings(), world), Question(parse_uri("https://huggingface.co/o/m"), Caller())
    assert (await table.plan(asked)).plan is None
    told = table.why_nothing(asked)
    assert "to have a login for it: hf auth login" in told
    assert any(FILE in line for line in told)
    assert isinstance(world.files, FakeFiles)
    assert isinstance(world.clock, FakeClock)
    world.files.put(FILE, "hf_new")
    await world.clock.advance(1)
    assert (await table.plan(asked)).plan is not None


def test_the_page_has_the_command_and_every_built_in_host() -> None:
    """What ``explain`` says is documented there; a rule with its own source does not mention hf."""
    text, target = PAGE.read_text(), parse_uri("https://huggingface.co/")
    assert HuggingfaceHost("huggingface.co").setup(target) in text
    assert "hf auth" not in HuggingfaceHost("huggingface.co", credentials=EnvSource("X")).setup(target)
    for rule in HuggingfaceHost.builtin():
        assert f"`{rule.match}`" in text
    assert HuggingfaceHost in KINDS
    loaded = [load(example, "page") for example in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    assert [rule.match for settings in loaded for rule in settings.host] == [
        "huggingface.co/my-company",
        "huggingface.co",
    ]


CONTRACTS = {
    "huggingface": ProviderContract(
        HuggingfaceHost(HOST), f"https://{HOST}/o/m/resolve/main/f", f"https://{HOST}/o/other"
    )
}
