"""Runs the checks of tests/contract.py on every provider and every source, and on the fakes that stand in for them."""

import importlib
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from credproxy.core.ask.credential import Identity, PlainSecret, Secret
from credproxy.core.ask.login import login_of
from credproxy.core.kinds import KINDS
from credproxy.core.kinds.none import NoneHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.ports.provider import Provider
from credproxy.ports.source import Source
from tests import contract
from tests.contract import HOST, Ground, ProviderContract, SourceContract, nothing
from tests.fakes import FakeProvider
from tests.kind_samples import SOURCES


HERE = Path(__file__).parent

HOW = "one entry for each in CONTRACTS of its test file: see tests/contract.py"

Contract = ProviderContract | SourceContract


def entries() -> list[tuple[str, Contract]]:
    """The entries of all test files."""
    files = [
        path for path in sorted(HERE.rglob("test_*.py")) if re.search(r"^CONTRACTS\b", path.read_text(), re.MULTILINE)
    ]
    names = [".".join(("tests", *path.relative_to(HERE).with_suffix("").parts)) for path in files]
    return [entry for name in names for entry in importlib.import_module(name).CONTRACTS.items()]


@dataclass(frozen=True)
class OfFakeProvider(ProviderContract):
    """The fake of the broker's tests."""

    @property
    def has_login(self) -> bool:
        """It makes its tokens itself."""
        return False

    def provider(self, ground: Ground) -> Provider:
        """With the clock of the world."""
        return FakeProvider(ground.clock)


@dataclass(frozen=True)
class OfFakeSource(SourceContract):
    """The fake of the providers' tests."""

    def source(self, ground: Ground) -> Source:
        """The source of the world."""
        return ground.source


def put_into_fake(ground: Ground, secret: str) -> None:
    """Like a real source."""
    now = ground.clock.boot()
    login = login_of(PlainSecret(Secret(secret)), since=now, boot=now, wall=ground.clock.wall())
    ground.source.stored, ground.source.until = login.stored, login.until
    ground.source.identity = Identity("fake", "entry", hash(secret))


def empty_fake(ground: Ground) -> None:
    """An unusable secret for a fake."""
    ground.source.stored = None


OWN = entries()
PROVIDERS = {tag: one for tag, one in OWN if isinstance(one, ProviderContract)}
FAKE_PROVIDER = OfFakeProvider(NoneHost(HOST), alike=f"https://{HOST}/other")
FAKE_SOURCE = OfFakeSource(EnvSource("X"), put_into_fake, empty_fake)
THEIRS = {tag: one for tag, one in OWN if isinstance(one, SourceContract)}


def test_every_provider_has_an_entry() -> None:
    """A new kind needs an entry; and no tag has two."""
    tags = sorted(kind.tag() for kind in KINDS)
    assert sorted(tag for tag, one in OWN if isinstance(one, ProviderContract)) == tags, HOW
    assert {tag: one.rule.tag() for tag, one in PROVIDERS.items()} == {tag: tag for tag in PROVIDERS}


def test_every_source_has_an_entry() -> None:
    """As above."""
    tags = sorted(str(kind.__struct_config__.tag) for kind in SOURCES)
    assert sorted(tag for tag, one in OWN if isinstance(one, SourceContract)) == tags, HOW
    assert {tag: one.settings.__struct_config__.tag for tag, one in THEIRS.items()} == {tag: tag for tag in THEIRS}


def test_every_entry_that_asks_a_server_says_how_that_fails() -> None:
    """An entry whose upstreams never fail would not test the errors."""
    for tag, one in PROVIDERS.items():
        assert bool(one.faults) is (one.granted is not nothing), tag


CASES = [
    *(
        pytest.param(partial(check, one), id=f"{check.__name__}-{tag}")
        for tag, one in [*PROVIDERS.items(), ("fake", FAKE_PROVIDER)]
        for check in contract.checks_of(one)
    ),
    *(
        pytest.param(partial(check, one), id=f"{check.__name__}-{tag}")
        for tag, one in [*THEIRS.items(), ("fake", FAKE_SOURCE)]
        for check in contract.SOURCE_CHECKS
    ),
]


@pytest.mark.parametrize("check", CASES)
async def test_the_contract_is_kept(check: Callable[[], Awaitable[None]]) -> None:
    """Each check says in its docstring why."""
    await check()
