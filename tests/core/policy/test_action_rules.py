"""The rules in their order: each condition under which one of them decides, and under which it is passed over."""

import pytest

from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.ask.target import Repository
from credproxy.core.ask.uri import parse_uri
from credproxy.core.policy.action_rules import ActionRules, Decision, split_scope
from credproxy.core.policy.objects import object_pattern
from credproxy.core.policy.rules import ActionRule, Operation


REGISTRY = Authority("reg.test")
APP = RepositoryName("app")
BLOB = parse_uri(f"https://reg.test/v2/app/blobs/sha256:{'a' * 64}")

WHOLE = ActionRule("allow", "reg.test", "app", ("*",))
EVERY_URL = ActionRule("allow", url="https://reg.test/**")
NO_URL = ActionRule("deny", url="https://reg.test/**")
NONE = Decision(allowed=False, rule=None)


@pytest.mark.parametrize(
    ("first", "operation", "with_url", "decision"),
    [
        (EVERY_URL, "blob:read", True, Decision(allowed=True, rule=1)),
        (NO_URL, "blob:read", True, Decision(allowed=False, rule=0)),
        (NO_URL, "blob:read", False, Decision(allowed=True, rule=1)),
        (NO_URL, "blob:write", True, Decision(allowed=True, rule=1)),
        (ActionRule("deny", url="https://reg.test/v2/other/**"), "blob:read", True, Decision(allowed=True, rule=1)),
        (ActionRule("deny", "reg.test", "app", ("blob:write",)), "blob:read", True, Decision(allowed=True, rule=1)),
        (ActionRule("deny", "reg.test", "other", ("*",)), "blob:read", True, Decision(allowed=True, rule=1)),
        (ActionRule("deny", "other.test", "app", ("*",)), "blob:read", True, Decision(allowed=True, rule=1)),
        (ActionRule("deny", "reg.test", "app", ("*",)), "blob:read", True, Decision(allowed=False, rule=0)),
    ],
    ids=[
        "a rule for URLs never allows a repository",
        "one that denies the URL denies it",
        "but not where no URL is asked about",
        "nor a write, which such rules do not name",
        "nor by another URL",
        "another operation",
        "another repository",
        "another registry",
        "the same",
    ],
)
def test_what_stands_before_a_rule_for_a_repository(
    first: ActionRule,
    operation: Operation,
    with_url: bool,  # noqa: FBT001  parametrized
    decision: Decision,
) -> None:
    """Each condition by itself changes which of the two decides."""
    rules = ActionRules((first, WHOLE))
    assert rules.decide(REGISTRY, APP, operation=operation, urls=(BLOB,) if with_url else ()) == decision


@pytest.mark.parametrize(
    ("rules", "allowed"),
    [
        ((EVERY_URL,), True),
        ((WHOLE, EVERY_URL), True),
        ((ActionRule("allow", url="https://reg.test/**", methods=("GET",)),), False),
        ((ActionRule("allow", url="https://reg.test/a/b/**"),), False),
        ((NO_URL, EVERY_URL), False),
        ((ActionRule("deny", url="https://side.test/a/c"), EVERY_URL), False),
        ((EVERY_URL, NO_URL), True),
        ((ActionRule("deny", url="https://reg.test/b"), EVERY_URL), True),
    ],
)
def test_all_of_what_a_credential_opens_is_allowed_or_none_of_it(
    rules: tuple[ActionRule, ...],
    allowed: bool,  # noqa: FBT001  parametrized
) -> None:
    """The first pattern by one rule with both methods, and no denial of any of them before that."""
    assert ActionRules(rules).allow_all(("https://reg.test/a/**", "https://side.test/a/**")) is allowed


@pytest.mark.parametrize("opened", [("https://reg.test/a//b",), ("https://reg.test/a/**", "https://reg.test/a//b")])
def test_a_pattern_that_is_not_understood_allows_nothing(opened: tuple[str, ...]) -> None:
    """A rule that denies something in it could not be found."""
    assert not ActionRules((EVERY_URL,)).allow_all(opened)


def test_what_rules_say_already_about_a_further_one() -> None:
    """The first that covers all of it; rules of the other sort say nothing about it."""
    rules = ActionRules((EVERY_URL, WHOLE, ActionRule("deny", "*", "**", ("blob:read",))))
    narrow = ActionRule("allow", "reg.test", "app", ("blob:read",))
    assert rules.standing(narrow, "blob:read") == Decision(allowed=True, rule=1)
    assert rules.standing(narrow, "blob:read", before=1) == NONE
    assert rules.standing(ActionRule("allow", "reg.test", "**", ()), "blob:read") == Decision(allowed=False, rule=2)
    assert rules.standing(ActionRule("allow", "reg.test", "**", ()), "blob:write") == NONE
    pattern = object_pattern("https://reg.test/v2/**")
    assert pattern is not None
    assert rules.standing_of_objects(pattern) == Decision(allowed=True, rule=0)
    assert rules.standing_of_objects(pattern, before=0) == NONE


def test_the_registries_that_rules_allow() -> None:
    """Not those that are denied, and none for a rule for URLs; without the ports that a policy file implies."""
    rules = ActionRules((EVERY_URL, ActionRule("deny", "no.test"), WHOLE, ActionRule("allow", "any.test:*")))
    assert rules.registries() == {"reg.test", "any.test"}


@pytest.mark.parametrize(
    ("first", "scopes"),
    [
        (ActionRule("allow", "reg.test", "**", ("*",)), True),
        (ActionRule("deny", "reg.test", "**", ("*",), ("repository:no:pull",)), True),
        (ActionRule("allow", "other.test", "**", ("*",), ("repository:no:pull",)), True),
        (ActionRule("allow", "reg.test", "**", ("*",), ("repository:no:pull",)), False),
    ],
    ids=["without scopes", "that denies", "of another registry", "with scopes"],
)
def test_the_scopes_of_a_bare_registry_are_those_of_the_first_rule_that_lists_some(
    first: ActionRule,
    scopes: bool,  # noqa: FBT001  parametrized
) -> None:
    """Rules that list none for it are passed over, and the lists of two rules are not joined."""
    listing = ActionRule("allow", "reg.test", "app", ("*",), ("repository:app:pull,push",))
    found = ActionRules((first, listing)).bare_host_scopes(REGISTRY)
    assert found == ((Repository(APP, ("pull", "push")),) if scopes else (Repository(RepositoryName("no"), ("pull",)),))


@pytest.mark.parametrize(
    "scope",
    [
        "repository::pull",
        "registry:catalog:pull",
        "repository:app:push",
        "repository:app:pull,delete",
    ],
)
def test_what_is_no_scope(scope: str) -> None:
    """A repository with its name, and pull with it: a token that only pushes is of no use to a client."""
    with pytest.raises(ValueError, match=r"^repository:|^registry:"):
        split_scope(scope)
