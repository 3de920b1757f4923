"""Warnings about a policy."""

import pytest

from credproxy.core.policy.rules import ActionRule, Operation
from credproxy.core.policy.wide_rules import too_wide


HOST, WRITING = "allows every registry", "allows writing to every repository"


@pytest.mark.parametrize(
    ("registry", "repository", "operations", "wanted"),
    [
        ("ghcr.io", "**", ("blob:read", "manifest:read"), []),
        ("ghcr.io", "org/**", ("*",), []),
        ("ghcr.io", "*", ("*",), []),
        ("ghcr.io", "*/**", ("blob:write",), [WRITING]),
        ("ghcr.io", "**/*", ("manifest:write",), [WRITING]),
        ("ghcr.io", "**", ("*",), [WRITING]),
        ("*.corp.example:*", "**", ("blob:read",), []),
        ("*", "org/app", ("blob:read",), [HOST]),
        ("*", "**", ("*",), [HOST, WRITING]),
    ],
)
def test_what_is_too_wide(registry: str, repository: str, operations: tuple[Operation, ...], wanted: list[str]) -> None:
    """Every registry, or writing to every repository; a rule that denies may be as wide as it likes."""
    rules = [
        ActionRule("deny", registry, repository, operations),
        ActionRule("allow", registry, repository, operations),
    ]
    assert list(too_wide(rules)) == [(1, text) for text in wanted]
