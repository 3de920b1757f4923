"""How ``status`` is shown: once, or again each second."""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.measure import Measurement
from rich.padding import Padding
from rich.table import Column, Table
from rich.text import Text

from credproxy.cli.command_error import CommandError


StatusObject = Mapping[str, object]

_EVERY = 1.0
_A_LINE = 4
"""Numbers of each line: the first line is about the daemon, the others about what it remembers."""

_BYTES = {"bytes": "memory", "memory_bytes": "memory"}
"""Sizes, which people are shown in MB, under a name that fits that."""

_WHOLE = 10_000_000
"""Bytes from which no decimal is shown."""

_SAID = {"state", "well"}
"""Told before the numbers."""

_STATES = {"fresh": "green", "advisory": "cyan", "mandatory": "yellow", "expired": "red"}
_FIGURES = ("age", "left", "idle", "uses", "failures")
WIDE = 10_000
"""Columns of no terminal, in which nothing is folded."""

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def view(status: StatusObject, rows: int | None = None) -> RenderableType:
    """Draw a status: lines of numbers, then a table for each list that has rows.

    Args:
        status: the answer of ``/v1/status``.
        rows: most answers to show, the last used ones; None for all.
    """
    state = status.get("state")
    parts: list[RenderableType] = [Text(str(state), "bold red" if status.get("well") is False else "")] if state else []
    parts += _lines(status)
    refused = status.get("refused")
    if isinstance(refused, dict) and refused:
        counts = ", ".join(f"{code} {count}" for code, count in sorted(refused.items()))
        parts.append(Text(f"refused on the actions socket: {counts}", style="yellow"))
    connections = status.get("connections")
    if isinstance(connections, dict) and connections:
        counts = ", ".join(f"{who or 'your own processes'} {count}" for who, count in sorted(connections.items()))
        parts.append(Text(f"connections of the actions socket: {counts}"))
    entries = _rows(status, "entries")
    parts += [_entries(entries[:rows])] if entries else []
    if rows is not None and len(entries) > rows:
        parts.append(Text(f"and {len(entries) - rows} more", style="dim"))
    for name in ("flights", "failures", "origins", "carriers", "relays"):
        found = _rows(status, name)
        parts += [_table(name, found)] if found else []
    worker = status.get("worker")
    if isinstance(worker, dict):
        parts.append(_table("worker", [_worker(worker)]))
        # Below the table, and in one line: a column would cut it, and it is there to be pasted.
        if install := worker.get("install"):
            once = rows is None  # what is drawn again and again has to stay within the terminal
            parts.append(Text(f"to install what is missing: {install}", no_wrap=once, overflow="ignore"))
    return Group(*parts)


def watch(ask: Callable[[], StatusObject], console: Console, *, pause: Callable[[float], None] = time.sleep) -> None:
    """Draw what ``ask`` gives, each second, until the user stops it; a daemon that is gone may come back.

    Raises:
        CommandError: there is no answer the first time.
        KeyboardInterrupt: the user stopped it; the last output stays.
    """
    drawn = view(ask(), _room(console))
    with Live(drawn, console=console, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            pause(_EVERY)
            try:
                drawn = view(ask(), _room(console))
            except CommandError as error:
                drawn = Text(f"{error.message}\nhint: {error.hint}", style="red")
            live.update(drawn, refresh=True)


def span(seconds: float) -> str:
    """Seconds for people: ``4m 58s``, ``-3s``."""
    left = int(abs(seconds))
    sign = "-" if seconds <= -1 else ""
    for index, (unit, size) in enumerate(_UNITS[:-1]):
        if left >= size:
            smaller, below = _UNITS[index + 1]
            return f"{sign}{left // size}{unit} {left % size // below:02d}{smaller}"
    return f"{sign}{left}s"


def _room(console: Console) -> int:
    """Answers that fit on the terminal with the other lines."""
    return max(3, console.height - 14)


def _lines(status: StatusObject) -> Iterator[Text]:
    shown = [
        f"{_BYTES.get(name, name)} {_number(name, value)}"
        for name, value in status.items()
        if not isinstance(value, (list, dict)) and name not in _SAID
    ]
    for start in range(0, len(shown), _A_LINE):
        yield Text("  ".join(shown[start : start + _A_LINE]))


def _number(name: str, value: object) -> str:
    if not isinstance(value, (int, float)) or isinstance(value, bool):
        return str(value)
    if name in _BYTES:
        return f"{value / 1e6:.0f} MB" if value >= _WHOLE else f"{value / 1e6:.1f} MB"
    if name == "started":
        return datetime.fromtimestamp(value, UTC).astimezone().isoformat(" ", "seconds")
    return span(value) if name == "uptime" else str(value)


def _worker(told: Mapping[str, object]) -> dict[str, object]:
    """The row of the process in which the clouds' libraries run; what is not there is left out."""
    words = {name: value for name, value in told.items() if name != "install"}
    row = {name: value for name, value in words.items() if value is not None and not isinstance(value, list)}
    for name in ("installed", "missing"):
        extras = told.get(name)
        row |= {name: ", ".join(map(str, extras))} if isinstance(extras, list) and extras else {}
    return row


def _entries(rows: list[dict[str, object]]) -> "_Rows":
    columns = ["socket", "answer for", "scopes", "state", *_FIGURES]
    return _Rows("answers", columns, [_entry(row) for row in rows], right=frozenset(_FIGURES))


def _entry(row: Mapping[str, object]) -> list[Text]:
    detail = row.get("detail")
    known = detail if isinstance(detail, dict) else {}
    state = str(row.get("state"))
    return [
        Text(str(row.get("socket"))),
        Text(_subject(row, known)),
        Text(str(known.get("scopes", ""))),
        Text("nothing" if row.get("empty") else state, style="dim" if row.get("empty") else _STATES.get(state, "")),
        *(Text(_seconds(row.get(name))) for name in ("age", "left", "idle")),
        Text(str(row.get("uses"))),
        Text(str(row.get("failures"))),
    ]


def _subject(row: Mapping[str, object], detail: Mapping[str, object]) -> str:
    credential, note = detail.get("credential"), row.get("note")
    return f"{row.get('subject')}{f' from {credential}' if credential else ''}{f' ({note})' if note else ''}"


def _seconds(value: object) -> str:
    return span(value) if isinstance(value, (int, float)) else ""


def _table(title: str, rows: list[dict[str, object]]) -> "_Rows":
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[Text(_number(name, row.get(name, ""))) for name in columns] for row in rows]
    return _Rows(title, [_BYTES.get(name, name) for name in columns], cells)


@dataclass(frozen=True, slots=True)
class _Rows:
    """A table where there is room for it; elsewhere each value beside its name. Nothing is cut either way.

    Attributes:
        title: above it.
        columns: the name of each.
        rows: a cell for each column.
        right: columns of figures.
    """

    title: str
    columns: list[str]
    rows: list[list[Text]]
    right: frozenset[str] = frozenset()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        table = self._table()
        if Measurement.get(console, options.update(max_width=WIDE), table).maximum <= options.max_width:
            yield table
            return
        yield Text(self.title, "italic")
        for row in self.rows:
            named = [
                Text.assemble((name, "bold"), " ", cell) for name, cell in zip(self.columns, row, strict=True) if cell
            ]
            yield Padding(Text("  ").join(named), (0, 0, 0, 2))

    def _table(self) -> Table:
        columns = [
            Column(name, overflow="fold", justify="right" if name in self.right else "left", no_wrap=name in self.right)
            for name in self.columns
        ]
        table = Table(*columns, title=self.title, title_justify="left", box=SIMPLE_HEAD, pad_edge=False)
        for row in self.rows:
            table.add_row(*row)
        return table


def _rows(status: StatusObject, name: str) -> list[dict[str, object]]:
    found = status.get(name)
    return [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
