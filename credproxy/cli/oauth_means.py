"""What a login at an identity provider is held with."""

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from credproxy.cli.try_login import from_now
from credproxy.core.ask.http import Request, Response
from credproxy.ports import Clock, HttpClient, converse
from credproxy.providers.oauth2 import LoginMeans


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OauthMeans:
    """The server, the client and the world.

    Attributes:
        host: what is logged in to, for commands that are named.
        begin: gives server and client.
        clock: waits.
        http: sends.
    """

    host: str
    begin: Callable[[], Awaitable[LoginMeans]]
    clock: Clock
    http: HttpClient

    async def again(self, before: LoginMeans) -> LoginMeans:
        """The same for another request: what a client has signed is taken once."""
        return await self.begin() if before.client.once else before

    async def converse(self, conversation: Generator[Request, Response, T]) -> T:
        """Hold one from now on."""
        return await converse(conversation, self.http, terms=from_now(self.clock))
