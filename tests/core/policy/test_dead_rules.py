"""Rules that another one makes void."""

import pytest

from credproxy.core.policy.dead_rules import LOOKED_AT, without_effect
from credproxy.core.policy.rules import ActionRule, Operation


READING: tuple[Operation, ...] = ("blob:read", "manifest:read")
ALL = ActionRule("allow", "ghcr.io", "x/**", READING)
SECRET = ActionRule("deny", "ghcr.io", "x/secret", ("*",))
HERE = "https://files.test/**"


def told(*rules: ActionRule) -> list[tuple[int, str]]:
    """What is said of rules in their order."""
    return list(without_effect(rules, lambda index: f"rule[{index}]"))


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
    "rules",
    [
        (SECRET, ALL),
        (ALL, ActionRule("deny", "ghcr.io", "x/**", ("*",))),
        (ALL, ALL),
        (SECRET, ALL, SECRET),
        (ALL, ActionRule("deny", "ghcr.io", "y/secret", ("*",))),
        (ALL, ActionRule("deny", "ghcr.io:444", "x/secret", ("*",))),
        (ALL, ActionRule("deny", "ghcr.io", "x/secret", ("blob:write",))),
        (ALL, ActionRule("deny", url="https://ghcr.io/x/secret")),
        (ActionRule("allow", url=HERE, methods=("GET",)), ActionRule("deny", url="https://files.test/a")),
        (ActionRule("allow", url=HERE), ActionRule("deny", url="https://other.test/a")),
    ],
)
def test_what_still_decides_something_is_not(rules: tuple[ActionRule, ...]) -> None:
    """An exception before what it is from, the rest after what is allowed, and the same twice are meant so."""
    assert told(*rules) == []


def test_a_long_list_is_looked_at_in_part() -> None:
    """Each is compared with all before it."""
    many = [ActionRule("allow", "ghcr.io", f"x/{index}", READING) for index in range(LOOKED_AT)]
    assert told(*many, ALL, SECRET) == []
    assert [index for index, _ in told(*many[: LOOKED_AT - 2], ALL, SECRET)] == [LOOKED_AT - 1]
