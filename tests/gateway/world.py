"""The gateway with fakes all around it: a broker whose login is ``tok1``, ``tok2``, ... and a scripted registry."""

import asyncio
import contextlib
import itertools
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import TypeVar

from credproxy.broker.broker import Broker
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.table import Table
from credproxy.core.ask.credential import Secret
from credproxy.core.ask.endpoint import Endpoint
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import canonical_uri
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds import HostRule
from credproxy.core.policy.routing import Router
from credproxy.gateway.gateway import Gateway
from credproxy.gateway.incoming import ORIGINAL_HOST, Incoming, Reply, RequestBody
from credproxy.server.broker_authorizer import BrokerAuthorizer
from tests.fakes import (
    FakeAudit,
    FakeClock,
    FakeDownloads,
    FakeForwarder,
    FakeHttp,
    FakeMetrics,
    FakeProvider,
    FakeSink,
    FakeTransfer,
    FakeUpload,
    settle,
)


D = "sha256:" + "a" * 64
REGISTRY = "reg.test"
BLOB = f"/v2/a/blobs/{D}"
CANARY = "canary-4711"
T = TypeVar("T")
BODY = bytes(range(100))


def incoming(
    target: str,
    method: str = "GET",
    *headers: tuple[str, str],
    host: str | tuple[str, ...] = REGISTRY,
    uid: int = 1000,
) -> Incoming:
    """A request as the server makes it; ``host`` are the values of its Original-Host lines."""
    path, _, query = target.partition("?")
    hosts = (host,) if isinstance(host, str) else host
    lines = (("Host", "localhost"), *((ORIGINAL_HOST, value) for value in hosts), *headers)
    return Incoming(method, path, query, lines, uid)


def code(error: Failed) -> Code:
    """The code of a failure."""
    return error.failure.code


def sent(request: Request, name: str) -> list[str]:
    """The values of a header of a request that was sent, revealed."""
    found = [value for key, value in request.headers if key.lower() == name.lower()]
    return [value.reveal() if isinstance(value, Secret) else value for value in found]


def response(status: int, body: bytes = b"", *headers: tuple[str, str]) -> Response:
    """A whole answer of a registry."""
    return Response(status, headers, body, 0.0, 0.0)


def unavailable(retry_after: float | None = None) -> Failed:
    """A registry that cannot be reached."""
    return failed(Code.UPSTREAM_UNAVAILABLE, "registry 'reg.test' cannot be reached", hint="", retry_after=retry_after)


@dataclass
class Policy:
    """Denies the named repositories; remembers the questions."""

    denied: set[str] = field(default_factory=set)
    incoming: list[tuple[str, str, str, Endpoint]] = field(default_factory=list)
    objects: list[tuple[str, str]] = field(default_factory=list)

    def permit(self, registry: str, method: str, *, path: str, endpoint: Endpoint) -> None:
        """Let it pass, or not."""
        self.incoming.append((registry, method, path, endpoint))
        if endpoint.repository in self.denied or endpoint.mount_from in self.denied:
            raise failed(Code.POLICY_DENIED, "no rule allows it", hint="credproxy actions allow")

    def permit_object(self, target: Target, method: str) -> None:
        """Let an object pass, unless its host is named."""
        self.objects.append((canonical_uri(target), method))
        if target.host in self.denied:
            raise failed(Code.POLICY_DENIED, "no rule allows it", hint="credproxy actions allow")


@dataclass
class World:
    """The gateway under test and everything around it."""

    gateway: Gateway
    broker: Broker
    provider: FakeProvider
    downloads: FakeDownloads
    forwarder: FakeForwarder
    policy: Policy
    clock: FakeClock

    async def answer(self, request: Incoming, upload: RequestBody | None = None) -> Reply:
        """Answer a request; time passes as needed."""
        return await self.through(self.gateway.answer(request, upload or FakeUpload(), patience=8.5))

    async def get(self, target: str = BLOB, *headers: tuple[str, str], uid: int = 1000) -> Reply:
        """GET."""
        return await self.answer(incoming(target, "GET", *headers, uid=uid))

    async def head(self, target: str = BLOB, *headers: tuple[str, str], uid: int = 1000) -> Reply:
        """HEAD."""
        return await self.answer(incoming(target, "HEAD", *headers, uid=uid))

    def reload(self, *rules: HostRule) -> None:
        """Put other host rules into force."""
        self.broker.swap(Table(Router(rules), {rule.match: self.provider for rule in rules}, fallback=[self.provider]))
        self.gateway.forget()

    async def received(self, reply: Reply) -> bytes:
        """What a client gets of an answer's body. Raises what the stream raises; what came before it is lost."""
        body, error = await self.delivered(reply)
        if error is not None:
            raise error
        return body

    async def delivered(self, reply: Reply) -> tuple[bytes, Failed | ConnectionError | None]:
        """What a client gets of an answer's body, and how that ended if not well."""
        if isinstance(reply.body, bytes):
            return reply.body, None
        sink, error = FakeSink(), None
        try:
            await self.through(reply.body.send(sink))
        except (Failed, ConnectionError) as caught:
            error = caught
        finally:
            reply.body.close()
            body = sink.got()
            sink.close()
        return body, error

    def tokens(self) -> list[list[str]]:
        """The Authorization of every request to a registry, in order."""
        return [sent(request, "Authorization") for request in (*self.downloads.requests, *self.forwarder.requests)]

    async def through(self, work: Coroutine[object, object, T]) -> T:
        """Do some work; time passes as needed."""
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_caught(work))
            await settle()
            while not task.done():
                await self.clock.advance(0.1)
        result = task.result()
        if isinstance(result, Exception):
            raise result
        return result


async def _caught(work: Coroutine[object, object, T]) -> T | Failed | ConnectionError:
    try:
        return await work
    except (Failed, ConnectionError) as error:
        return error


def reason(reply: Reply) -> str:
    """The message of a refusal; it is in the shape of the specification."""
    assert isinstance(reply.body, bytes)
    (error,) = json.loads(reply.body)["errors"]
    assert set(error) == {"code", "message", "detail"}
    return str(error["message"])


@contextlib.asynccontextmanager
async def world(
    *steps: FakeTransfer | Failed | Callable[[Request], FakeTransfer],
    forwarded: tuple[Response | Failed | Callable[[Request], Response], ...] = (),
    rules: tuple[HostRule, ...] = (),
) -> AsyncIterator[World]:
    """A running gateway. ``steps`` are the answers to downloads, ``forwarded`` those to all other requests.

    Afterwards every transfer is closed, whatever happened.
    """
    clock = FakeClock()
    provider = FakeProvider(clock)
    upstream = RepeatingClient(FakeHttp(), clock=clock, sample=lambda: 0.5)
    table = Table(Router(rules), {rule.match: provider for rule in rules}, fallback=[provider])
    broker = Broker(table, clock=clock, sample=lambda: 0.5, metrics=FakeMetrics(), upstream=upstream)
    downloads, forwarder, policy = FakeDownloads(list(steps)), FakeForwarder(clock, list(forwarded)), Policy()
    numbers = itertools.count(1)
    gateway = Gateway(
        authorizer=BrokerAuthorizer(broker, policy, audit=FakeAudit()),
        forwarder=forwarder,
        downloads=downloads,
        clock=clock,
        token=lambda: f"id{next(numbers)}",
    )
    async with broker:
        yield World(gateway, broker, provider, downloads, forwarder, policy, clock)
    assert [transfer for transfer in downloads.opened if not transfer.closed] == []
