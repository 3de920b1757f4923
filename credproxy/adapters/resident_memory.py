"""How much memory a process uses, as the kernel reports it, and a bound for what malloc keeps. Source: proc_pid_statm(5)."""

import contextlib
import ctypes
import os
from collections.abc import Callable


_ARENA_MAX = -8  # <malloc.h> M_ARENA_MAX
_ARENAS = 2
"""With 16 downloads over TLS, each carrier has some 3 MB less than with glibc's own number (bench/gateway.py, ``many``)."""


def resident(pid: int) -> int:
    """Bytes of memory that a process uses; 0 if that cannot be read."""
    try:
        # No disk access, and no waiting: the kernel generates the file.
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:  # noqa: PTH123  read at once, without a path of its own
            return _in_bytes(statm.read())
    except OSError:
        return 0


def own_memory() -> Callable[[], int]:
    """Give a function that tells how many bytes this process uses, even when it can open no more files; 0 if unknown."""
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return lambda: 0
    return lambda: _in_bytes(os.pread(statm, 128, 0).decode("ascii"))


def _in_bytes(statm: str) -> int:
    # The second number is the resident pages.
    try:
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, IndexError):
        return 0


def few_arenas() -> None:
    """Have glibc's malloc use few arenas, in which threads keep what they have freed; elsewhere this does nothing.

    Its own number is eight for each processor. Source: mallopt(3).
    """
    with contextlib.suppress(AttributeError):
        ctypes.CDLL(None).mallopt(_ARENA_MAX, _ARENAS)
