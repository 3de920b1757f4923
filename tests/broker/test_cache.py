"""Grants in memory, within bounds."""

from credproxy.broker.cache import Cache
from credproxy.broker.entry import Entry
from credproxy.broker.lookup import Lookup, key_of
from credproxy.core.ask.credential import Caller, Grant, Lifetime, Secret
from tests.broker.world import never


def _entry(name: str, size: int = 100, authority: str = "reg.test") -> Entry:
    plan = never(name)
    key = key_of(Caller(), plan.key)
    grant = Grant((("A", (Secret("x" * (size - 1)),)),), Lifetime(0.0, 300.0))
    return Entry.of(Lookup(key, Caller(), authority, "", plan), grant, now=0.0)


def _names(cache: Cache) -> set[object]:
    return {entry.subject for entry in cache.entries()}


def test_the_number_of_entries_is_bounded_and_the_least_recently_used_goes() -> None:
    """A read keeps an entry; the least recently read one is evicted and marked."""
    cache = Cache(2, 10_000)
    first, second, third = _entry("a"), _entry("b"), _entry("c")
    cache.put(first)
    cache.put(second)
    assert cache.get(first.key) is first
    cache.put(third)
    assert (_names(cache), second.dropped, cache.evicted, cache.size) == ({"a", "c"}, True, 1, 200)


def test_the_half_that_was_used_longest_ago_goes_and_in_the_end_all() -> None:
    """C6: However often memory is short, and even if one large answer is the cause."""
    cache = Cache(100, 10_000)
    for name in "abcde":
        cache.put(_entry(name))
    cache.get(_entry("a").key)
    assert (cache.halve(), _names(cache), cache.size, cache.evicted) == (3, {"e", "a"}, 200, 3)
    assert [cache.halve(), cache.halve(), cache.halve(), cache.size] == [1, 1, 0, 0]


def test_the_bytes_are_bounded() -> None:
    """As many go as it takes to make room."""
    cache = Cache(100, 300)
    for name in "abc":
        cache.put(_entry(name))
    cache.put(_entry("d", 250))
    assert (_names(cache), cache.size, cache.evicted) == ({"d"}, 250, 3)


def test_one_entry_above_the_bound_is_still_kept() -> None:
    """Otherwise a key with a huge token would be exchanged for every question."""
    cache = Cache(100, 50)
    cache.put(_entry("a"))
    assert (len(cache), cache.size) == (1, 100)


def test_a_newer_entry_takes_the_place_of_the_older() -> None:
    """The older one is dropped, and its bytes are given back."""
    cache = Cache(10, 10_000)
    older, newer = _entry("a"), _entry("a", 50)
    cache.put(older)
    cache.put(newer)
    assert (cache.get(newer.key), older.dropped, newer.dropped, cache.size, cache.evicted) == (
        newer,
        True,
        False,
        50,
        0,
    )


def test_looking_does_not_count_as_use() -> None:
    """``peek`` and ``entries`` leave the order alone."""
    cache = Cache(2, 10_000)
    first = _entry("a")
    cache.put(first)
    cache.put(_entry("b"))
    assert (cache.peek(first.key), len(list(cache.entries()))) == (first, 2)
    cache.put(_entry("c"))
    assert (_names(cache), cache.peek(first.key), cache.get(first.key)) == ({"b", "c"}, None, None)


def test_the_latest_are_those_that_were_used_last() -> None:
    """For people: the latest first, and no more than asked for."""
    cache = Cache(10, 10_000)
    entries = [_entry(name) for name in "abc"]
    for entry in entries:
        cache.put(entry)
    cache.get(entries[0].key)
    assert [entry.subject for entry in cache.latest(2)] == ["a", "c"]


def test_dropping_by_authority_includes_what_serves_several() -> None:
    """An entry without one authority belongs to each."""
    cache = Cache(10, 10_000)
    for name, authority in (("a", "a.test"), ("b", "b.test"), ("c", "")):
        cache.put(_entry(name, authority=authority))
    assert (cache.drop_all(lambda host: host == "a.test"), _names(cache), cache.size) == (2, {"b"}, 100)
