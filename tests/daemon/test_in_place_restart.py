"""When a daemon checks for another installed version, and what it trusts."""

import asyncio

import pytest

from credproxy import __version__
from credproxy.core.errors import Code, failed
from credproxy.daemon.in_place_restart import Departure, Succession
from credproxy.ports.processes import Command, Completed
from tests.fakes import FakeClock, FakeProcesses, settle


PROGRAM = ("/opt/bin/credproxy",)


class Installation:
    """A program on disk that prints a version, and a daemon that checks it."""

    def __init__(self, said: str, *, status: int = 0, passed_on: bool = False) -> None:
        self.said, self.status = said, status
        self.processes = FakeProcesses({PROGRAM[0]: self._tell})
        self.clock = FakeClock()
        self.begun = 0
        self.succession = Succession(
            PROGRAM, processes=self.processes, clock=self.clock, begin=self._begin, passed_on=passed_on
        )

    def _tell(self, command: Command) -> Completed:
        assert command.argv == (*PROGRAM, "--version")
        return Completed(self.status, self.said.encode())

    def _begin(self) -> None:
        self.begun += 1

    async def hear(self, *versions: str) -> None:
        """Let callers of these versions ask, one after the other."""
        watching = asyncio.ensure_future(self.succession.watch())
        for version in versions:
            self.succession.asked_by(version)
            await settle(5)
        watching.cancel()


async def test_the_installed_program_is_looked_at_and_begins_another_daemon() -> None:
    """If its version is different, older or newer."""
    one = Installation("credproxy, version 99.1\n")
    await one.hear("99.1")
    assert (len(one.processes.runs), one.begun) == (1, 1)


async def test_a_caller_of_our_own_version_costs_nothing() -> None:
    """As nearly all callers are."""
    one = Installation("credproxy, version 99.1\n")
    await one.hear(*[__version__] * 50)
    assert (one.processes.runs, one.begun) == ([], 0)


@pytest.mark.parametrize(
    ("said", "status"),
    [
        (f"credproxy, version {__version__}\n", 0),
        ("", 0),
        ("credproxy, version 99.1\n", 1),
        ("Traceback (most recent call last):\n", 1),
        ("another program 99.1\n", 0),
    ],
)
async def test_a_callers_environment_is_not_trusted(said: str, status: int) -> None:
    """Only the program on disk counts, if it is credproxy and works."""
    one = Installation(said, status=status)
    await one.hear("99.1")
    assert (len(one.processes.runs), one.begun) == (1, 0)


async def test_a_thousand_callers_of_odd_versions_cost_one_look_a_minute() -> None:
    """Callers cannot keep the daemon busy."""
    one = Installation(f"credproxy, version {__version__}\n")
    await one.hear(*(f"0.{n}" for n in range(1000)))
    assert len(one.processes.runs) == 1
    await one.clock.advance(59.0)
    await one.hear("0.9")
    assert len(one.processes.runs) == 1
    await one.clock.advance(1.0)
    await one.hear("0.9")
    assert len(one.processes.runs) == 2


async def test_a_successor_does_not_look_for_the_first_minute() -> None:
    """If the program and its daemon disagree about their version, restarts are a minute apart."""
    one = Installation("credproxy, version 99.1\n", passed_on=True)
    await one.hear("99.1")
    assert one.processes.runs == []
    await one.clock.advance(60.0)
    await one.hear("99.1")
    assert one.begun == 1


async def test_a_missing_program_does_not_stop_the_daemon() -> None:
    """It may be just being replaced."""
    one = Installation("")
    one.processes.programs[PROGRAM[0]] = lambda command: failed(Code.HELPER_NOT_RUNNABLE, f"{command.argv[0]!r}: gone")
    await one.hear("99.1")
    assert one.begun == 0


@pytest.mark.parametrize(("downloads", "waits"), [([0], 0), ([2, 1, 0], 2), ([1] * 700, 600)])
async def test_a_hand_over_waits_for_downloads_a_minute_at_most(downloads: list[int], waits: int) -> None:
    """A download that is cut off fails its build action."""
    departure, slept, left = Departure(), list[float](), iter(downloads)

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    departure.hand_over()
    await departure.wait(lambda: next(left), sleep)
    assert (departure.handing, len(slept), round(sum(slept), 6)) == (True, waits, waits * 0.1)


async def test_a_daemon_that_is_ended_while_it_waits_to_hand_over_stays_ended() -> None:
    """SIGTERM takes precedence over everything else."""
    departure = Departure()

    async def sleep(seconds: float) -> None:
        del seconds
        departure.end()

    departure.hand_over()
    await departure.wait(lambda: 1, sleep)
    assert departure.handing is False
    departure.hand_over()
    assert departure.handing is False
