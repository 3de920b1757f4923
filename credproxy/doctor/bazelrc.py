"""``.bazelrc`` files: the options in them, in the order in which Bazel takes them, with their lines.

::

    line    = command [":" config] option*      a backslash at its end joins the next one, # begins a comment
    option  = --name=value | --name value
    import  = ("import" | "try-import") path    %workspace%/ stands for the workspace; relative to it otherwise

Source: Bazel's manual, "Write bazelrc configuration files"; src/main/cpp/rc_file.cc.
"""

import shlex
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field


_FILES = 64
_DEPTH = 10
_VALUED = frozenset(
    {
        "credential_helper",
        "experimental_credential_helper",
        "credential_helper_timeout",
        "experimental_credential_helper_timeout",
        "sandbox_block_path",
    }
)
"""The options that are looked for; each takes a value, which may be the next word."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        where: ``FILE:LINE``.
        command: ``common``, ``build``, ...
        config: it counts only with ``--config=`` this; "" where it always counts.
        name: without dashes, and without the ``experimental_`` of earlier versions.
    """

    where: str
    command: str
    config: str
    name: str
    value: str


@dataclass(slots=True)
class Lines:
    """What was found: ``files`` that were read, options in order; ``unclosed`` quotations and ``missing`` imports.

    The last two as ``FILE:LINE``, missing ones with the file that is not there.
    """

    files: list[str] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)
    unclosed: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)


def collect(files: Sequence[str], read: Callable[[str], str | None], workspace: str | None) -> Lines:
    """Read files and what they import.

    Args:
        files: in the order in which Bazel reads them; those that are not there are skipped.
        read: gives a file's text, None where it cannot be read.
        workspace: its root; None outside of one.
    """
    lines = Lines()
    for path in files:
        _file(path, read, workspace, lines, ())
    return lines


def _file(
    path: str, read: Callable[[str], str | None], workspace: str | None, lines: Lines, importers: tuple[str, ...]
) -> bool:
    if path in importers or len(importers) >= _DEPTH or len(lines.files) >= _FILES:
        return True  # Bazel itself refuses a circle
    text = read(path)
    if text is None:
        return False
    lines.files.append(path)
    for number, line in _joined(text):
        where = f"{path}:{number}"
        try:
            words = shlex.split(line, comments=True)
        except ValueError:
            lines.unclosed.append(where)
            continue
        if len(words) > 1 and words[0] in {"import", "try-import"}:
            wanted = _resolved(words[1], workspace)
            if not _file(wanted, read, workspace, lines, (*importers, path)) and words[0] == "import":
                lines.missing.append((where, wanted))
        elif words and words[0] != "startup":
            lines.options += _options(where, words)
    return True


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Each line with its number, continuations joined to their first one."""
    first, pending = 1, ""
    for number, line in enumerate(text.splitlines(), 1):
        if not pending:
            first = number
        if line.endswith("\\"):
            pending += line[:-1]
            continue
        yield first, pending + line
        pending = ""
    if pending:
        yield first, pending


def _resolved(path: str, workspace: str | None) -> str:
    path = path.replace("%workspace%", workspace or "", 1)
    return path if path.startswith("/") or workspace is None else f"{workspace}/{path}"


def _options(where: str, words: Sequence[str]) -> Iterator[Option]:
    command, _, config = words[0].partition(":")
    rest = iter(words[1:])
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if word.startswith("--") and name in _VALUED:
            yield Option(
                where, command, config, name.removeprefix("experimental_"), value if equals else next(rest, "")
            )
