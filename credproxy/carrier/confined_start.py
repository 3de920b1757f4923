"""How a process that the nursery has forked begins: it gives up all the privileges that it can."""

import signal
import sys
import threading
from collections.abc import Callable
from typing import NamedTuple

from credproxy.adapters.confinement import DESCRIPTORS, MEMORY, confine
from credproxy.adapters.resident_memory import few_arenas, own_memory
from credproxy.core.errors import Unfit


_STACK = 512 * 1024
"""Bytes of a thread's stack: the usual eight megabytes for each of 64 threads would use up the process's memory."""


class Start(NamedTuple):
    """What a process reports to the daemon.

    Attributes:
        confined: what it gave up.
        memory: gives the bytes that it uses; it can open no file for that any more.
    """

    confined: str
    memory: Callable[[], int]


def begin(parent: int, *, written: int = 0) -> Start:
    """Give up the privileges, and prepare for threads.

    Args:
        parent: process id of the nursery.
        written: see ``confine``.

    Raises:
        Unfit: it could not be confined; stderr has it as well.
    """
    memory = own_memory()
    try:
        confined = confine(parent=parent, descriptors=DESCRIPTORS, memory=MEMORY, written=written)
    except Unfit as error:
        sys.stderr.write(f"credproxy: {error.failure.message}; {error.failure.hint}\n")
        raise
    # A service manager sends it to every process: the daemon says when to end.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    few_arenas()
    threading.stack_size(_STACK)
    return Start(confined, memory)
