"""A registry with Bearer token authentication, and files behind an API key; small enough to read, honest enough to learn from.

It shares no parser with credproxy: a registry with the same mistakes would prove nothing.
"""

import base64
import hashlib
import hmac
import json
import secrets
from collections import Counter
from dataclasses import dataclass, field
from http import HTTPStatus

from aiohttp import web


SERVICE = "demo-registry"
KEY_HEADER = "X-Api-Key"
"""The header that its files want."""


@dataclass
class DemoRegistry:
    """One user, one repository, blobs by digest, files by name; counts what it is asked.

    Attributes:
        api_key: opens the files, whatever their name.
        origin: ``http://host:port`` under which it answers; set once it listens.
        seen: how often each kind of request arrived: ``ping``, ``exchange``, ``blob``, ``refused``.
    """

    user: str
    password: str
    repository: str
    api_key: str
    token_life: int = 300
    origin: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    seen: Counter[str] = field(default_factory=Counter)

    def add_blob(self, content: bytes) -> str:
        """Store a blob; gives its digest, ``sha256:…``."""
        digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
        self.blobs[digest] = content
        return digest

    def app(self) -> web.Application:
        """The registry as an aiohttp application."""
        app = web.Application()
        app.add_routes(
            [
                web.get("/v2/", self._ping),
                web.get("/token", self._token),
                web.get("/v2/{name:.+}/blobs/{digest}", self._blob),
                web.get("/files/{name}", self._file),
            ]
        )
        return app

    def _challenge(self, scope: str = "") -> web.Response:
        parameters = f'realm="{self.origin}/token",service="{SERVICE}"'
        if scope:
            parameters += f',scope="{scope}"'
        body = json.dumps({"errors": [{"code": "UNAUTHORIZED", "message": "authentication required"}]})
        return web.Response(
            status=HTTPStatus.UNAUTHORIZED,
            body=body,
            headers={"WWW-Authenticate": f"Bearer {parameters}", "Content-Type": "application/json"},
        )

    async def _ping(self, request: web.Request) -> web.Response:
        self.seen["ping"] += 1
        return self._challenge() if self._scope_of(request) is None else web.json_response({})

    async def _token(self, request: web.Request) -> web.Response:
        self.seen["exchange"] += 1
        expected = "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()
        if not hmac.compare_digest(request.headers.get("Authorization", "").encode(), expected.encode()):
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=HTTPStatus.UNAUTHORIZED)
        token = secrets.token_urlsafe(24)
        self.tokens[token] = request.query.get("scope", "")
        return web.json_response({"token": token, "expires_in": self.token_life})

    async def _blob(self, request: web.Request) -> web.Response:
        wanted = f"repository:{request.match_info['name']}:pull"
        if self._scope_of(request) != wanted:
            self.seen["refused"] += 1
            return self._challenge(wanted)
        self.seen["blob"] += 1
        content = self.blobs.get(request.match_info["digest"])
        if content is None:
            return web.json_response({"errors": [{"code": "BLOB_UNKNOWN"}]}, status=HTTPStatus.NOT_FOUND)
        return web.Response(body=content, content_type="application/octet-stream")

    async def _file(self, request: web.Request) -> web.Response:
        if not hmac.compare_digest(request.headers.get(KEY_HEADER, "").encode(), self.api_key.encode()):
            return web.Response(status=HTTPStatus.FORBIDDEN)
        content = self.files.get(request.match_info["name"])
        if content is None:
            return web.Response(status=HTTPStatus.NOT_FOUND)
        return web.Response(body=content, content_type="application/octet-stream")

    def _scope_of(self, request: web.Request) -> str | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        return self.tokens.get(token) if scheme == "Bearer" else None
