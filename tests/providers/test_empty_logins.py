"""No provider hands out an empty credential, whatever its source let pass; none is kept."""

from collections.abc import Callable

import pytest

from credproxy.core.ask.credential import (
    Caller,
    IdentityToken,
    PlainSecret,
    RegistryToken,
    Secret,
    Stored,
    UserPassword,
)
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.basic import BasicHost
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.ports.provider import Provider
from credproxy.providers.dressed import Dressed, DressedLogin
from tests.broker.world import world as broker_world
from tests.fakes import FakeClock, FakeSource, FixedTerms
from tests.registry_world import world


MANIFEST = "https://reg.test/v2/a/b/manifests/latest"
NOBODY = UserPassword("", Secret(""))


@pytest.mark.parametrize(
    "stored",
    [
        NOBODY,
        UserPassword("u", Secret(" ")),
        UserPassword("u", Secret("")),
        IdentityToken(Secret(" ")),
        RegistryToken(Secret("")),
    ],
)
@pytest.mark.parametrize("uri", [MANIFEST, "reg.test"])
async def test_a_registry_is_not_asked_with_an_empty_login(stored: Stored, uri: str) -> None:
    """And the error says where it is stored."""
    async with world(stored=stored) as w:
        with pytest.raises(Failed) as caught:
            await w.ask(uri)
        assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
        assert caught.value.failure.message.startswith("docker-config:reg.test h")
        assert w.requests == []
        with pytest.raises(Failed):
            await w.broker.stored(parse_uri("reg.test"))
        w.sources["reg.test"].stored = UserPassword("u", Secret("p"))
        await w.clock.advance(10)
        assert (await w.ask(MANIFEST)).authorization is not None


def header(source: FakeSource) -> Provider:
    """Make the provider of a header."""
    rule = HeaderHost(match="reg.test", secret=EnvSource(name="X"), prefix="Bearer ")
    return Dressed(rule, source=source, clock=FakeClock())


def netrc(source: FakeSource) -> Provider:
    """Make the provider of Basic."""
    return DressedLogin(BasicHost("reg.test"), source=source, clock=FakeClock(), required=True)


@pytest.mark.parametrize("make", [header, netrc])
async def test_a_header_is_not_made_of_an_empty_login(make: Callable[[FakeSource], Provider]) -> None:
    """``Bearer `` and ``Basic Og==`` are not credentials."""
    plan = await make(FakeSource("reg.test", NOBODY)).plan(Question(parse_uri(MANIFEST), Caller()))
    assert plan is not None
    with pytest.raises(Failed) as caught:
        await plan.run(FixedTerms())
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert "empty" in caught.value.failure.message


async def test_a_scheme_with_nothing_behind_it_is_reported_in_a_sentence() -> None:
    """``echo "Bearer $UNSET"`` for a rule without a prefix."""
    source = FakeSource("reg.test", PlainSecret(Secret("Bearer ")))
    made = Dressed(HeaderHost(match="reg.test", secret=EnvSource(name="X")), source=source, clock=FakeClock())
    plan = await made.plan(Question(parse_uri(MANIFEST), Caller()))
    assert plan is not None
    with pytest.raises(Failed) as caught:
        await plan.run(FixedTerms())
    told = "is none: the header 'Authorization' holds 'Bearer' and nothing after it"
    assert caught.value.failure.message.endswith(told)


async def test_whatever_gets_past_a_provider_is_neither_handed_out_nor_kept() -> None:
    """The broker looks at every grant once."""
    async with broker_world() as w:
        w.provider.always = " "
        failure = await w.failure()
        assert failure.code is Code.CREDENTIAL_UNREADABLE
        assert "holds 'Bearer' and nothing after it" in failure.message
        assert len(w.broker.cache) == 0
