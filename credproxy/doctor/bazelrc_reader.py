"""``.bazelrc`` files: the options in them, in the order in which Bazel takes them, with their lines.

::

    line    = command [":" config] option*      a backslash at its end joins the next one, # begins a comment
    option  = --name=value | --name value
    import  = ("import" | "try-import") path    %workspace%/ stands for the workspace; relative to it otherwise

Source: Bazel's manual, "Write bazelrc configuration files"; src/main/cpp/rc_file.cc.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType

from credproxy.core.formats.bazel_words import split_words


_FILES = 64
_DEPTH = 10
_VALUED = frozenset(
    {
        "credential_helper",
        "experimental_credential_helper",
        "credential_helper_timeout",
        "experimental_credential_helper_timeout",
        "sandbox_block_path",
        "remote_cache",
        "remote_http_cache",
        "remote_executor",
        "remote_downloader",
        "experimental_remote_downloader",
        "bes_backend",
        "remote_header",
        "remote_cache_header",
        "remote_exec_header",
        "remote_downloader_header",
        "bes_header",
    }
)
"""The options to look for; each takes a value, which may be the next word."""

_OLD = {"remote_http_cache": "remote_cache"}
"""Old names that Bazel still accepts (``oldName`` in its RemoteOptions.java)."""


@dataclass(frozen=True, slots=True)
class Option:
    """One option.

    Attributes:
        where: ``FILE:LINE``.
        command: ``common``, ``build``, ...
        config: it counts only with ``--config=`` this; "" if it always counts.
        name: the current one, without dashes, and without the ``experimental_`` of earlier versions.
    """

    where: str
    command: str
    config: str
    name: str
    value: str


@dataclass(slots=True)
class Lines:
    """What was found: the ``files`` read, options in order, ``startup`` apart, ``unclosed`` quotations, ``missing`` imports.

    The last two as ``FILE:LINE``, missing ones with the file that does not exist.
    """

    files: list[str] = field(default_factory=list)
    options: list[Option] = field(default_factory=list)
    startup: list[Option] = field(default_factory=list)
    unclosed: list[str] = field(default_factory=list)
    missing: list[tuple[str, str]] = field(default_factory=list)


def collect(
    files: Sequence[str],
    read: Callable[[str], str | None],
    *,
    workspace: str | None,
    environ: Mapping[str, str] = MappingProxyType({}),
) -> Lines:
    """Read files and what they import.

    Args:
        files: in the order in which Bazel reads them; those that are not there are skipped.
        read: gives a file's text, None if it cannot be read.
        workspace: its root; None outside of one.
        environ: the variables that a file may name.
    """
    reader = _BazelrcReader(read, workspace, environ)
    for path in files:
        reader.take(path, ())
    return reader.lines


@dataclass(frozen=True, slots=True)
class _BazelrcReader:
    read: Callable[[str], str | None]
    workspace: str | None
    environ: Mapping[str, str]
    lines: Lines = field(default_factory=Lines)

    def take(self, path: str, importers: tuple[str, ...]) -> bool:
        """Read a file and what it imports; False if it is not there."""
        if path in importers or len(importers) >= _DEPTH or len(self.lines.files) >= _FILES:
            return True  # Bazel itself refuses a cycle
        text = self.read(path)
        if text is None:
            return False
        self.lines.files.append(path)
        for number, line in _joined(text):
            words, closed = split_words(line, self.environ)
            if not closed:
                self.lines.unclosed.append(f"{path}:{number}")
            elif words:
                self._line(f"{path}:{number}", words, (*importers, path))
        return True

    def _line(self, where: str, words: Sequence[str], importers: tuple[str, ...]) -> None:
        command = words[0]
        if command in {"import", "try-import"} and len(words) > 1:
            wanted = _resolved(words[1], self.workspace)
            if not self.take(wanted, importers) and command == "import":
                self.lines.missing.append((where, wanted))
        elif command == "startup":
            self.lines.startup += _options(where, words)
        else:
            self.lines.options += _options(where, words)


def _joined(text: str) -> Iterator[tuple[int, str]]:
    """Each line with its number, continuation lines joined to their first one."""
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
            today = _OLD.get(name, name.removeprefix("experimental_"))
            yield Option(where, command, config, today, value if equals else next(rest, ""))
