"""The priority of a thread."""

import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from credproxy.adapters.thread_priority import LOWER, lower_priority


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a priority belongs to a process")


def own() -> int:
    """The nice value of the calling thread."""
    return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())


def test_a_thread_lowers_its_own_priority_and_no_other() -> None:
    """As far as it goes: there is a lowest one."""
    before = own()
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(own).result() == before
        for times in range(1, 4):
            pool.submit(lower_priority).result()
            assert pool.submit(own).result() == min(19, before + times * LOWER)
    assert own() == before
