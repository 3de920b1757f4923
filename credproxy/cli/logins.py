"""Hosts that this user has credentials for, and where the logins are stored, as the daemon would find them."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

from credproxy.core.ask.docker_hub import HUB_API
from credproxy.core.ask.names import without_port
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.settings import LOGIN, Settings
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.formats.docker_config import Index, parse_index, read_entry
from credproxy.core.formats.docker_programs import broken_helper, install_program, is_program, listed, unusable_program
from credproxy.core.formats.git_credential import GitHelpers, named_helpers
from credproxy.core.formats.login_file import parse_logins
from credproxy.core.formats.netrc import parse_netrc
from credproxy.core.kinds import HostRule
from credproxy.core.kinds.sources.git import own_git_config_files
from credproxy.core.kinds.sources.login import shared_name
from credproxy.core.kinds.uses import GitHelper, Library, Use, Usual, Variable
from credproxy.core.paths import config_home, login_file, netrc_file


_LIST_TIMEOUT = 5.0
"""Seconds: the user waits for it, and a locked store may wait for the user."""


@dataclass(frozen=True, slots=True)
class Logins:
    """Where this user's logins are stored.

    Attributes:
        docker: docker's and podman's files that can be read, by path.
        netrc: the netrc file, "" for none; ``machines`` are the hosts that it names.
        broken: what cannot be read, and what to do.
    """

    docker: Mapping[str, Index]
    netrc: str
    machines: frozenset[str]
    broken: Sequence[tuple[str, str]]

    @property
    def files(self) -> list[str]:
        """All files with logins."""
        return [*self.docker, *filter(None, [self.netrc])]


def find_logins(settings: Settings) -> Logins:
    """Read the files that the daemon would read."""
    from credproxy.sources.docker_files import places  # noqa: PLC0415  structlog takes longer than --help

    chosen = settings.docker_config
    broken: list[tuple[str, str]] = []
    docker: dict[str, Index] = {}
    for place in places(os.environ, os.geteuid()) if chosen == "auto" else () if chosen == "none" else (chosen,):
        content = _read(place, broken)
        try:
            if content is not None:
                where = f"the docker configuration {place!r}"
                docker[place] = index = parse_index(content, where)
                odd = [broken_helper(key, where).failure for key, program in index.helpers.values() if not program]
                broken.extend((failure.message, failure.hint) for failure in odd)
                broken.extend((failure.message, failure.hint) for failure in _odd_entries(content, index, where))
        except Failed as error:
            broken.append((error.failure.message, error.failure.hint))
    path = netrc_file(os.environ, settings.netrc)
    content = _read(path, broken) if path else None
    machines = frozenset[str]() if content is None else _machines(path or "", content, broken)
    return Logins(docker, path if path and content is not None else "", machines, broken)


def _odd_entries(content: bytes, index: Index, where: str) -> Iterator[Failure]:
    """What is wrong with logins in the file itself: those that no program answers for."""
    for name, key in index.auths.items():
        if not index.store and name.partition("/")[0] not in index.helpers:
            try:
                read_entry(content, key, where=where)
            except Failed as error:
                yield error.failure


def _machines(path: str, content: bytes, broken: list[tuple[str, str]]) -> frozenset[str]:
    where = f"the netrc file {path!r}"
    try:
        found = parse_netrc(content, where)
    except Failed as error:
        broken.append((error.failure.message, error.failure.hint))
        return frozenset()
    broken.extend((failure.message, failure.hint) for failure in found.broken.values())
    if found.mistakes and not found.broken:
        broken.append((f"{where}: {found.mistakes[0]}", f"${{EDITOR:-vi}} {quote(path)}"))
    return found.hosts


def _read(path: str, broken: list[tuple[str, str]]) -> bytes | None:
    """The content, None for nothing; a file that the daemon could not read either is noted."""
    from credproxy.adapters.files import read_file  # noqa: PLC0415  asyncio takes longer than --help

    try:
        return read_file(path)
    except Failed as error:
        broken.append((error.failure.message, error.failure.hint))
        return None


def store_hosts(settings: Settings, docker: Mapping[str, Index]) -> tuple[set[str], list[str], list[Failure]]:
    """Ask the common credential programs of docker's files for their registries.

    Returns:
        The registries that they list; the programs that list none, by their full names; and those that cannot be asked.
        A program that lists none may still have logins: the daemon asks it about each registry (``get``).
    """
    found, silent, missing = set[str](), list[str](), list[Failure]()
    for store, path in {index.store: path for path, index in reversed(list(docker.items()))}.items():
        if store in {"", "credproxy"}:
            continue
        program = f"docker-credential-{store}"
        place = shutil.which(program, path=settings.helper_path) if is_program(store) else None
        if place is None:
            missing.append(_missing(store, path))
            continue
        names = _list(place)
        found |= names
        if not names:
            silent.append(program)
    return found, silent, missing


def _missing(store: str, path: str) -> Failure:
    if not is_program(store):
        return unusable_program(store, f"the docker configuration {path!r}").failure
    message = f"helper 'docker-credential-{store}' is not there or not executable"
    return Failure(Code.HELPER_NOT_RUNNABLE, message, install_program(store, path))


def _list(place: str) -> frozenset[str]:
    argv = [place, "list"]
    try:
        done = subprocess.run(argv, input=b"unused", capture_output=True, timeout=_LIST_TIMEOUT, check=True)  # noqa: S603  docker's own configuration names it, as a name without a path
    except (OSError, subprocess.SubprocessError):
        return frozenset()
    return listed(done.stdout) or frozenset()


def answering(rules: list[HostRule], settings: Settings) -> list[HostRule]:
    """Those for which there is a login: an existing file need not hold one; it may name just a region."""
    if not rules:
        return []
    from credproxy.cli.without_daemon import with_logins  # noqa: PLC0415  the broker takes longer than all of this

    return with_logins(rules, settings)


def hosts(
    settings: Settings,
    docker: Mapping[str, Index],
    *,
    listed: Iterable[str] = (),
    decide: Callable[[list[HostRule], Settings], list[HostRule]] = answering,
) -> set[str]:
    """Every host that gets a credential, with its port if it has one.

    Args:
        settings: the configuration, whose rules count.
        docker: docker's files, whose logins count.
        listed: by a store.
        decide: which of some built-in rules have a login.
    """
    ours = logged_in(settings)
    found = {*ours, *listed, *(host for index in docker.values() for host in index.authorities())}
    router = settings.router()
    rules = {host: router.match(parse_uri(f"https://{host}/")) for host in found}
    found = {host for host, rule in rules.items() if rule is None or rule.answers}
    found |= {match.partition("/")[0] for rule in settings.host if rule.answers for match in rule.matches()}
    found |= {rule.match.partition("/")[0] for rule in decide(_builtin_with_files(settings, ours), settings)}
    return found - {"docker.io"} | {"index.docker.io", HUB_API} if "docker.io" in found else found


def _builtin_with_files(settings: Settings, ours: frozenset[str]) -> list[HostRule]:
    """The built-in rules with something stored: each line for Bazel switches its netrc off for a host, so others get none."""
    from credproxy.adapters.libraries import is_installed  # noqa: PLC0415  asyncio takes longer than --help

    found = []
    for rule in settings.rules()[len(settings.host) :]:
        uses = [use for _, use in rule.uses()]
        lacks = any(not is_installed(use.module(sys.platform)) for use in uses if isinstance(use, Library))
        there = shared_name(rule.host) in ours or any(_is_there(use, rule.host) for use in uses)
        if there and not lacks:
            found.append(rule)
    return found


def logged_in(settings: Settings) -> frozenset[str]:
    """The hosts that ``credproxy login`` has stored a login for. Empty if the file cannot be read: the daemon reports that."""
    path = login_file(os.environ) if settings.works(LOGIN) else None
    content = _read(path, []) if path else None
    if path is None or content is None:
        return frozenset()
    try:
        return frozenset(key.partition("/")[0] for key in parse_logins(content, path).logins)
    except Failed:
        return frozenset()


def _is_there(use: Use, host: str) -> bool:
    """Whether something exists from which a rule for a host may have a login."""
    match use:
        case Variable(name):
            return bool(os.environ.get(name))
        case Usual(variables):
            path = use.path(os.environ)
            return any(map(os.environ.get, variables)) or (path is not None and Path(path).exists())
        case Library():
            return False
        case GitHelper():
            files = own_git_config_files(os.environ)
            named = [GitHelpers(named_helpers(_read(path, []) or b"")) for path in files]
            return any(helpers.serve(shared_name(host)) for helpers in named)
        case _:
            return Path(use.path).exists()


def bazel_names(found: Iterable[str]) -> list[str]:
    """Hosts as ``--credential_helper`` names them: without a port."""
    return sorted(set(map(without_port, found)))


def homes(environ: Mapping[str, str]) -> tuple[str, str]:
    """The user's home, and where programs keep their configuration."""
    return environ.get("HOME") or "", config_home(environ) or ""
