"""docs/explanation/architecture.md names the actual rooms, and existing files."""

import re
import tomllib
from pathlib import Path

import pytest


ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
LINTED = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
FILES = sorted(set(re.findall(r"`(\w+(?:/\w+)*\.py)`", PAGE)))


def layers(container: str) -> list[list[str]]:
    """The rows of a contract, from top to bottom; without the module that only starts the command line."""
    found = next(one["layers"] for one in LINTED if one.get("containers") == [container])
    return [layer.split(" | ") for layer in found if layer != "__main__"]


def test_the_table_has_each_room_in_the_row_of_the_contract() -> None:
    """The page agrees with what the linter checks."""
    table = PAGE.partition("\n## The rooms\n")[2].partition("\n\nInside `core`")[0]
    rows = re.findall(r"^\| (`\w+`(?:, `\w+`)*) \|", table, re.MULTILINE)
    assert [re.findall(r"\w+", row) for row in rows] == layers("credproxy")


def test_the_rooms_of_core_are_named_from_top_to_bottom() -> None:
    """As above."""
    sentence = PAGE.partition("Inside `core` the same holds for ")[2].partition("\n")[0]
    assert [[name] for name in re.findall(r"`(\w+)` \(", sentence)] == layers("credproxy.core")


@pytest.mark.parametrize("file", [file for file in FILES if "TAG" not in file])
def test_every_file_that_is_named_is_there(file: str) -> None:
    """A reader opens it."""
    assert (ROOT / "credproxy" / file).is_file()


def test_files_are_named() -> None:
    """The pattern above must still find them."""
    assert len(FILES) > 10
