"""A token server in its own thread: what `auth.docker.io` is to Docker Hub, with settings for failures."""

import asyncio
import base64
import binascii
import secrets
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from weakref import WeakSet

from aiohttp import web

from tests.real.pki import Pki
from tests.real.tokens import Account, Signer, granted


ANONYMOUS = Account(password="")
ROTATED = "rotated-identity-token"
"""The beginning of an identity token that replaced another one."""


@dataclass(frozen=True)
class Asked:
    """One request as it arrived: parameters of the query or the form, in order."""

    method: str
    parameters: tuple[tuple[str, str], ...]
    authorization: str | None

    def all(self, name: str) -> list[str]:
        """The values of a parameter, which may be repeated."""
        return [value for key, value in self.parameters if key == name]


class TokenServer:
    """Answers `https://localhost:PORT/token` between start() and stop(), always on the same port.

    The plain attributes may be changed from the test while it runs.
    """

    def __init__(self, pki: Pki, accounts: Mapping[str, Account], *, anonymous: Account = ANONYMOUS) -> None:
        self._pki = pki
        self.accounts = dict(accounts)
        self.anonymous = anonymous
        self.signer = Signer(pki)
        self.expires_in = 300  # seconds, in the answer and in the token itself
        self.stall = 0.0  # seconds before an answer
        self.failure: int | None = None  # a status to answer with instead
        self.several: int | None = None  # how many of several scopes it reads; with 0 it refuses them
        self.rotates = False  # an identity token is accepted once, and replaced by another one
        self.asked: list[Asked] = []
        self._connections = WeakSet[asyncio.Transport]()
        self._port = 0
        self._thread: threading.Thread | None = None

    @property
    def realm(self) -> str:
        """What the registry's challenge names."""
        return f"https://localhost:{self._port}/token"

    def start(self) -> None:
        """Listen; returns when requests are answered."""
        ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve(ready)), name="token-server")
        self._thread.start()
        assert ready.wait(10), "the token server did not start"

    def stop(self) -> None:
        """Close the port and cut off waiting clients; does nothing when stopped already."""
        if self._thread:
            self._loop.call_soon_threadsafe(self._stopping.set)
            self._thread.join()
            self._thread = None

    async def _serve(self, ready: threading.Event) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        application = web.Application()
        application.router.add_route("*", "/token", self._answer)
        runner = web.AppRunner(application, shutdown_timeout=0.1)
        await runner.setup()
        try:
            await web.TCPSite(runner, "127.0.0.1", self._port, ssl_context=self._pki.server_context()).start()
            self._port = runner.addresses[0][1]
            ready.set()
            await self._stopping.wait()
        finally:
            for transport in self._connections:  # TLS would wait for the other side to say goodbye, too
                transport.abort()
            await runner.cleanup()

    async def _answer(self, request: web.Request) -> web.Response:
        assert request.transport
        self._connections.add(request.transport)
        form = await request.post()
        given = request.query if request.method == "GET" else form
        parameters = tuple((key, value) for key, value in given.items() if isinstance(value, str))
        asked = Asked(request.method, parameters, request.headers.get("Authorization"))
        self.asked.append(asked)
        await asyncio.sleep(self.stall)  # noqa: TID251 - clients with real deadlines wait for this
        if self.failure:
            return web.json_response({"errors": [{"code": "UNAVAILABLE"}]}, status=self.failure)
        match asked.method:
            case "GET":
                return self._basic(asked)
            case "POST":
                return self._oauth(asked)
            case _:
                return web.Response(status=405)

    def _basic(self, asked: Asked) -> web.Response:
        """The first flow: Basic or nothing, one `scope` parameter for each scope."""
        if asked.authorization is None:
            return self._grant("", self.anonymous, asked.all("scope"))
        user, password = _decode(asked.authorization)
        account = self.accounts.get(user)
        if account is None or account.password != password:
            return web.json_response({"errors": [{"code": "UNAUTHORIZED"}]}, status=401)
        return self._grant(user, account, asked.all("scope"))

    def _oauth(self, asked: Asked) -> web.Response:
        """The second flow: an identity token for all scopes in one parameter."""
        if asked.all("grant_type") != ["refresh_token"]:
            return web.json_response({"error": "unsupported_grant_type"}, status=400)
        scopes = [scope for value in asked.all("scope") for scope in value.split()]
        for user, account in self.accounts.items():
            if account.identity_token and asked.all("refresh_token") == [account.identity_token]:
                return self._grant(user, account, scopes, self._rotated(user, account))
        return web.json_response({"error": "invalid_grant"}, status=401)

    def _rotated(self, user: str, account: Account) -> dict[str, str]:
        """Give what replaces an identity token. Source: RFC 6749, section 6."""
        if not self.rotates:
            return {}
        newer = f"{ROTATED}-{secrets.token_hex(8)}"
        self.accounts[user] = replace(account, identity_token=newer)
        return {"refresh_token": newer}

    def _grant(
        self, user: str, account: Account, scopes: Sequence[str], more: Mapping[str, str] | None = None
    ) -> web.Response:
        if self.several is not None and len(scopes) > 1:
            scopes = scopes[: self.several]
            if not scopes:
                return web.json_response({"errors": [{"code": "DENIED"}]}, status=403)
        token = self.signer.sign(granted(account.may, scopes), subject=user, lifetime=self.expires_in)
        now = datetime.now(UTC)  # noqa: TID251 - part of what a real server says
        return web.json_response(
            {
                "token": token,
                "access_token": token,
                "expires_in": self.expires_in,
                "issued_at": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
                **(more or {}),
            }
        )


def _decode(authorization: str) -> tuple[str, str]:
    """User and password of a Basic header; two empty strings for anything else, which no account has."""
    try:
        user, _, password = base64.b64decode(authorization.removeprefix("Basic ")).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return user, password
