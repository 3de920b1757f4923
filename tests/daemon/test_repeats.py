"""Identical lines are counted from the eleventh on (T17)."""

import pytest
import structlog

from credproxy.daemon.repeats import Event, Repeats


class Place:
    """A processor with a clock of its own, and what it let through."""

    def __init__(self) -> None:
        self.time = 100.0
        self.out: list[Event] = []
        self.repeats = Repeats(lambda: self.time, self.out.append)

    def log(self, times: int = 1, **event: object) -> None:
        """Log an event that many times."""
        for _ in range(times):
            try:
                self.out.append(self.repeats(None, "info", dict(event)))
            except structlog.DropEvent:
                continue


def test_t17_ten_a_second_and_then_a_counter() -> None:
    """T17: the eleventh identical line of a second is counted; the next second tells how many there were."""
    place = Place()
    place.log(500, event="question failed", code="denied")
    assert (len(place.out), place.repeats.collapsed) == (10, 490)
    place.time += 1
    place.log(event="ready")
    assert place.out[10:] == [{"event": "question failed", "code": "denied", "repeated": 490}, {"event": "ready"}]


def test_what_was_counted_is_told_at_the_end() -> None:
    """Also where no later line would tell it."""
    place = Place()
    place.log(12, event="x")
    place.repeats.settle()
    place.repeats.settle()
    assert place.out[10:] == [{"event": "x", "repeated": 2}]


def test_a_flood_over_seconds_is_eleven_lines_a_second() -> None:
    """Ten of its own and one that counts."""
    place = Place()
    for _ in range(5):
        place.log(1000, event="x")
        place.time += 1
    assert (len(place.out), place.repeats.collapsed) == (5 * 10 + 4, 5 * 990)


def test_lines_that_differ_are_all_written() -> None:
    """A different value is a different line."""
    place = Place()
    for number in range(300):
        place.log(event="exchanged", left=number)
    assert len(place.out) == 300


def test_different_lines_do_not_fill_the_memory() -> None:
    """Of lines that all differ a thousand a second are remembered; those beyond are written, not counted."""
    place = Place()
    for number in range(1500):
        place.log(20, event="x", number=number)
    assert len(place.repeats._seen) == 1000
    assert len(place.out) == 1000 * 10 + 500 * 20


@pytest.mark.parametrize("step", [0.3, 0.6])
def test_a_slow_trickle_is_never_collapsed(step: float) -> None:
    """Up to ten a second are nobody's flood."""
    place = Place()
    for _ in range(50):
        place.log(event="x")
        place.time += step
    assert (len(place.out), place.repeats.collapsed) == (50, 0)
