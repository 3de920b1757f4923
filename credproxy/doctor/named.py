"""What the configuration names: files, variables and directories; programs are looked at in ``programs``.

Nothing is run, and no secret leaves here: of a secret's file it counts whether it can be read and holds anything.
"""

from collections.abc import Iterator, Mapping
from shlex import quote

from credproxy.core.settings import (
    CommandSource,
    DockerConfigSource,
    EnvSource,
    FileSource,
    NetrcSource,
    OciHost,
    Settings,
    SourceSettings,
)
from credproxy.doctor.finding import Finding, Topic
from credproxy.doctor.machine import Machine


topic = Topic("configuration")

_CHOSEN = frozenset({"auto", "none"})


def check(
    machine: Machine, settings: Settings, *, variables: Mapping[str, bool], bundles: Mapping[str, str]
) -> Iterator[Finding]:
    """Look at everything that the settings name.

    Args:
        machine: to look with.
        settings: that are in force or would be.
        variables: of this process, and whether each holds anything.
        bundles: for each ``ca_bundle`` why it cannot be used; "" where it can.
    """
    for subject, source in _sources(settings):
        yield from _source(machine, subject, source, variables)
    for rule in settings.host:
        if isinstance(rule, OciHost) and rule.ca_bundle is not None:
            yield from _bundle(machine, rule.match, rule.ca_bundle, bundles.get(rule.ca_bundle, ""))
    for key, path in (("docker_config", settings.docker_config), ("netrc", settings.netrc)):
        if path not in _CHOSEN:
            yield from _logins(machine, key, path)
    for folder in (settings.helper_path or "").split(":"):
        if folder and not machine.look(folder).is_directory:
            yield topic.warning(f"helper_path names {folder!r}, which is not a directory", f"ls -ld {quote(folder)}")


def _sources(settings: Settings) -> Iterator[tuple[str, SourceSettings]]:
    for rule in settings.host:
        for source in (getattr(rule, "credentials", None), getattr(rule, "secret", None)):
            if source is not None:
                yield repr(rule.match), source
    if settings.actions.listen_token is not None:
        yield "'actions.listen'", settings.actions.listen_token


def _source(machine: Machine, subject: str, source: SourceSettings, variables: Mapping[str, bool]) -> Iterator[Finding]:
    match source:
        case EnvSource(name):
            yield from _variable(subject, name, variables)
        case FileSource(path):
            yield from _secret(machine, subject, path)
        case DockerConfigSource(path) | NetrcSource(path):
            if path is not None:
                yield from _logins(machine, f"the rule for {subject}", path)
        case CommandSource():
            return


def _variable(subject: str, name: str, variables: Mapping[str, bool]) -> Iterator[Finding]:
    if variables.get(name):
        return
    yield topic.warning(
        f"the variable {name!r} for {subject} is {'empty' if name in variables else 'not set'} here; "
        "the daemon's environment may be another one",
        f"export {name}=...; credproxy restart",
    )


def _secret(machine: Machine, subject: str, path: str) -> Iterator[Finding]:
    place = machine.look(path)
    if not place.there:
        yield topic.error(f"the secret of {subject}, {path!r}, cannot be read: it is not there", f"ls -l {quote(path)}")
    elif not place.readable:
        yield topic.error(f"the secret of {subject}, {path!r}, cannot be read", f"ls -l {quote(path)}")
    elif not place.is_file:
        yield topic.error(f"the secret of {subject}, {path!r}, is not a file", f"ls -ld {quote(path)}")
    elif not (machine.read(path) or b"").strip():
        yield topic.error(f"the secret of {subject}, {path!r}, is empty", f"${{EDITOR:-vi}} {quote(path)}")
    elif place.open_to_others:
        yield topic.warning(
            f"others may read the secret of {subject}: {path!r} has mode {place.bits}", f"chmod 600 {quote(path)}"
        )


def _bundle(machine: Machine, match: str, path: str, problem: str) -> Iterator[Finding]:
    if not machine.look(path).readable:
        yield topic.error(f"the ca_bundle of {match!r}, {path!r}, cannot be read", f"ls -l {quote(path)}")
    elif problem:
        remedy = f"openssl x509 -noout -subject -in {quote(path)}"
        yield topic.error(f"the ca_bundle of {match!r}, {path!r}, {problem}", remedy)


def _logins(machine: Machine, who: str, path: str) -> Iterator[Finding]:
    place = machine.look(path)
    if not place.there:
        yield topic.warning(f"{who} names {path!r}, which is not there", f"ls -l {quote(path)}")
    elif not place.readable:
        yield topic.error(f"{who} names {path!r}, which cannot be read", f"ls -l {quote(path)}")
