"""What a login at an identity provider needs: the server, the client, a clock and an HTTP client."""

from collections.abc import Awaitable, Callable, Generator
from dataclasses import dataclass
from typing import TypeVar

from credproxy.cli.try_login import PATIENCE, from_now
from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, failed
from credproxy.ports.clock import Clock
from credproxy.ports.http_client import HttpClient, converse
from credproxy.providers.oauth2 import LoginMeans


T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class OauthMeans:
    """The server, the client and the means to reach it. Values for one login; see the module.

    Attributes:
        host: what is logged in to, for commands that are named.
        had: gives server and client.
        clock: waits.
        http: sends.
        redirect_uri: where a browser comes back to; any port where it names none.
    """

    host: str
    had: Callable[[], Awaitable[LoginMeans]]
    clock: Clock
    http: HttpClient
    redirect_uri: str = "http://127.0.0.1/"

    async def begin(self) -> LoginMeans:
        """Give server and client. Raises Failed: as ``OauthProvider.begin``; upstream_unavailable."""
        return await in_time(self.clock, self.had())

    async def again(self, before: LoginMeans) -> LoginMeans:
        """Server and client for another request: what the client has signed is accepted only once."""
        return await self.begin() if before.client.once else before

    async def converse(self, conversation: Generator[Request, Response, T]) -> T:
        """Hold an exchange within a time limit that begins now. Raises Failed as the exchange; upstream_unavailable."""
        return await in_time(self.clock, converse(conversation, self.http, terms=from_now(self.clock)))


async def in_time(clock: Clock, work: Awaitable[T]) -> T:
    """Wait for an exchange. Raises Failed(upstream_unavailable): it takes longer than a person waits, such as a slow body."""
    try:
        async with clock.timeout(PATIENCE):
            return await work
    except TimeoutError:
        message = f"the identity provider has not answered in full for {PATIENCE:g} s"
        raise failed(Code.UPSTREAM_UNAVAILABLE, message, hint="check the network, then try again") from None
