"""Warnings about a policy."""

import pytest

from credproxy.core.policy.rules import ActionRule, Operation
from credproxy.core.policy.wide_rules import too_wide


_PLAIN = "allows plain http at {!r}: others on the way may change what is fetched"
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


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        ("https://files.test/a/**", []),
        ("https://files.test/**", ["allows everything at 'files.test'"]),
        ("http://127.0.0.1:8080/a", []),
        ("http://files.test:80/a", [_PLAIN.format("files.test:80")]),
        ("http://files.test/**?*", ["allows everything at 'files.test'", _PLAIN.format("files.test")]),
    ],
)
def test_urls_that_are_too_wide(url: str, wanted: list[str]) -> None:
    """A whole host; and plain http, where nobody vouches for what comes."""
    assert [text for _, text in too_wide([ActionRule("allow", url=url), ActionRule("deny", url=url)])] == wanted
