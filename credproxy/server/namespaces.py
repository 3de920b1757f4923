"""What ``/proc`` says about a process: its namespaces and its program (T11, F2). Source: namespaces(7), proc(5).

A process that is not visible from here has no number here: the kernel reports 0, for which ``/proc`` has no
directory. So "this process" is None, never 0, and 0 is refused like any number that cannot be looked up.
"""

import errno
import os
from functools import cache
from pathlib import Path

from credproxy.core.errors import Code, Failure
from credproxy.core.unit_names import SERVICE


KINDS = ("user", "mnt", "pid")

BLIND = Failure(
    Code.PEER_REFUSED,
    "the daemon runs in a user namespace of its own (PrivateUsers), so it cannot see in which namespaces callers are",
    f"take PrivateUsers= and what implies it out of the unit, see `systemctl --user cat {SERVICE}`; "
    'or set peer_namespaces = "any" and restart, and CREDPROXY_PEER_NAMESPACES=any for its callers',
)
"""Why nobody is admitted when the service manager keeps the gate from seeing namespaces (F2)."""

FOREIGN_PROC = Failure(
    Code.PEER_REFUSED,
    "the daemon cannot see in which namespaces callers are: /proc is missing, or belongs to another pid namespace",
    "start the daemon where /proc is its own, such as with `unshare --pid --fork --mount-proc`; "
    'or set peer_namespaces = "any" and restart, and CREDPROXY_PEER_NAMESPACES=any for its callers',
)
"""Why nobody is admitted when the process ids in ``/proc`` are not those that the kernel reports to us."""


UNREADABLE = ("", "", "")
"""A value that no process has: compared with it, no process is in the same namespaces."""


def own_namespaces() -> tuple[str, ...]:
    """The names of this process's namespaces; UNREADABLE if ``/proc`` does not show it."""
    try:
        return namespaces()
    except OSError:
        return UNREADABLE


def namespaces(pid: int | None = None) -> tuple[str, ...]:
    """The names of a process's user, mount and pid namespace; of this process without an argument.

    Raises:
        OSError: it is gone, it is not visible from here, or it may not be examined: another uid, or not dumpable.
    """
    place = "self" if pid is None else _visible(pid)
    # Not pathlib: this runs for every connection, and a Path costs eight times as much.
    return tuple(os.readlink(f"/proc/{place}/ns/{kind}") for kind in KINDS)  # noqa: PTH115


def program(pid: int) -> str:
    """The path of a process's executable; "" if it may not be examined."""
    try:
        return os.readlink(f"/proc/{_visible(pid)}/exe")  # noqa: PTH115  as above
    except OSError:
        return ""


@cache  # neither a process's pid namespace nor the mount of its /proc changes while it lives
def proc_is_own() -> bool:
    """Whether ``/proc`` numbers processes as this process's pid namespace does.

    Otherwise ``/proc/PID`` is not the peer that the kernel named: in a container that sees the ``/proc`` of
    its host, or ``unshare --pid`` without ``--mount-proc``.
    """
    try:
        if str(Path("/proc/self").readlink()) != str(os.getpid()):
            return False
        lines = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return False
    # One number for each pid namespace from that of the mount down to ours.
    return all(len(line.split()) == len(("NSpid:", "number")) for line in lines if line.startswith("NSpid:"))


def obstacle(*, supervised: bool) -> Failure | None:
    """Why callers' namespaces cannot be seen from here; None if they can.

    Args:
        supervised: a service manager started this process.
    """
    if not proc_is_own():
        return FOREIGN_PROC
    return BLIND if supervised and confined() else None


def confined() -> bool:
    """Whether the service manager put this process into a user namespace of its own (``PrivateUsers=``, F2).

    From there no process's namespaces can be read, not even the parent's; so its map of user ids, which anybody may read,
    is compared when its namespace cannot be.
    """
    parent = os.getppid()
    if parent == 0:
        return False  # it is outside this pid namespace, as for a container's first process
    try:
        return Path("/proc/self/ns/user").readlink() != Path(f"/proc/{parent}/ns/user").readlink()
    except OSError:
        pass
    try:
        return Path("/proc/self/uid_map").read_bytes() != Path(f"/proc/{parent}/uid_map").read_bytes()
    except OSError:
        return False  # the parent is hidden, as root's processes are from a system service


def _visible(pid: int) -> str:
    """A process's directory in ``/proc``. Raises OSError if it has none."""
    if pid <= 0 or not proc_is_own():
        raise ProcessLookupError(errno.ESRCH, "it is not visible from this pid namespace")
    return str(pid)
