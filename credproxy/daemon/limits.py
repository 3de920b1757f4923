"""How the descriptors that the system grants are divided (PY10)."""

from typing import NamedTuple


BACKLOG = 4096
"""Connections that may wait in the kernel: with asyncio's 128, 55 % of a burst of 10,000 failed (F8)."""

_RESERVED = 192
"""Descriptors that are not for callers: upstream connections, programs, files, logs (PY10)."""

_ACTIONS = 512
"""Of the descriptors, at most a quarter: build actions can never starve the helper socket (T3)."""

_FEWEST = 16


class Limits(NamedTuple):
    """Counts.

    Attributes:
        backlog: connections that may wait in the kernel. A burst of them is accepted within a few turns of the loop,
            so they are a quarter of the descriptors at most, and kept free.
        helpers: connections on the helper socket.
        lifelines: how many of these may keep a pidfd of their peer; the others are answered once and closed.
        actions: connections on the actions socket.
    """

    backlog: int
    helpers: int
    lifelines: int
    actions: int


def share(descriptors: int) -> Limits:
    """Divide that many; 20,000 are enough for 10,000 helpers at once."""
    quarter = descriptors // 4
    backlog, actions = min(BACKLOG, quarter), min(_ACTIONS, quarter)
    left = max(_FEWEST + _FEWEST // 2, descriptors - _RESERVED - backlog - actions)
    lifelines = left // 3
    return Limits(backlog, left - lifelines, lifelines, actions)
