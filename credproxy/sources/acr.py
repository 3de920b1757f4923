"""Logins for Azure container registries: a refresh token that the registry gives for an access token of Microsoft Entra ID."""

from collections.abc import Hashable

from cachetools import LRUCache

from credproxy.core.ask.azure_hosts import REGISTRY_SCOPE, is_azure_registry
from credproxy.core.ask.credential import Identity, IdentityToken, secret_of
from credproxy.core.ask.login import Login, login_of
from credproxy.core.ask.names import Authority, RepositoryName
from credproxy.core.ask.target import Target
from credproxy.core.errors import Failure
from credproxy.exchange.acr_exchange import acr_refresh_token
from credproxy.ports.clock import Clock
from credproxy.ports.http_client import HttpClient
from credproxy.sources.azure_token import AzureFound, AzureTokens, found_of
from credproxy.sources.program_answers import FAILURE_KEEP, Printed, ProgramAnswer
from credproxy.sources.source_exchange import hold


USER = "00000000-0000-0000-0000-000000000000"
"""The name beside a token where a login needs one."""

_KEEP = 3600.0
"""Seconds for which a refresh token is used that does not say when it ends; they last three hours."""

_MOST = 64
"""Registries whose tokens are remembered."""


class Acr:
    """One Azure login, at each of Azure's registries. Source: ports.source.Source.

    Args:
        tokens: of the login.
        http: asks registries.
    """

    def __init__(self, tokens: AzureTokens, *, http: HttpClient, clock: Clock) -> None:
        self._tokens = tokens
        self._http = http
        self._clock = clock
        self._answers: LRUCache[tuple[Authority, Hashable], ProgramAnswer] = LRUCache(_MOST)

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the login and the registry; None for a host that is not Azure's, which would get the login's token."""
        del repository
        found = await self._tokens.locate() if _is_ours(target) else None
        return None if found is None else Identity("acr", f"{found.name} for {target.authority}", (found,))

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give a refresh token. Raises Failed as ``AzureTokens.token`` and ``exchange.acr_exchange``."""
        found = found_of(identity)
        answer = self._answer(found, target.authority)
        return await answer.login(lambda: self._ask(found, target.authority, anew=anew), anew=anew, stamp=found.stamp)

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the one that there is."""
        return self._answer(found_of(identity), target.authority).known

    def trouble(self, target: Target) -> Failure | None:
        """Why there is none, although there is a login."""
        return self._tokens.trouble() if _is_ours(target) else None

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say where there is no login."""
        if not _is_ours(target):
            return (f"{target.authority!r} is not a container registry of Azure's",)
        return self._tokens.looked()

    def forget(self) -> None:
        """The next question looks and asks again."""
        self._tokens.forget()
        for answer in self._answers.values():
            answer.forget()

    def _answer(self, found: AzureFound, registry: Authority) -> ProgramAnswer:
        key = (registry, found.ways)
        answer = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = ProgramAnswer(
                keep=_KEEP, key=b"", clock=self._clock, failure_keep=FAILURE_KEEP
            )
        return answer

    async def _ask(self, found: AzureFound, registry: Authority, *, anew: bool) -> Printed:
        since = self._clock.boot()
        login = await self._tokens.token(found, REGISTRY_SCOPE, anew=anew)
        exchange = acr_refresh_token(registry, secret_of(login.stored), tenant=self._tokens.tenant)
        stored = IdentityToken(await hold(exchange, self._http, clock=self._clock), username=USER)
        boot, wall = self._clock.boot(), self._clock.wall()
        return b"", login_of(stored, since=since, boot=boot, wall=wall, keep=_KEEP)


def _is_ours(target: Target) -> bool:
    return target.scheme == "https" and target.port is None and is_azure_registry(target)
