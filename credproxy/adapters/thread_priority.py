"""The priority of a thread. Source: setpriority(2), sched(7)."""

import contextlib
import os
import sys
import threading


LOWER = 5
"""How much lower a thread's priority becomes, in nice values. While 16 downloads keep two processors busy, a call of the
helper then takes about as long as while curl downloads the same by itself; without this, two to three times as long
(bench/gateway.py, ``helper``). On a machine where compilers want every processor, a download still has a third of a share;
with 10 it would have a ninth."""

_LOWEST = 19


def lower_priority() -> None:
    """Let other threads of this machine's users go before the calling one, if they want the same processor; for good.

    Only on Linux, where a priority belongs to a thread. Does nothing if a filter of system calls forbids it, as that of the
    system service and of the unit without a helper socket does (``@resources``).
    """
    if sys.platform != "linux":
        return
    thread = threading.get_native_id()
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, thread, min(_LOWEST, os.getpriority(os.PRIO_PROCESS, thread) + LOWER))
