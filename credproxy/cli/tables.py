"""What ``status`` and ``explain`` look like to people."""

from collections.abc import Iterable, Mapping

from rich.console import Console
from rich.markup import escape
from rich.table import Table


def show_status(status: Mapping[str, object], console: Console | None = None) -> None:
    """Print a status: a line of numbers, then a table for each list that has rows."""
    out = console or Console(highlight=False)
    out.print("  ".join(f"{name} {_text(value)}" for name, value in status.items() if not isinstance(value, list)))
    for name, rows in status.items():
        if isinstance(rows, list) and rows:
            out.print(_table(name, [row for row in rows if isinstance(row, dict)]))


def show_explanation(explanation: Mapping[str, object], console: Console | None = None) -> None:
    """Print every decision, one a line."""
    out = console or Console(highlight=False)
    for name, value in _flat(explanation):
        out.print(f"[bold]{name:<18}[/bold] {escape(value)}")


def _table(title: str, rows: list[dict[str, object]]) -> Table:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    table = Table(*columns, title=title, title_justify="left")
    for row in rows:
        table.add_row(*(escape(_text(row.get(name, ""))) for name in columns))
    return table


def _flat(value: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, part in value.items():
        if isinstance(part, dict):
            yield from _flat(part, f"{prefix}{name}.")
        elif part not in (None, ""):
            yield f"{prefix}{name}", _text(part)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={part}" for name, part in value.items() if part != "")
    return str(value)
