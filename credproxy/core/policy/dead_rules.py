"""Rules for build actions that decide nothing, because those before them decide all that they match."""

from collections.abc import Callable, Iterator, Sequence

from credproxy.core.ask.names import Authority
from credproxy.core.policy.action_rules import ActionRules
from credproxy.core.policy.objects import ObjectPattern, object_pattern
from credproxy.core.policy.operations import EVERYTHING
from credproxy.core.policy.registries import Registries
from credproxy.core.policy.rules import ActionRule


LOOKED_AT = 512
"""Rules: each is compared with all before it, which takes half a second for so many."""

_DOES = {"allow": "allows", "deny": "denies"}


def without_effect(
    rules: Sequence[ActionRule], name: Callable[[int], str], *, written: int
) -> Iterator[tuple[int, str]]:
    """Give the index of each such rule among the first ``LOOKED_AT``, and which one decides instead.

    A rule that repeats earlier ones does no harm, but a user who changes it later finds that nothing changes. What several
    earlier rules decide together about one operation is not noticed.

    Args:
        rules: in their order.
        name: what people call the rule with an index.
        written: how many of them somebody wrote; a default comes after those, and may say what a rule says.
    """
    known = ActionRules(rules[:LOOKED_AT])
    for index, rule in enumerate(rules[:LOOKED_AT]):
        wanted = _operations(rule)
        decided = dict(_deciding(known, rules, index))
        against = {one: at for one, at in decided.items() if rules[at].action != rule.action}
        if not against:
            # One that lists scopes for a bare registry decides about those as well.
            if index < written and len(decided) == len(wanted) and not rule.bare_host_scopes:
                yield (
                    index,
                    f"has no effect: it only repeats {' and '.join(dict.fromkeys(map(name, decided.values())))}",
                )
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


def _keeps_from(rule: ActionRule, pattern: ObjectPattern, rest: Sequence[ActionRule]) -> bool:
    """Whether a rule for URLs denies what a later one allows by repository: no rule that allows URLs decides about that."""
    host = Authority(pattern.origin.partition("://")[2])
    later = [Registries(one.registry) for one in rest if one.url is None and one.action == "allow"]
    return rule.action == "deny" and any(registries.cover(host) for registries in later)


def _operations(rule: ActionRule) -> tuple[str, ...]:
    if rule.url is not None:
        return ("the URL",)
    return EVERYTHING if "*" in rule.operations else rule.operations


def _deciding(known: ActionRules, rules: Sequence[ActionRule], index: int) -> Iterator[tuple[str, int]]:
    """Each operation of a rule for which one rule before it decides all that it matches, and the index of that one."""
    rule = rules[index]
    if rule.url is not None:
        pattern = object_pattern(rule.url)
        at = None if pattern is None else known.standing_of_objects(pattern, methods=rule.methods, before=index).rule
        if pattern is None or at is None or (rules[at].action == "allow" and _keeps_from(rule, pattern, rules[index:])):
            return
        yield "the URL", at
        return
    for operation in EVERYTHING:
        at = known.standing(rule, operation, before=index).rule if operation in _operations(rule) else None
        if at is not None:
            yield operation, at
