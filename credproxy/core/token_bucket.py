"""A token bucket: a rate per second, and a burst. Pure: the time is passed in."""


class Bucket:
    """Full at first. ``now`` is seconds of a clock that does not go back."""

    __slots__ = ("_burst", "_filled", "_per_second", "_tokens")

    def __init__(self, per_second: float, burst: float, *, now: float) -> None:
        self._per_second = per_second
        self._burst = burst
        self._tokens = burst
        self._filled = now

    def wait(self, now: float) -> float:
        """Seconds until there is a token; 0 for now."""
        self._tokens = min(self._burst, self._tokens + self._per_second * (now - self._filled))
        self._filled = now
        return max(0.0, (1.0 - self._tokens) / self._per_second)

    def take(self) -> None:
        """Take a token; ``wait`` must be 0."""
        self._tokens -= 1
