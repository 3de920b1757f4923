"""How ``explain`` and ``doctor`` are shown."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from rich.text import Text

from credproxy.core.counted import counted
from credproxy.doctor.finding import Finding, Severity


_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan", Severity.OK: "green"}

_SINGULAR = {"reasons": "because"}


def show_explanation(explanation: Mapping[str, object]) -> None:
    """Print every decision, one a line."""
    out = Console(highlight=False, emoji=False)
    if explanation.get("failure") == explanation.get("problem"):  # what is remembered is what is wrong: once is enough
        explanation = {name: value for name, value in explanation.items() if name != "failure"}
    lines = list(_flat(explanation))
    # On a terminal a longer name would be cut.
    width = max(len(name) for name, _ in lines) if out.is_terminal and lines else 18
    for name, value in lines:
        _row(out, (width, f"[bold]{escape(name)}[/bold]"), text=value)


def show_findings(findings: Sequence[Finding], *, verbose: bool) -> None:
    """Print what is wrong, the worst first, each with the command that fixes it; then the number of each severity."""
    out = Console(highlight=False, emoji=False)
    for finding in findings:
        if finding.severity is Severity.OK and not verbose:
            continue
        _row(out, (7, f"[{_STYLES[finding.severity]}]{finding.severity}[/]"), (13, finding.topic), text=finding.message)
        if finding.remedy:
            out.print(f"{'':<22}[dim]->[/] [bold]{escape(finding.remedy)}[/]", soft_wrap=True)
    counts = Counter(finding.severity for finding in findings)
    out.print(", ".join(_counted(counts[severity], severity) for severity in Severity))


def _row(out: Console, *cells: tuple[int, str], text: str) -> None:
    """Print short cells of given widths, and a text: wrapped beside them on a terminal, one line for other programs."""
    if out.is_terminal:
        row = Table.grid(*(Column(width=width) for width, _ in cells), Column(overflow="fold"), padding=(0, 1, 0, 0))
        row.add_row(*(cell for _, cell in cells), escape(text))
        out.print(row)
        return
    for width, cell in cells:
        plain = Text.from_markup(cell)
        plain.pad_right(max(0, width - len(plain)))
        out.print(plain, end=" ")
    out.print(Text(text), soft_wrap=True)


def _counted(count: int, severity: Severity) -> str:
    return f"{count} ok" if severity is Severity.OK else counted(count, severity)


def _flat(value: Mapping[str, object], prefix: str = "") -> Iterable[tuple[str, str]]:
    for name, part in value.items():
        if isinstance(part, dict):
            yield from _flat(part, f"{prefix}{name}.")
        elif isinstance(part, (list, tuple)):
            yield from ((f"{prefix}{_SINGULAR.get(name, name)}", str(item)) for item in part)
        elif part not in (None, ""):
            yield f"{prefix}{name}", _text(part)


def _text(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}={part}" for name, part in value.items() if part != "")
    return str(value)
