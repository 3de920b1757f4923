"""What the service manager and its ``status`` command are told of the daemon's state (P3, P4, P5)."""

from credproxy.adapters.sd_notify import Notifier
from credproxy.ports import Clock


class Announcer:
    """Keeps one sentence for each topic, and shows them all, in the order in which the topics came up.

    Args:
        notifier: the way to the service manager.
    """

    def __init__(self, notifier: Notifier) -> None:
        self._notifier = notifier
        self._said: dict[str, str] = {}

    def say(self, topic: str, sentence: str) -> None:
        """Show a sentence in place of the topic's last one; an empty one ends it."""
        self._said[topic] = sentence
        self._notifier.status("; ".join(filter(None, self._said.values())))

    def ready(self) -> None:
        """It serves, whatever the configuration is worth: leaving would be a crash loop (P3)."""
        self._notifier.ready()

    def reloading(self) -> None:
        """Between this and ``ready`` a reload is under way."""
        self._notifier.reloading()

    def stopping(self) -> None:
        """Only what was begun is finished."""
        self._notifier.stopping()

    async def beat(self, clock: Clock) -> None:
        """Tell the watchdog that the event loop turns, for as long as it does; returns where nobody waits for it (P7)."""
        while self._notifier.watchdog is not None:
            self._notifier.alive()
            await clock.sleep(self._notifier.watchdog)
