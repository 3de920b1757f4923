"""The commands in doctor's remedies exist."""

import ast
import re
from pathlib import Path

import click
import pytest

import credproxy.doctor
from credproxy.cli import main


FOLDER = Path(credproxy.doctor.__file__).parent
TEXTS = {
    node.value
    for path in FOLDER.glob("*.py")
    for node in ast.walk(ast.parse(path.read_text()))
    if isinstance(node, ast.Constant) and isinstance(node.value, str)
}
COMMANDS = sorted(
    {found[0] for text in TEXTS if (found := re.match(r"credproxy [a-z]+(?: [a-z]+)?(?: --[a-z]+)?", text))}
)


@pytest.mark.parametrize("typed", COMMANDS)
def test_every_command_that_is_a_remedy_exists(typed: str) -> None:
    """With its option."""
    command: click.Command = main
    for word in typed.split()[1:]:
        if word.startswith("--"):
            assert word in {name for option in command.params for name in option.opts}
        elif isinstance(command, click.Group):
            found = command.get_command(click.Context(command), word)
            assert found is not None, word
            command = found


def test_there_are_remedies() -> None:
    """The pattern above must still find them."""
    assert {"credproxy serve", "credproxy install", "credproxy config check"} <= set(COMMANDS)
