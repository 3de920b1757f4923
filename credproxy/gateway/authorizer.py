"""Who decides: what a request to a registry may be sent with, and where to.

The gateway asks, and does not care who answers: the daemon's own broker and policy, or they from another process.
"""

from dataclasses import dataclass, field
from typing import Protocol

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Reach
from credproxy.gateway.incoming import Incoming
from credproxy.gateway.wanted import Wanted


@dataclass(frozen=True, slots=True)
class Passage:
    """What one request is sent with, and where to.

    Attributes:
        reach: the registry.
        headers: the credential, for the registry alone; empty where it asks for none.
        ticket: by which its issuer recognises it; opaque to all others.
    """

    reach: Reach
    headers: tuple[tuple[str, Secret], ...] = field(default=(), repr=False)
    ticket: object = field(default=None, compare=False, repr=False)


class Authorizer(Protocol):
    """Policy and credentials."""

    async def permit(self, want: Wanted, incoming: Incoming) -> None:
        """Let what is answered without the registry be answered. Raises Failed: policy_denied, and those of ``Policy.permit``."""
        ...

    async def credential(self, want: Wanted, incoming: Incoming, *, patience: float) -> Passage:
        """Give what a request is sent with, if policy lets it be sent.

        Args:
            want: what is asked.
            incoming: by whom.
            patience: seconds that the caller waits.

        Raises:
            Failed: policy_denied; no credential where there should be one.
        """
        ...

    async def refused(self, passage: Passage, patience: float, *, forbidden: bool) -> Passage | None:
        """Drop what a registry did not take; give another one, or None where there is none to try.

        Args:
            passage: that was sent.
            patience: seconds that the caller waits.
            forbidden: the registry knew the login and said 403.

        Raises:
            Failed: another one should be had, and is not.
        """
        ...
