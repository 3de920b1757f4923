"""Sources that are tried one after the other."""

from dataclasses import replace

import pytest

from credproxy.core.ask.credential import Identity, PlainSecret, Secret, UserPassword
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.sources import SourceSettings
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.file import FileSource
from credproxy.ports.source import Source
from credproxy.sources import make
from credproxy.sources.first import First
from tests.contract import Ground
from tests.fakes import (
    FakeSource,
)


TARGET = parse_uri("https://a.test/")
ONE, TWO = UserPassword("one", Secret("1")), UserPassword("two", Secret("2"))
BROKEN = Failure(Code.CREDENTIAL_UNREADABLE, "cannot be read")


def fake(authority: str, stored: UserPassword | None, name: str, problem: Failure | None = None) -> FakeSource:
    """A source that knows one authority."""
    return FakeSource(authority, stored, identity=Identity("fake", name, 7), problem=problem)


async def found(source: Source) -> tuple[Identity, object] | None:
    """Whose login is given, and what it is."""
    identity = await source.locate(TARGET, None)
    if identity is None:
        return None
    login = await source.read(identity, TARGET)
    return identity, None if login is None else login.stored


async def test_the_first_that_has_a_login_gives_it() -> None:
    """And no other one is read."""
    sources = [fake("b.test", ONE, "b"), fake("a.test", TWO, "a"), fake("a.test", ONE, "later")]
    first = First(sources)
    assert await found(first) == (Identity("fake", "a", (1, 7)), TWO)
    assert [source.reads for source in sources] == [0, 1, 0]
    assert first.passed(Identity("fake", "a", (1, 7)), TARGET) == ("the fake source has no 'a.test'",)
    peeked = await first.peek(Identity("fake", "a", (1, 7)), TARGET)
    assert peeked is not None
    assert peeked.stored == TWO


async def test_where_none_has_one_each_is_reported() -> None:
    """The user sees all places at once."""
    first = First([fake("b.test", ONE, "b"), fake("c.test", ONE, "c")])
    assert await found(first) is None
    assert first.looked(TARGET) == ("the fake source has no 'a.test'",) * 2


async def test_one_that_cannot_be_read_is_not_passed() -> None:
    """It may have the intended login: the next one's may be another user's."""
    first = First([fake("b.test", None, "b", BROKEN), fake("a.test", TWO, "a")])
    assert await found(first) is None
    assert first.trouble(TARGET) == BROKEN


async def test_a_place_that_turns_out_to_hold_nothing_is_passed() -> None:
    """A store says so only when it is asked."""
    first = First([fake("a.test", None, "empty"), fake("b.test", ONE, "b"), fake("a.test", TWO, "a")])
    assert await found(first) == (Identity("fake", "empty", (0, 7)), TWO)


TOOLS = replace(Ground().source_tools(), environ={"SET": "s", "EMPTY": "", "BLANK": " "})


@pytest.mark.parametrize(
    ("sources", "said"),
    [
        pytest.param([EnvSource("UNSET")], "the variable 'UNSET' is not set", id="unset"),
        pytest.param([EnvSource("EMPTY")], "the variable 'EMPTY' is not set", id="set-to-nothing"),
        pytest.param([FileSource("/none")], "the file '/none' is not there", id="no-file"),
    ],
)
async def test_what_is_not_there_is_passed_in_a_list(sources: list[SourceSettings], said: str) -> None:
    """Different machines have different ones."""
    made = make((*sources, EnvSource("SET")), TOOLS)
    got = await found(made)
    assert got is not None
    assert got[1] == PlainSecret(Secret("s"))
    assert isinstance(made, First)
    assert made.passed(got[0], TARGET) == (said,)


async def test_what_is_there_and_broken_is_an_error_in_a_list_too() -> None:
    """Named, and the next one is not asked."""
    with pytest.raises(Failed) as caught:
        await found(make((EnvSource("BLANK"), EnvSource("SET")), TOOLS))
    assert caught.value.failure.message == "the variable 'BLANK' holds nothing but white space"


async def test_a_list_of_one_is_as_strict_as_the_one() -> None:
    """There is no other source to ask."""
    with pytest.raises(Failed) as caught:
        await found(make((EnvSource("UNSET"),), TOOLS))
    assert caught.value.failure.message == "the variable 'UNSET' is not set in the daemon's environment"
