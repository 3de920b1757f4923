"""``credproxy doctor``: gathers facts, runs the checks, prints the findings."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import click
import msgspec

from credproxy import __version__
from credproxy.adapters.own_metadata import own_copy
from credproxy.cli import probing
from credproxy.cli.bazelrc import helper_program
from credproxy.cli.command_error import CommandError, stop
from credproxy.cli.daemon_commands import as_json
from credproxy.cli.gathering import gather
from credproxy.cli.logins import bazel_names, homes, hosts
from credproxy.cli.looking import ThisMachine
from credproxy.core.ask.worker_messages import WorkerReport
from credproxy.core.config.settings import Settings
from credproxy.core.errors import Failed, Failure
from credproxy.core.formats.docker_config import Index
from credproxy.core.paths import actions_socket, config_files, config_home, helper_socket, log_file, login_file
from credproxy.doctor import (
    bazel,
    bazelrc_reader,
    configured,
    confinement,
    daemon,
    network,
    programs,
    room,
    sandbox,
    service,
    worker,
)
from credproxy.doctor.finding import Finding, Severity, by_severity


_WORKSPACE = ("MODULE.bazel", "REPO.bazel", "WORKSPACE.bazel", "WORKSPACE")


@click.command(short_help="Look for problems, and say how to fix them.")
@click.option("--network", "with_network", is_flag=True, help="Also ping every registry, without a credential.")
@click.option("--verbose", "-v", is_flag=True, help="Also show what is in order.")
@as_json
def doctor(*, with_network: bool, verbose: bool, as_json: bool) -> None:
    """Look for problems: daemon, service, configuration, programs, .bazelrc, and what sandboxes can see.

    Changes nothing and asks only the daemon and systemd, unless --network is given. Run it in a Bazel workspace to
    check its .bazelrc. The exit status is 1 if there is an error.
    """
    findings = by_severity(_examine(_gather(), with_network=with_network))
    if as_json:
        click.echo(json.dumps({"version": __version__, "findings": msgspec.to_builtins(findings)}, indent=2))
    else:
        from credproxy.cli.tables import show_findings  # noqa: PLC0415  rich takes longer than the checks

        show_findings(findings, verbose=verbose)
    if any(finding.severity is Severity.ERROR for finding in findings):
        stop(1)


@dataclass(frozen=True, slots=True)
class _Gathered:
    """What several checks need."""

    machine: ThisMachine
    environ: Mapping[str, str]
    configuration: configured.Facts
    docker: Mapping[str, Index]
    netrc: frozenset[str]

    @property
    def settings(self) -> Settings:
        return self.configuration.settings


def _gather() -> _Gathered:
    configuration, logins = gather(None)
    return _Gathered(ThisMachine(), os.environ, configuration, logins.docker, logins.machines)


def _examine(known: _Gathered, *, with_network: bool) -> Iterator[Finding]:
    machine, settings = known.machine, known.settings
    around = _service(known)
    running = _daemon(known, around)
    yield from daemon.check(running)
    yield from _room(known, running=running.helper.served)
    yield from service.check(around)
    yield from _carriers(running.unbound)
    yield from _worker(known, running.worker)
    yield from configured.check(machine, known.configuration)
    helper = _helper(machine)
    yield from programs.check_helper(machine, helper, version=__version__, copy=own_copy())
    yield from programs.check_commands(machine, settings)
    yield from programs.check_docker(machine, known.docker, path=settings.helper_path)
    yield from programs.check_docker_name(machine, known.docker, helper=helper)
    lines, workspace = _bazelrc(machine)
    names = bazel_names(hosts(settings, known.docker))
    yield from bazel.check(machine, bazel.Facts(lines, names, settings, workspace, known.netrc))
    socket = str(Path(_socket(known)).parent)
    facts = sandbox.Facts(*homes(known.environ), known.docker, socket, settings, login_file(known.environ) or "")
    yield from sandbox.check(machine, facts, lines=lines)
    if with_network:
        yield from _network(known)


def _room(known: _Gathered, *, running: bool) -> Iterator[Finding]:
    config, logins = config_files(known.environ)[0], login_file(known.environ)
    others = {"the log": log_file(known.environ)} | ({"logins": logins} if logins else {})
    others |= {"the configuration": config} if config_home(known.environ) else {}
    folders = {name: str(Path(path).parent) for name, path in others.items()}
    yield from room.check(known.machine, sockets=str(Path(_socket(known)).parent), running=running, others=folders)


def _carriers(unbound: int) -> Iterator[Finding]:
    from credproxy.adapters.confinement import landlock_version  # noqa: PLC0415  only for doctor, not for --help
    from credproxy.adapters.seccomp import filtered  # noqa: PLC0415  as above

    yield from confinement.check(landlock_version(), filtered=filtered(), unbound=unbound)


def _worker(known: _Gathered, report: WorkerReport | None) -> Iterator[Finding]:
    from credproxy.adapters.libraries import worker_report  # noqa: PLC0415  only for doctor, not for --help

    yield from worker.check(report or worker_report(), log=quote(log_file(known.environ)))


def _socket(known: _Gathered) -> str:
    return helper_socket(known.environ, known.machine.uid, is_directory=os.path.isdir)


def _service(known: _Gathered) -> service.Facts:
    from credproxy.adapters.hardening import descriptor_limit  # noqa: PLC0415  only for doctor, not for --help
    from credproxy.daemon.limits import share  # noqa: PLC0415  as above

    # Without a home directory, a bare environment could not lead to another place.
    bare = {"HOME": known.environ["HOME"]} if "HOME" in known.environ else known.environ
    runtime = known.environ.get("XDG_RUNTIME_DIR")
    open_files = descriptor_limit()
    return service.Facts(
        me=known.machine.uid,
        units=probing.units(),
        linger=probing.lingers(),
        runtime=known.machine.look(runtime) if runtime else None,
        socket=_socket(known),
        bare=helper_socket(bare, known.machine.uid, is_directory=os.path.isdir),
        open_files=open_files,
        helpers=share(open_files).helpers,
    )


def _daemon(known: _Gathered, around: service.Facts) -> daemon.Facts:
    path = _socket(known)
    helper = probing.door(known.machine, "helper", path=path)
    same = known.settings.peer_namespaces == "same"
    running = probing.running(path) if helper.served else probing.RunningDaemon()
    return daemon.Facts(
        helper=helper,
        actions=_actions(known),
        me=known.machine.uid,
        version=__version__,
        theirs=running.version,
        units=around.listening,
        autostart=known.environ.get("CREDPROXY_AUTOSTART", ""),
        blocked=known.machine.obstacle(str(Path(path).parent)) is not None,
        sandbox=probing.from_sandbox(path) if helper.served else None,
        any_namespace=not same,
        clocks=running.clocks,
        unbound=running.unbound,
        worker=running.worker,
    )


def _actions(known: _Gathered) -> daemon.SocketState | Failure:
    try:
        path = actions_socket(known.environ, known.machine.uid, is_directory=os.path.isdir)
    except Failed as error:
        return error.failure
    return probing.door(known.machine, "actions", path=path)


def _helper(machine: ThisMachine) -> programs.Helper:
    try:
        path = helper_program()
    except CommandError:
        return programs.Helper(None)
    twin = str(Path(path).with_name("docker-credential-credproxy"))
    try:
        capabilities = "security.capability" in os.listxattr(path)
    except (OSError, AttributeError):  # macOS has neither such attributes nor the function
        capabilities = False
    return programs.Helper(machine.look(path), twin, probing.docker_version(twin), capabilities)


def _bazelrc(machine: ThisMachine) -> tuple[bazelrc_reader.Lines, str | None]:
    here = Path.cwd()
    workspace = next(
        (str(place) for place in (here, *here.parents) if any((place / name).is_file() for name in _WORKSPACE)), None
    )
    files = [
        "/etc/bazel.bazelrc",
        *([] if workspace is None else [f"{workspace}/.bazelrc"]),
        f"{os.environ.get('HOME', '')}/.bazelrc",
    ]

    def read(path: str) -> str | None:
        content = machine.read(path)
        return None if content is None else content.decode("utf-8", "replace")

    return bazelrc_reader.collect(files, read, workspace=workspace, environ=os.environ), workspace


def _network(known: _Gathered) -> Iterator[Finding]:
    from credproxy.cli.registry_ping import MOST, ping  # noqa: PLC0415  aiohttp takes longer than all other checks

    named = [rule.match.partition("/")[0] for rule in known.settings.host if rule.is_registry]
    wanted = dict.fromkeys(name for name in named if not name.startswith("*"))
    wanted |= dict.fromkeys(name for index in known.docker.values() for name in index.authorities())
    yield from network.check(ping(known.settings, wanted), max(0, len(wanted) - MOST))
