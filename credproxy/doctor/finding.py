"""The result of a check."""

from collections.abc import Callable, Iterable, Iterator
from enum import StrEnum
from typing import NamedTuple

from msgspec import Struct
from msgspec.structs import replace

from credproxy.core.formats.toml_lines import Path


Where = Callable[[Path], str]
"""Gives the prefix of a message about a key of the configuration, such as ``FILE:LINE: KEY: ``."""


def nowhere(path: Path) -> str:
    """The prefix if the files are unknown."""
    del path
    return ""


class Severity(StrEnum):
    """How bad it is, worst first: something does not work; it may do harm; good to know; as it should be."""

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"
    OK = "ok"


class Finding(Struct, frozen=True):
    """One line for the user.

    Attributes:
        topic: its subject, from a short list.
        message: lower case, no final period; never a secret.
        remedy: the next command, or the line to write; "" if there is nothing to do.
    """

    severity: Severity
    topic: str
    message: str
    remedy: str = ""


class Topic(NamedTuple):
    """Makes the findings of one topic."""

    name: str

    def error(self, message: str, remedy: str) -> Finding:
        """Report that something does not work."""
        return Finding(Severity.ERROR, self.name, message, remedy)

    def warning(self, message: str, remedy: str) -> Finding:
        """Report that something works but may do harm."""
        return Finding(Severity.WARNING, self.name, message, remedy)

    def note(self, message: str, remedy: str = "") -> Finding:
        """Report what is good to know."""
        return Finding(Severity.NOTE, self.name, message, remedy)

    def ok(self, message: str) -> Finding:
        """Report that something is as it should be."""
        return Finding(Severity.OK, self.name, message)


def placed(findings: Iterable[Finding], where: str) -> Iterator[Finding]:
    """The same findings, each message prefixed with the place that it is about."""
    return (replace(finding, message=f"{where}{finding.message}") for finding in findings)


def by_severity(findings: Iterable[Finding]) -> list[Finding]:
    """The worst first, otherwise in the order of the checks."""
    order = list(Severity)
    return sorted(findings, key=lambda finding: order.index(finding.severity))
