"""Starts a program as a service manager does: with listening sockets from descriptor 3 on, and the variables that name them."""

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import IO


# LISTEN_PID is known only after the fork, so a small program runs in between.
_LAUNCHER = """
import fcntl, os, sys
count = int(sys.argv[1])
high = [fcntl.fcntl(int(fd), fcntl.F_DUPFD_CLOEXEC, 100) for fd in sys.argv[2 : 2 + count]]
for number, fd in enumerate(high, 3):
    os.dup2(fd, number)
os.environ.setdefault("LISTEN_PID", str(os.getpid()))
if os.environ.get("WATCHDOG_USEC"):
    os.environ["WATCHDOG_PID"] = str(os.getpid())
os.execv(sys.argv[2 + count], sys.argv[2 + count :])
"""


def activated(
    argv: Sequence[str | Path],
    descriptors: Sequence[int],
    *,
    environ: Mapping[str, str],
    names: str | None = None,
    out: IO[bytes] | int = subprocess.PIPE,
    user: int | None = None,
) -> subprocess.Popen[bytes]:
    """Start it; ``environ`` may override LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES."""
    settings = {"LISTEN_FDS": str(len(descriptors))} | dict(environ)
    if names is not None:
        settings["LISTEN_FDNAMES"] = names
    return subprocess.Popen(
        [sys.executable, "-IS", "-c", _LAUNCHER, str(len(descriptors)), *map(str, descriptors), *argv],
        env=settings,
        pass_fds=descriptors,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=subprocess.STDOUT,
        user=user,
    )
