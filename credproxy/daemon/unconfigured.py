"""What answers while there is no configuration that could be used."""

from credproxy.core.ask.credential import Stored
from credproxy.core.ask.endpoint import Endpoint
from credproxy.core.ask.names import Authority
from credproxy.core.ask.target import Granted, Question, Target
from credproxy.core.errors import Failed, Failure
from credproxy.ports.provider import Plan


class Unconfigured:
    """Answers every question with what is wrong with the configuration (P3): exiting would cause a crash loop.

    Source: ports.provider.Provider, ports.provider.HasLogin, ports.permissions.Permissions.

    Args:
        failure: says what is wrong; each method raises it.
    """

    def __init__(self, failure: Failure) -> None:
        self._failure = failure

    async def plan(self, question: Question) -> Plan | None:
        """Raise."""
        del question
        raise Failed(self._failure)

    async def check(self, plan: Plan, target: Target) -> None:
        """It has no plan."""
        del plan, target

    async def stored(self, target: Target) -> Stored | None:
        """Raise."""
        del target
        raise Failed(self._failure)

    def grants(self, target: Target) -> tuple[Granted, ...]:
        """Raise."""
        del target
        raise Failed(self._failure)

    def permit(self, registry: Authority, method: str, *, path: str, endpoint: Endpoint) -> None:
        """Raise."""
        del registry, method, path, endpoint
        raise Failed(self._failure)

    def permit_object(self, target: Target, method: str) -> None:
        """Raise."""
        del target, method
        raise Failed(self._failure)

    def reasons(self, question: Question) -> tuple[str, ...]:
        """It is raised."""
        del question
        return ()
