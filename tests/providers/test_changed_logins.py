"""A login that changed without a file changing: a refused login is looked up again before the caller notices."""

import base64
import contextlib
from collections.abc import AsyncIterator, Callable

import pytest
import structlog

from credproxy.broker.broker import Broker
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.table import Table
from credproxy.core.ask.credential import (
    Caller,
    Grant,
    IdentityToken,
    PlainSecret,
    RegistryToken,
    Secret,
    Stored,
    UserPassword,
)
from credproxy.core.ask.http import Response
from credproxy.core.ask.login import Login
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Question, Repository
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, failed
from credproxy.core.kinds.basic import BasicHost
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.sources.command import CommandSource
from credproxy.core.policy.routing import Router
from credproxy.ports.processes import Completed
from credproxy.ports.provider import Provider
from credproxy.ports.source import Source
from credproxy.providers.dressed import Dressed, DressedLogin
from credproxy.providers.learned import Learned
from credproxy.providers.oci import OciProvider
from credproxy.sources.command import CommandOutput
from tests.fakes import (
    T0,
    FakeClock,
    FakeHttp,
    FakeMetrics,
    FakeProcesses,
    FakeSource,
    FixedTerms,
    settle,
)
from tests.registry_world import U_P, World, basic, ok, world


MANIFEST = "https://reg.test/v2/a/b/manifests/latest"
NEW = UserPassword("u", Secret("new"))


def logins(w: World) -> list[str | None]:
    """Give the Authorization of each token request."""
    return [w.header(index, "Authorization") for index, one in enumerate(w.http.requests) if "/token" in one.url]


@pytest.mark.parametrize(
    "refusal",
    [(401, b""), (403, b""), (400, {"error": "invalid_grant"}), (401, {"errors": [{"code": "UNAUTHORIZED"}]})],
)
async def test_a_refused_login_is_looked_up_again_and_the_new_one_is_used_at_once(refusal: tuple[int, object]) -> None:
    """ECR's twelve hours are over and ``docker login`` has renewed it: the build does not notice."""
    async with world(stored=U_P) as w:
        w.sources["reg.test"].changed = NEW
        w.script(token=[w.respond(*refusal), w.granted("tok2")])
        with structlog.testing.capture_logs() as events:
            assert await w.ask(MANIFEST) == ok("tok2", 270)
        assert logins(w) == [basic("u:p"), basic("u:new")]
        assert [one["event"] for one in events if one["event"] == "login changed"] == ["login changed"]
        assert "new" not in repr(events)


async def test_a_refused_refresh_token_gives_way_to_a_new_one() -> None:
    """And no refresh token is sent twice."""
    async with world(stored=IdentityToken(Secret("old"))) as w:
        w.sources["reg.test"].changed = IdentityToken(Secret("new"))
        w.script(token=[w.respond(400, {"error": "invalid_grant"}), w.granted("tok2")])
        assert await w.ask(MANIFEST) == ok("tok2", 270)
        assert [w.form(index)["refresh_token"] for index in (1, 2)] == [["old"], ["new"]]


async def test_a_build_actions_exchange_does_the_same() -> None:
    """On the actions socket, too."""
    async with world(stored=U_P) as w:
        w.sources["reg.test"].changed = NEW
        w.script(token=[w.respond(401), w.granted("tok2")])
        assert await w.ask(MANIFEST, grants=(Repository(RepositoryName("a/b"), ("pull",)),)) == ok("tok2", 270)


async def test_the_same_login_stays_refused_and_is_sent_once() -> None:
    """Too many tries lock an account; the refusal is remembered as before."""
    async with world(stored=U_P) as w:
        w.script(token=w.respond(401))
        assert await w.refusal(MANIFEST) is Code.BAD_CREDENTIALS
        assert await w.refusal(MANIFEST) is Code.BAD_CREDENTIALS
        assert logins(w) == [basic("u:p")]
        assert w.sources["reg.test"].looks == 1


async def test_a_new_login_that_is_refused_as_well_is_the_end_of_it() -> None:
    """No third try."""
    async with world(stored=U_P) as w:
        w.sources["reg.test"].changed = NEW
        w.script(token=w.respond(401))
        assert await w.refusal(MANIFEST) is Code.BAD_CREDENTIALS
        assert logins(w) == [basic("u:p"), basic("u:new")]


async def test_only_a_refusal_of_the_login_causes_a_look_up() -> None:
    """An answer without a token, or a missing endpoint, says nothing about the login."""
    for status in (404, 204, 307):
        async with world(stored=U_P) as w:
            w.script(token=w.respond(status))
            await w.refusal(MANIFEST)
            assert w.sources["reg.test"].looks == 0


class Locked(FakeSource):
    """A store that is locked at the second look-up."""

    async def read(self, identity: object, target: object, *, anew: bool = False) -> Login | None:
        """Give the login, the first time."""
        del identity, target
        if anew:
            raise failed(Code.HELPER_FAILED, "the keychain is locked")
        assert self.stored is not None
        return Login(self.stored, self.clock.boot())


async def test_where_the_store_cannot_be_asked_again_the_refusal_stands() -> None:
    """What the server said is the better answer; the log says the rest."""
    async with world(stored=U_P) as w:
        locked = Locked("reg.test", U_P, clock=w.clock)
        w.provider._source = locked
        w.script(token=w.respond(401))
        with structlog.testing.capture_logs() as events:
            assert await w.refusal(MANIFEST) is Code.BAD_CREDENTIALS
        assert [one["reason"] for one in events if one["event"] == "login cannot be looked up"] == [
            "the keychain is locked"
        ]


def oci(source: FakeSource, clock: FakeClock) -> Provider:
    """Make the provider of a registry that takes only Basic."""
    http = FakeHttp(clock=clock)
    http.script["https://reg.test/v2/"] = [
        Response(401, (("WWW-Authenticate", "Basic"),), b"", clock.boot(), clock.wall(), "127.0.0.2")
    ]
    rule = OciHost(match="reg.test")
    return OciProvider(rule, exact=True, source=source, http=http, clock=clock, learned=Learned(b"key"))


def header(source: FakeSource, clock: FakeClock) -> Provider:
    """Make the provider of a header."""
    rule = HeaderHost(match="reg.test", secret=None)  # type: ignore[arg-type]  # its source is the fake one
    return Dressed(rule, source=source, clock=clock)


def netrc(source: Source, clock: FakeClock) -> Provider:
    """Make the provider of Basic."""
    return DressedLogin(BasicHost("reg.test"), source=source, clock=clock, required=True)


@pytest.mark.parametrize(
    ("make", "uri", "old", "new"),
    [
        pytest.param(oci, MANIFEST, U_P, NEW, id="Basic of a registry"),
        pytest.param(oci, "reg.test", U_P, NEW, id="Basic for a bare host"),
        pytest.param(oci, MANIFEST, RegistryToken(Secret("p")), RegistryToken(Secret("new")), id="a finished token"),
        pytest.param(netrc, MANIFEST, U_P, NEW, id="basic"),
        pytest.param(header, MANIFEST, PlainSecret(Secret("p")), PlainSecret(Secret("new")), id="header"),
    ],
)
async def test_what_was_sent_as_it_is_and_refused_is_looked_up_again(
    make: Callable[[FakeSource, FakeClock], Provider], uri: str, old: Stored, new: Stored
) -> None:
    """The broker says so in the terms of the next exchange; ``direct`` tells that a 403 may mean it, too."""
    clock = FakeClock()
    source = FakeSource("reg.test", old, clock=clock, changed=new)
    provider = make(source, clock)
    plan = await provider.plan(Question(parse_uri(uri), Caller()))
    assert plan is not None

    async def value(*, anew: bool) -> str:
        grant: Grant = await plan.run(FixedTerms(anew=anew))
        assert grant.direct
        return grant.headers[0][1][0].reveal()

    first = await value(anew=False)
    assert await value(anew=False) == first
    assert await value(anew=True) != first


@contextlib.asynccontextmanager
async def printing(outputs: list[bytes]) -> AsyncIterator[tuple[Broker, FakeClock, FakeProcesses]]:
    """Set up a broker for one host, whose password a program prints: the first output, until it is taken away."""
    clock = FakeClock()
    processes = FakeProcesses({"/bin/pass": lambda _: Completed(0, outputs[0])})
    settings = CommandSource(argv=("/bin/pass",), username="u")
    source = CommandOutput(settings, processes=processes, clock=clock, key=lambda: b"k")
    rule = BasicHost(match="reg.test", credentials=settings)
    table = Table(Router([rule]), {"reg.test": netrc(source, clock)})
    upstream = RepeatingClient(FakeHttp(), clock=clock, sample=lambda: 0.5)
    async with Broker(table, clock=clock, sample=lambda: 0.5, metrics=FakeMetrics(), upstream=upstream) as broker:
        yield broker, clock, processes


async def given(broker: Broker, *, doubted: bool = False) -> tuple[str, int | None]:
    """Ask; give the header, and ``expires`` in seconds from the beginning of the test."""
    handout = await broker.ask(Question(parse_uri(MANIFEST), Caller()), doubted=doubted)
    await settle()
    expires = None if handout.expires is None else handout.expires - int(T0)
    return handout.headers[0][1][0].reveal(), expires


async def test_basic_that_bazel_saw_refused_is_the_new_one_five_seconds_later() -> None:
    """Only Bazel's repeated question shows that the password has changed; the program is then run again."""
    outputs = [b"old", b"new"]
    async with printing(outputs) as (broker, clock, processes):
        assert await given(broker) == (basic("u:old"), 216)
        outputs.pop(0)
        await clock.advance(60)
        assert await given(broker, doubted=True) == (basic("u:old"), 65)
        assert len(processes.runs) == 2
        await clock.advance(5)
        assert await given(broker) == (basic("u:new"), 276)
        assert len(processes.runs) == 2


async def test_nothing_that_a_program_printed_is_ever_given_for_longer_than_it_is_kept() -> None:
    """For half an hour, every two seconds: an answer was printed less than 240 s before it expires for Bazel."""
    outputs = [b"0"]
    async with printing(outputs) as (broker, clock, processes):
        for second in range(0, 1800, 2):
            outputs[0] = str(second).encode()
            header, expires = await given(broker)
            printed = int(base64.b64decode(header.removeprefix("Basic ")).decode().removeprefix("u:"))
            assert expires is not None
            assert second < expires <= printed + 240
            await clock.advance(2)
        assert len(processes.runs) <= 1 + 1800 // 170, "and it is not asked more often than that needs"
