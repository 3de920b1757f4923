"""Token servers as found in practice: each a function from request to response, with its source.

Source: docs/design/exchanges.md#registries. Every answer carries the clock's time, as the real client's does.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl, urlsplit

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Request, Response
from tests.fakes import FakeClock


@dataclass(frozen=True)
class Registries:
    """Registries that share a clock."""

    clock: FakeClock

    def answer(self, status: int, body: object = b"", *lines: tuple[str, str]) -> Response:
        """Make a response."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return Response(status, lines, content, self.clock.boot(), self.clock.wall(), "127.0.0.2")

    def challenge(self, line: str) -> Response:
        """Make a 401."""
        return self.answer(401, b"", ("WWW-Authenticate", line))

    def nvcr(self, request: Request) -> Response:
        """Name a realm that refuses anonymous requests to an expired token. Source: nvidia-container-toolkit#1945."""
        if path(request) == "/v2/":
            if authorization(request):
                line = 'Bearer realm="https://authn.nvidia.com/token",service="registry",error="invalid_token"'
                return self.challenge(line)
            return self.challenge('Bearer realm="https://nvcr.io/proxy_auth",scope="repository:nvidia/cuda:pull"')
        if path(request) == "/proxy_auth" and "service" not in dict(query(request)):
            return self.answer(200, {"token": "A", "expires_in": 600}, ("Content-Type", "text/plain"))
        return self.answer(401)

    def docker_auth(self, request: Request) -> Response:
        """Grant nothing with a 200, and name no lifetime. Source: cesanta/docker_auth, measured."""
        if path(request) == "/v2/":
            return self.challenge('Bearer realm="https://reg.test:5001/auth",service="s"')
        return self.answer(200, {"token": "t", "access_token": "t"})

    def olareg(self, request: Request) -> Response:
        """Count in nanoseconds, name the service with a space, refuse with 403. Source: olareg, measured."""
        if path(request) == "/v2/":
            return self.challenge(
                'Bearer realm="https://reg.test/token",service="olareg registry",scope="registry::pull"'
            )
        if request.method == "POST":
            return self.answer(405)
        if authorization(request) != "Basic dTpw":  # u:p
            return self.answer(403)
        assert dict(query(request))["service"] == "olareg registry"
        issued = "2026-01-01T00:00:00.123456789Z"
        return self.answer(200, {"token": "t", "expires_in": 300_000_000_000, "issued_at": issued})

    def keycloak(self, request: Request) -> Response:
        """Refuse anonymous requests with a 400 and a page. Source: Keycloak 26.4, measured."""
        if path(request) == "/v2/":
            return self.challenge('Bearer realm="https://reg.test/realms/r/protocol/docker-v2/auth",service="reg"')
        if request.method == "POST":
            return self.answer(405)
        if not authorization(request):
            return self.answer(400, b"<html>SECRET page</html>")
        return self.answer(200, {"token": "t", "expires_in": 300})

    def gitlab(self, request: Request) -> Response:
        """Have the realm on another host, refuse POST, name no lifetime. Source: gitlabhq routes.rb."""
        if path(request) == "/v2/":
            return self.challenge('Bearer realm="https://gitlab.com/jwt/auth",service="container_registry"')
        assert urlsplit(request.url).netloc == "gitlab.com"
        return self.answer(404) if request.method == "POST" else self.answer(200, {"token": "t"})

    def artifactory(self, request: Request) -> Response:
        """Hide the login behind an open ping, write the default port, refuse POST with 401. Source: containerd#6339."""
        if path(request) == "/v2/":
            return self.answer(200, {})
        if path(request).endswith("/tags/list"):
            return self.challenge('Bearer realm="https://reg.test:443/artifactory/v2/token",service="reg.test"')
        return self.answer(401) if request.method == "POST" else self.answer(200, {"token": "t", "expires_in": 3600})

    def ghcr(self, request: Request) -> Response:
        """Answer 403 to a bad login. Source: bsky-feeds#155."""
        if path(request) == "/v2/":
            return self.challenge(
                'Bearer realm="https://reg.test/token",service="reg.test",scope="repository:u/i:pull"'
            )
        return (
            self.answer(403, {"errors": [{"code": "DENIED"}]})
            if authorization(request)
            else self.answer(200, {"token": "t"})
        )

    def acr(self, request: Request) -> Response:
        """Name the token ``access_token`` and no lifetime. Source: Azure/acr docs/AAD-OAuth.md."""
        if path(request) == "/v2/":
            return self.challenge('Bearer realm="https://reg.test/oauth2/token",service="reg.test"')
        return self.answer(200, {"access_token": "t"})

    def zot(self, request: Request) -> Response:
        """Send an empty scope. Source: zot 2, measured."""
        if path(request) == "/v2/":
            return self.challenge('Bearer realm="https://reg.test/token",service="reg.test",scope=""')
        assert [value for name, value in query(request) if name == "scope"] == ["repository:a/b:pull"]
        return self.answer(200, {"token": "t", "expires_in": 300})


Registry = Callable[[Request], Response]


def path(request: Request) -> str:
    """Give a request's path."""
    return urlsplit(request.url).path


def query(request: Request) -> list[tuple[str, str]]:
    """Give a request's query."""
    return parse_qsl(urlsplit(request.url).query)


def authorization(request: Request) -> str:
    """Give a request's Authorization, or ""."""
    for name, value in request.headers:
        if name.lower() == "authorization":
            return value.reveal() if isinstance(value, Secret) else value
    return ""
