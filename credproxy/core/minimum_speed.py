"""How slow the other side of a transfer may be. Pure: the time is passed in.

A limit on each wait alone never stops a peer that sends a byte within it; one on the total stops honest peers that have much to send.
"""

LEAST = 4 * 1024
"""Bytes a second: a tenth of what the slowest lines give."""


class Pace:
    """Judges one side by what it moves while it is waited for; the other side's time does not count against it.

    Args:
        over: seconds of waiting in which the average has to be met.
    """

    __slots__ = ("_moved", "_over", "_waited")

    def __init__(self, *, over: float) -> None:
        self._over = over
        self._moved = 0
        self._waited = 0.0

    def moved(self, count: int, waited: float) -> None:
        """Count bytes, and the seconds that they were waited for. Raises TimeoutError: it is too slow."""
        self._moved += count
        self._waited += waited
        if self._waited < self._over:
            return
        if self._moved < LEAST * self._waited:
            raise TimeoutError
        self._moved, self._waited = 0, 0.0
