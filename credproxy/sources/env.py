"""A secret in the daemon's own environment."""

from collections.abc import Mapping

from credproxy.core.credential import Identity, Stored
from credproxy.core.settings import EnvSource
from credproxy.core.stored import from_text, unreadable
from credproxy.core.target import Target


class Env:
    """One variable, as it was when the daemon started. Source: ports.Source."""

    def __init__(self, settings: EnvSource, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self._identity = Identity("env", settings.name)

    async def locate(self, target: Target, repository: str | None) -> Identity | None:
        """Always this variable: a rule named it."""
        del target, repository
        return self._identity

    async def read(self, identity: Identity, target: Target) -> Stored | None:
        """Give its value. Raises Failed(credential_unreadable) where it is not set or cannot be used."""
        del identity, target
        name = self._settings.name
        text = self._environ.get(name)
        if text is None:
            raise unreadable(
                f"the variable {name!r}",
                "is not set in the daemon's environment",
                f"stop the daemon, export {name}, and start it again",
            )
        return from_text(text, self._settings.username, f"the variable {name!r}")

    def forget(self) -> None:
        """Nothing is remembered: an environment does not change."""
