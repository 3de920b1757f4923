"""What can be told of every hint in the source: its commands exist and name what they look at; waiting helps."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import click
import pytest

import credproxy
from credproxy.cli import main
from credproxy.core.errors import Code, failed


FOLDER = Path(credproxy.__file__).parent
MAKERS = {"failed": 2, "Failure": 2, "unreadable": 2, "CommandError": 1, "_unreadable": 2}
"""Functions that take a hint, and which of their arguments it is."""

WAITING = re.compile(r"(?:ask again|try again|run the build again|wait)\b(?! (?:for|to))")
NEEDS_A_FILE = re.compile(r"\b(?:ls|namei|chmod|openssl|json\.tool|mv)\b")


class Hint(NamedTuple):
    """One hint: where it stands, its code if that is written out, and its text with ``{}`` for what is filled in."""

    place: str
    code: Code | None
    text: str


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) for part in parts)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left) + _text(right)
        case ast.IfExp(body=body, orelse=orelse):
            return f"{_text(body)} {_text(orelse)}"
        case _:
            return "{}"


def _hints() -> Iterator[Hint]:
    for path in sorted(FOLDER.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in MAKERS:
                continue
            at = MAKERS[node.func.id]
            given = node.args[at] if len(node.args) > at else None
            given = next((keyword.value for keyword in node.keywords if keyword.arg == "hint"), given)
            if given is None:
                continue
            codes = [arg.attr for arg in node.args[:1] if isinstance(arg, ast.Attribute)]
            code = Code[codes[0]] if codes and codes[0] in Code.__members__ else None
            yield Hint(f"{path.relative_to(FOLDER)}:{node.lineno}", code, _text(given))


HINTS = list(_hints())


def test_there_are_hints() -> None:
    """The search above must go on finding them, in every room."""
    assert len(HINTS) > 100
    assert {hint.place.partition("/")[0] for hint in HINTS} >= {
        "adapters",
        "broker",
        "cli",
        "core",
        "exchange",
        "providers",
    }


@pytest.mark.parametrize("hint", [hint for hint in HINTS if "credproxy " in hint.text], ids=lambda hint: hint.place)
def test_every_command_of_ours_in_a_hint_exists(hint: Hint) -> None:
    """With its options."""
    for typed in re.findall(r"credproxy ((?:[a-z]+|--[a-z-]+)(?: (?:[a-z]+|--[a-z-]+))*)", hint.text):
        command: click.Command = main
        for word in typed.split():
            if word.startswith("--"):
                assert word in {name for option in command.params for name in (*option.opts, *option.secondary_opts)}
            elif isinstance(command, click.Group):
                found = command.get_command(click.Context(command), word)
                assert found is not None, word
                command = found


@pytest.mark.parametrize(
    "hint", [hint for hint in HINTS if NEEDS_A_FILE.search(hint.text)], ids=lambda hint: hint.place
)
def test_a_command_that_looks_at_a_file_names_it(hint: Hint) -> None:
    """``python3 -m json.tool`` alone waits for ever."""
    assert "{}" in hint.text


@pytest.mark.parametrize("hint", [hint for hint in HINTS if WAITING.match(hint.text)], ids=lambda hint: hint.place)
def test_a_hint_to_wait_belongs_to_what_passes(hint: Hint) -> None:
    """Where only an edit helps, no hint advises to wait."""
    assert hint.code is not None
    assert failed(hint.code, "").failure.may_pass
