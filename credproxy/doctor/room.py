"""Checks that there is room for what is written: sockets, the log, logins, the configuration."""

from collections.abc import Iterator, Mapping

from credproxy.doctor.finding import Finding, Topic
from credproxy.doctor.machine import Machine, Obstacle


topic = Topic("disk")


def check(machine: Machine, *, sockets: str, running: bool, others: Mapping[str, str]) -> Iterator[Finding]:
    """Check the folders in which files are made.

    Args:
        machine: tells what is in the way.
        sockets: the folder of the helper socket: without it no daemon starts.
        running: whether a daemon serves it already.
        others: what else is written, and the folder of each.
    """
    found = None if running else machine.obstacle(sockets)
    if found is not None:
        yield topic.error(
            f"no daemon can start, because its socket cannot be made: {found.folder!r} {found.problem}", found.remedy
        )
    blocked: dict[Obstacle, list[str]] = {}
    for name, folder in others.items():
        if (one := machine.obstacle(folder)) is not None:
            blocked.setdefault(one, []).append(name)
    for one, names in blocked.items():
        yield topic.error(f"{', '.join(names)} cannot be written: {one.folder!r} {one.problem}", one.remedy)
