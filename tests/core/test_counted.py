"""Numbers with what is counted."""

from credproxy.core.counted import counted


def test_one_is_singular_and_the_rest_is_not() -> None:
    """``1 rules`` reads badly."""
    assert [counted(count, "rule") for count in (0, 1, 2)] == ["0 rules", "1 rule", "2 rules"]
    assert counted(1, "entry", more="entries") == "1 entry"
    assert counted(3, "entry", more="entries") == "3 entries"
