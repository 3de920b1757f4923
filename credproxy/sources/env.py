"""A secret in the daemon's own environment."""

from collections.abc import Mapping

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import Login, login_of
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.stored import from_text, unreadable
from credproxy.core.ask.target import Target
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.ports.clock import Clock


class Env:
    """One variable, as it was when the daemon started. Source: ports.source.Source.

    Args:
        settings: name the variable.
        environ: the daemon's environment.
        clock: for its login.
        optional: other sources are asked after it: an unset or empty variable is then "not mine".
    """

    def __init__(
        self, settings: EnvSource, environ: Mapping[str, str], *, clock: Clock, optional: bool = False
    ) -> None:
        self._settings = settings
        self._environ = environ
        self._clock = clock
        self._optional = optional
        self._identity = Identity("env", settings.name)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the variable."""
        del target, repository
        return None if self._absent else self._identity

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give its value. Raises Failed(credential_unreadable) if it is not set or cannot be used."""
        del identity, target, anew
        name, now = self._settings.name, self._clock.boot()
        where, hint = f"the variable {name!r}", f"stop the daemon, export {name}, and start it again"
        text = self._environ.get(name)
        if text is None:
            raise unreadable(where, "is not set in the daemon's environment", hint=hint)
        stored = from_text(text, self._settings.username, where=where, hint=hint)
        return login_of(stored, since=now, boot=now, wall=self._clock.wall())

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give its value, as ``read``."""
        return await self.read(identity, target)

    def looked(self, target: Target) -> tuple[str, ...]:
        """If it is optional: that it is not set."""
        del target
        return (f"the variable {self._settings.name!r} is not set",) if self._absent else ()

    @property
    def _absent(self) -> bool:
        return self._optional and not self._environ.get(self._settings.name)
