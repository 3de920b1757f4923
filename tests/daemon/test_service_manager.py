"""What is sent to the service manager."""

import asyncio
from dataclasses import dataclass, field

from credproxy.adapters.sd_notify import Notifier
from credproxy.daemon.service_manager import Announcer
from credproxy.server.helper_api import ReportedState
from tests.fakes import FakeClock


@dataclass
class Told(Notifier):
    """Keeps what was said."""

    every: float | None = None
    said: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__({})
        self.watchdog = self.every

    def _send(self, *lines: str) -> None:
        self.said += lines


def test_the_status_has_a_sentence_for_each_topic() -> None:
    """A fixed problem disappears, what is in force stays."""
    told = Told()
    announcer = Announcer(told)
    announcer.say("configuration", "2 rules")
    announcer.say("helper socket", "lost")
    announcer.say("configuration", "3 rules")
    announcer.say("helper socket", "")
    assert told.said == ["STATUS=2 rules", "STATUS=2 rules; lost", "STATUS=3 rules; lost", "STATUS=3 rules"]


def test_the_daemon_is_well_again_when_the_last_of_what_is_wrong_is_gone() -> None:
    """Each topic for itself: a socket that is found again does not fix a configuration."""
    announcer = Announcer(Told())
    announcer.say("configuration", "2 rules")
    assert announcer.state() == ReportedState("2 rules", well=True)
    announcer.say("configuration", "no valid configuration", wrong=True)
    announcer.say("helper socket", "lost", wrong=True)
    announcer.say("helper socket", "", wrong=True)
    assert announcer.state() == ReportedState("no valid configuration", well=False)
    announcer.say("configuration", "3 rules")
    assert announcer.state() == ReportedState("3 rules", well=True)


async def test_the_watchdog_is_fed_for_as_long_as_the_loop_turns() -> None:
    """P7: at once, and then in its interval."""
    told, clock = Told(every=1.0), FakeClock()
    task = asyncio.ensure_future(Announcer(told).beat(clock))
    await clock.advance(3.5)
    assert told.said == ["WATCHDOG=1"] * 4
    task.cancel()


async def test_without_a_watchdog_nothing_wakes_the_daemon() -> None:
    """There is no timer then."""
    told = Told()
    await Announcer(told).beat(FakeClock())
    assert told.said == []
