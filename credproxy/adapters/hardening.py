"""Hardens the process before it holds a secret (R3, F13)."""

import ctypes
import faulthandler
import os
import resource
import signal
import sys

from credproxy.core.errors import Code, Failure, Unfit


_PR_SET_DUMPABLE = 4  # <linux/prctl.h>
_DESCRIPTORS = 65_536


def harden() -> None:
    """Disable core files and debuggers of the same user, make files private by default, set signals as a daemon needs them.

    Raises:
        Unfit(internal): the kernel refused; the daemon must not go on, as every same-uid process could read its memory.
    """
    os.umask(0o077)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _reset_signals()
    # The watchdog ends a process that hangs with SIGABRT: report where it hung, by file and line, without any value
    # (P7).
    faulthandler.enable()
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0) != 0:
        raise Unfit(
            Failure(
                Code.INTERNAL,
                f"the kernel does not let this process protect its memory from being read: errno {ctypes.get_errno()}",
                "run it where prctl is not filtered",
            )
        )


def descriptor_limit() -> int:
    """How many files the daemon may open: as many as it wants, up to the hard limit."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _DESCRIPTORS if hard == resource.RLIM_INFINITY else min(_DESCRIPTORS, hard)


def raise_descriptor_limit() -> int:
    """Raise the soft limit of open files towards the hard one; gives the limit in force.

    Each client takes one descriptor, and shells start programs with a limit of 1,024.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    target = descriptor_limit()
    if soft < target:
        resource.setrlimit(resource.RLIMIT_NOFILE, (target, hard))
        return target
    return soft


def _reset_signals() -> None:
    # SIGCHLD inherited as ignored would reap credential programs before their status is read (PY8); a blocked SIGTERM
    # would not be seen.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
