"""Naming the sandbox that a process is in: by the outermost of its namespaces, whatever was made inside it (T16).

A process in a sandbox can make user namespaces in it, and in those every other kind. It cannot leave the user namespace
or the pid namespace that it was put into: both form trees, and a process only ever goes down. A mount namespace has no
parent, so it names a sandbox only if there is nothing better. Source: namespaces(7), ioctl_ns(2).
"""

import fcntl
import os


_GET_USER = 0xB701  # <linux/nsfs.h> NS_GET_USERNS, since Linux 4.9
_GET_PARENT = 0xB702  # NS_GET_PARENT
_USER, _MOUNT, _PID = range(3)

UNKNOWN = ""
"""The sandbox of all callers whose namespaces cannot be read: hiding them gains nothing."""


def sandbox(pid: int, namespaces: tuple[str, ...], *, own: tuple[str, ...]) -> str | None:
    """Name the outermost sandbox that a process is in, as seen from this process; None if it is in no sandbox.

    Args:
        pid: of the process.
        namespaces: its user, mount and pid namespace, as ``server.namespaces`` reads them.
        own: those of this process.

    Returns:
        ``pid:[N]`` for one whose outermost pid namespace was made with privileges over this process's own user
        namespace (docker as root, bubblewrap that is set-user-id): no user namespace made in there is outside it.
        ``user:[N]`` for one with a user namespace below our own (Bazel's sandbox, ``unshare --user``, bubblewrap,
        docker without root). ``mnt:[N]`` for one that was given a mount namespace and nothing else.

    Raises:
        OSError: it has ended, or may not be examined.
    """
    if namespaces[_PID] != own[_PID]:
        outermost = _outermost(pid, "pid", own)
        if outermost is not None:
            return outermost
    if namespaces[_USER] != own[_USER]:
        return _outermost(pid, "user", own)
    return None if namespaces[_MOUNT] == own[_MOUNT] else namespaces[_MOUNT]


def _outermost(pid: int, kind: str, own: tuple[str, ...]) -> str | None:
    """The last namespace of that kind before our own; None for a pid namespace that a user made without privileges."""
    ours = own[_PID if kind == "pid" else _USER]
    here = os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        # The kernel allows trees of 32 levels.
        while (above := _ask(here, _GET_PARENT)) is not None:
            if _name(above, kind) == ours:
                os.close(above)
                break
            os.close(here)
            here = above
        return _name(here, kind) if kind == "user" or _privileged(here, own[_USER]) else None
    finally:
        os.close(here)


def _privileged(here: int, own: str) -> bool:
    """Whether a namespace belongs to our own user namespace, or to one outside it."""
    owner = _ask(here, _GET_USER)
    if owner is None:
        return True
    try:
        return _name(owner, "user") == own
    finally:
        os.close(owner)


def _ask(here: int, what: int) -> int | None:
    """A descriptor of a namespace's relative; None for one outside what this process may see."""
    try:
        return fcntl.ioctl(here, what)
    except PermissionError:
        return None


def _name(here: int, kind: str) -> str:
    return f"{kind}:[{os.fstat(here).st_ino}]"
