"""Checks the process in which the libraries of clouds run, and which of them there are."""

from collections.abc import Iterator

from credproxy.core.ask.worker_messages import WorkerReport
from credproxy.core.counted import counted
from credproxy.core.unit_names import SERVICE
from credproxy.doctor.finding import Finding, Topic


_MEGABYTE = 1_000_000

topic = Topic("worker")


def check(report: WorkerReport, *, log: str) -> Iterator[Finding]:
    """Judge the worker.

    Args:
        report: as the daemon describes it; of this installation where none runs.
        log: quoted path of the log of a daemon that is not a service.
    """
    if report.restarts:
        yield topic.note(
            f"the process of the clouds' libraries died or hung, and was started again: {counted(report.restarts, 'time')}",
            f"see when and why: grep 'worker ' {log}; of a service: journalctl --user --unit={SERVICE} --grep='worker '",
        )
    if report.pid is not None:
        memory = f", {report.memory_bytes // _MEGABYTE} MB" if report.memory_bytes else ""
        yield topic.ok(
            f"the process of the clouds' libraries runs, pid {report.pid}: {counted(report.calls, 'call')}{memory}"
        )
    else:
        yield topic.ok(
            "the process of the clouds' libraries is not started; the first question for one of them starts it"
        )
    if report.installed:
        yield topic.ok(f"libraries that it can import: {', '.join(report.installed)}")
    if report.missing:
        yield topic.note(
            f"libraries that are not installed, so that logins of these clouds are not used: {', '.join(report.missing)}",
            report.install,
        )
