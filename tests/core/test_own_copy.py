"""The commands that add to this copy, or install it again."""

import re
import tomllib
from pathlib import Path

import pytest

from credproxy.core.kinds.cloud_libraries import LIBRARIES
from credproxy.core.kinds.sources.keyring import LIBRARY
from credproxy.core.own_copy import Manager, OwnCopy


VENV = OwnCopy("/venv/bin/python", source="/src/credproxy")
EDITABLE = OwnCopy("/src/credproxy/.venv/bin/python", source="/src/credproxy", editable=True)
PIPX = OwnCopy("/home/me/pipx/venvs/credproxy/bin/python", "pipx", "credproxy", "git+https://git.example/c@abc")
UV = OwnCopy("/my venv/bin/python", "uv", source="/src/credproxy-1.0.whl")


@pytest.mark.parametrize(
    ("copy", "adding", "again"),
    [
        (
            VENV,
            "/venv/bin/python -m pip install 'botocore>=1.40' x",
            "/venv/bin/python -m pip install --force-reinstall --no-deps --no-cache-dir /src/credproxy",
        ),
        (
            EDITABLE,
            "/src/credproxy/.venv/bin/python -m pip install 'botocore>=1.40' x",
            "/src/credproxy/.venv/bin/python -m pip install --force-reinstall --no-deps --no-cache-dir --editable /src/credproxy",
        ),
        (
            PIPX,
            "pipx inject credproxy 'botocore>=1.40' x",
            "pipx reinstall credproxy",
        ),
        (
            UV,
            "uv pip install --python '/my venv/bin/python' 'botocore>=1.40' x",
            "uv pip install --python '/my venv/bin/python' --reinstall --no-deps --no-cache /src/credproxy-1.0.whl",
        ),
    ],
    ids=["venv", "editable", "pipx", "uv"],
)
def test_each_way_to_install_it_has_its_commands(copy: OwnCopy, adding: str, again: str) -> None:
    """Libraries are added by their own names, so that it does not matter whether the source is still there."""
    assert copy.adding("botocore>=1.40", "x") == adding
    assert copy.again() == again


def test_a_library_that_is_there_is_replaced() -> None:
    """In pipx's environment as well, which has no pip of its own."""
    assert VENV.replacing("a<2") == "/venv/bin/python -m pip install --force-reinstall 'a<2'"
    assert PIPX.replacing("a<2") == "pipx runpip credproxy install --force-reinstall 'a<2'"
    assert UV.replacing("a<2") == "uv pip install --python '/my venv/bin/python' --reinstall 'a<2'"


def test_where_only_root_can_write_the_command_says_so() -> None:
    """A service for all users is in /opt."""
    assert OwnCopy("/opt/credproxy/bin/python", root=True).adding("x").startswith("sudo /opt/credproxy/bin/python ")


@pytest.mark.parametrize("manager", ["pip", "uv"])
def test_no_command_asks_an_index_for_credproxy(manager: Manager) -> None:
    """Anybody may have that name there: where the source is unknown, the user names it."""
    copy = OwnCopy("/p/bin/python", manager)
    for command in (copy.again(), copy.at("/opt/all")):
        before, comment, _ = command.partition("  # ")
        assert comment
        assert before.endswith(" SOURCE")
    assert copy.at("/opt/all").startswith("python3 -m venv /opt/all && /opt/all/bin/pip install ")


def test_the_libraries_are_those_of_the_extras() -> None:
    """With the same versions."""
    extras = tomllib.loads(Path("pyproject.toml").read_text())["project"]["optional-dependencies"]
    for library in (*LIBRARIES, LIBRARY):
        wanted = {each.partition(";")[0] for each in extras[library.extra]}
        assert set(library.requirements.values()) == wanted
        assert library.extra in re.findall(r"\w+", extras["all"][0])


def test_the_extras_are_those_that_a_newcomer_reads_of() -> None:
    """Each has a row where credproxy is installed, and no other has one."""
    table = Path("docs/getting-started.md").read_text().partition("\n| extra |")[2].partition("\n\n")[0]
    rows = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE))
    assert rows == {library.extra for library in (*LIBRARIES, LIBRARY)}
