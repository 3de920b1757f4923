"""How much memory a process uses, as the kernel reports it."""

import ctypes
import os
import subprocess
import sys

import pytest

from credproxy.adapters.resident_memory import own_memory, resident


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")


def test_it_is_the_same_from_inside_and_from_outside() -> None:
    """Except for changes in between; for a process that is gone it is unknown."""
    told = own_memory()
    assert resident(os.getpid()) > 1 << 20
    assert abs(told() - resident(os.getpid())) < 4 << 20
    kept = bytearray(32 << 20)
    assert told() > len(kept)
    assert resident(2**22 + 1) == 0


_THREADS = """
import ctypes, threading
from credproxy.adapters.resident_memory import few_arenas
few_arenas()
malloc, gate = ctypes.CDLL(None).malloc, threading.Barrier(9)
def work():
    malloc(1000)
    gate.wait()
    gate.wait()
for _ in range(8):
    threading.Thread(target=work).start()
gate.wait()
ctypes.CDLL(None).malloc_stats()
gate.wait()
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_stats"), reason="arenas are glibc's")
def test_threads_share_few_arenas() -> None:
    """Eight threads at once, of which each would have one of its own."""
    done = subprocess.run([sys.executable, "-c", _THREADS], check=True, capture_output=True, text=True)
    assert done.stderr.count("Arena ") == 2
