"""A token server in memory, and a client that logs in there."""

import json
from dataclasses import dataclass, field

from credproxy.cli.oauth_means import OauthMeans
from credproxy.core.ask.http import Dial, Response
from credproxy.exchange.oauth_client import OauthClient
from credproxy.exchange.oauth_server import OauthServer
from credproxy.exchange.oauth_token import OauthLimits
from credproxy.providers.oauth2 import LoginMeans
from tests.fakes import FakeClock, FakeHttp


DEVICE, TOKEN, PAGE = "https://id.test/device", "https://id.test/token", "https://id.test/auth"
ISSUED = {"access_token": "canary-access", "refresh_token": "canary-refresh", "expires_in": 300}


@dataclass
class OauthWorld:
    """Its endpoints, and what they answer."""

    clock: FakeClock = field(default_factory=FakeClock)
    client: OauthClient = field(default_factory=lambda: OauthClient("bazel"))
    begins: int = 0

    def __post_init__(self) -> None:
        self.http = FakeHttp(clock=self.clock)

    def answer(self, body: object, status: int = 200) -> Response:
        """One that is made now."""
        return Response(status, (), json.dumps(body).encode(), self.clock.boot(), self.clock.wall())

    async def begin(self) -> LoginMeans:
        """As the provider does."""
        self.begins += 1
        server = OauthServer(Dial(rule="cache.test", kind="oauth2"), "", TOKEN, DEVICE, PAGE)
        return LoginMeans(server, self.client, OauthLimits(("read", "offline_access")))

    def means(self, clock: FakeClock | None = None) -> OauthMeans:
        """For a login at ``cache.test``."""
        return OauthMeans("cache.test", self.begin, clock or self.clock, self.http)
