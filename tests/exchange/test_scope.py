"""Scopes: canonical form, order, narrowing (TX-20 to TX-25)."""

import pytest
from hypothesis import given, strategies as st

from credproxy.exchange.scope import canonical, repository_scope, without_push, without_unknown


@pytest.mark.parametrize(
    ("scopes", "wanted"),
    [
        (["repository:a:delete,push,pull"], ("repository:a:pull,push,delete",)),
        (["repository:a:pull,*"], ("repository:a:*",)),
        (["repository:host:5000/foo/bar:pull"], ("repository:host:5000/foo/bar:pull",)),
        (["registry:catalog:*", "registry:catalog:*"], ("registry:catalog:*",)),
        (["repository:a:"], ()),
        ([""], ()),
        ([" "], ()),
        (["aws"], ("aws",)),
        (["artifact-repository:repo:pull"], ("artifact-repository:repo:pull",)),
        (["repository(plugin):a:pull"], ("repository(plugin):a:pull",)),
        (["repository:a:push repository:b:pull", "repository:a:pull"], ("repository:a:pull,push", "repository:b:pull")),
        (["repository:z:pull", "repository:b:pull", "repository:a:pull"],
         ("repository:z:pull", "repository:a:pull", "repository:b:pull")),
    ],
)  # a table  # fmt: skip
def test_canonical(scopes: list[str], wanted: tuple[str, ...]) -> None:
    """TX-20: Split, merge, order; the first name stays first (TX-21)."""
    assert canonical(scopes) == wanted


@given(st.lists(st.text(st.sampled_from("ab:,* /"), max_size=20), max_size=5))
def test_canonical_is_idempotent(scopes: list[str]) -> None:
    """Equal requests share one token only if the form is a fixed point."""
    assert canonical(canonical(scopes)) == canonical(scopes)


def test_narrowing_to_pull_keeps_the_repositories() -> None:
    """TX-10: GCR refuses push to users that may only pull; the pull must not be lost with it."""
    scopes = ("repository:a:pull,push", "repository:b:*", "registry:catalog:*")
    assert without_push(scopes) == ("repository:a:pull", "registry:catalog:*", "repository:b:pull")


def test_unknown_actions_go_and_known_ones_stay() -> None:
    """TX-25: Quay answers 400 to delete."""
    assert without_unknown(("repository:a:pull,push,delete",)) == ("repository:a:pull,push",)


def test_a_repository_scope_orders_its_actions() -> None:
    """For any order in the configuration."""
    assert repository_scope("a/b", ("push", "pull")) == "repository:a/b:pull,push"
