"""Whether there is room for what is written."""

from credproxy.doctor.machine import Obstacle
from credproxy.doctor.room import check
from tests.doctor.machines import FakeMachine, told


RUN = "/h/.local/state/credproxy/run"
FULL = Obstacle("/h", "is on a file system that is full", "df /h")
OTHERS = {
    "the log": "/h/.local/state/credproxy",
    "logins": "/h/.local/state/credproxy",
    "the configuration": "/h/.config",
}


def test_with_room_for_everything_nothing_is_said() -> None:
    """The usual case."""
    assert told(check(FakeMachine(), sockets=RUN, running=False, others=OTHERS)) == []


def test_a_full_disk_is_one_line_for_all_that_it_holds_up() -> None:
    """And the daemon's socket comes first: without it nothing works."""
    machine = FakeMachine(obstacles=dict.fromkeys([RUN, *OTHERS.values()], FULL))
    problem = "'/h' is on a file system that is full"
    assert told(check(machine, sockets=RUN, running=False, others=OTHERS)) == [
        ("error", f"no daemon can start, because its socket cannot be made: {problem}", "df /h"),
        ("error", f"the log, logins, the configuration cannot be written: {problem}", "df /h"),
    ]


def test_a_daemon_that_runs_has_its_socket() -> None:
    """The log and the logins still need the disk."""
    machine = FakeMachine(obstacles={RUN: FULL, "/h/.config": FULL})
    (found,) = told(check(machine, sockets=RUN, running=True, others=OTHERS))
    assert found[1].startswith("the configuration cannot be written: ")
