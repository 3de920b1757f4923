"""docs/reference/configuration.md and cli.md are complete, and every example in the documents loads.

What belongs to one provider or one source has a page of its own: test_provider_pages.py.
"""

import json
import re
from pathlib import Path

import click
import msgspec
import pytest

from credproxy.cli import main
from credproxy.core.config import settings
from credproxy.core.config.parse import load, schema


ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "configuration.md").read_text()
CLI = (ROOT / "docs" / "reference" / "cli.md").read_text()
STRUCTS = [kind for kind in vars(settings).values() if isinstance(kind, type) and kind.__module__ == settings.__name__]
KEYS = sorted(
    {field for kind in STRUCTS if issubclass(kind, msgspec.Struct) for field in kind.__struct_encode_fields__}
)
EXAMPLES = [
    (f"{page.relative_to(ROOT)}-{number}", text)
    for page in sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md")])
    for number, text in enumerate(re.findall(r"```toml\n(.*?)```", page.read_text(), re.DOTALL))
]


@pytest.mark.parametrize("key", KEYS)
def test_every_key_is_in_the_reference(key: str) -> None:
    """Untested documents drift."""
    assert f"`{key}`" in PAGE


@pytest.mark.parametrize(("name", "text"), EXAMPLES, ids=[name for name, _ in EXAMPLES])
def test_every_example_loads(name: str, text: str) -> None:
    """Copied examples have to work."""
    assert load(text, name).host or "[[host]]" not in text


def test_there_are_examples() -> None:
    """The pattern above must still find them."""
    assert len(EXAMPLES) >= 10


def test_the_committed_schema_is_current() -> None:
    """Editors fetch the file, not the program."""
    committed = json.loads((ROOT / "docs" / "reference" / "config.schema.json").read_text())
    assert committed == json.loads(json.dumps(schema()))


def commands(group: click.Group, prefix: str = "credproxy") -> list[tuple[str, click.Command]]:
    """Give every command with its full name."""
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found += commands(command, f"{prefix} {name}")
        else:
            found.append((f"{prefix} {name}", command))
    return found


@pytest.mark.parametrize(("name", "command"), commands(main), ids=[name for name, _ in commands(main)])
def test_every_command_and_option_is_in_the_reference(name: str, command: click.Command) -> None:
    """And every command says what it does."""
    assert command.help
    row = next(line for line in CLI.splitlines() if line.startswith(f"| `{name}"))
    for option in command.params:
        if isinstance(option, click.Option):
            assert option.opts[0] in row
