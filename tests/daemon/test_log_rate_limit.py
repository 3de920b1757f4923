"""Lines of one kind are counted from the eleventh on (T17)."""

import pytest
import structlog

from credproxy.daemon.log_rate_limit import Event, Repeats


class Place:
    """A processor with a fake clock, and what it let through."""

    def __init__(self) -> None:
        self.time = 100.0
        self.out: list[Event] = []
        self.repeats = Repeats(lambda: self.time, self.out.append)

    def log(self, times: int = 1, level: str = "info", **event: object) -> None:
        """Log an event that many times."""
        for _ in range(times):
            try:
                self.out.append(self.repeats(None, level, dict(event)))
            except structlog.DropEvent:
                continue


def test_ten_a_second_and_then_a_counter() -> None:
    """T17: the eleventh identical line of a second is counted; the next second reports how many there were."""
    place = Place()
    place.log(500, event="question failed", code="denied")
    assert (len(place.out), place.repeats.collapsed) == (10, 490)
    place.time += 1
    place.log(event="ready")
    assert place.out[10:] == [{"event": "question failed", "code": "denied", "repeated": 490}, {"event": "ready"}]


def test_what_was_counted_is_reported_at_the_end() -> None:
    """Also if no later line would report it."""
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


def test_refusals_of_one_kind_are_counted_however_they_differ() -> None:
    """Varying the path does not help a flood; the line for the rest says what they have in common."""
    place = Place()
    for number in range(500):
        place.log(
            event="question failed", socket="actions", code="not_found", path=f"/{number}", reason="nothing there"
        )
    place.time += 1
    place.log(event="ready")
    assert len(place.out) == 12
    assert place.out[10] == {
        "event": "question failed",
        "socket": "actions",
        "code": "not_found",
        "reason": "nothing there",
        "repeated": 490,
    }


def test_another_socket_and_another_code_are_kinds_of_their_own() -> None:
    """A flood on one socket hides no line of the other."""
    place = Place()
    for number in range(100):
        for socket in ("helper", "actions"):
            for code in ("not_found", "denied"):
                place.log(event="question failed", socket=socket, code=code, path=f"/{number}")
    assert len(place.out) == 4 * 10


@pytest.mark.parametrize(
    "event",
    ["gateway refused", "client left", "blob broke off", "second attempt", "throttled", "rejected", "answer doubted"],
)
def test_whatever_a_caller_or_a_registry_brings_about_is_bounded(event: str) -> None:
    """Refusals are one example."""
    place = Place()
    for number in range(300):
        place.log(event=event, path=f"/{number}", origin=f"https://{number}.example")
    assert len(place.out) == 10


@pytest.mark.parametrize(
    ("event", "level"), [("handed out", "info"), ("exchanged", "info"), ("exchanged", "warning"), ("refresh", "debug")]
)
def test_lines_that_are_wanted_one_by_one_are_all_written(event: str, level: str) -> None:
    """The audit log is complete, an exchange has bounds of its own, and debug logging is meant to be complete."""
    place = Place()
    for number in range(300):
        place.log(level=level, event=event, left=number)
    assert len(place.out) == 300


def test_different_lines_do_not_fill_the_memory_and_hide_no_flood() -> None:
    """A thousand lines a second are remembered of those that are wanted one by one; refusals are still counted."""
    place = Place()
    for number in range(1500):
        place.log(20, event="handed out", number=number)
    assert len(place.out) == 1000 * 10 + 500 * 20
    place.log(500, event="question failed", code="denied")
    assert len(place.out) == 1000 * 10 + 500 * 20 + 10


@pytest.mark.parametrize("step", [0.3, 0.6])
def test_a_slow_trickle_is_never_collapsed(step: float) -> None:
    """Up to ten a second are not a flood."""
    place = Place()
    for _ in range(50):
        place.log(event="x")
        place.time += step
    assert (len(place.out), place.repeats.collapsed) == (50, 0)
