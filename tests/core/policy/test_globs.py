"""Repository patterns mean the same as in rules_img's gateway: its own table, and hostile ones."""

import re

import pytest
from hypothesis import given, strategies as st

from credproxy.core.policy.globs import includes, matches, most_specific


@pytest.mark.parametrize(
    ("pattern", "name", "wanted"),
    [
        ("foo", "foo", True),
        ("foo", "foobar", False),
        ("foo", "foo-bar", False),
        ("foo", "foo/bar", False),
        ("foo/**", "foo", True),
        ("foo/**", "foo/bar", True),
        ("foo/**", "foo/bar/baz", True),
        ("foo/**", "foobar", False),
        ("foo/**", "other", False),
        ("foo/*", "foo/bar", True),
        ("foo/*", "foo", False),
        ("foo/*", "foo/bar/baz", False),
        ("**", "foo", True),
        ("**", "a/b/c", True),
        ("foo*", "foobar", True),
        ("foo*", "foo", True),
        ("foo*", "foo/bar", False),
        ("fo?", "foo", True),
        ("fo?", "fo", False),
        ("fo?", "fooo", False),
        ("foo/**/bar", "foo/bar", True),
        ("foo/**/bar", "foo/x/bar", True),
        ("foo/**/bar", "foo/x/y/bar", True),
        ("foo/**/bar", "foo/x/y", False),
        ("library/**", "library/ubuntu", True),
        ("library/**", "library", True),
        ("library/**", "notlibrary/ubuntu", False),
        # Ours: what its table leaves open.
        ("a**b", "axxb", True),
        ("a**b", "ax/xb", False),
        ("a?b", "a/b", False),
        ("**/x/**", "x", True),
        ("**/x/**", "a/x/b/c", True),
        ("*a*b", "xaxab", True),
        ("", "a", False),
    ],
)
def test_a_pattern_and_a_name(pattern: str, name: str, *, wanted: bool) -> None:
    """rules_img ``policy_test.go``, TestMatchRepo, row by row."""
    assert matches(pattern, name) is wanted


def test_pathological_patterns_end() -> None:
    """PY25: 2^200 ways to split; one backtrack point tries a few thousand of them."""
    assert not matches("*a" * 200 + "b", "a" * 200)
    assert not matches("**/a/" * 200 + "b", "/".join("a" * 200))


def _expression(pattern: str) -> re.Pattern[str]:
    """The same language as a regular expression over ``/``-terminated segments, for short patterns only."""
    parts = [
        "(?:[^/]*/)*" if part == "**" else re.escape(part).replace(r"\*", "[^/]*").replace(r"\?", "[^/]") + "/"
        for part in pattern.split("/")
    ]
    return re.compile("".join(parts))


@given(st.text("ab/*?", min_size=1, max_size=8), st.text("ab/", min_size=1, max_size=8))
def test_the_matcher_agrees_with_a_regular_expression(pattern: str, name: str) -> None:
    """Two different implementations accept the same language."""
    assert matches(pattern, name) is (_expression(pattern).fullmatch(f"{name}/") is not None)


def test_the_most_literal_pattern_wins() -> None:
    """For ``actions`` of a host, the order in the file does not matter."""
    table: dict[str, tuple[str, ...]] = {"**": ("pull",), "org/*": ("push",), "org/app": ("delete",)}
    assert most_specific(table, "org/app") == ("delete",)
    assert most_specific(table, "org/x") == ("push",)
    del table["**"]
    assert most_specific(table, "x") is None


_PATTERNS = st.lists(st.text("ab*?", min_size=1, max_size=4), min_size=1, max_size=4).map("/".join)
_NAMES = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=4).map("/".join)


@given(_PATTERNS, _PATTERNS, _NAMES)
def test_what_a_wider_pattern_includes_it_matches(wider: str, narrower: str, name: str) -> None:
    """Fuzz: a wider pattern matches every name that the narrower one matches."""
    if includes(wider, narrower) and matches(narrower, name):
        assert matches(wider, name)


@pytest.mark.parametrize(
    ("wider", "narrower", "wanted"),
    [
        ("a/**", "a/**", True),
        ("a/**", "a", True),
        ("a/**", "a/*/b?", True),
        ("a/*", "a/**", False),
        ("**/x", "a/**/x", True),
        ("a-?", "a-*", False),
        ("a-*", "a-?", True),
        ("**", "**/x/**", True),
        ("a", "b", False),
    ],
)
def test_which_pattern_includes_which(wider: str, narrower: str, wanted: bool) -> None:  # noqa: FBT001  a table's column
    """The cases that users write."""
    assert includes(wider, narrower) is wanted


def test_many_stars_cost_little() -> None:
    """Two patterns with a hundred stars are compared at once."""
    assert includes("**/" * 100 + "a", "**/b/" * 50 + "a")
    assert not includes("**/a/" * 60 + "c", "**/a/" * 60 + "b")
