"""``provider = "oauth2"`` and a certified authorization server, whose refresh tokens rotate and cost the login if used twice."""

import json
import secrets
import stat
from collections.abc import AsyncIterator, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar
from urllib.parse import urlsplit

import msgspec
import pytest

from credproxy import providers, sources
from credproxy.adapters.clock import SystemClock
from credproxy.adapters.files import SystemFiles
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.jwt_signing import JwtSigner
from credproxy.core.ask.credential import Caller, Secret
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.jwt import claims
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, Failure
from credproxy.core.kinds.oauth2 import OauthHost
from credproxy.core.kinds.sources.file import FileSource
from credproxy.exchange import oauth_code, oauth_device
from credproxy.exchange.oauth_code import BrowserLogin
from credproxy.exchange.oauth_device import DeviceLogin
from credproxy.exchange.oauth_token import OauthToken
from credproxy.ports.http_client import converse
from credproxy.ports.provider import Provider
from credproxy.providers.learned import Learned
from credproxy.providers.oauth2 import LoginMeans, OauthProvider
from credproxy.providers.oauth_secrets import KeyTools
from tests.contract import Ground
from tests.e2e.stage import stage
from tests.fakes import FakeAwsSigner, FakeProcesses, FixedTerms
from tests.real.browser import Browser
from tests.real.oidc import KEY_ID, ROBOT, OidcServer
from tests.real.renewals import renewing


pytestmark = [pytest.mark.real, pytest.mark.timeout(60)]

T = TypeVar("T")

TOKEN = "token"
URI = "https://cache.test/x"
NOTHING: Final[Mapping[str, object]] = MappingProxyType({})


@pytest.fixture(scope="session")
def oidc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OidcServer]:
    """One server for all tests."""
    with OidcServer(tmp_path_factory.mktemp("oidc")) as running:
        yield running


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    """With no cookie yet."""
    async with Browser() as made:
        yield made


class Asking:
    """Rules with real adapters behind them."""

    def __init__(self, http: AiohttpClient, files: SystemFiles, folder: Path) -> None:
        self._clock, self._http, self._files = SystemClock(), http, files
        self.folder = folder
        self.environ = {
            "HOME": str(folder),
            "ROBOT": ROBOT,
            "POSTER": "secret of poster",
            "WRONG": "wrong",
            "EXCHANGER": "secret of exchanger",
        }

    def provider(self, given: Mapping[str, object]) -> Provider:
        """Of a rule."""
        rule = msgspec.convert({"provider": "oauth2", "match": "cache.test", **given}, OauthHost)
        assert not list(rule.problems())
        tools = replace(
            Ground().source_tools(),
            environ=self.environ,
            clock=self._clock,
            files=self._files,
            http=self._http,
            signer=JwtSigner(),
        )
        made = providers.ProviderTools(
            clock=self._clock,
            http=self._http,
            processes=FakeProcesses(),
            source=lambda place: sources.make(place, tools),
            learned=Learned(b"k"),
            keys=KeyTools(self._files, JwtSigner(), str(self.folder), secrets.token_urlsafe),
            aws=FakeAwsSigner(),
        )
        return providers.make(rule, made)

    async def token(self, given: Mapping[str, object]) -> str:
        """What Bazel gets."""
        plan = await self.provider(given).plan(Question(parse_uri(URI), Caller()))
        assert plan is not None
        now = self._clock.boot()
        grant = await plan.run(self.terms())
        assert grant.lifetime.until is not None
        assert 0 < grant.lifetime.until - now <= 61
        return grant.headers[0][1][0].reveal().removeprefix("Bearer ")

    async def begin(self, given: Mapping[str, object]) -> LoginMeans:
        """The server that a login begins with."""
        provider = self.provider(given)
        assert isinstance(provider, OauthProvider)
        return await provider.begin(parse_uri(URI), self.terms())

    async def converse(self, conversation: Generator[Request, Response, T]) -> T:
        """Hold one."""
        return await converse(conversation, self._http, terms=self.terms())

    def terms(self) -> FixedTerms:
        """From now on."""
        now = self._clock.boot()
        return FixedTerms(deadline=now + 30, patience=now + 20)

    async def failure(self, given: Mapping[str, object]) -> Failure:
        """Why there is none."""
        with pytest.raises(Failed) as caught:
            await self.token(given)
        return caught.value.failure

    def keep(self, token: str) -> dict[str, object]:
        """Store a refresh token; give the rule that uses it."""
        path = self.folder / TOKEN
        path.write_text(token + "\n")
        path.chmod(0o600)
        return {"grant": "refresh_token", "client_id": "bazel", "refresh_token": {"source": "file", "path": str(path)}}


@pytest.fixture
async def asking(tmp_path: Path) -> AsyncIterator[Asking]:
    """With an empty home."""
    files = SystemFiles()
    async with AiohttpClient(SystemClock()) as http:
        yield Asking(http, files, tmp_path)
    files.close()


def client(oidc: OidcServer, name: str = "robot", given: Mapping[str, object] = NOTHING) -> dict[str, object]:
    """A client with a secret."""
    secret = {"source": "env", "name": name.upper()}
    return {"issuer": oidc.issuer, "client_id": name, "client_secret": secret, **given}


async def test_client_credentials_by_both_ways_of_sending_the_secret(asking: Asking, oidc: OidcServer) -> None:
    """The endpoint comes from the issuer's document, the token is limited to its scope and its resource."""
    for given in (client(oidc), client(oidc, "poster", {"client_auth": "client_secret_post"})):
        token = await asking.token(given | {"scope": ["read"], "resource": ["https://cache.test/a"]})
        found = json.loads(claims(token))
        assert (found["iss"], found["scope"], found["aud"]) == (oidc.issuer, "read", "https://cache.test/a")
        assert oidc.introspected(await asking.token(given))["active"]


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"client_secret": {"source": "env", "name": "WRONG"}}, Code.BAD_CREDENTIALS, "the secret from env:WRONG"),
        ({"client_id": "nobody"}, Code.BAD_CREDENTIALS, "does not take the client 'nobody'"),
        ({"scope": ["admin"]}, Code.DENIED, "does not give the client 'robot' the scope 'admin'"),
        ({"resource": ["https://other.test/"]}, Code.DENIED, "gives no tokens for 'https://other.test/'"),
        (
            {"grant": "token_exchange", "subject_token": {"source": "env", "name": "ROBOT"}},
            Code.DENIED,
            "does not take the request of the client 'robot' by token_exchange",
        ),
    ],
    ids=["secret", "client", "scope", "resource", "grant"],
)
async def test_what_it_refuses_is_said_in_our_words(
    asking: Asking, oidc: OidcServer, given: dict[str, object], code: Code, said: str
) -> None:
    """With the setting or the command that helps."""
    failure = await asking.failure(client(oidc, given=given))
    assert failure.code is code
    assert said in failure.message
    assert 'in the [[host]] with match = "cache.test" and provider = "oauth2"' in failure.hint


async def test_a_refresh_token_rotates_and_the_next_one_is_used(asking: Asking, oidc: OidcServer) -> None:
    """A reused one ends the login, and the error names the next command."""
    rule = asking.keep(oidc.refresh_token()) | {"issuer": oidc.issuer}
    path = asking.folder / TOKEN
    seen = [path.read_text()]
    for _ in range(4):
        assert oidc.introspected(await asking.token(rule))["active"]
        seen.append(path.read_text())
    assert len(set(seen)) == 5
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    path.write_text(seen[0])
    failure = await asking.failure(rule)
    assert (failure.code, failure.hint) == (
        Code.BAD_CREDENTIALS,
        "credproxy login cache.test",
    )
    path.write_text(seen[-1])
    assert (await asking.failure(rule)).code is Code.BAD_CREDENTIALS


async def test_a_client_signs_a_new_assertion_each_time(asking: Asking, oidc: OidcServer) -> None:
    """The server remembers each assertion, and accepts none twice (RFC 7523)."""
    rule = {"issuer": oidc.issuer, "client_id": "signer", "key_file": str(oidc.key), "key_id": KEY_ID}
    for audience in (None, f"{oidc.issuer}/token"):
        assert oidc.introspected(await asking.token(rule | {"assertion_audience": audience}))["client_id"] == "signer"
    failure = await asking.failure(rule | {"algorithm": "PS256"})
    assert (failure.code, failure.message.split(":")[0]) == (Code.BAD_CREDENTIALS, "token server '127.0.0.1")


async def test_an_assertion_and_another_issuers_token_are_exchanged(asking: Asking, oidc: OidcServer) -> None:
    """Signed by us, or read from its source; a changed one is refused with its source."""
    secret = client(oidc, "exchanger", {"scope": ["read"], "audience": ["cache"]})
    signed = {"grant": "jwt_bearer", "key_file": str(oidc.key), "subject": "me", "assertion_audience": oidc.issuer}
    found = oidc.introspected(await asking.token(secret | signed))
    assert (found["sub"], found["scope"]) == ("me", "read")
    asking.environ["JOB"] = oidc.signed("job")
    exchanged = secret | {"grant": "token_exchange", "subject_token": {"source": "env", "name": "JOB"}}
    found = oidc.introspected(await asking.token(exchanged))
    assert (found["sub"], found["scope"]) == ("job", "read")
    asking.environ["JOB"] = asking.environ["JOB"][:-8] + "AAAAAAAA"
    failure = await asking.failure(exchanged)
    assert failure.code is Code.BAD_CREDENTIALS
    assert "the subject token from env:JOB" in failure.message


async def test_a_login_on_another_device(asking: Asking, oidc: OidcServer, browser: Browser) -> None:
    """As a login does it; the result is stored, and renewed from there."""
    rule = asking.keep("none yet") | {"issuer": oidc.issuer, "scope": ["openid", "offline_access", "read"]}
    means = await asking.begin(rule)
    login = await asking.converse(
        oauth_device.begin(means.server, means.client, limits=means.limits, verifier=Secret(secrets.token_urlsafe(32)))
    )
    assert login.interval == 5
    assert isinstance(
        await asking.converse(oauth_device.ask(means.server, means.client, login=login, limits=means.limits)),
        DeviceLogin,
    )
    await browser.confirm(login.complete_url, "somebody")
    token = await asking.converse(oauth_device.ask(means.server, means.client, login=login, limits=means.limits))
    assert isinstance(token, OauthToken)
    assert token.token.refresh_token is not None
    assert token.lacking == ()
    assert oidc.introspected(await asking.token(asking.keep(token.token.refresh_token.reveal()) | rule))["active"]
    with pytest.raises(Failed) as caught:
        await asking.converse(oauth_device.ask(means.server, means.client, login=login, limits=means.limits))
    assert caught.value.failure.code is Code.BAD_CREDENTIALS


async def test_a_login_in_the_browser(asking: Asking, oidc: OidcServer, browser: Browser) -> None:
    """With a loopback port that the server did not know before (RFC 8252, section 7.3)."""
    rule = asking.keep("none yet") | {"issuer": oidc.issuer, "scope": ["openid", "offline_access", "read"]}
    server, known, limits = await asking.begin(rule)
    state, verifier = Secret(secrets.token_urlsafe(32)), Secret(secrets.token_urlsafe(32))
    login = BrowserLogin(state, verifier, "http://127.0.0.1:41234/")
    place = await browser.confirm(
        oauth_code.authorize_url(server, known, limits=limits, login=login), "somebody", login.redirect_uri
    )
    code = oauth_code.code_of(server, login, query=urlsplit(place).query)
    token = await asking.converse(oauth_code.redeem(server, known, limits=limits, login=login, code=code))
    assert token.token.refresh_token is not None
    with pytest.raises(Failed) as caught:
        await asking.converse(oauth_code.redeem(server, known, limits=limits, login=login, code=code))
    assert caught.value.failure.code is Code.BAD_CREDENTIALS


def test_a_daemon_answers_a_build_with_one_exchange(short_path: Path, oidc: OidcServer) -> None:
    """Many URIs of two rules; a new daemon continues with the refresh token that the previous one has stored."""
    first = oidc.refresh_token()
    token = short_path / TOKEN
    token.write_text(first + "\n")
    token.chmod(0o600)
    rule = (
        f'provider = "oauth2"\nissuer = "{oidc.issuer}"\nclient_id = "bazel"\ngrant = "refresh_token"\n'
        f'refresh_token = {{ source = "file", path = "{token}" }}\n'
    )
    with stage(short_path) as staged:
        staged.configure(f'[[host]]\nmatch = "cache.test"\n{rule}[[host]]\nmatch = "*.cache.test"\n{rule}')
        answers: list[list[str]] = []
        told: list[str] = []
        for _ in range(2):
            staged.start()
            hosts = ("cache.test", "a.cache.test", "b.cache.test")
            uris = [f"https://{host}/cas/{number}" for host in hosts for number in range(8)]
            with ThreadPoolExecutor(8) as pool:
                found = {headers["Authorization"][0] for headers in pool.map(staged.headers, uris)}
            assert len(found) == 1
            answers.append([*found])
            told.append(staged.credproxy("explain", "https://cache.test/cas/1").stdout)
            assert f"file:{token}" in told[-1]
            assert staged.stop() == 0
        stored, said = token.read_text().strip(), "".join([*told, *(log.read_text() for log in staged.logs)])
    assert answers[0] != answers[1]
    for secret in (first, stored, answers[0][0].removeprefix("Bearer ")):
        assert secret not in said
    assert oidc.introspected(answers[1][0].removeprefix("Bearer "))["active"]


def test_many_processes_use_one_login(asking: Asking, oidc: OidcServer) -> None:
    """Eight at once, five times each: every one gets a token, and no refresh token is used twice."""
    asking.keep(oidc.refresh_token())
    before = oidc.revoked()
    with renewing(oidc.issuer, FileSource(str(asking.folder / TOKEN)), asking.environ) as program:
        for _ in range(8):
            program.start(5)
        lines: list[str] = []
        while lines.count("end") < 8:
            lines.append(program.line())
    tokens = [line for line in lines if line.startswith("ok ")]
    assert len(set(tokens)) == 40
    assert oidc.revoked() == before


def test_a_login_survives_kill_9_or_says_that_its_last_answer_was_lost(asking: Asking, oidc: OidcServer) -> None:
    """At any moment: the file is complete, private and the only one, and a lost login is always reported.

    Between the server's answer and the disk nothing can be done; everything else must be survived.
    """
    path = asking.folder / TOKEN
    asking.keep(oidc.refresh_token())

    def whole() -> None:
        content = path.read_text()
        assert content.endswith("\n")
        assert len(content) > 20
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert {one.name for one in asking.folder.iterdir()} <= {TOKEN, f".{TOKEN}.lock", f".{TOKEN}.new"}

    with renewing(oidc.issuer, FileSource(str(path)), asking.environ) as program:
        lost = program.kill_often(15, again=lambda: asking.keep(oidc.refresh_token()), whole=whole)
    assert lost < 15
