"""What the event loop reports, in our own words and not in floods."""

import asyncio
import errno
import os

from structlog.testing import capture_logs

from credproxy.adapters.loop_errors import LoopErrors


class Now:
    """A clock that the test moves."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        """What it says."""
        return self.seconds


def test_a_shortage_is_reported_every_ten_seconds_and_counted_in_between() -> None:
    """C5: F9: asyncio reports each connection of its backlog, 143,192 times in the prototype."""
    now, loop = Now(), asyncio.new_event_loop()
    errors = LoopErrors(now)
    context: dict[str, object] = {"message": "socket.accept() out of system resource"}
    with capture_logs() as events:
        for number in (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM) * 1000:
            errors(loop, context | {"exception": OSError(number, os.strerror(number))})
            now.seconds += 0.003
    loop.close()
    assert [(event["event"], event["unreported"]) for event in events] == [
        ("no connection can be accepted", 0),
        ("no connection can be accepted", 3333),
    ]
    assert events[0]["error"] == "EMFILE"


def raised(text: str) -> ValueError:
    """An exception that comes from here."""
    try:
        raise ValueError(text)  # noqa: TRY301  it is caught, and has a place
    except ValueError as error:
        return error


def test_everything_else_is_reported_without_its_text() -> None:
    """PY24: PY17: the text of an exception may quote a request."""
    loop = asyncio.new_event_loop()
    with capture_logs() as events:
        LoopErrors(Now())(loop, {"message": "Exception in callback", "exception": raised("canary")})
        LoopErrors(Now())(loop, {"message": "a message alone"})
    loop.close()
    assert [(event["event"], event["error"], event["about"]) for event in events] == [
        ("event loop error", "ValueError", "Exception in callback"),
        ("event loop error", None, "a message alone"),
    ]
    assert [event["place"].partition(":")[0] for event in events] == ["raised", ""]
    assert "canary" not in str(events)
