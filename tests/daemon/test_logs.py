"""Logs: one line an event, and the backstops that keep secrets and forged lines out."""

import io
import json
import logging

import pytest
import structlog

from credproxy.core.redact import mask
from credproxy.daemon.logs import set_up


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
    undo = set_up(level="info", log_format="auto", stream=out)
    structlog.get_logger().info("ready", socket="/run/x")
    structlog.get_logger().debug("not shown")
    undo()
    line = json.loads(out.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "ready", "level": "info", "socket": "/run/x"}


def test_the_console_format_is_for_people() -> None:
    """``console`` writes words, not JSON."""
    out = io.StringIO()
    undo = set_up(level="info", log_format="console", stream=out)
    structlog.get_logger().warning("reload refused", reason="line 3")
    undo()
    assert "reload refused" in out.getvalue()
    assert "reason" in out.getvalue()
    assert not out.getvalue().startswith("{")


def test_values_of_any_type_are_masked() -> None:
    """A structure's text is masked like a string's."""
    out = io.StringIO()
    undo = set_up(level="info", log_format="json", stream=out)
    structlog.get_logger().info("x", headers={"Authorization": "Bearer canary-token-1"})
    undo()
    assert "canary-token-1" not in out.getvalue()


def test_a_library_may_say_that_but_not_what() -> None:
    """PY12: the text of a library's message may quote a request, its logger and exception class may not."""
    out = io.StringIO()
    undo = set_up(level="info", log_format="json", stream=out)
    try:
        int("canary-header")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("error handling request canary-path")
    undo()
    line = json.loads(out.getvalue())
    assert (line["event"], line["error"], line["level"]) == ("library message", "ValueError", "error")
    assert "canary" not in out.getvalue()
