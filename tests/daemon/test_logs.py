"""Logs: one line an event, and the backstops that keep secrets and forged lines out."""

import io
import json
import logging
import threading

import pytest
import structlog

from credproxy.core.config.settings import LogSettings
from credproxy.core.redact import mask
from credproxy.daemon.logs import Logs


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abcdefgh1234", "Authorization: Bearer ***"),
        ("basic dXNlcjpwYXNz", "basic ***"),
        ("token=abcdefgh1234", "token ***"),
        ("https://b.s3.amazonaws.com/x?X-Amz-Signature=abc failed", "https://b.s3.amazonaws.com/x?*** failed"),
        ("two\nlines", "two\\u000alines"),
        ("\x1b[31mred", "\\u001b[31mred"),
        ("a\u2028b", "a\\u2028b"),
        ("registry 'ghcr.io' answered 403", "registry 'ghcr.io' answered 403"),
        ("token server 'auth.example.com' is slow", "token server 'auth.example.com' is slow"),
    ],
    ids=["bearer", "basic", "token", "presigned", "newline", "ansi", "line separator", "plain", "the word token"],
)
def test_masking(text: str, shown: str) -> None:
    """T17, SC-14: credentials and presigned queries go, control characters are escaped, the rest is left alone."""
    assert mask(text) == shown


def test_json_lines_carry_level_and_time() -> None:
    """Not on a terminal, ``auto`` is one JSON object a line."""
    out = io.StringIO()
    logs = Logs(stream=out)
    structlog.get_logger().info("ready", socket="/run/x")
    structlog.get_logger().debug("not shown")
    logs.close()
    line = json.loads(out.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "ready", "level": "info", "socket": "/run/x"}


def test_the_console_format_is_for_people() -> None:
    """``console`` writes words, not JSON."""
    out = io.StringIO()
    logs = Logs(log_format="console", stream=out)
    structlog.get_logger().warning("reload refused", reason="line 3")
    logs.close()
    assert "reload refused" in out.getvalue()
    assert "reason" in out.getvalue()
    assert not out.getvalue().startswith("{")


def test_values_of_any_type_are_masked() -> None:
    """A structure's text is masked like a string's."""
    out = io.StringIO()
    logs = Logs(log_format="json", stream=out)
    structlog.get_logger().info("x", headers={"Authorization": "Bearer canary-token-1"})
    logs.close()
    assert "canary-token-1" not in out.getvalue()


def test_a_library_may_say_that_but_not_what() -> None:
    """PY12: the text of a library's message may quote a request, its logger and exception class may not."""
    out = io.StringIO()
    logs = Logs(log_format="json", stream=out)
    try:
        int("canary-header")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("error handling request canary-path")
    logs.close()
    line = json.loads(out.getvalue())
    assert (line["event"], line["error"], line["level"]) == ("library message", "ValueError", "error")
    assert "canary" not in out.getvalue()


FORGERY = 'x\n{"event": "ready"}\r\x1b[2Jy\u2028z\x85\x00'


def test_a_json_line_cannot_be_forged() -> None:
    """T17: whatever a value holds, an event is one line, without anything that drives a terminal."""
    out = io.StringIO()
    logs = Logs(log_format="json", stream=out)
    structlog.get_logger().info("question failed", path=FORGERY, reason=[FORGERY])
    logs.close()
    (line,) = out.getvalue().splitlines()
    assert line.isprintable()
    assert json.loads(line)["event"] == "question failed"


def test_a_console_line_cannot_be_forged() -> None:
    """T17: the same for the format that a terminal shows."""
    out = io.StringIO()
    logs = Logs(log_format="console", stream=out)
    structlog.get_logger().info("question failed", path=FORGERY, reason=[FORGERY])
    logs.close()
    (line,) = out.getvalue().splitlines()
    assert line.isprintable()


def test_a_flood_of_identical_lines_is_counted() -> None:
    """T17: ten lines, and one with their number; the time of a line does not make it different."""
    out, time = io.StringIO(), [5.0]
    logs = Logs(log_format="json", stream=out, now=lambda: time[0])
    for _ in range(2000):
        structlog.get_logger().info("question failed", code="denied")
    time[0] = 6.0
    structlog.get_logger().info("ready")
    logs.close()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == ["question failed"] * 11 + ["ready"]
    assert (lines[10]["repeated"], lines[10]["code"], lines[10]["level"], logs.collapsed) == (
        1990,
        "denied",
        "info",
        1990,
    )


def test_a_flood_of_refusals_with_long_paths_has_a_bound_in_bytes() -> None:
    """5,000 refusals of 8,000 characters in a second, on each of two sockets: 20 lines and 2 counts, 20 KiB."""
    out, time = io.StringIO(), [5.0]
    logs = Logs(log_format="json", stream=out, now=lambda: time[0])
    for number in range(5000):
        path = f"/{number}/{'x' * 8000}"
        reason = f"this path takes POST, not {path!r}: it is 'gone'"
        structlog.get_logger().info("question failed", socket="helper", path=path, code="not_found", reason=reason)
        structlog.get_logger().info("gateway refused", path=path, method="G" * 8000, code="denied", reason=[reason])
    logs.close()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert len(lines) == 22
    assert sum(line.get("repeated", 0) for line in lines) == 2 * 4990
    assert len(out.getvalue()) < 20 * 1024
    assert max(len(line.get("path", "")) for line in lines) == 200
    assert max(len(line.get("method", "")) for line in lines) == 200
    assert lines[0]["reason"].endswith("... it is 'gone'")


def test_a_secret_is_masked_before_its_line_is_cut() -> None:
    """S2, PY17: otherwise half of it would be left, and not look like a secret."""
    out = io.StringIO()
    logs = Logs(log_format="json", stream=out)
    structlog.get_logger().info("x", path="p" * 180 + " Bearer canary-token-1234567890")
    logs.close()
    assert "canary" not in out.getvalue()


def test_what_was_dropped_is_told_in_the_format_in_force() -> None:
    """P14: the line about missing lines is a line like any other."""

    class Full(io.StringIO):
        full = True
        tried = threading.Event()

        def write(self, text: str) -> int:
            full = self.full
            self.tried.set()
            if full:
                raise OSError("no space")
            return super().write(text)

    out = Full()
    logs = Logs(log_format="json", stream=out)
    structlog.get_logger().info("lost")
    assert out.tried.wait(5)
    out.full = False
    structlog.get_logger().info("kept")
    logs.close()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [(line["event"], line.get("count"), line["level"]) for line in lines] == [
        ("kept", None, "info"),
        ("log lines dropped", 1, "warning"),
    ]


def test_the_configuration_decides_where_the_command_line_does_not() -> None:
    """``[log] level`` and ``format`` take effect with the configuration, and again with each reload."""
    out = io.StringIO()
    logs = Logs(stream=out)
    logs.follow(LogSettings(level="debug", format="console"))
    structlog.get_logger().debug("shown")
    logs.follow(LogSettings(level="error"))
    structlog.get_logger().warning("not shown")
    logs.close()
    assert "shown" in out.getvalue()
    assert "not shown" not in out.getvalue()
    assert not out.getvalue().startswith("{")


def test_the_command_line_overrides_the_configuration() -> None:
    """``--log-level`` and ``--log-format`` stay in force."""
    out = io.StringIO()
    logs = Logs(level="info", log_format="json", stream=out)
    logs.follow(LogSettings(level="error", format="console"))
    structlog.get_logger().info("shown")
    logs.close()
    assert json.loads(out.getvalue())["event"] == "shown"


def test_a_table_or_a_list_is_written_in_words() -> None:
    """``exchanged`` has a table: its reader need not know how Python writes one, and what is not set is left out."""
    out = io.StringIO()
    logs = Logs(log_format="json", stream=out)
    structlog.get_logger().info("exchanged", detail={"kind": "bearer", "scopes": "", "tried": ["a", "b"]}, none={})
    logs.close()
    line = json.loads(out.getvalue())
    assert (line["detail"], line["none"]) == ("kind: bearer, tried: a, b", "")
