"""The audit log: a line per hand-out, in the daemon's log, whatever its level."""

import io
import json

from credproxy.core.ask.audit import Record
from credproxy.core.ask.credential import Caller
from credproxy.daemon.audit_log import AuditLog
from credproxy.daemon.logs import Logs
from tests.fakes import T0, FakeClock


RECORD = Record("https://ghcr.io/v2/a", "repository:a:pull", "env:X", "0a1b2c3d", int(T0) + 240)


def lines(record: Record, program: str = "/usr/bin/x", level: str = "error") -> list[dict[str, object]]:
    """Record it once; give what is in the log."""
    out = io.StringIO()
    logs = Logs(level=level, log_format="json", stream=out)
    AuditLog(FakeClock()).handed_out(record, Caller("actions", 1000), pid=42, program=program)
    logs.close()
    return [json.loads(line) for line in out.getvalue().splitlines()]


def test_a_line_says_who_was_given_what_and_for_how_long() -> None:
    """R28: Also at level error: the level is about the other lines."""
    (line,) = lines(RECORD)
    assert line.pop("timestamp")
    assert line == {
        "event": "handed out",
        "level": "info",
        "socket": "actions",
        "uid": 1000,
        "pid": 42,
        "program": "/usr/bin/x",
        "target": "https://ghcr.io/v2/a",
        "scope": "repository:a:pull",
        "credential": "env:X",
        "token": "0a1b2c3d",
        "left": 240,
    }


def test_without_an_expiry_nothing_is_left_to_tell() -> None:
    """R28: None is not reported as zero."""
    assert lines(Record("https://a.b/"))[0]["left"] is None


def test_a_programs_name_cannot_forge_a_line() -> None:
    """T17: Anybody who may run a program may also choose its name."""
    (line,) = lines(RECORD, program='/tmp/x\n{"event":"handed out"}\x1b[2K\u2028')
    assert str(line["program"]).startswith("/tmp/x\\u000a")
    assert "\x1b" not in str(line["program"])
