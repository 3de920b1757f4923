"""Access tokens of Microsoft Entra ID, each for the API of the host that it is sent to."""

from credproxy.core.ask.credential import Identity
from credproxy.core.ask.login import Login
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Target
from credproxy.core.errors import Failure
from credproxy.core.kinds.sources.azure import AzureSource
from credproxy.sources.azure_token import AzureTokens, found_of


class Azure:
    """One Azure login. Source: ports.source.Source.

    Args:
        settings: whose API its tokens are for.
        tokens: of the login.
    """

    def __init__(self, settings: AzureSource, tokens: AzureTokens) -> None:
        self._settings = settings
        self._tokens = tokens

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the login and the API; None if there is no login, or the library is missing."""
        del repository
        found = await self._tokens.locate()
        if found is None:
            return None
        return Identity("azure", f"{found.name} for {self._settings.scope_for(target)}", (found,))

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give a token. Raises Failed as ``AzureTokens.token``."""
        return await self._tokens.token(found_of(identity), self._settings.scope_for(target), anew=anew)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the token that there is."""
        return self._tokens.known(found_of(identity), self._settings.scope_for(target))

    def trouble(self, target: Target) -> Failure | None:
        """Why there is none, although there is a login."""
        del target
        return self._tokens.trouble()

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say where there is no login."""
        del target
        return self._tokens.looked()

    def forget(self) -> None:
        """The next question looks and asks again."""
        self._tokens.forget()
