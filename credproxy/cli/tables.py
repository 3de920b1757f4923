"""What ``explain`` and ``doctor`` look like to people."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from credproxy.doctor.finding import Finding, Severity


_STYLES = {Severity.ERROR: "bold red", Severity.WARNING: "yellow", Severity.NOTE: "cyan", Severity.OK: "green"}


_SINGULAR = {"reasons": "because"}


def show_explanation(explanation: Mapping[str, object], console: Console | None = None) -> None:
    """Print every decision, one a line."""
    out = console or Console(highlight=False, emoji=False)
    for name, value in _flat(explanation):
        row = Table.grid(Column(width=18), Column(overflow="fold"), padding=(0, 1, 0, 0))
        row.add_row(f"[bold]{escape(name)}[/bold]", escape(value))
        out.print(row)


def show_findings(findings: Sequence[Finding], *, verbose: bool, console: Console | None = None) -> None:
    """Print what is wrong, the worst first, each with the command that mends it; then how many there are of each."""
    out = console or Console(highlight=False, emoji=False)
    for finding in findings:
        if finding.severity is Severity.OK and not verbose:
            continue
        row = Table.grid(Column(width=8), Column(width=14), Column(overflow="fold"))
        row.add_row(f"[{_STYLES[finding.severity]}]{finding.severity}[/]", finding.topic, escape(finding.message))
        out.print(row)
        if finding.remedy:
            out.print(f"{'':<22}[dim]->[/] [bold]{escape(finding.remedy)}[/]", soft_wrap=True)
    counts = Counter(finding.severity for finding in findings)
    out.print(", ".join(_counted(counts[severity], severity) for severity in Severity))


def _counted(count: int, severity: Severity) -> str:
    plural = "" if count == 1 or severity is Severity.OK else "s"
    return f"{count} {severity}{plural}"


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
