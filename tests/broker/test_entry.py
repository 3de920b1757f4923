"""One grant in memory: it gives back what it was made of, and holds nothing twice."""

import pytest

from credproxy.broker.entry import Entry
from credproxy.broker.lookup import Lookup, key_of
from credproxy.core.ask.credential import Caller, Grant, Lifetime, Secret
from tests.broker.world import never


def _entry(grant: Grant, name: str = "k", authority: str = "reg.test") -> Entry:
    plan, origin = never(name), Caller("helper", 1000)
    return Entry.of(Lookup(key_of(origin, plan.key), origin, authority, "*.test", plan), grant, now=5.0)


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("Authorization", (Secret("Bearer t"),)),),
        (("X-Many", (Secret("1"), Secret("2"))),),
        (("X-One", (Secret("1"),)), ("X-Many", (Secret("2"), Secret("3"))), ("X-Two", (Secret("1"),))),
    ],
    ids=["none", "one", "two values", "several"],
)
def test_headers_are_given_back_as_they_came(headers: tuple[tuple[str, tuple[Secret, ...]], ...]) -> None:
    """In their order, with all their values."""
    entry = _entry(Grant(headers, Lifetime(0.0)))
    assert (entry.headers, entry.empty) == (headers, not headers)


def test_an_entry_weighs_its_texts() -> None:
    """Names, values and the note count."""
    entry = _entry(Grant((("Authorization", (Secret("Bearer t"),)),), Lifetime(0.0), "note"))
    assert entry.size == 13 + 8 + 4


def test_equal_parts_are_kept_once() -> None:
    """A hundred thousand entries of one host name the same header, the same caller and the same host."""
    header, host = b"X-Key", b"reg.test"
    one, other = (
        _entry(Grant(((header.decode(), (Secret(name),)),), Lifetime(0.0)), name, host.decode()) for name in ("a", "b")
    )
    assert one.names is other.names
    assert one.caller is other.caller
    assert one.authority is other.authority


def test_an_entry_shows_no_secret() -> None:
    """SEC-11: it may come up in a log or a traceback."""
    assert "canary" not in repr(_entry(Grant((("A", (Secret("canary"),)),), Lifetime(0.0))))
