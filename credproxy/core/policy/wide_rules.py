"""Rules for build actions that are broader than people usually intend."""

from collections.abc import Iterator, Sequence

from credproxy.core.ask.names import without_port
from credproxy.core.ask.uri import is_loopback
from credproxy.core.policy.globs import matches
from credproxy.core.policy.rules import ActionRule


_WRITES = frozenset({"blob:write", "manifest:write", "*"})
_ANY = ("a-b", "a-b/c-d", "a-b/c-d/e-f/g-h")
"""Names with nothing in common: a pattern that matches them all matches every repository."""


def too_wide(rules: Sequence[ActionRule]) -> Iterator[tuple[int, str]]:
    """Give the index of each such rule, and what it allows build actions to do."""
    for index, rule in enumerate(rules):
        if rule.action == "deny":
            continue
        if rule.url is not None:
            scheme, _, authority, path = rule.url.split("/", 3)
            if path.partition("?")[0] in {"*", "**"}:
                yield index, f"allows everything at {authority!r}"
            if scheme == "http:" and not is_loopback(without_port(authority)):
                yield index, f"allows plain http at {authority!r}: others on the way may change what is fetched"
            continue
        if rule.registry == "*":
            yield index, "allows every registry"
        if _WRITES.intersection(rule.operations) and all(matches(rule.repository, name) for name in _ANY):
            yield index, "allows writing to every repository"
