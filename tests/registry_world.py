"""The fixture of docs/design/cases.md: the inside of a daemon with a fake registry, a frozen clock and real rooms.

Everything between the question's bytes and the answer's bytes is the product's own; the network, the stored login and
the time are fakes.
"""

import base64
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Protocol
from urllib.parse import parse_qs, unquote_plus, urlsplit

from credproxy.broker.broker import Broker
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.table import Table
from credproxy.core.ask.credential import Caller, Identity, Secret, Stored, UserPassword
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.message import encode_answer
from credproxy.core.ask.target import Granted, Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.oci import OciHost
from credproxy.core.policy.routing import Router, is_exact
from credproxy.providers.learned import Learned
from credproxy.providers.oci import OciProvider
from tests.bazel_parser import parse
from tests.fakes import T0, FakeClock, FakeHttp, FakeMetrics, FakeSource


D = "sha256:" + "a" * 64
U_P = UserPassword("u", Secret("p"))
BEARER = 'Bearer realm="https://reg.test/token",service="reg.test"'


def basic(pair: str) -> str:
    """Give the header's value for ``user:password``."""
    return "Basic " + base64.b64encode(pair.encode()).decode()


class Reload(Protocol):
    """Puts a configuration into force: the same rules, or another one in place of the first."""

    def __call__(self, rule: OciHost | None = None) -> None:
        """Put it into force."""


@dataclass(frozen=True)
class Answer:
    """How Bazel reads an answer: the one Authorization value, and ``expires`` in seconds after T0."""

    authorization: str | None
    expires: int | None


def ok(token: str, seconds: int | None) -> Answer:
    """Give the answer with that Bearer token."""
    return Answer(f"Bearer {token}", seconds)


@dataclass
class World:
    """One daemon's inside. ``ping`` and ``token`` say what the registry answers; requests are remembered."""

    broker: Broker
    clock: FakeClock
    http: FakeHttp
    sources: dict[str, FakeSource]
    provider: OciProvider
    reload: Reload
    sent: list[str] = field(default_factory=list)

    async def ask(self, uri: str, patience: float = 8.5, grants: tuple[Granted, ...] | None = None) -> Answer:
        """Ask as the helper socket does, or with ``grants`` as the actions socket, and read the answer as Bazel does."""
        origin = Caller("helper" if grants is None else "actions", 0)
        handout = await self.broker.ask(Question(parse_uri(uri), origin, grants), patience)
        parsed = parse(encode_answer(handout))
        values = parsed.headers.get("Authorization", [])
        assert set(parsed.headers) <= {"Authorization"}
        assert len(values) <= 1
        expires = None if parsed.expires_epoch is None else parsed.expires_epoch - int(T0)
        return Answer(values[0] if values else None, expires)

    async def refusal(self, uri: str, grants: tuple[Granted, ...] | None = None) -> Code:
        """Ask, and give the code of the failure; a grant fails the test."""
        try:
            answer = await self.ask(uri, grants=grants)
        except Failed as error:
            return error.failure.code
        message = f"{uri} was answered: {answer}"
        raise AssertionError(message)

    def script(self, **answers: object) -> None:
        """Set the answers to ``ping`` (GET /v2/) and ``token``: a Response, a list of them, or a function."""
        for name, answer in answers.items():
            url = {"ping": "https://reg.test/v2/", "token": "https://reg.test/token"}[name]
            self.http.script[url] = list(answer) if isinstance(answer, list) else [answer]  # type: ignore[list-item]  # answers of three sorts

    def respond(self, status: int, body: object = b"", **headers: str) -> Callable[[Request], Response]:
        """Make an answer that carries the moment at which it was asked for, as the real client's does."""
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        lines = tuple((name.replace("_", "-"), value) for name, value in headers.items())
        return lambda _: Response(status, lines, content, self.clock.boot(), self.clock.wall(), "127.0.0.2")

    def challenge(self, *lines: str) -> Callable[[Request], Response]:
        """Make a 401 with these ``WWW-Authenticate`` lines."""
        headers = tuple(("WWW-Authenticate", line) for line in lines)
        return lambda _: Response(401, headers, b"", self.clock.boot(), self.clock.wall(), "127.0.0.2")

    def granted(self, token: str = "tok1", **more: object) -> Callable[[Request], Response]:
        """Make a token answer that lives for 300 s, unless ``expires_in`` says otherwise."""
        return self.respond(200, {"token": token, "expires_in": 300} | more)

    @property
    def requests(self) -> list[str]:
        """What was sent, as ``METHOD path?query``, unquoted."""
        return [f"{one.method} {_path(one.url)}" for one in self.http.requests]

    def header(self, index: int, name: str) -> str | None:
        """Give a header of a request that was sent."""
        for key, value in self.http.requests[index].headers:
            if key.lower() == name.lower():
                return value.reveal() if isinstance(value, Secret) else value
        return None

    def form(self, index: int) -> dict[str, list[str]]:
        """Give the form of a request that was sent."""
        body = self.http.requests[index].body
        assert body is not None
        return parse_qs(body.reveal(), strict_parsing=True)


def _path(url: str) -> str:
    parts = urlsplit(url)
    return unquote_plus(parts.path + ("?" + parts.query if parts.query else ""))


@contextlib.asynccontextmanager
async def world(
    settings: OciHost | None = None,
    *,
    stored: Stored | None = U_P,
    sample: float = 1.0,
    extra: tuple[OciHost, ...] = (),
) -> AsyncIterator[World]:
    """Set up the fixture; ``stored`` is the login for ``reg.test``, None for none; ``extra`` are more host rules.

    ``sample`` is what chance gives: 1.0 pins the jitter of the advisory window at +10 %.
    """
    clock = FakeClock()
    http = FakeHttp(clock=clock)
    upstream = RepeatingClient(http, clock=clock, sample=lambda: sample)
    rules = (settings or OciHost(match="reg.test"), *extra)
    sources = {rule.match: FakeSource(rule.match, None, clock=clock) for rule in rules}
    first = sources[rules[0].match]
    first.stored = stored
    if stored is None:
        first.authority = "nowhere"
    first.identity = Identity("docker-config", "reg.test", 1)
    learned = Learned(b"key")

    def build(*rules: OciHost) -> tuple[Table, OciProvider]:
        providers = {
            rule.match: OciProvider(
                rule, exact=is_exact(rule), source=sources[rule.match], http=upstream, clock=clock, learned=learned
            )
            for rule in rules
        }
        return Table(Router(rules), providers, learned=learned), providers[rules[0].match]

    table, provider = build(*rules)
    broker = Broker(table, clock=clock, sample=lambda: sample, metrics=FakeMetrics(), upstream=upstream)

    def reload(rule: OciHost | None = None) -> None:
        broker.swap(build(*((rule or rules[0]), *rules[1:]))[0])

    async with broker:
        made = World(broker, clock, http, sources, provider, reload)
        made.script(ping=made.challenge(BEARER), token=made.granted())
        yield made
