"""What describes the rooms is true: docs/explanation/architecture.md, and the lists of modules at the top of some of them."""

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


LISTS = {
    init.parent: re.findall(r"^    (\w+(?:, \w+)*)  +\S", init.read_text().partition("::\n")[2], re.MULTILINE)
    for init in sorted((ROOT / "credproxy").glob("*/__init__.py"))
    if re.search(r"^::\n", init.read_text(), re.MULTILINE)
}
"""The lines of each list of modules, by room."""


@pytest.mark.parametrize("room", LISTS, ids=[room.name for room in LISTS])
def test_a_room_with_a_list_of_its_modules_lists_them_all_once(room: Path) -> None:
    """It is where a newcomer begins; a module that was renamed would be looked for in vain."""
    listed = [name for line in LISTS[room] for name in line.split(", ")]
    assert sorted(listed) == sorted(path.stem for path in room.glob("*.py") if path.name != "__init__.py")


def test_rooms_with_a_list_are_found() -> None:
    """As below."""
    assert {"carrier", "gateway", "worker"} <= {room.name for room in LISTS}


def test_files_are_named() -> None:
    """The pattern above must still find them."""
    assert len(FILES) > 10
