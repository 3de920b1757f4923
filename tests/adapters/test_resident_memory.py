"""How much memory a process uses, as the kernel reports it."""

import os
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
