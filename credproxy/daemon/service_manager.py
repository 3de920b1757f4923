"""What the service manager and its ``status`` command are told about the daemon's state (P3, P4, P5)."""

from credproxy.adapters.sd_notify import Notifier
from credproxy.ports.clock import Clock
from credproxy.server.helper_api import ReportedState


class Announcer:
    """Keeps one sentence per topic, and shows them all, in the order in which the topics came up.

    Args:
        notifier: the connection to the service manager.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._said: dict[str, str] = {}
        self._wrong: set[str] = set()

    def say(self, topic: str, sentence: str, *, wrong: bool = False) -> None:
        """Replace the topic's sentence; an empty one removes it. ``wrong``: somebody has to act."""
        self._said[topic] = sentence
        (self._wrong.add if wrong and sentence else self._wrong.discard)(topic)
        self._notifier.status(self._line)

    def state(self) -> ReportedState:
        """What the service manager shows, for those who ask the daemon itself."""
        return ReportedState(self._line, not self._wrong)

    @property
    def _line(self) -> str:
        return "; ".join(filter(None, self._said.values()))

    def ready(self) -> None:
        """It serves, even with a broken configuration: exiting would cause a crash loop (P3)."""
        self._notifier.ready()

    def reloading(self) -> None:
        """Between this and ``ready`` a reload is under way."""
        self._notifier.reloading()

    def stopping(self) -> None:
        """Only what has begun is finished."""
        self._notifier.stopping()

    async def beat(self, clock: Clock) -> None:
        """Tell the watchdog that the event loop is running, for as long as it is; returns if there is no watchdog (P7)."""
        while self._notifier.watchdog is not None:
            self._notifier.alive()
            await clock.sleep(self._notifier.watchdog)
