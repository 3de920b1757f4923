"""Checks Bazel's configuration of credential helpers (CL-37 to CL-40, docs/design/clients.md#how-bazel-picks-a-helper)."""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from shlex import quote

from credproxy.core.ask.endpoint_reasons import is_storage
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.settings import Settings
from credproxy.doctor import bazel_remote
from credproxy.doctor.bazelrc_reader import Lines, Option
from credproxy.doctor.finding import Finding, Topic
from credproxy.doctor.machine import Machine


SCOPE = re.compile(r"(\*|[-a-zA-Z0-9]+)(\.[-a-zA-Z0-9]+)+")
"""What Bazel accepts as a scope: no port, no path, no single label."""

_ADD = "credproxy bazelrc >> ~/.bazelrc"
_LEAST_TIMEOUT = 9.0
_DURATION = re.compile(r"(\d+)(d|h|m|s|ms)?")
_SECONDS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001, None: 1.0}

topic = Topic("bazel")


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about Bazel's configuration.

    Attributes:
        lines: what its files say.
        hosts: those with credentials: names and ``*.suffix``, as ``credproxy bazelrc`` prints them.
        workspace: its root; None outside of one.
        netrc: machines of the netrc file: Bazel reads that itself, so they need no line.
    """

    lines: Lines
    hosts: Sequence[str]
    settings: Settings
    workspace: str | None = None
    netrc: Collection[str] = ()


@dataclass(frozen=True, slots=True)
class _Line:
    """One ``--credential_helper``."""

    option: Option
    scope: str
    path: str

    @property
    def ours(self) -> bool:
        """Whether it starts our helper, possibly through a copy or a link in the workspace."""
        return "credproxy-helper" in self.path.rpartition("/")[2]


def check(machine: Machine, facts: Facts) -> Iterator[Finding]:
    """Check every line, then every host."""
    for where, missing in facts.lines.missing:
        yield topic.error(f"{where}: imports {missing!r}, which is not there, so Bazel does not start", _edit(where))
    for where in facts.lines.unclosed:
        yield topic.warning(f"{where}: a quotation is not closed, so this line was not looked at", _edit(where))
    lines = [_line(option) for option in facts.lines.options if option.name == "credential_helper"]
    for line in lines:
        yield from _check_line(machine, facts, line)
    for option in facts.lines.options:
        if option.name == "credential_helper_timeout":
            yield from _check_timeout(option)
    yield from _check_hosts(facts, [line for line in lines if not line.option.config])
    for option in facts.lines.startup:
        if option.name == "credential_helper":
            said = f"{option.where}: --credential_helper is not a startup option, and with it Bazel does not start"
            yield topic.error(said, f"write common instead of startup: {_edit(option.where)}")
    yield from bazel_remote.check(facts.lines.options, lambda host: _answering(host, lines) is not None, edit=_edit)


def _line(option: Option) -> _Line:
    scope, equals, path = option.value.partition("=")
    return _Line(option, scope if equals else "", path if equals else scope)


def _check_line(machine: Machine, facts: Facts, line: _Line) -> Iterator[Finding]:
    where = line.option.where
    if line.scope and not SCOPE.fullmatch(line.scope):
        yield topic.error(
            f"{where}: Bazel refuses {line.scope!r}: a scope is a name with a dot, without a port or a path",
            _edit(where),
        )
        return
    problem = _unrunnable(machine, facts.workspace, line.path)
    if problem:
        yield topic.error(f"{where}: {line.path!r} {problem}, so every Bazel command fails", _edit(where))
    if line.ours:
        yield from _check_scope(facts, line)


def _check_scope(facts: Facts, line: _Line) -> Iterator[Finding]:
    where, scope = line.option.where, line.scope
    if not scope:
        yield topic.warning(
            f"{where}: for all hosts at once: a host without a credential here loses netrc and auth= as well",
            "credproxy bazelrc",
        )
    elif scope.startswith("*.") and is_storage(scope):
        # A wildcard above them asks us about every presigned URL, and disables netrc for all of them.
        yield topic.warning(
            f"{where}: {scope!r} covers hosts of presigned URLs, which need no credential", _edit(where)
        )
    elif not scope.startswith("*.") and not _configured(facts, scope):
        yield topic.note(
            f"{where}: nothing is configured for {scope!r}, so its netrc and auth= are not used either",
            f"credproxy explain https://{scope}/",
        )


def _configured(facts: Facts, host: str) -> bool:
    router = facts.settings.router()
    rule = router.match(parse_uri(f"https://{host.lower()}/"))
    if rule is not None and rule.match not in router.builtin:
        return rule.answers
    return host in facts.hosts or host in facts.netrc


def _unrunnable(machine: Machine, workspace: str | None, path: str) -> str:
    """Why Bazel could not start it; "" if it can, or if that is unknown."""
    if workspace is not None:
        path = path.replace("%workspace%", workspace, 1)
    if path.startswith("%"):
        return ""
    if ".." in path.split("/"):
        return "has '..' in it"
    if "/" not in path:
        return "" if machine.which(path) is not None else "is not on PATH"
    if not path.startswith("/"):
        return "is neither absolute nor below %workspace%"
    return "" if machine.look(path).is_file and machine.look(path).runnable else "is not there, or cannot be run"


def _check_timeout(option: Option) -> Iterator[Finding]:
    found = _DURATION.fullmatch(option.value)
    if found is None or found[1] == "0":
        return
    seconds = int(found[1]) * _SECONDS[found[2]]
    if seconds < _LEAST_TIMEOUT:
        yield topic.warning(
            f"{option.where}: after {option.value} Bazel kills the helper before it can say what is slow",
            _edit(option.where),
        )


def _check_hosts(facts: Facts, lines: Sequence[_Line]) -> Iterator[Finding]:
    missing = []
    for host in facts.hosts:
        if not SCOPE.fullmatch(host):
            yield topic.note(f"Bazel cannot name {host!r} in --credential_helper, only with a line for all hosts")
            continue
        line = _answering(host, lines)
        if line is None:
            missing.append(host)
        elif not line.ours:
            yield topic.warning(f"{line.option.where}: {host!r} goes to {line.path!r}, not to credproxy", _ADD)
        elif line.option.command not in {"common", "always"}:
            said = f"for {line.option.command!r} alone, but fetch, query and mod ask as well"
            yield topic.note(f"{line.option.where}: {host!r} goes to credproxy {said}", _ADD)
        else:
            yield topic.ok(f"{line.option.where}: {host!r} goes to credproxy")
    if missing:
        yield topic.note(f"no line of a .bazelrc gives {', '.join(map(repr, missing))} to credproxy", _ADD)


def _answering(host: str, lines: Sequence[_Line]) -> _Line | None:
    """The line that Bazel takes for a host: the name, then wildcards from the nearest, then a line for all; the last of equals."""
    last = {line.scope: line for line in lines}
    name = host.removeprefix("*.")
    parts = name.split(".")
    wildcards = [f"*.{'.'.join(parts[index:])}" for index in range(len(parts))]
    wanted = [*wildcards, ""] if host.startswith("*.") else [name, *wildcards, ""]
    return next((last[scope] for scope in wanted if scope in last), None)


def _edit(where: str) -> str:
    path, _, number = where.rpartition(":")
    return f"${{EDITOR:-vi}} +{number} {quote(path)}"
