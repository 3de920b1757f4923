"""The source that never has a login: requests are made anonymously."""

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import Login
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Target


class Nowhere:
    """Knows no host. Source: ports.source.Source.

    Args:
        why: what the user is told; "" for nothing.
    """

    def __init__(self, why: str) -> None:
        self._why = why

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Nothing is stored."""
        del target, repository
        return None

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Nothing is stored."""
        del identity, target, anew
        return None

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Nothing is stored."""
        del identity, target
        return None

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say why there is no login, if that was configured."""
        del target
        return (self._why,) if self._why else ()
