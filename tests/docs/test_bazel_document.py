"""docs/bazel-credential-helpers.md: every answer in it is one that the daemon gives and Bazel accepts."""

import json
import re
from pathlib import Path

import pytest

from credproxy.broker.broker import Broker
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.table import Table
from credproxy.core.ask.credential import Caller, PlainSecret, Secret, UserPassword
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.message import decode_request, encode_answer
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.kinds.oci import OciHost
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.policy.routing import Router
from credproxy.ports.provider import Provider
from credproxy.providers.dressed import Dressed
from credproxy.providers.learned import Learned
from credproxy.providers.oci import OciProvider
from tests import bazel_parser
from tests.fakes import FakeClock, FakeHttp, FakeMetrics, FakeSource


DOCUMENT = Path(__file__).parents[2] / "docs" / "bazel-credential-helpers.md"
PAIRS = re.findall(r"```json\n(.*?)```\n\n```json answer\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
REGISTRIES = ("registry.example.com", "registry.example.com:5000")


def test_the_document_has_its_examples() -> None:
    """A heading that moved must not make the checks below vanish."""
    assert len(PAIRS) == 5
    assert DOCUMENT.read_text().count("```json answer") == len(PAIRS)


def responder(clock: FakeClock) -> FakeHttp:
    """Answer as a registry with a token server that gives tokens of 300 s."""

    def answer(request: Request) -> Response:
        host = request.url.split("/")[2]
        line = f'Bearer realm="https://{host}/token",service="{host}"'
        if request.url.endswith("/v2/"):
            return Response(401, (("WWW-Authenticate", line),), b"", clock.boot(), clock.wall())
        return Response(200, (), b'{"token":"real","expires_in":300}', clock.boot(), clock.wall())

    return FakeHttp({"https://registry.example.com": [answer]}, clock=clock)


def table(clock: FakeClock, http: FakeHttp) -> Table:
    """Give the rules that the document is about."""
    key = EnvSource(name="KEY")
    cache = HeaderHost(match="cache.example.com", secret=key, name="x-api-key")
    providers: dict[str, Provider] = {
        name: OciProvider(
            OciHost(match=name),
            exact=True,
            source=FakeSource(name, UserPassword("real", Secret("login"))),
            http=http,
            clock=clock,
            learned=Learned(b"key"),
        )
        for name in REGISTRIES
    }
    source = FakeSource("cache.example.com", PlainSecret(Secret("real")))
    providers["cache.example.com"] = Dressed(cache, source=source, clock=clock)
    return Table(Router([*(OciHost(match=name) for name in REGISTRIES), cache]), providers)


@pytest.mark.parametrize(("asked", "answered"), PAIRS, ids=[json.loads(asked)["uri"][:60] for asked, _ in PAIRS])
async def test_the_daemon_gives_this_answer(asked: str, answered: str) -> None:
    """Same headers, same schemes, same ``expires``: only the secret differs, and Bazel's parser takes both."""
    shown = bazel_parser.parse(answered.encode())
    clock = FakeClock()
    http = responder(clock)
    upstream = RepeatingClient(http, clock=clock, sample=lambda: 0.5)
    broker = Broker(table(clock, http), clock=clock, sample=lambda: 0.5, metrics=FakeMetrics(), upstream=upstream)
    async with broker:
        question = Question(parse_uri(decode_request(asked.encode())), Caller())
        given = bazel_parser.parse(encode_answer(await broker.ask(question, 8.5)))
    assert {name: [scheme(value) for value in values] for name, values in given.headers.items()} == {
        name: [scheme(value) for value in values] for name, values in shown.headers.items()
    }
    assert given.expires_epoch == shown.expires_epoch


def scheme(value: str) -> str:
    """Give the part of a header that is not secret."""
    name, space, _ = value.partition(" ")
    return name if space else ""
