"""The port that decides what a request to a registry may be sent with, and where to.

The gateway does not care who answers: the daemon's own broker and policy, or the same in another process.
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
        headers: the credential, for the registry alone; empty if it asks for none.
        ticket: by which its issuer recognises it; opaque to everything else.
    """

    reach: Reach
    headers: tuple[tuple[str, Secret], ...] = field(default=(), repr=False)
    ticket: object = field(default=None, compare=False, repr=False)


class Authorizer(Protocol):
    """Policy and credentials."""

    async def permit(self, want: Wanted, incoming: Incoming) -> None:
        """Permit a request that is answered without the registry. Raises Failed: policy_denied, and those of ``Policy.permit``."""
        ...

    async def credential(self, want: Wanted, incoming: Incoming, *, patience: float) -> Passage:
        """Give what a request is sent with, if policy permits it.

        Args:
            want: the operation.
            incoming: the client's request.
            patience: seconds that the caller waits.

        Raises:
            Failed: policy_denied; no credential where there should be one.
        """
        ...

    async def refused(self, passage: Passage, patience: float, *, forbidden: bool) -> Passage | None:
        """Drop a credential that a registry refused; give another one, or None if there is none to try.

        Args:
            passage: that the request was sent with.
            patience: seconds that the caller waits.
            forbidden: the registry knew the login and said 403.

        Raises:
            Failed: there should be another one, but there is none.
        """
        ...
