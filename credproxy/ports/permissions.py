"""What build actions may have."""

from typing import Protocol

from credproxy.core.ask.endpoint import Endpoint
from credproxy.core.ask.names import Authority
from credproxy.core.ask.target import Granted, Target


class Permissions(Protocol):
    """What build actions may have: the policy in force, or why there is none."""

    def grants(self, target: Target) -> tuple[Granted, ...]:
        """What a token may be given for. Raises Failed(policy_denied)."""
        ...

    def permit(self, registry: Authority, method: str, *, path: str, endpoint: Endpoint) -> None:
        """Permit a request of the gateway's. Raises Failed(policy_denied)."""
        ...

    def permit_object(self, target: Target, method: str) -> None:
        """Permit a request for an object. Raises Failed(policy_denied)."""
        ...
