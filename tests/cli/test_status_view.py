"""``credproxy status`` for people: what it draws, and again each second."""

import io
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from rich.console import Console

from credproxy.cli.command_error import CommandError
from credproxy.cli.status_view import StatusObject, span, view, watch
from tests.cli.daemon import serving
from tests.cli.test_commands import home, run


__all__ = ["home"]  # the fixture

ENTRY = {
    "socket": "actions",
    "uid": 1000,
    "subject": "registry 'ghcr.io'",
    "detail": {"provider": "oci", "credential": "docker-config:ghcr.io", "scopes": "repository:org/app:pull"},
    "state": "fresh",
    "age": 61.2,
    "left": 238.9,
    "idle": 2.0,
    "uses": 7,
    "failures": 0,
    "empty": False,
    "note": "",
}
STATUS = {
    "version": "1.0",
    "pid": 42,
    "generation": 1,
    "uptime": 7322.0,
    "cached": 1,
    "entries": [ENTRY],
    "flights": [],
    "failures": [{"host": "[bold]", "code": "helper_failed", "message": "m", "left": 1.5}],
    "origins": [],
    "refused": {"policy_denied": 3, "not_found": 1},
    "connections": {"user:[7]": 2, "": 1},
}


def drawn(status: StatusObject, rows: int | None = None, *, width: int = 160) -> str:
    """What a terminal would show, a wide one by default."""
    console = Console(file=io.StringIO(), width=width, height=20)
    console.print(view(status, rows), crop=False)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_an_answer_is_drawn_with_its_state_and_times() -> None:
    """And never with more than the daemon reports."""
    line = next(line for line in drawn(STATUS).splitlines() if "ghcr.io" in line)
    assert line.split() == (
        [
            "actions",
            "registry",
            "'ghcr.io'",
            "from",
            "docker-config:ghcr.io",
            "repository:org/app:pull",
            "fresh",
            "1m",
            "01s",
            "3m",
            "58s",
            "2s",
            "7",
            "0",
        ]
    )


def test_numbers_refusals_and_lists_that_have_rows() -> None:
    """Empty parts take no room, and text from outside is not markup."""
    text = drawn(STATUS)
    assert "version 1.0  pid 42  generation 1  uptime 2h 02m" in text
    assert "refused on the actions socket: not_found 1, policy_denied 3" in text
    assert "[bold]" in text
    assert "flights" not in text
    assert "origins" not in text
    assert "connections of the actions socket: your own processes 1, user:[7] 2" in text
    assert "refused" not in drawn({**STATUS, "refused": {}})


def test_what_is_wrong_comes_first_and_scripts_see_it(home: Path) -> None:
    """A daemon that runs with a broken configuration looks healthy by its numbers."""
    broken = {**STATUS, "state": "no valid configuration: empty_tll", "well": False}
    assert drawn(broken).splitlines()[0] == "no valid configuration: empty_tll"
    assert "well" not in drawn(broken)
    with serving(home, (200, broken), (200, broken), (200, {**STATUS, "state": "generation 1", "well": True})):
        done = run("status")
        assert (done.exit_code, done.stderr) == (4, "hint: credproxy doctor\n")
        assert done.stdout.startswith("no valid configuration: empty_tll\n")
        assert run("status", "--json").exit_code == 4
        done = run("status")
        assert (done.exit_code, done.stderr) == (0, "")
        assert done.stdout.startswith("generation 1\n")


@pytest.mark.parametrize("width", [40, 60, 80, 100])
def test_nothing_is_cut_on_a_narrow_terminal(width: int) -> None:
    """Values that have no column beside one another stand beside their names; the command stays in one line."""
    install = (
        "/home/me/.local/share/pipx/venvs/credproxy/bin/python -m pip install 'botocore>=1.40' 'azure-identity>=1.19'"
    )
    carrier = {
        "pid": 4711,
        "sandbox": "mnt:4026531841",
        "connections": 12,
        "downloads": 3,
        "memory_bytes": 37_318_656,
        "confined": "files, programs and sockets; see doctor",
        "relayed": 0,
    }
    worker = {"state": "running", "calls": 3, "installed": ["google"], "missing": ["aws", "azure"], "install": install}
    text = drawn({**STATUS, "bytes": 373_186, "carriers": [carrier, carrier], "worker": worker}, width=width)
    assert "…" not in text
    words = text.split()
    for name in ("sandbox", "connections", "downloads", "confined", "relayed", "socket", "failures", "installed"):
        assert name in words
    assert "mnt:4026531841" in words
    assert "repository:org/app:pull" in words
    assert f"to install what is missing: {install}\n" in text
    assert "memory 0.4 MB" in " ".join(words)
    assert "37 MB" in " ".join(words)


def test_another_program_reads_whole_lines(home: Path) -> None:
    """A pipe has no width; rich would take 80 columns."""
    reason = "no valid configuration: " + "x" * 200
    with serving(home, (200, {**STATUS, "state": reason, "well": False})):
        assert run("status").stdout.startswith(f"{reason}\n")


def test_a_note_is_drawn_with_its_answer() -> None:
    """A token that grants less than was requested looks like any other."""
    assert "docker-config:ghcr.io (grants nothing)" in drawn(
        {**STATUS, "entries": [{**ENTRY, "note": "grants nothing"}]}
    )


def test_an_empty_answer_is_drawn_as_nothing() -> None:
    """Its state would suggest that there is something."""
    assert "nothing" in drawn({**STATUS, "entries": [{**ENTRY, "empty": True}]})


def test_more_answers_than_fit_are_counted() -> None:
    """The last used are shown."""
    assert "and 2 more" in drawn({**STATUS, "entries": [ENTRY] * 5}, 3)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"),
        (59.9, "59s"),
        (60, "1m 00s"),
        (3599, "59m 59s"),
        (3600, "1h 00m"),
        (90_061, "1d 01h"),
        (-3.2, "-3s"),
        (-0.4, "0s"),
    ],
)
def test_seconds_as_a_person_says_them(seconds: float, shown: str) -> None:
    """Two units at most."""
    assert span(seconds) == shown


def test_watching_draws_each_second_survives_a_restart_and_ends_with_the_person() -> None:
    """Ctrl-C comes as KeyboardInterrupt; in between the daemon may be gone."""
    console = Console(file=io.StringIO(), width=160, height=40, force_terminal=True)
    pauses: list[float] = []

    def answers() -> Iterator[StatusObject | CommandError]:
        yield STATUS
        yield CommandError("no daemon listens", "start it")
        yield {**STATUS, "pid": 43}

    script = answers()

    def ask() -> StatusObject:
        found = next(script)
        if isinstance(found, CommandError):
            raise found
        return found

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch(ask, console, pause=pause)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert pauses == [1.0, 1.0, 1.0]
    assert shown.index("pid 42") < shown.index("no daemon listens") < shown.index("pid 43")
    assert shown.rindex("\x1b[?25h") > shown.rindex("pid 43"), "the cursor is hidden for good"


def test_watching_needs_a_terminal(home: Path) -> None:
    """A file would fill with drawings."""
    del home
    done = run("status", "--watch")
    assert (done.exit_code, done.stderr.splitlines()[1]) == (1, "hint: credproxy status --json")
    assert run("status", "--watch", "--json").exit_code == 2


def test_when_it_started_is_drawn_as_a_date() -> None:
    """Seconds since 1970 are for programs."""
    text = drawn({**STATUS, "started": 1795712420.92})
    assert re.search(r"started 2026-11-2\d \d\d:\d\d:20[+-]\d\d:\d\d", text), text


def test_the_worker_has_a_row_also_while_it_does_not_run() -> None:
    """What is not installed is shown with the command that brings it; an older daemon reports no worker."""
    worker: dict[str, object] = {
        "state": "not started",
        "pid": None,
        "calls": 3,
        "restarts": 1,
        "memory_bytes": 0,
        "installed": ["google"],
        "missing": ["aws", "azure"],
        "install": "pip install 'botocore>=1.40' 'azure-identity>=1.19'",
    }
    heads, _, row, blank, below = drawn({**STATUS, "worker": worker}).rstrip().splitlines()[-5:]
    assert heads.split() == ["state", "calls", "restarts", "memory", "installed", "missing"]
    assert row.split() == ["not", "started", "3", "1", "0.0", "MB", "google", "aws,", "azure"]
    assert (blank.strip(), below) == ("", f"to install what is missing: {worker['install']}")
    running = drawn({**STATUS, "worker": {**worker, "state": "running", "pid": 77, "missing": [], "install": ""}})
    assert "running   77" in running
    assert "install " not in running
    assert "worker" not in drawn(STATUS)
