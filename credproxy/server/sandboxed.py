"""Whether this process, or the one that listens at a socket, is in a sandbox that a user made, and whose daemon it then is.

A container counts as a machine of its own: its daemon serves the processes in it. A sandbox shares the machine's files, and so the
places where the user's programs look for the user's daemon.

What is read here may be read about any process, even one that shows nothing else, such as a daemon. Source:
user_namespaces(7), pid_namespaces(7), ioctl_ns(2).
"""

import fcntl
import os
import re
import sys
from pathlib import Path

from credproxy.server.namespaces import own_namespaces, proc_is_own


_NS_GET_USERNS = 0xB701  # <linux/nsfs.h>
_ALL = 2**32 - 1
_RANGE = 100
"""Users that a sandbox maps at most: it has one or two, whereas even a small container has thousands."""

_NOTE = re.compile(rb"(?:(?:\w+:\[\d+\])?\n)*(?:[0-9a-f-]{36}\n)?")


def sandboxed() -> bool:
    """Whether this process is in a user namespace for a user or two, with a mount namespace that was made in it.

    As ``unshare -Urm``, bubblewrap and Bazel's sandbox make them. Without a mount namespace of its own it sees what its
    user sees, and is not a sandbox; a container, rootless or not, maps a range of users.
    """
    try:
        return _users("self") <= _RANGE and _owns_its_mounts()
    except OSError:
        return False  # no /proc, or a kernel without namespaces: a sandbox cannot be told from a container


def is_below(pid: int | None) -> bool:
    """Whether a process is in a pid namespace below this process's, or in a user namespace below the machine's own.

    False if the process is not visible: it is then beside or above, or gone.
    """
    if pid is None or pid <= 0 or not proc_is_own():
        return False
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8", errors="replace").splitlines()
        numbers = next((line.split()[1:] for line in lines if line.startswith("NSpid:")), [])
        return len(numbers) > 1 or (_users("self") == _users("1") == _ALL > _users(str(pid)))
    except OSError:
        return False


def sign(lock: int) -> None:
    """Note in the lock whose place this is; a sandbox does not, so that the user's note stays."""
    if sys.platform == "linux" and not sandboxed():
        os.ftruncate(lock, 0)
        os.pwrite(lock, _signature(), 0)


def is_note(content: bytes) -> bool:
    """Whether a file has what ``sign`` writes, of whichever daemon, or nothing."""
    return _NOTE.fullmatch(content) is not None


def serves_elsewhere(lock: Path) -> bool:
    """Whether a daemon of other namespaces, outside any sandbox, has held a lock since the machine started."""
    try:
        found = lock.read_bytes()
    except OSError:
        return False
    return found.endswith(_boot()) and found != _signature()


def _signature() -> bytes:
    return "\n".join([*own_namespaces(), ""]).encode() + _boot()


def _boot() -> bytes:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes()
    except OSError:
        return b"a machine that does not tell when it started\n"


def _users(process: str) -> int:
    """How many users its user namespace maps; each line of the map has two beginnings and a length."""
    return sum(
        int(line.split()[2]) for line in Path(f"/proc/{process}/uid_map").read_text(encoding="ascii").splitlines()
    )


def _owns_its_mounts() -> bool:
    """Whether its mount namespace belongs to its own user namespace."""
    mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    try:
        owner = fcntl.ioctl(mounts, _NS_GET_USERNS)
    except PermissionError:
        return False  # it belongs to one above
    finally:
        os.close(mounts)
    try:
        return os.path.samestat(os.fstat(owner), Path("/proc/self/ns/user").stat())
    finally:
        os.close(owner)
