"""What a token says that it grants, compared with what was requested (TX-12)."""

import base64
import json

import pytest
from hypothesis import given, strategies as st

from credproxy.exchange.granted import UnknownAccessError, access, beyond, lacking, note, stated


PULL = "repository:org/app:pull"
PUSH = "repository:org/app:push"
BOTH = "repository:org/app:pull,push"
ALL = "repository:org/app:*"
OTHER = "repository:org/other:pull"


def jwt(**claims: object) -> str:
    """A token with these claims."""
    parts = [base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({}, claims)]
    return ".".join([*parts, "c2ln"])


def entry(*actions: str, name: str = "org/app") -> dict[str, object]:
    """One entry of ``access``."""
    return {"type": "repository", "name": name, "actions": list(actions)}


@pytest.mark.parametrize(
    ("token", "scope", "wanted"),
    [
        pytest.param(jwt(access=[entry("push", "pull")]), None, (BOTH,), id="claim"),
        pytest.param(jwt(access=[entry("pull"), entry("pull", name="org/other")]), None, (PULL, OTHER), id="two"),
        pytest.param(jwt(access=[entry("pull")]), BOTH, (PULL,), id="the claim before the answer"),
        pytest.param(jwt(access=[]), None, (), id="nothing"),
        pytest.param(jwt(access=[entry()]), None, (), id="no action"),
        pytest.param(jwt(access=[{"Type": "repository", "Name": "org/app", "Actions": ["pull"]}]), None, (PULL,), id="ACR"),
        pytest.param("opaque", f"{PULL} {OTHER}", (PULL, OTHER), id="scope"),
        pytest.param(jwt(sub="x"), PULL, (PULL,), id="no claim, but scope"),
        pytest.param("opaque", "", (), id="empty scope"),
        pytest.param("opaque", None, None, id="opaque"),
        pytest.param("opaque", ["x"], None, id="scope is no text"),
        pytest.param("opaque", "aws", None, id="scope of another form"),
        pytest.param(jwt(access=None), None, None, id="null"),
        pytest.param(jwt(access="all"), PULL, None, id="unreadable"),
        pytest.param("a.b.c", None, None, id="three parts of nothing"),
        pytest.param("a.b!.c", None, None, id="no base64"),
    ],
)  # a table  # fmt: skip
def test_what_is_stated(token: str, scope: object, wanted: tuple[str, ...] | None) -> None:
    """TX-12: the claim, else the answer's scope, else it is unknown."""
    assert stated(token, scope) == wanted


@pytest.mark.parametrize(
    "claims",
    [
        {"access": "all"},
        {"access": [1]},
        {"access": [{"type": "repository"}]},
        {"access": [{"type": "repository", "name": "a", "actions": "pull"}]},
        {"access": [{"type": "repository", "name": "a", "actions": [1]}]},
        {"access": [{"type": "repository", "name": "a b", "actions": ["pull"]}]},
        {"access": [{"type": "repository", "name": "a", "actions": ["pull,push"]}]},
        {"access": [{"type": "repository", "name": "a", "actions": [], "Actions": ["push"]}]},
        {"access": [], "Access": [{"type": "repository", "name": "a", "actions": ["push"]}]},
    ],
)
def test_what_could_be_read_in_two_ways_is_not_read(claims: object) -> None:
    """Another parser may read it differently: ``down_scope`` refuses such a token to a build action."""
    with pytest.raises(UnknownAccessError):
        access(json.dumps(claims))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"sub":"x"}', "{" * 100_000])
def test_claims_without_access_state_nothing(text: str) -> None:
    """Also if they are not JSON."""
    assert access(text) is None


@pytest.mark.parametrize(
    ("asked", "granted", "missing", "more", "words"),
    [
        ((PULL,), (PULL,), (), (), ""),
        ((PULL,), None, (), (), ""),
        ((BOTH,), (PULL,), (PUSH,), (), f"grants less than was asked for: not {PUSH}"),
        ((PULL,), (), (PULL,), (), "grants nothing of what was asked for"),
        ((PULL,), (BOTH,), (), (PUSH,), f"grants more than was asked for: {PUSH}"),
        ((PULL,), (ALL,), (), (ALL,), f"grants more than was asked for: {ALL}"),
        ((ALL,), (BOTH,), (), (), ""),
        ((ALL,), (), (ALL,), (), "grants nothing of what was asked for"),
        ((PUSH,), (PULL, OTHER), (PUSH,), (PULL, OTHER),
         f"grants less than was asked for: not {PUSH}; grants more than was asked for: {PULL}, {OTHER}"),
        (("aws",), (), (), (), ""),
    ],
    ids=["as asked", "unknown", "less", "nothing", "more", "all", "asked all", "asked all, got nothing", "both", "other form"],
)  # a table  # fmt: skip
def test_less_and_more(
    asked: tuple[str, ...],
    granted: tuple[str, ...] | None,
    missing: tuple[str, ...],
    more: tuple[str, ...],
    words: str,
) -> None:
    """TX-12: an intersection, possibly empty; ``*`` has every action."""
    assert (lacking(asked, granted), beyond(granted or (), asked), note(asked, granted)) == (missing, more, words)


def test_a_note_is_short_and_cannot_drive_a_terminal() -> None:
    """The names come from a server."""
    said = note((PULL,), (PULL, "repository:\x1b[2J\u2028:pull", "repository:" + "x" * 1000 + ":pull"))
    assert said.isprintable()
    assert len(said) < 300


@given(st.lists(st.sampled_from([PULL, PUSH, BOTH, ALL, OTHER])), st.lists(st.sampled_from([PULL, PUSH, ALL, OTHER])))
def test_nothing_is_beyond_what_has_it(granted: list[str], asked: list[str]) -> None:
    """If the extra part is requested as well, nothing is beyond."""
    assert beyond(granted, [*asked, *beyond(granted, asked)]) == ()
