"""Which uids root's files appear to have in this process. Source: user_namespaces(7), proc(5)."""

from functools import cache
from pathlib import Path

from credproxy.core.ownership import ROOT, shown_roots


@cache  # a process stays in its user namespace, and that map is written only once
def roots() -> frozenset[int]:
    """Root's own uid; in a user namespace that does not map root, also the one that stands for all unmapped users."""
    try:
        overflow = int(Path("/proc/sys/kernel/overflowuid").read_text(encoding="ascii"))
        return shown_roots(Path("/proc/self/uid_map").read_text(encoding="ascii"), overflow)
    except (OSError, ValueError):
        return ROOT  # a system without user namespaces
