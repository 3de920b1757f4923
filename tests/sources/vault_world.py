"""A Vault in memory, which answers as OpenBao 2.7 does, and a daemon that has one of its secrets."""

import json
from collections.abc import Mapping
from dataclasses import replace

import msgspec

from credproxy.core.ask.credential import Identity, reveal, secret_of
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.login import Login
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Failed, Failure
from credproxy.core.kinds.sources.vault import VaultSource
from credproxy.sources import make
from credproxy.sources.vault import Vault
from credproxy.sources.vault_token import VaultTokens
from tests.contract import Ground
from tests.fakes import (
    FakeClock,
    FakeFiles,
    FakeHttp,
    FakeProcesses,
)


ADDRESS = "https://vault.test:8200"
TARGET = parse_uri("https://files.test/x")
TOKEN_FILE = "/home/u/.vault-token"
JWT_AUTH: Mapping[str, object] = {"method": "jwt", "role": "ci", "jwt": {"source": "env", "name": "JWT"}}


class VaultServer:
    """Its secrets by path, and the tokens that it accepts.

    Attributes:
        kv: what is stored, as version 2 of KV.
        dynamic: seconds of a lease by path; each read makes another secret.
        tokens: that it accepts, and until when on the boot clock.
        token_life: seconds of one that it gives, and of each renewal.
        token_most: seconds after the login from which it no longer renews.
        lease_most: likewise of a lease.
        answers: replaced answers by path.
        asked: method and path of each request, in order.
    """

    def __init__(self, clock: FakeClock) -> None:
        self.clock = clock
        self.kv: dict[str, dict[str, object]] = {"secret/data/ci": {"password": "kv-1"}}
        self.dynamic: dict[str, float] = {}
        self.tokens: dict[str, float] = {"own": float("inf")}
        self.token_life, self.token_most, self.lease_most = 30.0, 120.0, 60.0
        self.answers: dict[str, Response | Failed] = {}
        self.asked: list[str] = []
        self.proofs: list[object] = []
        self._count = 0
        self._ends: dict[str, float] = {}

    def handle(self, request: Request) -> Response:
        """Answer one request."""
        path = request.url.partition("/v1/")[2]
        self.asked.append(path)
        instead = self.answers.get(path)
        if isinstance(instead, Failed):
            raise Failed(instead.failure)
        if instead is not None:
            return instead
        body = {} if request.body is None else json.loads(request.body.reveal())
        token = next((reveal(value) for name, value in request.headers if name == "X-Vault-Token"), "")
        if path.endswith("/login"):
            self.proofs.append(body)
            return self._logged_in()
        if self.tokens.get(token, 0.0) <= self.clock.boot():
            return self._say(403, {"errors": ["permission denied"]})
        return self._served(path, token, body)

    def _served(self, path: str, token: str, body: dict[str, str]) -> Response:
        if path == "auth/token/renew-self":
            return self._token(token)
        if path == "auth/token/lookup-self":
            left = self.tokens[token] - self.clock.boot()
            told = {"ttl": 0, "expire_time": None} if left == float("inf") else {"ttl": int(left), "expire_time": "x"}
            return self._say(200, {"data": {**told, "policies": ["ci"]}})
        if path == "sys/leases/renew":
            left = min(self.dynamic["db/creds/ro"], self._ends[body["lease_id"]] - self.clock.boot())
            return self._say(200, {"lease_id": body["lease_id"], "lease_duration": int(left), "renewable": True})
        if path in self.dynamic:
            return self._made(path)
        if path in self.kv:
            return self._say(200, {"data": {"data": self.kv[path], "metadata": {"version": 1, "deletion_time": ""}}})
        return self._say(404, {"errors": []})

    def _logged_in(self) -> Response:
        self._count += 1
        token = f"canary-token-{self._count}"
        self._ends[token] = self.clock.boot() + self.token_most
        self.tokens[token] = 0.0
        return self._token(token)

    def _token(self, token: str) -> Response:
        left = min(self.token_life, self._ends[token] - self.clock.boot())
        self.tokens[token] = self.clock.boot() + left
        return self._say(200, {"auth": {"client_token": token, "lease_duration": int(left), "renewable": True}})

    def _made(self, path: str) -> Response:
        self._count += 1
        lease, seconds = f"{path}/{self._count}", self.dynamic[path]
        self._ends[lease] = self.clock.boot() + self.lease_most
        data = {"username": f"u{self._count}", "password": f"made-{self._count}"}
        return self._say(200, {"lease_id": lease, "lease_duration": seconds, "renewable": True, "data": data})

    def _say(self, status: int, body: object) -> Response:
        return Response(status, (), json.dumps(body).encode(), self.clock.boot(), self.clock.wall())


class World:
    """A daemon with one rule, or more of them."""

    def __init__(self, environ: Mapping[str, str] | None = None) -> None:
        self.clock, self.files, self.processes = FakeClock(), FakeFiles(), FakeProcesses()
        self.server = VaultServer(self.clock)
        self.http = FakeHttp(script={ADDRESS: [self.server.handle]}, clock=self.clock)
        self.environ = {"HOME": "/home/u", "VAULT_ADDR": ADDRESS, "VAULT_TOKEN": "own", "JWT": "canary-jwt"}
        self.environ |= environ or {}
        self.vaults: dict[bytes, VaultTokens] = {}

    def source(self, **options: object) -> Vault:
        """Make one, as the daemon does for each era."""
        settings = msgspec.convert({"source": "vault", "path": "secret/data/ci", **options}, VaultSource)
        tools = replace(
            Ground().source_tools(),
            environ={name: value for name, value in self.environ.items() if value},
            clock=self.clock,
            processes=self.processes,
            files=self.files,
            http=self.http,
            vaults=self.vaults,
        )
        made = make(settings, tools)
        assert isinstance(made, Vault)
        return made


async def login(source: Vault, *, anew: bool = False) -> Login:
    """What a flight gets."""
    identity = await source.locate(TARGET, None)
    assert identity is not None
    found = await source.read(identity, TARGET, anew=anew)
    assert found is not None
    return found


async def text(source: Vault, *, anew: bool = False) -> str:
    """The secret of it."""
    return secret_of((await login(source, anew=anew)).stored).reveal()


async def identity_of(source: Vault) -> Identity | None:
    """The identity of the login."""
    return await source.locate(TARGET, None)


async def failure_of(source: Vault, identity: Identity | None = None) -> Failure:
    """Why there is none; ``identity`` was found before."""
    try:
        await (login(source) if identity is None else source.read(identity, TARGET))
    except Failed as error:
        return error.failure
    raise AssertionError
