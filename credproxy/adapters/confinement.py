"""What a process that talks to build actions gives up before it reads its first byte.

Own code for Landlock: of the libraries on PyPI, ``landlock`` is a pre-release, and the others are small and new.
"""

import contextlib
import ctypes
import os
import resource
import signal
import sys
import threading
from pathlib import Path
from typing import Final

from credproxy.adapters.hardening import harden
from credproxy.adapters.seccomp import restrict
from credproxy.core.ask.carrier_messages import UNBOUND
from credproxy.core.errors import Code, Failure, Unfit


PRELOAD = (
    "aiohttp.web",
    "asyncio",
    "concurrent.futures.thread",
    "encodings.ascii",
    "encodings.idna",
    "encodings.latin_1",
    "encodings.punycode",
    "encodings.utf_8",
    "idna.uts46data",
    "ssl",
    "stringprep",
    "structlog",
    "traceback",
    "unicodedata",
    "credproxy.adapters.http_client",
    "credproxy.adapters.pump",
    "credproxy.gateway.gateway",
)
"""Modules to import before ``confine``: afterwards no file can be opened, so nothing can be imported."""

MEMORY: Final = 512 * 1024 * 1024
"""Bytes of a carrier's private memory, stacks of its threads included: several times what it needs within its
limits."""

DESCRIPTORS: Final = 2048
"""Descriptors: two for each possible connection, one for each registry, and some to spare."""

_OOM_AHEAD, _OOM_MOST = 300, 1000  # of 1000, which stands for all memory of the machine

_SET_PARENT_DEATH_SIGNAL, _SET_NO_NEW_PRIVS = 1, 38  # <linux/prctl.h>
_CREATE_RULESET, _RESTRICT_SELF = 444, 446  # the same number on all architectures, since Linux 5.13
_VERSION = 1  # <linux/landlock.h> LANDLOCK_CREATE_RULESET_VERSION

# <linux/landlock.h>: for each ABI version that added rights, the number of LANDLOCK_ACCESS_FS_* bits since then.
_FILE_RIGHTS = ((5, 16), (3, 15), (2, 14), (1, 13))
_BIND_TCP = 1  # LANDLOCK_ACCESS_NET_BIND_TCP, ABI 4; connecting is allowed: it is the purpose of the process
_SCOPES = 1 | 2  # LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL, ABI 6
_ABI_NETWORK, _ABI_SCOPE = 4, 6


class _Attributes(ctypes.Structure):
    """``struct landlock_ruleset_attr``; an older kernel accepts fields that it does not know if they are zero."""

    _fields_ = [("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64)]  # type: ignore[mutable-override]  # ctypes takes a list


def landlock_version() -> int:
    """The ABI version of this kernel's Landlock; 0 if it has none or it is switched off."""
    if sys.platform != "linux":
        return 0
    found: int = _libc().syscall(_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_VERSION))
    return max(0, found)


def confine(*, parent: int, descriptors: int, memory: int, written: int) -> str:
    """Give up access to files, privileges and most of the machine for good; open descriptors keep working.

    Args:
        parent: process id of the process that forked this one. It must fork from its main thread: this process is
            killed when that thread ends, even in an endless loop, in which it would not notice that its channel is
            closed.
        descriptors: ``RLIMIT_NOFILE``.
        memory: ``RLIMIT_DATA`` in bytes: beyond it a MemoryError is raised. Stacks of threads count as well.
        written: ``RLIMIT_FSIZE`` in bytes, which also bounds files that are only in memory.

    Returns:
        What is in force where machines differ, for people; without Landlock it begins with ``UNBOUND``.

    Raises:
        Unfit(internal): the environment is not empty, other threads run (Landlock would not bind them), the parent
            has ended, or the kernel refused what every Linux has.
    """
    if os.environ:
        raise _unfit("its environment is not empty")
    if threading.active_count() > 1:
        raise _unfit("it has more than one thread")
    go_first()
    harden()
    for limit, most in (
        (resource.RLIMIT_NOFILE, descriptors),
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_FSIZE, written),
    ):
        _, hard = resource.getrlimit(limit)
        reachable = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(limit, (reachable, reachable))
    if sys.platform != "linux":
        return _in_force(0, calls=False)
    end_with_parent()
    if os.getppid() != parent:  # the parent ended before the signal was requested
        raise _unfit("the process that started it has ended")
    _control(_SET_NO_NEW_PRIVS, 1)
    version = landlock_version()
    if version:
        _landlock(version)
    try:
        calls = restrict()
    except OSError as error:
        raise _unfit(f"{error.strerror}: errno {error.errno}") from None
    return _in_force(version, calls=calls)


def _in_force(landlock: int, *, calls: bool) -> str:
    files = f"no files (Landlock {landlock})" if landlock else UNBOUND
    return f"{files}, {'no local sockets' if calls else 'local sockets: no filter for this machine'}"


def go_first() -> None:
    """Have the kernel kill this process before the daemon if memory runs out: the daemon holds what all callers need.

    A process that is not root's can do this only as long as others can still read it. Source:
    proc_pid_oom_score_adj(5).
    """
    with contextlib.suppress(OSError), Path("/proc/self/oom_score_adj").open("r+", encoding="ascii") as score:
        wanted = min(_OOM_MOST, int(score.read()) + _OOM_AHEAD)
        score.seek(0)
        score.write(str(wanted))


def end_with_parent() -> None:
    """On Linux, have the kernel kill this process when the thread that started it ends, even if it is stopped."""
    if sys.platform == "linux":
        _control(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)


def _landlock(version: int) -> None:
    """Handle all rights that both the kernel and this code know, and allow none."""
    bits = next(bits for since, bits in _FILE_RIGHTS if version >= since)
    network = _BIND_TCP if version >= _ABI_NETWORK else 0
    wanted = _Attributes((1 << bits) - 1, network, _SCOPES if version >= _ABI_SCOPE else 0)
    libc = _libc()
    rules = libc.syscall(
        _CREATE_RULESET, ctypes.byref(wanted), ctypes.c_size_t(ctypes.sizeof(wanted)), ctypes.c_uint32(0)
    )
    if rules < 0:
        raise _unfit(f"the kernel refused a Landlock ruleset: errno {ctypes.get_errno()}")
    try:
        if libc.syscall(_RESTRICT_SELF, ctypes.c_int(rules), ctypes.c_uint32(0)) != 0:
            raise _unfit(f"the kernel refused to enforce Landlock: errno {ctypes.get_errno()}")
    finally:
        os.close(rules)


def _control(option: int, value: int) -> None:
    if _libc().prctl(option, ctypes.c_ulong(value), *[ctypes.c_ulong(0)] * 3) != 0:
        raise _unfit(f"the kernel refused prctl {option}: errno {ctypes.get_errno()}")


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _unfit(why: str) -> Unfit:
    hint = "credproxy doctor; in a container, run it without a filter on system calls"
    return Unfit(Failure(Code.INTERNAL, f"this process cannot be confined: {why}", hint))
