"""A lock that is only for speed: a thread that has held it for long is not waited for any more."""

import contextlib
import threading
from collections.abc import Iterator


class OneAtATime:
    """Has one thread at a time do something, and another one as well if that thread is stuck in it.

    Args:
        turn: seconds after which a thread counts as stuck; it is waited for once, and not again until it has left.
    """

    def __init__(self, turn: float) -> None:
        self._turn = turn
        self._lock = threading.Lock()
        self._inside: object = None
        self._stuck: object = None

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Around what should be done alone."""
        inside = self._inside
        stuck = inside is not None and inside is self._stuck
        if self._lock.acquire(timeout=0.0 if stuck else self._turn):
            self._inside = object()
            try:
                yield
            finally:
                self._inside = None
                self._lock.release()
            return
        if inside is self._inside:  # and not one after the other, each of them quick
            self._stuck = inside
        yield
