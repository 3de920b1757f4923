"""Rules that another one makes void."""

import re

import pytest

from credproxy.core.policy.dead_rules import LOOKED_AT, without_effect
from credproxy.core.policy.rules import ActionRule, Operation


READING: tuple[Operation, ...] = ("blob:read", "manifest:read")
ALL = ActionRule("allow", "ghcr.io", "x/**", READING)
SECRET = ActionRule("deny", "ghcr.io", "x/secret", ("*",))
HERE = "https://files.test/**"


def told(*rules: ActionRule, written: int | None = None) -> list[tuple[int, str]]:
    """What is said of rules in their order."""
    written = len(rules) if written is None else written
    return list(without_effect(rules, lambda index: f"rule[{index}]", written=written))


@pytest.mark.parametrize(
    ("rules", "wanted"),
    [
        ((ALL, SECRET), "has no effect for blob:read, manifest:read: rule[0] allows it"),
        ((ALL, ActionRule("deny", "ghcr.io", "x/secret", READING)), "has no effect: rule[0] allows it"),
        ((SECRET, ActionRule("allow", "GHCR.io", "x/secret", READING)), "has no effect: rule[0] denies it"),
        ((ActionRule("allow", "*.test", "**", ("*",)), ActionRule("deny", "a.test", "b", ("*",))), "has no effect: "),
        ((ActionRule("allow", "*", "**", ("*",)), ActionRule("deny", "a.test", "b", ("*",))), "has no effect: "),
        (
            (
                ActionRule("allow", "docker.io", "library/*", READING),
                ActionRule("deny", "index.docker.io", "a", READING),
            ),
            "has no effect: rule[0] allows it",
        ),
        (
            (ActionRule("allow", url=HERE), ActionRule("deny", url="https://files.test/a")),
            "has no effect: rule[0] allows",
        ),
        (
            (ActionRule("allow", url=HERE, methods=("GET",)), ActionRule("deny", url=HERE, methods=("GET",))),
            "has no effect: rule[0] allows",
        ),
    ],
)
def test_a_rule_that_comes_too_late_is_told(rules: tuple[ActionRule, ...], wanted: str) -> None:
    """The first that matches decides, so what the later one denies is allowed, or the other way round."""
    ((index, said),) = told(*rules)
    assert index == 1
    assert said.startswith(wanted)


@pytest.mark.parametrize(
    ("rules", "repeated"),
    [
        ((ALL, ALL), "rule[0]"),
        ((ALL, ActionRule("allow", "ghcr.io", "x/app", ("blob:read",))), "rule[0]"),
        ((ALL, SECRET, ActionRule("allow", "GHCR.io", "x/secret", READING)), "rule[0]"),
        ((SECRET, ALL, SECRET), "rule[0]"),
        (
            (
                ActionRule("allow", "*.test", "**", ("blob:read",)),
                ActionRule("allow", "a.test", "**", ("manifest:read",)),
                ActionRule("allow", "a.test", "b", READING),
            ),
            "rule[0] and rule[1]",
        ),
        ((ActionRule("allow", url=HERE), ActionRule("allow", url="https://files.test/a", methods=("GET",))), "rule[0]"),
        ((ActionRule("deny", url=HERE), ActionRule("deny", url=HERE), ALL), "rule[0]"),
    ],
)
def test_a_rule_that_only_repeats_others_is_told(rules: tuple[ActionRule, ...], repeated: str) -> None:
    """A user who changes or removes it expects that something changes."""
    assert (f"has no effect: it only repeats {repeated}") in [said for _, said in told(*rules)]
    assert repeated.count("rule") == len(re.findall(r"rule\[\d\]", told(*rules)[-1][1]))


@pytest.mark.parametrize(
    "rules",
    [
        (SECRET, ALL),
        (ALL, ActionRule("deny", "ghcr.io", "x/**", ("*",))),
        (ActionRule("allow", "ghcr.io", "x/**", ("blob:read",)), ALL),
        (ActionRule("allow", "ghcr.io", "x/y", READING), ALL),
        (ALL, ActionRule("allow", "ghcr.io", "x/**", READING, bare_host_scopes=("repository:x/a:pull",))),
        (ActionRule("allow", url=HERE, methods=("GET",)), ActionRule("allow", url=HERE)),
        (ActionRule("allow", url=HERE), ActionRule("deny", url=HERE), ActionRule("allow", "*.test", "**", READING)),
        (ALL, ActionRule("deny", "ghcr.io", "y/secret", ("*",))),
        (ALL, ActionRule("deny", "ghcr.io:444", "x/secret", ("*",))),
        (ALL, ActionRule("deny", "ghcr.io", "x/secret", ("blob:write",))),
        (ALL, ActionRule("deny", url="https://ghcr.io/x/secret")),
        (ActionRule("allow", url=HERE, methods=("GET",)), ActionRule("deny", url="https://files.test/a")),
        (ActionRule("allow", url=HERE), ActionRule("deny", url="https://other.test/a")),
    ],
)
def test_what_still_decides_something_is_not(rules: tuple[ActionRule, ...]) -> None:
    """An exception before what it is from, the rest after what is allowed, and more than what is allowed already.

    A URL that is denied is denied to what is allowed by repository as well, so a rule that allows the URL does not
    make it void.
    """
    assert told(*rules) == []


def test_a_default_that_says_what_a_rule_says_is_not_told() -> None:
    """A policy file may have to state it."""
    everything = ActionRule("deny", "*", "**", ("*",))
    assert told(everything, everything, written=1) == []
    assert len(told(everything, everything)) == 1


def test_a_long_list_is_looked_at_in_part() -> None:
    """Each is compared with all before it."""
    many = [ActionRule("allow", "ghcr.io", f"x/{index}", READING) for index in range(LOOKED_AT)]
    assert told(*many, ALL, SECRET) == []
    assert [index for index, _ in told(*many[: LOOKED_AT - 2], ALL, SECRET)] == [LOOKED_AT - 1]
