"""Which provider answers, and what a flush means."""

import pytest

from credproxy.broker.table import Table, covers
from credproxy.core.ask.credential import PlainSecret, Secret
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_server_url
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.none import NoneHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.uses import NOT_INSTALLED
from credproxy.core.policy.routing import Router
from tests.broker.world import question
from tests.fakes import FakeClock, FakeProvider


def _provider(key: str | None) -> FakeProvider:
    provider = FakeProvider(FakeClock())
    provider.key = lambda _: key
    return provider


class _Lacking(FakeProvider):
    """One whose library is not installed."""

    def reasons(self, question: Question) -> tuple[str, ...]:
        """Say that."""
        del question
        return (f"'lib'{NOT_INSTALLED}pip install 'lib>=1'",)


def _table(*rules: HostRule, fallback: tuple[FakeProvider, ...] = ()) -> Table:
    return Table(Router(rules), {rule.match: _provider(rule.match) for rule in rules}, fallback=fallback)


async def _key(table: Table, uri: str) -> object:
    plan = (await table.plan(question(uri))).plan
    return None if plan is None else plan.key[1]


async def test_the_rule_that_matches_decides_alone() -> None:
    """With a rule nothing else is asked, even if it gives nothing."""
    rule = NoneHost(match="reg.test")
    table = Table(Router([rule]), {"reg.test": _provider(None)}, fallback=[_provider("fallback")])
    routed = await table.plan(question("https://reg.test/v2/a/b/blobs/x"))
    assert (routed.plan, routed.rule) == (None, "reg.test")


async def test_without_a_rule_the_first_that_has_a_plan_answers() -> None:
    """Docker's configuration is asked, then netrc."""
    table = _table(fallback=(_provider(None), _provider("second"), _provider("third")))
    assert await _key(table, "https://reg.test/v2/a/b/blobs/x") == "second"


async def test_without_a_provider_there_is_no_plan() -> None:
    """An unknown host gets ``{}``."""
    routed = await _table().plan(question("https://reg.test/x"))
    assert (routed.plan, routed.rule) == (None, "")


@pytest.mark.parametrize(
    ("uri", "insecure", "answered"),
    [
        pytest.param("http://reg.test/x", False, False, id="plain"),
        pytest.param("http://reg.test/x", True, True, id="insecure"),
        pytest.param("http://localhost:5000/x", False, True, id="loopback"),
        pytest.param("https://reg.test/x", False, True, id="tls"),
    ],
)
async def test_no_credential_on_a_plain_connection(uri: str, insecure: bool, answered: bool) -> None:  # noqa: FBT001  parametrized
    """SC-4: plain http gets nothing, except on loopback and where a rule says ``insecure``."""
    table = _table(NoneHost(match="*", insecure=insecure))
    assert (await _key(table, uri) is not None) is answered


async def test_holds_without_a_rule() -> None:
    """SC-4: what works without configuration is never given to a plain connection."""
    assert await _key(_table(fallback=(_provider("f"),)), "http://reg.test/x") is None


async def test_stored_follows_the_same_road() -> None:
    """The docker helper protocol gets the login of the provider that is responsible."""
    first, second = _provider("a"), _provider("b")
    second.login = PlainSecret(Secret("s"))
    table = _table(fallback=(first, second))
    assert await table.stored(parse_server_url("reg.test")) == second.login
    assert await _table().stored(parse_server_url("reg.test")) is None


@pytest.mark.parametrize(
    ("match", "authority", "meant"),
    [
        (None, "reg.test", True),
        ("*", "reg.test", True),
        ("reg.test", "reg.test", True),
        ("reg.test", "reg.test:5000", True),
        ("reg.test:5000", "reg.test", False),
        ("reg.test:443", "reg.test", True),
        ("eg.test", "reg.test", False),
        ("*.test", "reg.test", True),
        ("*.test", "reg.test:5000", True),
        ("*.test", "test", False),
        ("*.test", "reg.contest", False),
        ("docker.io", "registry-1.docker.io", True),
        ("[::1]", "[::1]:5000", True),
        ("oauth2accesstoken@reg.test", "reg.test", True),
        ("%2Frun%2Fx.sock", "%2Frun%2Fx.sock", True),
    ],
)
def test_what_a_flush_covers(match: str | None, authority: str, meant: bool) -> None:  # noqa: FBT001  parametrized
    """A host means any port, a suffix needs its dot, Docker Hub's names are one."""
    assert covers(match)(authority) is meant


async def test_behind_a_built_in_rule_the_files_are_asked_as_ever() -> None:
    """No user wrote it: if it has no login, that of a netrc file is sent, as before there was such a rule."""
    router = Router([], [NoneHost("git.test")])
    for own, expected in ((None, "fallback"), ("own", "own")):
        table = Table(router, {"none git.test": _provider(own)}, fallback=[_provider("fallback")])
        assert await _key(table, "https://git.test/x") == expected


async def test_of_a_built_in_rule_is_told_how_to_log_in() -> None:
    """A user who did not write it does not know what it needs."""
    rules: list[HostRule] = [OciHost("reg.test"), NoneHost("cdn.test")]
    router = Router([], rules)
    table = Table(router, {router.key(rule): _provider(None) for rule in rules})
    assert table.why_nothing(question("https://reg.test/x")) == (
        "the built-in rule 'reg.test' answers for it",
        "the fake provider has no 'reg.test'",
        "to have a login for it: docker login reg.test",
    )
    assert len(table.why_nothing(question("https://cdn.test/x"))) == 2


async def test_of_a_library_that_is_missing_the_command_comes_before_the_login() -> None:
    """With the login alone there would still be no answer, and it may be there already."""
    rule = OciHost("reg.test")
    router = Router([], [rule])
    assert Table(router, {router.key(rule): _Lacking(FakeClock())}).why_nothing(question("https://reg.test/x"))[1:] == (
        "'lib' is not installed: pip install 'lib>=1'",
        "to have a login for it: pip install 'lib>=1'; then, unless it is done: docker login reg.test",
    )
