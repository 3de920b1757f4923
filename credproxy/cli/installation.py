"""What belongs to an installation: files, and the steps that activate and deactivate them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from credproxy.cli import units
from credproxy.cli.command_error import CommandError
from credproxy.core.own_copy import OwnCopy
from credproxy.core.unit_names import SERVICE, SOCKETS


_JIT = f"{SERVICE}.d/10-jit-helpers.conf"
_HIDDEN = ("/home", "/root", "/run/user", "/tmp", "/var/tmp")  # noqa: S108  listed because the service cannot see them


@dataclass(frozen=True, slots=True)
class InstallStep:
    """One command. ``needed`` is false if it may fail because there is nothing to do."""

    argv: tuple[str, ...]
    needed: bool = True


@dataclass(frozen=True, slots=True)
class Installation:
    """One kind of installation.

    Attributes:
        files: content by path.
        unwanted: files of this kind that are not part of the requested variant.
        probe: succeeds if the service manager can be reached.
        up: after the files are written.
        renew: first, if a file will be replaced.
        retire: first, if there is an unwanted file.
        down: before files are removed.
        after: after files are removed.
        leftovers: what a daemon leaves behind; a folder is removed only if it is empty.
        notes: for the user, at the end.
    """

    files: Mapping[Path, str]
    unwanted: tuple[Path, ...]
    probe: InstallStep
    up: tuple[InstallStep, ...]
    renew: tuple[InstallStep, ...]
    retire: tuple[InstallStep, ...]
    down: tuple[InstallStep, ...]
    after: tuple[InstallStep, ...]
    leftovers: tuple[Path, ...] = ()
    notes: tuple[str, ...] = ()


def for_user(*, program: str, config: Path, runtime: Path, gateway_only: bool, jit_helpers: bool) -> Installation:
    """A service of the user's own systemd.

    Args:
        program: ``credproxy``, absolute.
        config: ``$XDG_CONFIG_HOME``.
        runtime: ``$XDG_RUNTIME_DIR``.
        gateway_only: install only the socket for build actions.
        jit_helpers: include the drop-in for credential programs that generate machine code.
    """
    folder, service = config / "systemd" / "user", "credproxy-gateway-only.service" if gateway_only else SERVICE
    sources = {SERVICE: service, SOCKETS[1]: SOCKETS[1]}
    sources |= {} if gateway_only else {SOCKETS[0]: SOCKETS[0]}
    sources |= {_JIT: "10-jit-helpers.conf"} if jit_helpers else {}
    made = _with_systemd(
        "systemctl",
        "--user",
        files={folder / name: units.unit(f"user/{source}", program=program) for name, source in sources.items()},
        unwanted=(folder / SOCKETS[0],) if gateway_only else (),
    )
    helper, actions = runtime / "credproxy", runtime / "credproxy-actions"
    locks = (helper / "helper.lock", helper / "autostart.lock", actions / "actions.lock")
    note = "the first credproxy-helper call wakes the daemon; one that is already running gives way within a minute"
    return replace(made, leftovers=(*locks, helper, actions), notes=(note,))


def refuse_hidden(*, program: str, prefixes: tuple[str, ...], copy: OwnCopy) -> None:
    """Look at where a system service would find its program.

    Args:
        program: ``credproxy``, absolute.
        prefixes: where its Python and its packages are.
        copy: where it was installed from.

    Raises:
        CommandError: they are where a system service cannot see them.
    """
    for place in (program, *prefixes):
        if any(Path(place).is_relative_to(folder) for folder in _HIDDEN):
            raise CommandError(
                f"a system service cannot run what is at {place!r}: homes and temporary folders are hidden from it",
                f"install it for all: {copy.at('/opt/credproxy')}",
            )


def for_system(*, program: str) -> Installation:
    """One service for all users of the machine; ``program`` is absolute."""
    folder, users = Path("/etc/systemd/system"), Path("/etc/sysusers.d/credproxy.conf")
    made = _with_systemd(
        "systemctl",
        files={
            users: units.unit("system/credproxy.sysusers.conf", program=program),
            **{folder / name: units.unit(f"system/{name}", program=program) for name in (SERVICE, *SOCKETS)},
        },
    )
    notes = (
        'write peer_namespaces = "any" into /etc/credproxy/config.toml: without that it serves nobody',
        "let users in: usermod --append --groups credproxy-users NAME; they set CREDPROXY_SOCKET=/run/credproxy/helper.sock",
    )
    return replace(made, up=(InstallStep(("systemd-sysusers", str(users))), *made.up), notes=notes)


def for_launchd(*, program: str, home: Path, uid: int) -> Installation:
    """An agent of the user's session on macOS."""
    place = home / "Library" / "LaunchAgents" / "credproxy.plist"
    out = InstallStep(("launchctl", "bootout", f"gui/{uid}/credproxy"), needed=False)
    return Installation(
        files={place: units.agent(program=program, home=str(home))},
        unwanted=(),
        probe=InstallStep(("launchctl", "print", f"gui/{uid}")),
        up=(out, InstallStep(("launchctl", "bootstrap", f"gui/{uid}", str(place)))),
        renew=(),
        retire=(),
        down=(out,),
        after=(),
    )


def _with_systemd(*systemctl: str, files: Mapping[Path, str], unwanted: tuple[Path, ...] = ()) -> Installation:
    def step(*words: str, needed: bool = True) -> InstallStep:
        return InstallStep((*systemctl, *words), needed=needed)

    names = [name for name in SOCKETS if any(path.name == name for path in files)]
    return Installation(
        files=files,
        unwanted=unwanted,
        probe=step("show-environment"),
        renew=(step("stop", *names, needed=False),),
        retire=(step("disable", "--now", *(path.name for path in unwanted), needed=False),),
        # Installing after an upgrade starts the new program.
        up=(step("daemon-reload"), step("enable", "--now", *names), step("try-restart", SERVICE)),
        down=(step("disable", "--now", *names, SERVICE, needed=False),),
        after=(step("daemon-reload"), step("reset-failed", *names, SERVICE, needed=False)),
    )
