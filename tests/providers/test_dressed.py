"""One provider for every kind that dresses a stored secret: what a dressing may depend on, and what callers get."""

from dataclasses import replace
from typing import ClassVar

import pytest

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import Caller, Identity, PlainSecret, Secret, Stored, UserPassword, secret_of
from credproxy.core.ask.target import Object, Question, Target
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.basic import BasicHost
from credproxy.core.kinds.dressed import DressedHost, SecretHeaders, Width
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.ports.provider import HasLogin
from credproxy.providers.dressed import Dressed, DressedLogin
from tests.broker.world import question
from tests.contract import HOST, ProviderContract
from tests.fakes import FakeClock, FakeSource, FixedTerms


ASSET = "https://api.test/releases/assets/1"
RAW = "https://raw.test/file"


class Forge(DressedHost, frozen=True, tag_field="provider", tag="forge"):
    """A made-up kind: one of its hosts wants Basic, and one path on the other host an extra header."""

    calls: ClassVar[str] = "token"

    def withheld(self, target: Target) -> str:
        """URLs that carry their own authorisation get nothing."""
        return "the URL is signed" if "signed" in target.query else ""

    def width(self, target: Target) -> Width:
        """The host, and whether it is an asset."""
        return (target.host, "/assets/" in target.path)

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """Dress it as the host wants."""
        del name
        host, asset = width
        if host == "raw.test":
            return (("Authorization", (basic(UserPassword("token", secret_of(stored))),)),)
        more: SecretHeaders = (("Accept", (Secret("application/octet-stream"),)),) if asset is True else ()
        return (("Authorization", (Secret(f"Bearer {secret_of(stored).reveal()}"),)), *more)


def forge(*, required: bool = True, stored: Stored | None = PlainSecret(Secret("t0"))) -> Dressed:  # noqa: B008  frozen
    """The provider of that kind; its source only knows the API's host."""
    return Dressed(Forge("*.test"), source=FakeSource("api.test", stored), clock=FakeClock(), required=required)


async def headers(provider: Dressed, uri: str) -> dict[str, str]:
    """What an action or Bazel gets."""
    plan = await provider.plan(question(uri))
    assert plan is not None
    grant = await plan.run(FixedTerms())
    return {name: values[0].reveal() for name, values in grant.headers}


async def key(provider: Dressed, uri: str) -> object:
    """The key of the answer."""
    plan = await provider.plan(question(uri))
    assert plan is not None
    return plan.key


async def test_a_dressing_may_give_several_headers_and_depend_on_the_target() -> None:
    """An asset needs an ``Accept`` beside its token."""
    assert await headers(forge(), "https://api.test/repos/1") == {"Authorization": "Bearer t0"}
    wanted = {"Authorization": "Bearer t0", "Accept": "application/octet-stream"}
    assert await headers(forge(), ASSET) == wanted


class Picky(Forge, frozen=True, tag_field="provider", tag="picky"):
    """Another kind, which only sends its secret to assets."""

    note: ClassVar[str] = "token handed out"
    unsent: ClassVar[str] = "only assets take it"

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """Like the other one, or nothing."""
        return super().dress(stored, name, width=width) if width[1] is True else ()


async def test_a_secret_that_is_not_sent_is_an_empty_answer_that_says_why() -> None:
    """The sort of the secret is only known once it is read, after the plan was made."""
    source = FakeSource("api.test", PlainSecret(Secret("t0")))
    provider = Dressed(Picky("*.test"), source=source, clock=FakeClock())
    for uri, sent, note in ((ASSET, True, "token handed out"), ("https://api.test/x", False, "only assets take it")):
        plan = await provider.plan(question(uri))
        assert plan is not None
        grant = await plan.run(FixedTerms())
        assert (bool(grant.headers), grant.note) == (sent, note)


async def test_what_a_dressing_depends_on_is_in_the_key() -> None:
    """It sees nothing else of the target, so an answer never serves the wrong question."""
    provider = forge()
    assert await key(provider, "https://api.test/a") == await key(provider, "https://api.test/b?c")
    assert await key(provider, "https://api.test/a") != await key(provider, ASSET)


async def test_a_header_is_one_answer_for_the_rule_and_basic_one_for_each_host() -> None:
    """A netrc file may have another login for each."""
    source = FakeSource("a.test", UserPassword("u", Secret("p")))
    wide = Dressed(HeaderHost("a.test", EnvSource("X")), source=source, clock=FakeClock())
    assert await key(wide, "https://a.test/x") == ("header", "a.test", (), source.identity)
    host = DressedLogin(BasicHost("a.test"), source=source, clock=FakeClock())
    assert await key(host, "https://a.test/x") == ("basic", "a.test", ("a.test",), source.identity)


async def test_without_a_secret_a_written_rule_fails_and_a_built_in_one_gives_nothing() -> None:
    """A user who wrote a rule wants to know; a built-in rule may be unknown to the user."""
    with pytest.raises(Failed) as caught:
        await forge().plan(question(RAW))
    assert caught.value.failure.message == (
        "no login for 'raw.test' is stored where its rule points: the fake source has no 'raw.test'"
    )
    builtin = forge(required=False)
    assert await builtin.plan(question(RAW)) is None
    assert builtin.reasons(question(RAW)) == ("the fake source has no 'raw.test'",)


@pytest.mark.parametrize("required", [True, False])
async def test_what_a_kind_withheld_gets_nothing_and_the_reason_is_reported(*, required: bool) -> None:
    """With or without a login, for written and built-in rules: a credential would break the request."""
    for host in ("api", "raw"):
        asked = question(f"https://{host}.test/a?signed=1")
        assert await forge(required=required).plan(asked) is None
        assert forge(required=required).reasons(asked) == ("the URL is signed",)


async def test_a_place_that_turns_out_to_hold_nothing_is_named() -> None:
    """Fatal for a built-in rule as well: there was to be a secret."""
    plan = await forge(required=False, stored=None).plan(question(ASSET))
    assert plan is not None
    with pytest.raises(Failed) as caught:
        await plan.run(FixedTerms())
    assert caught.value.failure.message.endswith("holds no credential")


async def test_only_a_login_is_given_to_a_docker_client() -> None:
    """An API key is not a login."""
    login = UserPassword("u", Secret("p"))
    source, target = FakeSource("a.test", login), parse_uri("https://a.test/")
    wide = Dressed(HeaderHost("a.test", EnvSource("X")), source=source, clock=FakeClock())
    assert not isinstance(wide, HasLogin)
    assert await DressedLogin(BasicHost("a.test"), source=source, clock=FakeClock()).stored(target) == login


class Limiting(FakeSource):
    """A source whose logins can be limited to one repository."""

    def narrow(self, identity: Identity, target: Target, *, opened: str) -> Identity | None:
        """Narrow for all repositories but one."""
        assert opened == WIDER.url
        return None if target.path.startswith("/wide") else replace(identity, entry="narrow")


class Opening(Forge, frozen=True, tag_field="provider", tag="opening"):
    """A kind whose narrowest credential is for more than a URL."""

    def opens(self, target: Target) -> tuple[str, ...]:
        """All of a directory."""
        return (f"{target.origin}/a/**",)


ONE, WIDER = Object("https://api.test/a/1", ("GET",)), Object("https://api.test/a/**", ("GET", "HEAD"))


def asked_by_action(path: str, *granted: Object, for_gateway: bool = False) -> Question:
    """A build action's question."""
    return Question(parse_uri(f"https://api.test{path}"), Caller("actions"), granted, for_gateway=for_gateway)


async def test_a_build_action_is_given_a_login_that_its_issuer_narrows() -> None:
    """If it may have everything that this gives access to; only that action gets it, and it is not the login itself."""
    source = Limiting("api.test", PlainSecret(Secret("t0")))
    made = Dressed(Opening("*.test"), source=source, clock=FakeClock())
    plan = await made.plan(asked_by_action("/a/1", ONE, WIDER))
    assert plan is not None
    assert plan.narrow
    assert plan.detail["credential"] == "fake:narrow"
    assert not (await plan.run(FixedTerms())).direct
    for other in (asked_by_action("/a/1", ONE, WIDER, for_gateway=True), question("https://api.test/a/1")):
        wide = await made.plan(other)
        assert wide is not None
        assert not wide.narrow
        assert wide.key != plan.key


async def test_what_opens_more_than_the_rules_allow_is_not_given_and_the_refusal_says_how() -> None:
    """Two ways: the gateway, and a rule."""
    made = Dressed(Opening("*.test"), source=Limiting("api.test", PlainSecret(Secret("t0"))), clock=FakeClock())
    with pytest.raises(Failed) as caught:
        await made.plan(asked_by_action("/a/1", ONE))
    assert caught.value.failure.code is Code.USE_GATEWAY
    assert caught.value.failure.hint.startswith("have the gateway on the same socket fetch it")
    assert caught.value.failure.hint.endswith("credproxy actions allow 'https://api.test/a/**'")


@pytest.mark.parametrize(
    ("rule", "source", "path"),
    [
        (Opening("*.test"), FakeSource, "/a/1"),
        (Opening("*.test"), Limiting, "/wide"),
        (Forge("*.test"), Limiting, "/a/1"),
    ],
    ids=["its-source-cannot", "not-for-this-url", "its-kind-knows-no-width"],
)
async def test_what_is_not_narrowed_is_not_narrow(rule: DressedHost, source: type[FakeSource], path: str) -> None:
    """The table then sends the action to the gateway."""
    made = Dressed(rule, source=source("api.test", PlainSecret(Secret("t0"))), clock=FakeClock())
    plan = await made.plan(asked_by_action(path, ONE, WIDER))
    assert plan is not None
    assert not plan.narrow


CONTRACTS = {
    "header": ProviderContract(HeaderHost(HOST, EnvSource("X")), alike=f"https://{HOST}/other"),
    "basic": ProviderContract(BasicHost(HOST), alike=f"https://{HOST}/other"),
}


@pytest.mark.parametrize("secret", ["t\u00f6ken", "t\u200bken", "\u201ctoken\u201d", "a\x80b"])
async def test_a_secret_that_no_header_can_carry_is_an_error_of_its_place(secret: str) -> None:
    """Not of the answer that is made of it: ``explain``, which looks at the secret alone, would call it a credential."""
    rule = HeaderHost("a.test", secret=EnvSource("X"))
    provider = Dressed(rule, source=FakeSource("a.test", PlainSecret(Secret(secret))), clock=FakeClock())
    plan = await provider.plan(question("https://a.test/x"))
    assert plan is not None
    with pytest.raises(Failed) as caught:
        await plan.run(FixedTerms())
    failure = caught.value.failure
    assert (failure.code, failure.hint) == (Code.CREDENTIAL_UNREADABLE, rule.remedy)
    assert (
        "cannot be sent: the value of the header 'Authorization' has characters other than printable" in failure.message
    )
    assert secret not in failure.message
