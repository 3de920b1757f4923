"""Tests verify every promise of docs/security.md: a promise without its test is not one."""

import re
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
ROWS = re.findall(r"^\| (?!promise|---)(.+?) \| (.+?) \|$", (ROOT / "docs" / "security.md").read_text(), re.MULTILINE)
TESTS = {
    name
    for path in (ROOT / "tests").rglob("test_*.py")
    for name in re.findall(r"^ *(?:async )?def (test_\w+)", path.read_text(), re.MULTILINE)
}


def test_the_page_is_read() -> None:
    """If its form changes, this test must not pass because there are no rows."""
    assert len(ROWS) > 25


@pytest.mark.parametrize(("promise", "held_by"), ROWS, ids=[promise[:60] for promise, _ in ROWS])
def test_every_promise_is_held_by_tests_that_exist(promise: str, held_by: str) -> None:
    """By their names, so that renaming one leads here."""
    names = re.findall(r"`(\w+)`", held_by)
    assert names, promise
    assert set(names) <= TESTS, promise
