"""What the gateway asks of the broker: a credential that stays inside, where to send it, and another one if it is refused."""

import pytest

from credproxy.broker.answers import Answer
from credproxy.broker.table import Table
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.http import Dial, Reach
from credproxy.core.ask.names import Origin, RepositoryName
from credproxy.core.ask.target import Form, Granted, Question, Repository, Target
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.none import NoneHost
from credproxy.core.kinds.oauth2 import OauthHost
from credproxy.core.policy.routing import Router
from tests.broker.world import World, token, world
from tests.fakes import FakeClock, FakeProvider
from tests.hints import filled


PULL: tuple[Granted, ...] = (Repository(RepositoryName("a"), ("pull",)),)


def for_gateway(host: str = "reg.test", uid: int = 0, port: int | None = None) -> Question:
    """A gateway question."""
    target = Target("https", host, port, "/v2/a/blobs/x", "", Form.URL)
    return Question(target, Caller("gateway", uid), PULL, for_gateway=True)


async def ask_for_gateway(w: World, uid: int = 0) -> Answer:
    """Ask as the gateway does."""
    return (await w.broker.ask_for_gateway(for_gateway(uid=uid))).answer


async def test_a_credential_that_cannot_be_narrowed_is_carried_and_not_given() -> None:
    """T13: the same question in header mode is refused, and what it is told to use has the credential."""
    async with world() as w:
        question = Question(for_gateway().target, Caller("actions", 0), PULL)
        with pytest.raises(Failed) as caught:
            await w.broker.ask(question)
        assert caught.value.failure.code is Code.USE_GATEWAY
        message = "no build action is given the credential for 'reg.test': it cannot be limited to what was asked for"
        assert caught.value.failure.message == message
        filled(
            caught.value.failure.hint,
            "use the gateway on the same socket, which fetches it for the action: credproxy bazelrc --actions",
        )
        given = await w.broker.ask_for_gateway(for_gateway())
        assert token(given.answer) == "tok1"
        assert given.target == for_gateway().target


async def test_a_grant_cached_for_the_gateway_is_not_given_to_others() -> None:
    """SEC-16: another socket, another key, and another key for each user (T10)."""
    async with world() as w:
        assert token(await ask_for_gateway(w)) == "tok1"
        assert token(await w.answer("https://reg.test/v2/a/blobs/x")) == "tok2"
        assert token(await ask_for_gateway(w, uid=1)) == "tok3"
        assert token(await ask_for_gateway(w)) == "tok1"


async def test_a_refused_credential_is_dropped() -> None:
    """The next question gets a new one, for the refused caller and for all others."""
    async with world() as w:
        refused = await ask_for_gateway(w)
        assert refused.refused()
        assert token(await ask_for_gateway(w)) == "tok2"


async def test_a_refusal_counts_until_the_next_configuration() -> None:
    """A second one within ten seconds is not worth an exchange, unless other settings are in force by then."""
    async with world() as w:
        assert (await ask_for_gateway(w)).refused()
        assert not (await ask_for_gateway(w)).refused()
        w.broker.swap(w.table)
        assert (await ask_for_gateway(w)).refused()


async def test_only_what_was_refused_is_dropped() -> None:
    """Not a newer credential, and not another user's."""
    async with world() as w:
        other = await ask_for_gateway(w, uid=1)
        refused = await ask_for_gateway(w)
        refused.refused()
        newer = await ask_for_gateway(w)
        assert refused.refused()
        assert token(await ask_for_gateway(w)) == token(newer) == "tok3"
        assert token(await ask_for_gateway(w, uid=1)) == token(other)


async def test_once_in_ten_seconds_for_a_key() -> None:
    """A login without the right is refused with every token: each refusal would be an exchange."""
    async with world() as w:
        assert (await ask_for_gateway(w)).refused()
        second = await ask_for_gateway(w)
        assert not second.refused()
        assert token(await ask_for_gateway(w)) == "tok2"
        assert (await ask_for_gateway(w, uid=1)).refused(), "another user's key"
        await w.clock.advance(10)
        assert (await ask_for_gateway(w)).refused()
        assert token(await ask_for_gateway(w)) == "tok4"


async def test_a_second_refusal_of_the_same_credential_gets_the_new_one() -> None:
    """Forty downloads with one revoked token: one exchange, and no caller is told that the login lacks the right."""
    async with world() as w:
        handouts = [await ask_for_gateway(w) for _ in range(40)]
        assert [handout.refused() for handout in handouts] == [True] * 40
        assert {token(await ask_for_gateway(w)) for _ in handouts} == {"tok2"}
        assert len(w.provider.runs) == 2


async def test_nothing_was_refused_where_nothing_was_sent() -> None:
    """An anonymous request has no better one; neither has an empty answer."""
    async with world() as w:
        w.provider.empty = True
        assert not (await ask_for_gateway(w)).refused()
        w.provider.key = lambda _: None
        assert not (await ask_for_gateway(w, uid=1)).refused()


async def test_the_exchange_after_a_refusal_looks_the_login_up_again() -> None:
    """It may have changed although no file did; other keys are not affected."""
    async with world() as w:
        (await ask_for_gateway(w)).refused()
        await ask_for_gateway(w)
        await ask_for_gateway(w, uid=1)
        assert w.provider.anew == [False, True, False]
        await w.clock.advance(400)
        await ask_for_gateway(w)
        assert w.provider.anew[-1] is False, "that was long ago"


async def test_a_403_is_a_reason_to_look_again_where_the_login_itself_was_sent() -> None:
    """ECR uses it for an expired login; for a token it means that the login lacks the right."""
    async with world() as w:
        assert not (await ask_for_gateway(w)).refused(forbidden=True)
        w.provider.direct = True
        direct = await ask_for_gateway(w, uid=1)
        assert direct.refused(forbidden=True)
        assert token(await ask_for_gateway(w, uid=1)) != token(direct)


async def test_a_reload_and_a_refusal() -> None:
    """What was given before the reload is gone with it: asking again makes sense, and drops nothing that is new."""
    async with world() as w:
        refused = await ask_for_gateway(w)
        w.broker.swap(w.table)
        newer = await ask_for_gateway(w)
        assert refused.refused()
        assert token(await ask_for_gateway(w)) == token(newer)


async def reach(rule: HostRule | None, host: str = "reg.test", port: int | None = None) -> Reach:
    """Where the table sends the gateway."""
    rules = () if rule is None else (rule,)
    provider = FakeProvider(FakeClock())
    table = Table(Router(rules), {one.match: provider for one in rules}, fallback=[provider])
    return (await table.plan(for_gateway(host, port=port))).reach


@pytest.mark.parametrize(
    ("match", "insecure", "port", "expected"),
    [
        pytest.param(None, False, None, Reach(Origin("https://reg.test"), Dial()), id="no rule"),
        pytest.param("reg.test", False, None, Reach(Origin("https://reg.test"), Dial(own=True)), id="exact"),
        pytest.param(
            "reg.test/v2/a", False, None, Reach(Origin("https://reg.test"), Dial(own=True)), id="exact, with a path"
        ),
        pytest.param("*.test", False, None, Reach(Origin("https://reg.test"), Dial()), id="wildcard"),
        pytest.param("*", False, 5000, Reach(Origin("https://reg.test:5000"), Dial()), id="any"),
        pytest.param("reg.test", True, None, Reach(Origin("http://reg.test"), Dial(own=True)), id="insecure"),
        pytest.param("*.test", True, 5000, Reach(Origin("http://reg.test:5000"), Dial()), id="insecure, wildcard"),
        pytest.param(
            "reg.test", True, 80, Reach(Origin("http://reg.test"), Dial(own=True)), id="insecure, with its port"
        ),
    ],
)
async def test_where_the_registry_is(match: str | None, insecure: bool, port: int | None, expected: Reach) -> None:  # noqa: FBT001  parametrized
    """T15, SEC-4: only what a rule names itself may be private; http only where it says so (SC-4)."""
    rule = None if match is None else NoneHost(match=match, insecure=insecure)
    assert await reach(rule, port=port) == expected


async def test_the_certificate_of_a_rule_is_for_its_hosts_or_for_its_token_server_alone() -> None:
    """One that an identity provider wants is not a reason to refuse what lies at the hosts of the rule."""
    shown = (await reach(NoneHost("reg.test", client_cert="/c.pem", client_key="/c.key"))).dial
    assert (shown.client_cert, shown.client_key) == ("/c.pem", "/c.key")
    other = OauthHost("reg.test", client_id="c", token_url="https://id.test/token", client_cert="/c.pem")
    assert (await reach(other)).dial == Dial(own=True)


async def test_loopback_without_a_rule_is_tls_and_refused() -> None:
    """T15: a policy that allows every registry allows no service on this machine."""
    assert await reach(None, "localhost", 5000) == Reach(Origin("https://localhost:5000"), Dial())
