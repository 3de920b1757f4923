"""Rules for build actions that decide nothing, because one before them decides the opposite for all that they match."""

from collections.abc import Callable, Iterator, Sequence

from credproxy.core.policy.action_rules import ActionRules
from credproxy.core.policy.objects import object_pattern
from credproxy.core.policy.operations import EVERYTHING
from credproxy.core.policy.rules import ActionRule


LOOKED_AT = 512
"""Rules: each is compared with all before it, which takes half a second for so many."""

_DOES = {"allow": "allows", "deny": "denies"}


def without_effect(rules: Sequence[ActionRule], name: Callable[[int], str]) -> Iterator[tuple[int, str]]:
    """Give the index of each such rule among the first ``LOOKED_AT``, and which one decides instead.

    A rule that only repeats an earlier one is not reported: it does no harm. What several earlier rules decide together is
    not noticed.

    Args:
        rules: in their order.
        name: what people call the rule with an index.
    """
    known = ActionRules(rules[:LOOKED_AT])
    for index, rule in enumerate(rules[:LOOKED_AT]):
        wanted = _operations(rule)
        against = {one: at for one, at in _deciding(known, rule, index) if rules[at].action != rule.action}
        if not against:
            continue
        at = next(iter(against.values()))
        whole = len(against) == len(wanted)
        # "Allow reading; deny the rest" is written with the same pattern twice, and means what it says.
        if whole or (rules[at].registry, rules[at].repository) != (rule.registry, rule.repository):
            part = "" if whole else f" for {', '.join(against)}"
            yield (
                index,
                f"has no effect{part}: {name(at)} {_DOES[rules[at].action]} it, and the first that matches decides",
            )


def _operations(rule: ActionRule) -> tuple[str, ...]:
    if rule.url is not None:
        return ("the URL",)
    return EVERYTHING if "*" in rule.operations else rule.operations


def _deciding(known: ActionRules, rule: ActionRule, index: int) -> Iterator[tuple[str, int]]:
    """Each operation of a rule for which one rule before it decides all that it matches, and the index of that one."""
    if rule.url is not None:
        pattern = object_pattern(rule.url)
        at = None if pattern is None else known.standing_of_objects(pattern, methods=rule.methods, before=index).rule
        yield from () if at is None else (("the URL", at),)
        return
    for operation in EVERYTHING:
        at = known.standing(rule, operation, before=index).rule if operation in _operations(rule) else None
        if at is not None:
            yield operation, at
