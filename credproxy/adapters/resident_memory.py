"""How much memory a process has, as the kernel says it. Source: proc_pid_statm(5)."""

import os
from collections.abc import Callable


def resident(pid: int) -> int:
    """Bytes of memory that a process has; 0 where that cannot be read."""
    try:
        # No disk, and no wait: the kernel makes it up.
        with open(f"/proc/{pid}/statm", encoding="ascii") as statm:  # noqa: PTH123  read at once, without a path of its own
            return _in_bytes(statm.read())
    except OSError:
        return 0


def own_memory() -> Callable[[], int]:
    """Give what tells how many bytes this process has, also once it can open no file any more; 0 where nothing does."""
    try:
        statm = os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return lambda: 0
    return lambda: _in_bytes(os.pread(statm, 128, 0).decode("ascii"))


def _in_bytes(statm: str) -> int:
    # The second number, in pages, is what is resident.
    try:
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (ValueError, IndexError):
        return 0
