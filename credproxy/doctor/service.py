"""Checks what the daemon depends on: the user's service, the runtime directory, the limit of open files."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from shlex import quote

from credproxy.core.unit_names import SERVICE, SOCKETS
from credproxy.doctor.finding import Finding, Topic
from credproxy.doctor.machine import PathState


_MANY = 1000
"""Helpers that a large build starts at once; each waits with an open connection."""

topic = Topic("service")


@dataclass(frozen=True, slots=True)
class Unit:
    """What ``systemctl show`` says about a unit, in its own words: ``not-found``, ``active``, ``enabled``, ``success``."""

    load: str
    active: str
    enabled: str = ""
    result: str = ""


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known about the environment.

    Attributes:
        me: the uid of this user.
        units: by name; None if no systemd of this user can be asked.
        linger: whether the user's services outlive the last session; None if unknown.
        runtime: ``XDG_RUNTIME_DIR``; None if it is not set.
        socket: the helper socket in this environment; ``bare`` is that in one with HOME only.
        open_files: the hard limit; ``helpers`` is how many it lets wait at once.
    """

    me: int
    units: Mapping[str, Unit] | None = None
    linger: bool | None = None
    runtime: PathState | None = None
    socket: str = ""
    bare: str = ""
    open_files: int = 0
    helpers: int = 0
    listening: frozenset[str] = field(init=False)

    def __post_init__(self) -> None:
        units = self.units or {}
        object.__setattr__(
            self, "listening", frozenset(n for n in SOCKETS if n in units and units[n].active == "active")
        )


def check(facts: Facts) -> Iterator[Finding]:
    """Check the environment."""
    yield from _runtime(facts)
    yield from _units(facts)
    yield from _limits(facts)


def _runtime(facts: Facts) -> Iterator[Finding]:
    place = facts.runtime
    # Without it, credproxy looks at /run/user/UID, and uses the home directory where that does not exist.
    unset = "unset XDG_RUNTIME_DIR"
    if place is not None and not place.is_directory:
        mine = place.path.rstrip("/") == f"/run/user/{facts.me}"
        yield topic.warning(
            f"XDG_RUNTIME_DIR is {place.path!r}, which is not a directory", "loginctl enable-linger" if mine else unset
        )
    elif place is not None and place.is_everybodys:
        yield topic.error(f"XDG_RUNTIME_DIR is {place.path!r}, which is for everybody", unset)
    elif place is not None and place.uid != facts.me:
        yield topic.error(
            f"XDG_RUNTIME_DIR is {place.path!r}, which belongs to uid {place.uid}: did su or sudo keep it?", unset
        )
    elif place is not None and place.mode & 0o022:
        yield topic.error(f"others can write to XDG_RUNTIME_DIR, {place.path!r}", f"chmod 700 {quote(place.path)}")
    if facts.socket != facts.bare:
        yield topic.note(
            f"a Bazel started without this environment looks for the daemon at {facts.bare!r}, not at {facts.socket!r}"
        )


def _units(facts: Facts) -> Iterator[Finding]:
    units = facts.units
    if units is None:
        yield topic.note(
            "this user's systemd cannot be asked; the daemon is started by the first credproxy-helper call"
        )
        return
    there = [name for name in SOCKETS if name in units and units[name].load == "loaded"]
    if not there:
        said = (
            "the user service is not installed: the daemon starts with the first credproxy-helper call and not before"
        )
        yield topic.note(said, "credproxy install")
        return
    for name in there:
        yield from _socket(name, units[name])
    service = units.get(SERVICE)
    if service is not None and service.active == "failed":
        yield topic.error(f"{SERVICE} has failed: {service.result}", f"journalctl --user -u {SERVICE} -n 50")
    if facts.linger is False:
        yield topic.note(
            "the service ends with your last session; on a CI host it should stay", "loginctl enable-linger"
        )


def _socket(name: str, unit: Unit) -> Iterator[Finding]:
    if unit.active == "active":
        yield topic.ok(f"{name} is listening")
        if unit.enabled == "disabled":
            yield topic.note(
                f"{name} is not enabled: it is gone after the next login", f"systemctl --user enable {name}"
            )
    elif unit.active == "failed":
        yield topic.error(
            f"{name} has failed: {unit.result}",
            f"systemctl --user reset-failed {name} && systemctl --user start {name}",
        )
    else:
        yield topic.error(f"{name} is installed but {unit.active}", f"systemctl --user enable --now {name}")


def _limits(facts: Facts) -> Iterator[Finding]:
    if facts.helpers < _MANY:
        yield topic.warning(
            f"at most {facts.open_files} files may be open, so only {facts.helpers} helpers can wait at once",
            "ulimit -Hn  # raise it in /etc/security/limits.conf: nofile",
        )
    else:
        yield topic.ok(f"{facts.open_files} files may be open: {facts.helpers} helpers can wait at once")
