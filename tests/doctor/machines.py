"""A machine in a dictionary, for the checks."""

import stat
from collections.abc import Iterable
from dataclasses import dataclass, field

from credproxy.core.ownership import ROOT
from credproxy.doctor.finding import Finding, Severity
from credproxy.doctor.machine import Obstacle, PathState


ME = 1000


@dataclass
class FakeMachine:
    """Files by path; every directory above one is root's with mode 0755 unless it was put there."""

    places: dict[str, PathState] = field(default_factory=dict)
    content: dict[str, bytes] = field(default_factory=dict)
    programs: dict[str, str] = field(default_factory=dict)
    obstacles: dict[str, Obstacle] = field(default_factory=dict)
    uid: int = ME
    roots: frozenset[int] = ROOT

    def put(self, path: str, mode: int = 0o644, *, uid: int = ME, content: bytes = b"x") -> "FakeMachine":
        """Add a regular file."""
        self.content[path] = content
        return self.place(path, stat.S_IFREG | mode, uid)

    def place(self, path: str, mode: int, uid: int = ME) -> "FakeMachine":
        """Add anything; ``mode`` includes its kind."""
        mine = uid == self.uid
        readable = bool(mode & (0o400 if mine else 0o004))
        self.places[path] = PathState(path, mode, uid, readable, bool(mode & (0o100 if mine else 0o001)))
        return self

    def look(self, path: str) -> PathState:
        """What is at a path."""
        return self.places.get(path, PathState(path))

    def lineage(self, path: str) -> tuple[PathState, ...]:
        """The file and all directories above it."""
        parts = path.split("/")
        above = ["/".join(parts[:count]) or "/" for count in range(len(parts) - 1, 0, -1)]
        plain = [self.places.get(folder, PathState(folder, stat.S_IFDIR | 0o755, 0, True, True)) for folder in above]
        return (self.look(path), *plain)

    def read(self, path: str) -> bytes | None:
        """Its content."""
        return self.content.get(path)

    def obstacle(self, path: str) -> Obstacle | None:
        """What is in the way there, if anything was put in it."""
        return self.obstacles.get(path)

    def which(self, name: str, path: str | None = None) -> str | None:
        """Found on PATH."""
        del path
        return self.programs.get(name)


def told(findings: Iterable[Finding], *severities: Severity) -> list[tuple[str, str, str]]:
    """Severity, message and remedy of each; only of the named severities, if any are named."""
    return [
        (finding.severity.value, finding.message, finding.remedy)
        for finding in findings
        if not severities or finding.severity in severities
    ]


def bad(findings: Iterable[Finding]) -> list[tuple[str, str, str]]:
    """Errors and warnings."""
    return told(findings, Severity.ERROR, Severity.WARNING)
