"""Which rule for build actions decides: they are ordered, and the first that matches does."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from credproxy.core.ask.docker_hub import in_library, is_hub
from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.ask.target import Repository, Target
from credproxy.core.policy.globs import includes, matches
from credproxy.core.policy.objects import ObjectPattern, object_pattern
from credproxy.core.policy.operations import READ
from credproxy.core.policy.registries import ANY_PORT, Registries
from credproxy.core.policy.rules import ActionRule, Operation
from credproxy.core.policy.wide_rules import too_wide


class Decision(NamedTuple):
    """Whether it is allowed, and the index of the rule that says so; None if no rule matches."""

    allowed: bool
    rule: int | None


class _Compiled(NamedTuple):
    rule: ActionRule
    registries: Registries
    repository: str
    objects: ObjectPattern | None  # then the rule is only about these

    def forbids_reading(self, target: Target) -> bool:
        """Whether it denies a URL, whatever that names; what a registry's API names can be allowed only by repository."""
        return self.rule.action == "deny" and self.decides("GET", target)

    def decides(self, method: str, target: Target) -> bool:
        """Whether it is about a URL."""
        if self.objects is None or method not in self.rule.methods:
            return False
        return self.objects.forbids(target) if self.rule.action == "deny" else self.objects.covers(target)

    def names(self, registry: Authority, repository: RepositoryName, operation: Operation) -> bool:
        """Whether it is about an operation on a repository; a rule for URLs has none."""
        return self.lists(operation) and self.registries.cover(registry) and matches(self.repository, repository)

    def lists(self, operation: Operation) -> bool:
        """Whether an operation is one of its own."""
        return operation in self.rule.operations or "*" in self.rule.operations


class ActionRules:
    """Rules in their order.

    Attributes:
        deny_urls: whether one of them denies URLs.
    """

    def __init__(self, rules: Sequence[ActionRule]) -> None:
        self._rules = tuple(map(_compiled, rules))
        self.deny_urls = any(one.objects is not None and one.rule.action == "deny" for one in self._rules)

    def decide(
        self, registry: Authority, repository: RepositoryName, *, operation: Operation, urls: Sequence[Target] = ()
    ) -> Decision:
        """Find the first rule that matches.

        Args:
            registry: canonical, such as ``ghcr.io`` or ``reg.test:5000``.
            repository: its name.
            operation: that is wanted.
            urls: what is asked for, in each spelling: a rule for URLs may deny it by one of them, but never allow it.
        """
        name = RepositoryName(in_library(repository)) if is_hub(registry) else repository
        for index, rule in enumerate(self._rules):
            if rule.names(registry, name, operation):
                return Decision(rule.rule.action == "allow", index)
            if operation in READ and any(map(rule.forbids_reading, urls)):
                return Decision(allowed=False, rule=index)
        return Decision(allowed=False, rule=None)

    def decide_object(self, target: Target, method: str) -> Decision:
        """Find the first rule that matches a URL outside a registry's API."""
        for index, rule in enumerate(self._rules):
            if rule.decides(method, target):
                return Decision(rule.rule.action == "allow", index)
        return Decision(allowed=False, rule=None)

    def allow_all(self, opened: tuple[str, ...]) -> bool:
        """Whether build actions may read all of the first of these patterns, and nothing in any of them is denied before."""
        patterns = [pattern for pattern in map(object_pattern, opened) if pattern is not None]
        if len(patterns) < len(opened):  # a rule that denies something in what is not understood would go unseen
            return False
        for rule, _, _, objects in self._rules:
            if objects is None:
                continue
            if rule.action == "deny" and any(map(objects.meets, patterns)):
                return False
            if rule.action == "allow" and len(rule.methods) > 1 and objects.include(patterns[0]):
                return True
        return False

    def standing(self, rule: ActionRule, operation: Operation, *, before: int | None = None) -> Decision:
        """Tell what the rules already say about everything that a further rule would match.

        Args:
            rule: the further one.
            operation: one of its operations.
            before: how many of the rules come before it; None for all.
        """
        asked = _compiled(rule)
        for index, known in enumerate(self._rules[:before]):
            covered = known.registries.include(rule.registry) and includes(known.repository, asked.repository)
            if known.lists(operation) and covered:
                return Decision(known.rule.action == "allow", index)
        return Decision(allowed=False, rule=None)

    def standing_of_objects(
        self, pattern: ObjectPattern, *, methods: Sequence[str] = ("GET", "HEAD"), before: int | None = None
    ) -> Decision:
        """The same for a rule for URLs, with each of its methods."""
        for index, (known, _, _, objects) in enumerate(self._rules[:before]):
            if objects is not None and {*methods} <= {*known.methods} and objects.include(pattern):
                return Decision(known.action == "allow", index)
        return Decision(allowed=False, rule=None)

    def registries(self) -> frozenset[str]:
        """Give the registries that rules allow, as written; without the ports that a policy file implies."""
        allowing = (one.rule.registry for one in self._rules if one.objects is None and one.rule.action == "allow")
        return frozenset(registry.removesuffix(ANY_PORT) for registry in allowing)

    def too_wide(self) -> Iterator[tuple[int, str]]:
        """Give the rules that are broader than people usually intend: index, and what is wrong."""
        return too_wide([one.rule for one in self._rules])

    def bare_host_scopes(self, registry: Authority) -> tuple[Repository, ...]:
        """Give what the first rule that lists scopes for a bare registry lists."""
        found = next((found.rule for found in self._rules if _lists_scopes(found, registry)), None)
        return () if found is None else tuple(map(split_scope, found.bare_host_scopes))


def split_scope(scope: str) -> Repository:
    """Read ``repository:<name>:<actions>``. Raises ValueError if it is not a scope."""
    kind, name, actions = scope.split(":")
    wanted = tuple(actions.split(","))
    if kind != "repository" or not name or not set(wanted) <= {"pull", "push"} or "pull" not in wanted:
        raise ValueError(scope)
    return Repository(RepositoryName(name), wanted)


def _compiled(rule: ActionRule) -> _Compiled:
    registries = Registries(rule.registry)
    name = in_library(rule.repository) if registries.is_hub else rule.repository
    objects = None if rule.url is None else object_pattern(rule.url)
    if objects is not None and rule.action == "deny":
        objects = objects.denying()
    return _Compiled(rule, registries, name, objects)


def _lists_scopes(found: _Compiled, registry: Authority) -> bool:
    return bool(found.rule.bare_host_scopes) and found.rule.action == "allow" and found.registries.cover(registry)
