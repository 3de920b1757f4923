"""Which host rules are in force: what the files say, then what is built in."""

import pytest

from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.settings import DOCKER, NETRC, Settings
from credproxy.core.kinds.basic import BasicHost
from credproxy.core.kinds.none import NoneHost


BUILTIN = (BasicHost("git.test"), NoneHost("cdn.test"))


def matches(settings: Settings) -> list[str]:
    """What is in force."""
    return [f"{rule.match}: {type(rule).__name__}" for rule in settings.rules(BUILTIN)]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        (Settings(), ["git.test: BasicHost", "cdn.test: NoneHost"]),
        (Settings(builtin=False), []),
        (Settings(builtin=()), []),
        (Settings(builtin=("none",)), ["cdn.test: NoneHost"]),
        (Settings(builtin=("netrc",)), []),
        (Settings(host=(NoneHost("*"),)), ["*: NoneHost", "git.test: BasicHost", "cdn.test: NoneHost"]),
        (Settings(host=(NoneHost("GIT.test"),)), ["GIT.test: NoneHost", "cdn.test: NoneHost"]),
    ],
    ids=str,
)
def test_built_in_rules_are_switched_off_selected_or_replaced(settings: Settings, expected: list[str]) -> None:
    """By the kind's name; a rule for the same host takes the place of a built-in one, however it is written."""
    assert matches(settings) == expected


def test_what_works_without_a_rule_is_selected_by_name() -> None:
    """The files of docker and netrc, too."""
    assert [Settings(builtin=("netrc",)).works(name) for name in (DOCKER, NETRC)] == [False, True]
    assert [Settings().works(name) for name in (DOCKER, NETRC)] == [True, True]
    assert [Settings(builtin=False).works(name) for name in (DOCKER, NETRC)] == [False, False]


def test_the_router_asks_the_rules_that_are_in_force() -> None:
    """There is only one list."""
    settings = Settings(host=(NoneHost("a.test"),))
    assert settings.router().match(parse_uri("https://a.test/")) == settings.host[0]
    assert settings.router().builtin == {rule.match for rule in settings.rules()} - {"a.test"}
