"""The contract of every provider and every source: a module of checks.

A provider or a source has an entry in ``CONTRACTS`` of its test file, by tag::

    CONTRACTS = {"corp": ProviderContract(CorpHost("reg.test"), "https://reg.test/x")}

``tests/test_contract.py`` finds these, runs each check on each, and fails for a tag without an entry. Every check is
given a new ``Ground``: the fakes of one world, which the contract sets up.
"""

import asyncio
import base64
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import pytest
import structlog

from credproxy import providers, sources
from credproxy.core.ask.credential import (
    Caller,
    Grant,
    Identity,
    IdentityToken,
    PlainSecret,
    RegistryToken,
    Secret,
    Stored,
    UserPassword,
)
from credproxy.core.ask.lifetime import remaining
from credproxy.core.ask.login import Login
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Granted, Object, Question, Repository, Target
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.sources import SourceSettings
from credproxy.ports.provider import Plan, Provider
from credproxy.ports.source import Caches, Source
from credproxy.ports.trouble import trouble_of
from credproxy.providers.learned import Learned
from credproxy.providers.oauth_secrets import KeyTools
from tests.fakes import (
    FakeAwsSigner,
    FakeClock,
    FakeFiles,
    FakeHttp,
    FakeKeyring,
    FakeLibraries,
    FakeProcesses,
    FakeSigner,
    FakeSource,
    FixedTerms,
)


HOST = "reg.test"
CANARY = "canary-stored"
ISSUED = "canary-issued"
"""What an upstream or a program gives."""
SIGNED = "canary-signed"
"""In the query of a URI."""
CANARIES = (CANARY, ISSUED, SIGNED, base64.b64encode(f"u:{CANARY}".encode()).decode())

LOGIN = UserPassword("u", Secret(CANARY))
EVERY_SORT: tuple[Stored | None, ...] = (
    None,
    LOGIN,
    UserPassword("", Secret("")),
    IdentityToken(Secret(CANARY)),
    RegistryToken(Secret(CANARY)),
    PlainSecret(Secret(CANARY)),
    PlainSecret(Secret("null")),
)
"""What a source may give, whatever a kind does with it."""


class Ground:
    """The world of one check."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.http = FakeHttp(clock=self.clock)
        self.processes = FakeProcesses()
        self.files = FakeFiles()
        self.keyring = FakeKeyring()
        self.libraries = FakeLibraries()
        self.environ = {"HOME": "/home/u"}
        self.source = FakeSource(HOST, None, clock=self.clock)
        self.learned = Learned(b"k")

    def provider(self, rule: HostRule) -> Provider:
        """Make the provider of a rule, as the daemon does."""
        keys = KeyTools(self.files, FakeSigner(), "/home/u", lambda: "nonce")
        tools = providers.ProviderTools(
            self.clock, self.http, self.processes, lambda _: self.source, self.learned, keys, FakeAwsSigner()
        )
        return providers.make(rule, tools)

    def source_tools(self) -> sources.SourceTools:
        """The tools for making sources."""
        return sources.SourceTools(
            environ=self.environ,
            uid=1000,
            clock=self.clock,
            processes=self.processes,
            files=self.files,
            http=self.http,
            signer=FakeSigner(),
            keyring=self.keyring,
            libraries=self.libraries,
            aws=FakeAwsSigner(),
            key=lambda: b"k",
        )

    def made(self, settings: SourceSettings) -> Source:
        """Make a source, as the daemon does."""
        return sources.make(settings, self.source_tools())


Setting = Callable[[Ground], None]


def nothing(ground: Ground) -> None:
    """Set up no upstreams."""
    del ground


@dataclass(frozen=True)
class ProviderContract:
    """One provider, for the checks.

    Attributes:
        rule: for HOST.
        uri: to ask about; it has a credential if there is a login.
        alike: another URI that has the same answer; "" if each has its own.
        stored: a login that it can use, with CANARY in it.
        granted: lets upstreams or programs grant ISSUED.
        faults: each makes them fail in a different way, with canaries in their answers.
        narrow: the grants to which it can limit a credential for a build action.
        answers: whether it ever has a credential.
    """

    rule: HostRule
    uri: str = f"https://{HOST}/x?sig={SIGNED}"
    alike: str = ""
    stored: Stored = LOGIN
    granted: Setting = nothing
    faults: tuple[Setting, ...] = ()
    narrow: frozenset[type[Granted]] = frozenset()
    answers: bool = True

    @property
    def has_login(self) -> bool:
        """Whether it needs a stored login."""
        return bool(self.rule.source_keys)

    def provider(self, ground: Ground) -> Provider:
        """Make it, with its login in place and working upstreams."""
        ground.source.stored = self.stored
        self.granted(ground)
        return ground.provider(self.rule)

    def question(self, uri: str = "") -> Question:
        """The question of a user's build."""
        return Question(parse_uri(uri or self.uri), Caller())


@dataclass(frozen=True)
class SourceContract:
    """One source, for the checks.

    Attributes:
        settings: of the source.
        put: stores a secret for HOST where the settings point.
        broken: stores something unusable there, with CANARY in it.
        fixed: what is stored cannot change while the daemon runs.
    """

    settings: SourceSettings
    put: Callable[[Ground, str], None]
    broken: Setting
    fixed: bool = False
    target: Target = field(default_factory=lambda: parse_uri(f"https://{HOST}/v2/a/b/manifests/latest"))

    def source(self, ground: Ground) -> Source:
        """Make it."""
        return ground.made(self.settings)


async def planned(contract: ProviderContract, provider: Provider, uri: str = "") -> Plan:
    """The plan of a question that has an answer."""
    plan = await provider.plan(contract.question(uri))
    assert plan is not None
    return plan


async def equal_questions_have_equal_keys(contract: ProviderContract) -> None:
    """For one provider and for two, as made by a reload: otherwise nothing would be answered from memory."""
    ground = Ground()
    plans = [await planned(contract, contract.provider(ground)) for _ in range(2)]
    plans.append(await planned(contract, contract.provider(ground), contract.alike))
    assert len({plan.key for plan in plans}) == 1


async def a_changed_login_has_another_key(contract: ProviderContract) -> None:
    """What was obtained with the old one must no longer be served (P-1)."""
    ground = Ground()
    provider = contract.provider(ground)
    before = await planned(contract, provider)
    ground.source.identity = Identity("fake", "entry", 2)
    after = await planned(contract, provider)
    assert before.key != after.key
    assert before.identity != after.identity


async def to_plan_costs_nothing(contract: ProviderContract) -> None:
    """It only asks its source for a name and sends no request: a plan is made for each question (ports.provider.Provider.plan)."""
    ground = Ground()
    provider = contract.provider(ground)
    plan = await provider.plan(contract.question())
    provider.reasons(contract.question())
    trouble_of(provider, contract.question().target)
    if plan is not None:
        await provider.check(plan, contract.question().target)
    assert (ground.http.requests, ground.processes.runs, ground.source.reads) == ([], [], 0)


async def no_provider_shows_a_secret(contract: ProviderContract) -> None:
    """In a key, a message, an explanation, a repr or the log, whatever upstreams do (SEC-11, SEC-17)."""
    with written() as seen:
        for fault in (nothing, *contract.faults):
            ground = Ground()
            provider = contract.provider(ground)
            fault(ground)
            plan = await provider.plan(contract.question())
            if plan is not None:
                seen.append(f"{plan}{plan.key}{plan.subject}{plan.upstream}{plan.detail}{plan.identity}")
                seen.extend(shown(await outcome(plan, ground)))
            seen.extend([repr(provider), *provider.reasons(contract.question())])
    assert_clean(seen)


async def a_provider_fails_with_a_code(contract: ProviderContract) -> None:
    """Whatever its source holds and whatever its upstreams do: a grant or a Failed, and nothing else."""
    for fault in (nothing, *contract.faults):
        for stored in EVERY_SORT if contract.has_login else (contract.stored,):
            ground = Ground()
            provider = contract.provider(ground)
            ground.source.stored = stored
            fault(ground)
            plan = await provider.plan(contract.question())
            assert (plan is not None) is contract.answers
            result = None if plan is None else await outcome(plan, ground)
            assert result is None or isinstance(result, Grant) or result.code in Code


async def every_fault_is_one(contract: ProviderContract) -> None:
    """The faults of an entry cause failures; without one its upstreams grant."""
    for fault in (nothing, *contract.faults):
        ground = Ground()
        provider = contract.provider(ground)
        fault(ground)
        result = await outcome(await planned(contract, provider), ground)
        assert isinstance(result, Failure if fault is not nothing else Grant), (fault, result)
        assert isinstance(result, Failure) or result.headers


async def no_grant_outlives_its_login(contract: ProviderContract) -> None:
    """Whatever its issuer says: when a login ends, so does everything obtained with it.

    What a program printed must be looked up again after ``keep`` seconds, so its own headers are not used for longer.
    """
    for until, keep, most in ((60.0, None, 60.0), (60.0, 600.0, 60.0), (None, 30.0, 30.0)):
        ground = Ground()
        provider = contract.provider(ground)
        boot = ground.clock.boot()
        ground.source.until, ground.source.keep = None if until is None else boot + until, keep
        grant = await (await planned(contract, provider)).run(FixedTerms())
        assert grant.headers
        left = remaining(grant.lifetime, ground.clock.boot(), wall=ground.clock.wall())
        assert left > 0
        assert left <= most or (until is None and not grant.direct)


async def a_plan_is_narrow_only_where_it_is(contract: ProviderContract) -> None:
    """And then it never gives the login itself. Only such a plan may serve a build action (ports.provider.Plan)."""
    target = contract.question().target
    wanted: tuple[Granted, ...] = (
        Repository(RepositoryName("a/b"), ("pull",)),
        Object(target.origin + target.path, ("GET",)),
    )
    for granted in wanted:
        ground = Ground()
        provider = contract.provider(ground)
        plan = await provider.plan(Question(target, Caller("actions"), (granted,)))
        assert (plan is not None and plan.narrow) is (type(granted) in contract.narrow), granted
        if plan is not None and plan.narrow:
            grant = await plan.run(FixedTerms(for_actions=True))
            given = [value.reveal() for _, values in grant.headers for value in values]
            assert given
            assert not grant.direct
            assert not [value for value in given for canary in CANARIES if canary in value and canary != ISSUED]
    person = await contract.provider(Ground()).plan(contract.question())
    assert person is None or not person.narrow


async def equal_questions_have_equal_identities(contract: SourceContract) -> None:
    """For one source and for two; and naming a login starts no program (ports.source.Source.locate)."""
    ground = Ground()
    contract.put(ground, CANARY)
    source = contract.source(ground)
    names = [
        await one.locate(contract.target, RepositoryName("a/b")) for one in (source, source, contract.source(ground))
    ]
    assert None not in names
    assert len(set(names)) == 1
    assert ground.processes.runs == []


async def a_changed_login_has_another_identity(contract: SourceContract) -> None:
    """Once the source has looked again (P-1)."""
    ground = Ground()
    contract.put(ground, CANARY)
    source = contract.source(ground)
    before = await source.locate(contract.target, RepositoryName("a/b"))
    assert before is not None
    await source.read(before, contract.target)
    contract.put(ground, f"{CANARY}-changed")
    ground.clock.suspend(20)
    login = await source.read(before, contract.target, anew=True)
    after = await source.locate(contract.target, RepositoryName("a/b"))
    assert login is None or CANARY in repr_of(login.stored)
    assert (before == after) is contract.fixed


async def a_flush_makes_a_source_look_again(contract: SourceContract) -> None:
    """A source with nothing to forget gives what is stored now by itself (ports.source.Caches)."""
    ground = Ground()
    contract.put(ground, CANARY)
    source = contract.source(ground)
    await found(contract, source)
    contract.put(ground, f"{CANARY}-changed")
    if isinstance(source, Caches):
        source.forget()
    failure, login = await found(contract, source)
    assert failure is None
    assert login is not None
    assert "-changed" in repr_of(login.stored)


async def no_source_shows_a_secret(contract: SourceContract) -> None:
    """In a name, a message, a repr or the log, whether usable or not (SEC-11)."""
    with written() as seen:
        for put in (lambda ground: contract.put(ground, CANARY), contract.broken):
            ground = Ground()
            put(ground)
            seen.extend(await everything(contract, contract.source(ground)))
    assert_clean(seen)


async def a_source_says_what_is_wrong(contract: SourceContract) -> None:
    """For a missing and for an unusable secret: a sentence or a Failed of the closed list, and never another error."""
    for put in (nothing, contract.broken):
        ground = Ground()
        put(ground)
        source = contract.source(ground)
        failure, login = await found(contract, source)
        assert login is None
        assert failure is None or (failure.code in Code and failure.hint)
        assert failure or trouble_of(source, contract.target) or source.looked(contract.target)


async def a_login_ends_where_it_says(contract: SourceContract) -> None:
    """A secret that is a JWT contains its expiry, which also limits what is obtained with it."""
    ground = Ground()
    boot, wall = ground.clock.boot(), ground.clock.wall()
    contract.put(ground, jwt(wall + 100))
    source = contract.source(ground)
    identity = await source.locate(contract.target, RepositoryName("a/b"))
    assert identity is not None
    login = await source.read(identity, contract.target)
    assert login is not None
    assert login.since <= ground.clock.boot()
    assert login.until == boot + 100


PROVIDER_CHECKS = (
    equal_questions_have_equal_keys,
    every_fault_is_one,
    to_plan_costs_nothing,
    no_provider_shows_a_secret,
    a_provider_fails_with_a_code,
    a_plan_is_narrow_only_where_it_is,
)
LOGIN_CHECKS = (a_changed_login_has_another_key, no_grant_outlives_its_login)
"""Checks for providers that need a login."""

ANSWERLESS_CHECKS = (
    to_plan_costs_nothing,
    no_provider_shows_a_secret,
    a_provider_fails_with_a_code,
    a_plan_is_narrow_only_where_it_is,
)
"""Checks for providers that never have a credential."""

SOURCE_CHECKS = (
    equal_questions_have_equal_identities,
    a_changed_login_has_another_identity,
    a_flush_makes_a_source_look_again,
    no_source_shows_a_secret,
    a_source_says_what_is_wrong,
    a_login_ends_where_it_says,
)


def checks_of(contract: ProviderContract) -> tuple[Callable[[ProviderContract], object], ...]:
    """The checks for such a provider."""
    if not contract.answers:
        return ANSWERLESS_CHECKS
    return PROVIDER_CHECKS + (LOGIN_CHECKS if contract.has_login else ())


async def outcome(plan: Plan, ground: Ground) -> Grant | Failure:
    """Run a plan, and let every pause of its exchange pass."""
    running = asyncio.ensure_future(plan.run(FixedTerms()))
    for _ in range(40):
        if not running.done():
            await ground.clock.advance(1)
    try:
        return await running
    except Failed as error:
        return error.failure


async def found(contract: SourceContract, source: Source) -> tuple[Failure | None, Login | None]:
    """The result of a question: the login, or why there is none."""
    try:
        identity = await source.locate(contract.target, RepositoryName("a/b"))
        return None, None if identity is None else await source.read(identity, contract.target)
    except Failed as error:
        return error.failure, None


async def everything(contract: SourceContract, source: Source) -> list[str]:
    """Everything that a source can show."""
    seen = [repr(source)]
    try:
        identity = await source.locate(contract.target, RepositoryName("a/b"))
        if identity is not None:
            seen += [repr(identity), str(identity)]
            seen += [repr(await source.peek(identity, contract.target))]
            seen += [repr(await source.read(identity, contract.target))]
    except Failed as error:
        seen += [str(error), *shown(error.failure)]
    return [*seen, repr(trouble_of(source, contract.target)), *source.looked(contract.target)]


def shown(result: Grant | Failure) -> list[str]:
    """The parts of a result that may be shown."""
    return [repr(result), result.note] if isinstance(result, Grant) else [repr(result), result.message, result.hint]


@contextmanager
def written() -> Iterator[list[str]]:
    """A list that collects everything that is logged, before masking, which is only the backstop."""
    seen: list[str] = []
    with structlog.testing.capture_logs() as events:
        yield seen
        seen.append(repr(events))


def assert_clean(seen: list[str]) -> None:
    """No text has a canary."""
    found = [text for text in seen for canary in CANARIES if canary in text]
    if found:
        pytest.fail(f"a secret is shown: {found[0]}")


def repr_of(stored: Stored) -> str:
    """A stored credential in the clear."""
    match stored:
        case PlainSecret(value):
            return value.reveal()
        case UserPassword(_, password):
            return password.reveal()
        case IdentityToken(token) | RegistryToken(token):
            return token.reveal()


def jwt(end: float, **more: object) -> str:
    """A token that ends at that POSIX second."""
    parts = ({"alg": "none"}, {"exp": end, **more})
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "s"]
    )
