"""The limits of a flight."""

from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Protocol


class Terms(Protocol):
    """The limits of one flight, for the code that runs inside it (TX-27, docs/design/faults.md#deadlines)."""

    @property
    def deadline(self) -> float:
        """Boot-clock second at which the flight itself is given up."""
        ...

    @property
    def patience(self) -> float:
        """Boot-clock second at which the oldest waiter stops waiting: a longer pause is pointless."""
        ...

    @property
    def anew(self) -> bool:
        """Whether the last grant was refused upstream, or may have been: then the login is looked up again."""
        ...

    @property
    def for_actions(self) -> bool:
        """Whether build actions caused it: then their slots, pauses and breakers apply (T16)."""
        ...


@dataclass(frozen=True, slots=True)
class OwnTerms:
    """The limits of an exchange outside of any flight, such as one that a command holds. Source: Terms.

    Attributes:
        until: boot-clock second at which it is given up.
    """

    until: float
    anew: bool = field(default=False, init=False)
    for_actions: bool = field(default=False, init=False)

    @property
    def deadline(self) -> float:
        """There is no earlier one."""
        return self.until

    @property
    def patience(self) -> float:
        """Nobody stops waiting before."""
        return self.until


under_way: ContextVar[Terms | None] = ContextVar("under_way", default=None)
"""The limits of the flight under way: for what is reached without ``Terms``, as the programs and the issuers are that a
source asks without knowing the caller (T16)."""
