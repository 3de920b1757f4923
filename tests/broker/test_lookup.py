"""Keys: the caller and the question, with every part distinguished, and without secrets."""

import pytest
from hypothesis import given, strategies as st

from credproxy.broker.lookup import key_of
from credproxy.core.ask.credential import Caller, Identity, Secret


PARTS = st.recursive(
    st.none() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=4) | st.binary(max_size=4),
    lambda part: st.lists(part, max_size=3).map(tuple),
    max_leaves=6,
)
KEYS = st.lists(PARTS, max_size=3).map(tuple)


def test_keys_differ_in_every_part() -> None:
    """Socket, user and the provider's key each separate (SEC-16, T10); equal ones are equal."""
    keys = [
        key_of(Caller("helper", 1), ("k",)),
        key_of(Caller("actions", 1), ("k",)),
        key_of(Caller("helper", 2), ("k",)),
        key_of(Caller("helper", 1), ("l",)),
    ]
    assert len(set(keys)) == 4
    assert key_of(Caller("helper", 1), ("k",)) == keys[0]


@given(KEYS, KEYS)
def test_keys_are_equal_if_and_only_if_their_parts_are(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    """T25: no two lists of parts share a key, however they are nested, and whatever their texts hold."""
    assert (key_of(Caller(), one) == key_of(Caller(), other)) == (one == other)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("ab", "c"), ("a", "bc")),
        (("a", ("b",)), (("a",), "b")),
        (("a",), ("a", None)),
        (("1",), (1,)),
        (("a",), (b"a",)),
        ((Identity("a", "bc"),), (Identity("ab", "c"),)),
        ((Identity("a", "b", 1),), (Identity("a", "b", 2),)),
        ((Identity("a", "/home/\udcff"),), (Identity("a", "/home/\udcfe"),)),
    ],
    ids=["border", "nesting", "length", "number", "bytes", "identity", "version", "no utf-8"],
)
def test_parts_do_not_run_into_one_another(one: tuple[object, ...], other: tuple[object, ...]) -> None:
    """Parts that give the same text when joined are not the same key."""
    assert key_of(Caller(), one) != key_of(Caller(), other)
    assert key_of(Caller(), one) == key_of(Caller(), one)


def test_a_secret_is_not_part_of_a_key() -> None:
    """SEC-17: a provider that puts one in fails at its first question."""
    with pytest.raises(TypeError):
        key_of(Caller(), ("oci", Secret("canary")))  # type: ignore[arg-type]  # mypy sees it as well
