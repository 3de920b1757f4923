"""A refresh token that is not stored yet: it is used once, as the daemon will do it, and what replaced it is stored."""

import contextlib
from collections.abc import AsyncIterator

from credproxy.core.ask.credential import Identity, IdentityToken, Secret
from credproxy.core.ask.login import Login, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Target
from credproxy.core.errors import Failure
from credproxy.ports.clock import Clock
from credproxy.ports.source import Turn


class HeldLogin:
    """Holds one. Source: ports.source.Source, ports.source.Rewritable, ports.source.Turn.

    Args:
        clock: for its age.
        secret: the token; None for none yet.

    Attributes:
        secret: as it is now.
        doubtful: never.
    """

    doubtful = False

    def __init__(self, clock: Clock, secret: Secret | None) -> None:
        self._clock = clock
        self.secret = secret

    @property
    def login(self) -> Login | None:
        """The login as it is now: the token that the server gave last."""
        now = self._clock.boot()
        if self.secret is None:
            return None
        return login_of(IdentityToken(self.secret), since=now, boot=now, wall=self._clock.wall())

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name it."""
        del target, repository
        return Identity("login", "this one")

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give it."""
        del identity, target, anew
        return self.login

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give it."""
        return await self.read(identity, target)

    @contextlib.asynccontextmanager
    async def turn(self, identity: Identity, target: Target, *, until: float) -> AsyncIterator[Turn]:
        """Give it: no other process has it."""
        del identity, target, until
        yield self

    async def sent(self) -> None:
        """Nothing has to be noted for another process."""

    async def settled(self) -> None:
        """Nothing has to be noted."""

    async def store(self, secret: Secret) -> None:
        """Hold another one."""
        self.secret = secret

    def trouble(self, target: Target) -> Failure | None:
        """None."""
        del target
        return None

    def looked(self, target: Target) -> tuple[str, ...]:
        """It is not looked for anywhere."""
        del target
        return ()

    def forget(self) -> None:
        """Nothing is remembered."""
