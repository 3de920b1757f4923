"""A lock that is only for speed."""

import threading
from concurrent.futures import ThreadPoolExecutor

from credproxy.adapters.one_at_a_time import OneAtATime


class Watched(OneAtATime):
    """Notes how long each thread was ready to wait."""

    def __init__(self, turn: float) -> None:
        super().__init__(turn)
        self.waits: list[float] = []
        self._lock = self  # type: ignore[assignment]  # it has what is used of a lock
        self._held = threading.Lock()

    def acquire(self, timeout: float) -> bool:
        """As a lock's."""
        self.waits.append(timeout)
        return self._held.acquire(timeout=timeout)

    def release(self) -> None:
        """As a lock's."""
        self._held.release()


def test_a_thread_that_is_stuck_is_waited_for_once() -> None:
    """Others then do as if it had left; when it has, they are alone again."""
    lock, turn = Watched(0.01), 0.01
    with lock.alone():
        for _ in range(3):
            with lock.alone():
                pass
        assert lock.waits == [turn, turn, 0.0, 0.0]
    with lock.alone(), lock.alone():
        assert lock.waits[-2:] == [turn, turn]


def test_threads_that_take_turns_are_none_that_is_stuck() -> None:
    """Each of them is waited for."""
    lock = Watched(30.0)
    inside, most = 0, 0

    def work() -> None:
        nonlocal inside, most
        for _ in range(200):
            with lock.alone():
                inside += 1
                most = max(most, inside)
                inside -= 1

    with ThreadPoolExecutor(8) as threads:
        for _ in range(8):
            threads.submit(work)
    assert most == 1
    assert set(lock.waits) == {30.0}
