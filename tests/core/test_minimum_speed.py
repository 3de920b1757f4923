"""How slow the other side may be."""

import pytest

from credproxy.core.minimum_speed import LEAST, Pace


OVER = 60.0


def test_a_side_at_the_minimum_speed_may_continue_for_ever() -> None:
    """S11: 4 KiB a second over each minute of waiting, however it is cut."""
    pace = Pace(over=OVER)
    for _ in range(600):
        pace.moved(LEAST * 10, 10.0)


def test_a_slower_side_fails_after_that_time() -> None:
    """Two bytes a second made an endless transfer: each wait was short."""
    pace = Pace(over=OVER)
    for _ in range(int(OVER) - 1):
        pace.moved(2, 1.0)
    with pytest.raises(TimeoutError):
        pace.moved(2, 1.0)


def test_a_fast_beginning_buys_no_slow_end() -> None:
    """Each minute is judged separately."""
    pace = Pace(over=OVER)
    pace.moved(1 << 30, OVER)
    with pytest.raises(TimeoutError):
        pace.moved(LEAST, OVER)


def test_what_came_without_waiting_took_no_time() -> None:
    """The other side may be slow meanwhile, which is not this side's fault."""
    pace = Pace(over=OVER)
    for _ in range(1000):
        pace.moved(1, 0.0)
