"""What operators are told: counters, and who was handed which credential."""

from typing import Protocol

from credproxy.core.ask.audit import Record
from credproxy.core.ask.credential import Caller


class Metrics(Protocol):
    """What is counted. Label values come from configuration or closed lists, never from a request."""

    def cache(self, outcome: str) -> None:
        """One look-up: ``fresh``, ``advisory``, ``mandatory``, ``miss``, ``negative``, ``none``."""
        ...

    def exchange(self, upstream: str, outcome: str, *, seconds: float) -> None:
        """One flight ended: outcome ``ok``, ``less`` (than was asked for), ``empty`` or an error code."""
        ...

    def program(self, name: str, outcome: str, *, seconds: float) -> None:
        """One program ended: outcome ``ok`` or an error code."""
        ...

    def reload(self, outcome: str) -> None:
        """The configuration was reloaded: ``ok`` or ``refused``."""
        ...

    def waited(self, seconds: float) -> None:
        """A question waited that long for a flight."""
        ...

    def age(self, seconds: float) -> None:
        """Age of the credential that was handed out from memory."""
        ...


class Audit(Protocol):
    """Logs every hand-out (R28): an answer, even one from memory, a stored login, a request with our credential."""

    @property
    def on(self) -> bool:
        """Whether it writes at all: checked first, so that no record is built in vain."""
        ...

    def handed_out(self, record: Record, caller: Caller, *, pid: int | None, program: str) -> None:
        """Log one; ``pid`` and ``program`` are those of the process that connected, None and "" if unknown."""
        ...
