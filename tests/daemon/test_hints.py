"""Hints that name a setting are followed as a user would follow them: then the answer is different."""

import contextlib
import json
import re
from collections.abc import AsyncIterator, Callable

import pytest

from credproxy.adapters.dial import allowed
from credproxy.adapters.network_errors import Call, explain
from credproxy.broker.broker import Broker
from credproxy.broker.retry import RepeatingClient
from credproxy.core.ask.credential import Caller, Secret
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.parse import load_files
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.daemon.build import World, build_table
from credproxy.ports.terms import Terms
from credproxy.providers.learned import Learned
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeMetrics, FakeProcesses, FakeSigner
from tests.hints import filled, text_of


DOCKER = "/home/u/.docker/config.json"
LOGIN = json.dumps({"auths": {name: {"auth": "dTpw"} for name in ("reg.test", "127.0.0.1:5000")}})
NAMING_A_SETTING = (
    text_of("if that is right, say so {}"),
    text_of('if you know its token server, name it in the [[host]] with match = "{}" and provider = "oci": {}'),
    text_of(
        'if that token server speaks https as well, name it so in the [[host]] with match = "{}" and provider = "oci": {}'
    ),
    text_of('name the right token server in the [[host]] with match = "{}" and provider = "oci": {}'),
    text_of('name its token server in the [[host]] with match = "{}" and provider = "oci": {}'),
)
SETTING = re.compile(r'in the \[\[host\]\] with match = "([^"]+)" and provider = "oci": (.+)')
CONFIGURATIONS = {
    "no rule": "",
    "a rule": '[[host]]\nmatch = "reg.test"\nprovider = "oci"\n[[host]]\nmatch = "127.0.0.1:5000"\nprovider = "oci"\n',
    "a wildcard": '[[host]]\nmatch = "*"\nprovider = "oci"\n',
}


class GuardedHttp(FakeHttp):
    """Refuses what the dial guard refuses, with the real client's errors; ``addresses`` resolves names."""

    addresses: dict[str, str] = {}  # noqa: RUF012  filled by each test

    async def send(self, request: Request, terms: Terms) -> Response:
        """Send."""
        host = request.url.split("/")[2].partition(":")[0]
        address = self.addresses.get(host, "93.184.215.14")
        if not allowed(address, request.dial):
            call = Call(request.subject, host, rule=request.dial.rule)
            raise explain(OSError(), call, refused=[address])
        return await super().send(request, terms)


@contextlib.asynccontextmanager
async def broker(text: str, http: FakeHttp, clock: FakeClock, login: str = LOGIN) -> AsyncIterator[Broker]:
    """A daemon's broker with that configuration."""
    files = FakeFiles()
    files.put(DOCKER, login)
    world = World({"HOME": "/home/u"}, 1000, clock, http, FakeProcesses(), files, FakeSigner(), Learned(b"k"))
    table = build_table(load_files([("config.toml", text)]), world)
    upstream = RepeatingClient(http, clock=clock, sample=lambda: 0.5)
    async with Broker(table, clock=clock, sample=lambda: 0.5, metrics=FakeMetrics(), upstream=upstream) as made:
        yield made


async def ask(text: str, http: FakeHttp, clock: FakeClock, uri: str, login: str = LOGIN) -> Failure | None:
    """Ask once; give the failure, None for a credential."""
    async with broker(text, http, clock, login) as running:
        try:
            handout = await running.ask(Question(parse_uri(uri), Caller()))
        except Failed as error:
            return error.failure
        assert handout.headers
        return None


def followed(text: str, hint: str, **known: str) -> str:
    """The configuration after following the hint; ``known`` is what the user fills in."""
    assert any(hint.startswith(template.partition("{}")[0]) for template in NAMING_A_SETTING)
    found = SETTING.search(hint)
    assert found is not None, hint
    match, setting = found.groups()
    for name, value in known.items():
        setting = setting.replace(name, value)
    head = f'[[host]]\nmatch = "{match}"\nprovider = "oci"\n'
    return text.replace(head, f"{head}{setting}\n") if head in text else f"{text}{head}{setting}\n"


def answering(clock: FakeClock, status: int, body: object = b"", *challenges: str) -> Callable[[Request], Response]:
    """Make a server."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = tuple(("WWW-Authenticate", line) for line in challenges)
    return lambda _: Response(status, lines, content, clock.boot(), clock.wall(), "93.184.215.14")


HTTPS, HTTP = "https://reg.test", "http://127.0.0.1:5000"
REALMS = [
    pytest.param(HTTPS, "https://auth.test/token", Code.REALM_REFUSED, id="another host"),
    pytest.param(HTTPS, "https://auth.test:8443/token", Code.REALM_REFUSED, id="another port"),
    pytest.param(HTTPS, "https://8.8.8.8/token", Code.REALM_REFUSED, id="an address"),
    pytest.param(HTTPS, "http://auth.test/token", Code.DOWNGRADE, id="plain http of an https registry"),
    pytest.param(HTTPS, "/token", Code.REALM_REFUSED, id="a relative realm"),
    pytest.param(HTTPS, "ftp://auth.test/token", Code.REALM_REFUSED, id="another scheme"),
    pytest.param(HTTP, "http://127.0.0.1:8080/token", Code.REALM_REFUSED, id="plain http of a plain registry"),
    pytest.param(HTTP, "https://auth.test/token", Code.REALM_REFUSED, id="https of a plain registry"),
]


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize(("registry", "realm", "code"), REALMS)
async def test_the_hint_of_a_refused_realm_makes_it_trusted(
    registry: str, realm: str, code: Code, configuration: str
) -> None:
    """``realm_hosts`` would help neither for plain http nor for an address; a registry may have no rule yet."""
    clock, text = FakeClock(), CONFIGURATIONS[configuration]
    http = GuardedHttp(clock=clock)
    http.addresses = {"127.0.0.1": "127.0.0.1", "8.8.8.8": "8.8.8.8"}
    http.script = {
        f"{registry}/v2/": [answering(clock, 401, b"", f'Bearer realm="{realm}",service="s"')],
        **{
            f"{scheme}://{place}/token": [answering(clock, 200, {"token": "t", "expires_in": 300})]
            for scheme in ("http", "https")
            for place in ("auth.test", "auth.test:8443", "8.8.8.8", "127.0.0.1:8080")
        },
    }
    uri = f"{registry}/v2/a/b/manifests/x"
    codes = []
    while (failure := await ask(text, http, clock, uri)) is not None:
        assert failure.code not in codes
        codes.append(failure.code)
        text = followed(text, failure.hint, HOST="auth.test", PATH="token")
    # A wildcard does not allow a private address: that comes first, and has its own hint.
    assert codes[-1] is code
    assert codes[:-1] == ([Code.ADDRESS_REFUSED] if (registry, configuration) == (HTTP, "a wildcard") else [])


@pytest.mark.parametrize(
    "realm", ["https://169.254.169.254/token", "https://[::ffff:169.254.169.254]/", "https://0.0.0.0/"]
)
async def test_where_no_setting_helps_the_hint_names_none(realm: str) -> None:
    """Metadata services are never contacted, whatever is configured."""
    clock = FakeClock()
    http = GuardedHttp(clock=clock)
    http.script = {f"{HTTPS}/v2/": [answering(clock, 401, b"", f'Bearer realm="{realm}"')]}
    failure = await ask("", http, clock, f"{HTTPS}/v2/a/b/manifests/x")
    assert failure is not None
    filled(
        failure.hint,
        "no setting allows that address: the registry's administrator has to name another token server",
    )


async def test_the_hint_of_a_missing_realm_gives_one() -> None:
    """A registry that does not say where to send a login."""
    clock = FakeClock()
    http = GuardedHttp(clock=clock)
    http.script = {
        f"{HTTPS}/v2/": [answering(clock, 401)],
        "https://auth.test/token": [answering(clock, 200, {"token": "t", "expires_in": 300})],
    }
    before = await ask("", http, clock, f"{HTTPS}/v2/a/b/manifests/x")
    assert before is not None
    assert before.code is Code.NO_CHALLENGE
    text = followed("", before.hint, HOST="auth.test", PATH="token")
    assert await ask(text, http, clock, f"{HTTPS}/v2/a/b/manifests/x") is None


async def test_the_hint_of_a_token_server_that_redirects_names_the_right_one() -> None:
    """Logins do not follow redirects; the user sees the target."""
    clock = FakeClock()
    http = GuardedHttp(clock=clock)
    http.script = {
        f"{HTTPS}/v2/": [answering(clock, 401, b"", f'Bearer realm="{HTTPS}/old"')],
        f"{HTTPS}/old": [answering(clock, 308)],
        f"{HTTPS}/token": [answering(clock, 200, {"token": "t", "expires_in": 300})],
    }
    before = await ask("", http, clock, f"{HTTPS}/v2/a/b/manifests/x")
    assert before is not None
    assert before.code is Code.REDIRECT_REFUSED
    text = followed("", before.hint, HOST="reg.test", PATH="token")
    assert await ask(text, http, clock, f"{HTTPS}/v2/a/b/manifests/x") is None


MENDED = json.dumps({"auths": {"reg.test": {"auth": "dTpy"}}})
"""What ``docker login`` writes for the user ``u`` with the password ``r``."""


@pytest.mark.parametrize(
    ("stored", "status", "template"),
    [
        ({"auth": "dTpw"}, 401, text_of("docker login {}, or fix the stored credential; then run the build again")),
        (
            {"auth": "dTo=", "identitytoken": "i"},
            404,
            text_of("store a user name and password for it: docker login {}"),
        ),
    ],
)
async def test_a_refused_login_is_stored_again(stored: dict[str, str], status: int, template: str) -> None:
    """``docker login`` names the registry, and not its token server."""
    clock = FakeClock()
    http = GuardedHttp(clock=clock)

    def token(request: Request) -> Response:
        right = any(isinstance(value, Secret) and value.reveal() == "Basic dTpy" for _, value in request.headers)
        answer = answering(clock, 200, {"token": "t", "expires_in": 300}) if right else answering(clock, status)
        return answer(request)

    http.script = {
        f"{HTTPS}/v2/": [answering(clock, 401, b"", f'Bearer realm="{HTTPS}/token"')],
        f"{HTTPS}/token": [token],
    }
    uri = f"{HTTPS}/v2/a/b/manifests/x"
    before = await ask("", http, clock, uri, json.dumps({"auths": {"reg.test": stored}}))
    assert before is not None
    assert filled(before.hint, template) == ("reg.test",)
    assert await ask("", http, clock, uri, MENDED) is None


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
@pytest.mark.parametrize("address", ["10.0.0.6", "127.0.0.1", "fd00::6", "::ffff:10.0.0.6"])
async def test_the_hint_of_a_refused_address_goes_into_the_rule_of_the_registry(
    address: str, configuration: str
) -> None:
    """The token server has no rule of its own: a setting for its name would change nothing."""
    clock, text = FakeClock(), CONFIGURATIONS[configuration]
    http = GuardedHttp(clock=clock)
    http.addresses = {"auth.test": address}
    http.script = {
        f"{HTTPS}/v2/": [answering(clock, 401, b"", 'Bearer realm="https://auth.test/token"')],
        "https://auth.test/token": [answering(clock, 200, {"token": "t", "expires_in": 300})],
    }
    uri = f"{HTTPS}/v2/a/b/manifests/x"
    refused = await ask(text, http, clock, uri)
    assert refused is not None
    text = followed(text, refused.hint)
    before = await ask(text, http, clock, uri)
    assert before is not None
    assert before.code is Code.ADDRESS_REFUSED
    found = SETTING.search(before.hint)
    assert found is not None
    assert await ask(followed(text, before.hint), http, clock, uri) is None


@pytest.mark.parametrize("code", list(Code))
def test_waiting_is_advised_where_it_helps(code: Code) -> None:
    """A refused login is remembered for seconds, too; but only a change fixes it."""
    from credproxy.core.ask.message import failure_text  # noqa: PLC0415  near its use

    said = failure_text(failed(code, "something", retry_after=2.0).failure)
    helps = {Code.UPSTREAM_UNAVAILABLE, Code.RATE_LIMITED, Code.OVERLOADED, Code.STILL_TRYING}
    assert ("ask again" in said) == (code in helps)
