"""Checks that programs that see secrets, or that Bazel starts, exist, can run, and cannot be replaced by others (T29)."""

import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from shlex import quote

from credproxy.core.config.settings import Settings
from credproxy.core.formats.docker_config import Index
from credproxy.core.formats.docker_programs import install_program, is_program, unusable_program
from credproxy.core.kinds.uses import Program
from credproxy.core.own_copy import OwnCopy
from credproxy.doctor.finding import Finding, Topic, Where, nowhere, placed
from credproxy.doctor.machine import Machine, PathState, replaceable


_OURSELVES = "credproxy"
_SCRIPT = b"#!"
_ALL_MAY_RUN = 0o555

topic = Topic("programs")


@dataclass(frozen=True, slots=True)
class Helper:
    """The installed credproxy-helper.

    Attributes:
        place: None if it is neither beside this program nor on PATH.
        twin: the path of ``docker-credential-credproxy`` beside it; ``version`` is the version that it prints.
        capabilities: whether the file has capabilities of its own.
    """

    place: PathState | None
    twin: str = ""
    version: str = ""
    capabilities: bool = False


def check_commands(machine: Machine, settings: Settings, *, place: Where = nowhere) -> Iterator[Finding]:
    """The programs that the configuration names; ``place`` gives the prefix of a message about a key."""
    for key, subject, use in settings.uses():
        if isinstance(use, Program):
            yield from placed(_command(machine, f"of {subject}", use.path), place(key))


def check_docker(machine: Machine, files: Mapping[str, Index], *, path: str | None) -> Iterator[Finding]:
    """The ``docker-credential-*`` programs that docker's and podman's files name.

    Args:
        machine: reads files.
        files: their content, by path.
        path: where the daemon searches for programs; None for PATH.
    """
    for where, index in files.items():
        for name, about in _named(index).items():
            program = f"docker-credential-{name}"
            found = machine.which(program, path)
            if name == _OURSELVES:
                yield topic.ok(f"{where!r} names credproxy itself for {about}, which the daemon skips")
            elif not is_program(name):
                failure = unusable_program(name, f"the docker configuration {where!r}").failure
                yield topic.error(failure.message, failure.hint)
            elif found is None:
                searched = "PATH" if path is None else f"helper_path, {path!r}"
                said = f"{where!r} names {program!r} for {about}, which is not on {searched}"
                yield topic.error(said, install_program(name, where))
            else:
                yield from _command(machine, f"of {about}", found)


def check_helper(machine: Machine, helper: Helper, *, version: str, copy: OwnCopy) -> Iterator[Finding]:
    """The program that Bazel starts. ``version`` is that of this program, ``copy`` how it was installed."""
    place = helper.place
    if place is None:
        yield topic.error("credproxy-helper is not installed beside credproxy nor on PATH", copy.again())
        return
    path = quote(place.path)
    mode = stat.S_IMODE(place.mode)
    if mode & (stat.S_ISUID | stat.S_ISGID) or helper.capabilities:
        yield topic.error(
            f"{place.path!r} has privileges of its own, so the daemon cannot see who starts it and refuses it",
            f"chmod 0755 {path}" if mode & (stat.S_ISUID | stat.S_ISGID) else f"setcap -r {path}",
        )
    elif mode & _ALL_MAY_RUN != _ALL_MAY_RUN:
        yield topic.error(
            f"{place.path!r} has mode {place.bits}; wanted 0755: the daemon refuses a program that it cannot read",
            f"chmod 0755 {path}",
        )
    exposed = replaceable(machine, place.path)
    if exposed is not None:
        yield topic.warning(f"{place.path!r} {exposed.problem}", exposed.remedy)
    if helper.version and helper.version != version:
        yield topic.warning(f"{place.path!r} is version {helper.version}, this program is {version}", copy.again())
    content = machine.read(place.path)
    if content is not None and content.startswith(_SCRIPT):
        yield topic.note(
            f"{place.path!r} is the Python stand-in, some 10 ms slower a call: there was no C compiler",
            f"sudo apt-get install gcc && {copy.again()}",
        )
    elif content is not None:
        yield topic.ok(f"{place.path!r} is the native helper")


def check_docker_name(machine: Machine, files: Mapping[str, Index], *, helper: Helper) -> Iterator[Finding]:
    """Whether docker finds us, if its configuration names us."""
    naming = [where for where, index in files.items() if _OURSELVES in _named(index)]
    if naming and machine.which("docker-credential-credproxy") is None:
        said = f"{naming[0]!r} names credproxy, but docker-credential-credproxy is not on PATH"
        yield topic.error(said, f"ln -s {quote(helper.twin)} ~/.local/bin/")


def _command(machine: Machine, subject: str, program: str) -> Iterator[Finding]:
    place, path = machine.look(program), quote(program)
    if not place.there:
        yield topic.error(f"the program {subject}, {program!r}, is not there", f"ls -l {path}")
    elif not place.is_file:
        yield topic.error(f"the program {subject}, {program!r}, is not a file", f"ls -ld {path}")
    elif not place.runnable:
        yield topic.error(f"the program {subject}, {program!r}, cannot be run", f"chmod u+x {path}")
    elif interpreter := _missing_interpreter(machine, program):
        said = f"the program {subject}, {program!r}, is a script for {interpreter!r}, which cannot be run"
        yield topic.error(said, f"ls -l {quote(interpreter)}")
    else:
        exposed = replaceable(machine, program)
        if exposed is not None:
            yield topic.error(
                f"the program {subject}, {program!r}, {exposed.problem}; the daemon will not start it", exposed.remedy
            )
        else:
            yield topic.ok(f"the program {subject}, {program!r}, can be run, and only you or root can replace it")


def _missing_interpreter(machine: Machine, program: str) -> str:
    """The interpreter that a script names, if it cannot be run: the system then says that the script does not exist."""
    first = (machine.read(program) or b"").partition(b"\n")[0]
    words = first.removeprefix(_SCRIPT).split() if first.startswith(_SCRIPT) else []
    name = words[0].decode(errors="replace") if words else ""
    return name if name.startswith("/") and not machine.look(name).runnable else ""


def _named(index: Index) -> dict[str, str]:
    """The programs that a file names, and their purpose."""
    named: dict[str, list[str]] = {}
    for registry, (_, program) in index.helpers.items():
        if program:  # an unreadable entry is reported with the files
            named.setdefault(program, []).append(registry)
    about = {program: ", ".join(repr(name) for name in sorted(registries)) for program, registries in named.items()}
    return about | ({index.store: "every registry"} if index.store else {})
