"""What doctor says about the process of the clouds' libraries."""

from msgspec.structs import replace

from credproxy.core.ask.worker_messages import WorkerReport
from credproxy.doctor.finding import Severity
from credproxy.doctor.worker import check


IDLE = WorkerReport("not started", None, 0, 0, 0, ("google", "aws", "azure"), ())


def said(report: WorkerReport) -> dict[str, Severity]:
    """Messages with their severities."""
    return {finding.message: finding.severity for finding in check(report, log="/log")}


def test_one_that_is_not_started_is_in_order() -> None:
    """It starts with the first question."""
    assert said(IDLE) == {
        "the process of the clouds' libraries is not started; the first question for one of them starts it": Severity.OK,
        "libraries that it can import: google, aws, azure": Severity.OK,
    }


def test_one_that_runs_is_shown_with_its_calls_and_memory() -> None:
    """Where the kernel does not show the memory, nothing is said of it."""
    running = replace(IDLE, state="running", pid=42, calls=1, memory_bytes=37_500_000)
    line = "the process of the clouds' libraries runs, pid 42: 1 call"
    assert said(running)[f"{line}, 37 MB"] is Severity.OK
    assert line in said(replace(running, memory_bytes=0))


def test_libraries_that_are_not_installed_are_a_note_with_one_command_for_all() -> None:
    """A login of such a cloud is there, and nothing uses it: nobody would guess why."""
    found = list(
        check(replace(IDLE, installed=("aws",), missing=("google", "azure"), install="THE COMMAND"), log="/log")
    )
    (note,) = [finding for finding in found if finding.severity is Severity.NOTE]
    assert note.message.endswith("are not used: google, azure")
    assert note.remedy == "THE COMMAND"
    (line,) = [message for message in said(replace(IDLE, installed=(), missing=("aws",))) if "import" in message] or [
        ""
    ]
    assert not line, "an empty list says nothing"


def test_one_that_was_lost_is_a_note_with_where_to_look() -> None:
    """Callers need not have noticed; memory and time went all the same."""
    (note,) = [finding for finding in check(replace(IDLE, restarts=2), log="/my/log") if finding.remedy]
    assert note.severity is Severity.NOTE
    assert note.message.endswith("was started again: 2 times")
    assert note.remedy.startswith("see when and why: grep 'worker ' /my/log; of a service: journalctl --user ")
