"""A GitHub App as a source: which token a URL gets, how often GitHub is asked, what a build action may get."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime

import msgspec
import pytest

from credproxy.core.ask.credential import PlainSecret, Secret
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.github_app import GithubAppSource
from credproxy.ports.source import Narrows, Source
from credproxy.sources import make
from credproxy.sources.github_app import GithubApp
from tests.contract import CANARY, HOST, ISSUED, Ground, SourceContract


KEY = "/home/u/app.pem"
API = f"https://{HOST}/api/v3"
URL = f"https://{HOST}/octo/hello/archive/v1.zip"
PEM = "-----BEGIN RSA PRIVATE KEY-----\n"


def issued(ground: Ground, token: str) -> Callable[[Request], Response]:
    """A token of an hour, for what was asked."""

    def respond(request: Request) -> Response:
        assert request.body is not None
        asked = json.loads(request.body.reveal())
        end = datetime.fromtimestamp(ground.clock.wall() + 3600, UTC).isoformat()
        told = {"token": token, "expires_at": end, "permissions": asked["permissions"]}
        if "repositories" in asked:
            told["repositories"] = [{"full_name": f"octo/{name}"} for name in asked["repositories"]]
        return said(ground, 201, told)

    return respond


def said(ground: Ground, status: int, told: object) -> Response:
    """An answer of now."""
    return Response(status, (), json.dumps(told).encode(), ground.clock.boot(), ground.clock.wall())


def put(ground: Ground, secret: str) -> None:
    """A key, and what GitHub gives for it."""
    ground.files.put(KEY, f"{PEM}{CANARY}")
    ground.http.script[f"{API}/orgs/octo/installation"] = [said(ground, 200, {"id": 7})]
    ground.http.script[f"{API}/app/installations/7/access_tokens"] = [issued(ground, secret)]


def broken(ground: Ground) -> None:
    """A file that is not a key."""
    ground.files.put(KEY, CANARY)


SETTINGS = GithubAppSource(app="4711", key_file=KEY, host=HOST)
CONTRACTS = {"github-app": SourceContract(SETTINGS, put, broken, target=parse_uri(URL))}


def made(ground: Ground, **options: object) -> GithubApp:
    """The source with other options."""
    given = {"source": "github-app", "app": "4711", "key_file": KEY, "host": HOST} | options
    source = ground.made(msgspec.convert(given, GithubAppSource))
    assert isinstance(source, GithubApp)
    return source


async def token(source: Source, url: str = URL, *, narrow: bool = False) -> str | None:
    """What a URL gets."""
    target = parse_uri(url)
    identity = await source.locate(target, None)
    if identity is not None and narrow:
        assert isinstance(source, Narrows)
        identity = source.narrow(identity, target, opened="")
    login = None if identity is None else await source.read(identity, target)
    if login is None:
        return None
    assert isinstance(login.stored, PlainSecret)
    return login.stored.value.reveal()


def minted(ground: Ground) -> list[dict[str, object]]:
    """What tokens were asked for."""
    posts = [request.body for request in ground.http.requests if request.method == "POST"]
    return [json.loads(body.reveal()) for body in posts if body is not None]


async def test_one_token_serves_all_repositories_of_an_owner_and_all_waiters() -> None:
    """Whatever the URL: an installation is an owner's."""
    ground = Ground()
    put(ground, ISSUED)
    source = made(ground)
    urls = (URL, f"{API}/repos/octo/world/tarball/main", f"https://raw.{HOST}/OCTO/x/main/f")
    assert await asyncio.gather(*(token(source, url) for url in urls)) == [ISSUED] * 3
    assert minted(ground) == [{"permissions": {"contents": "read"}}]


async def test_a_token_is_replaced_before_it_is_fifty_minutes_old() -> None:
    """No caller gets one that ends while it is used."""
    ground = Ground()
    put(ground, ISSUED)
    source = made(ground, installation=7)
    await token(source)
    ground.clock.suspend(43 * 60)
    await token(source)
    assert len(minted(ground)) == 1
    ground.clock.suspend(7 * 60)
    await token(source)
    assert len(minted(ground)) == 2


async def test_another_key_makes_another_token() -> None:
    """Replacing a key also ends the tokens made with it."""
    ground = Ground()
    put(ground, ISSUED)
    source = made(ground)
    before = await source.locate(parse_uri(URL), None)
    await token(source)
    put(ground, "second")
    assert await source.locate(parse_uri(URL), None) != before
    assert await token(source) == "second"


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://github.com/octo/hello", f"the GitHub App '4711' is for '{HOST}'"),
        (f"https://{HOST}:8443/octo/hello", f"the GitHub App '4711' is for '{HOST}'"),
        (f"https://{HOST}/", "the URL names no owner"),
        (f"{API}/user", "the URL names no owner"),
        (HOST, "the URL names no owner"),
    ],
)
async def test_other_targets_get_nothing_and_nothing_is_sent(url: str, said: str) -> None:
    """A URL must not choose which host gets what the key has signed."""
    ground = Ground()
    put(ground, ISSUED)
    source = made(ground)
    assert await token(source, url) is None
    assert source.looked(parse_uri(url))[0].startswith(said)
    assert ground.http.requests == []


async def test_with_a_number_the_owner_does_not_matter() -> None:
    """One token, also for the API's own questions and for a bare host."""
    ground = Ground()
    put(ground, ISSUED)
    source = made(ground, installation=7)
    assert [await token(source, url) for url in (URL, HOST, f"{API}/rate_limit")] == [ISSUED] * 3
    assert len(ground.http.requests) == 1


async def test_what_it_is_not_installed_for_is_the_next_ones_or_an_error() -> None:
    """In a list it is "not mine"; alone it is told."""
    ground = Ground()
    put(ground, ISSUED)
    for kind in ("orgs", "users"):
        ground.http.script[f"{API}/{kind}/octo/installation"] = [said(ground, 404, {"message": "Not Found"})]
    with pytest.raises(Failed, match="is not installed for 'octo'"):
        await token(made(ground))
    ground.environ["T"] = "t0"
    assert await token(make((SETTINGS, EnvSource("T")), ground.source_tools())) == "t0"


async def test_a_build_actions_token_is_for_one_repository() -> None:
    """To read it, whatever the rule's own tokens may do; and it is not the one that others get."""
    ground = Ground()
    put(ground, ISSUED)
    source = made(ground, permissions={"contents": "write", "packages": "read"})
    await token(source)
    await token(source, narrow=True)
    await token(source, narrow=True)
    assert minted(ground) == [
        {"permissions": {"contents": "write", "packages": "read"}},
        {"permissions": {"contents": "read"}, "repositories": ["hello"]},
    ]


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({"repositories": ("world",)}, URL),
        ({"permissions": {"packages": "read"}}, URL),
        ({"installation": 7}, f"https://{HOST}/octo"),
    ],
    ids=["another-repository", "no-contents", "no-repository"],
)
async def test_what_the_rules_own_tokens_may_not_do_no_build_action_may(options: dict[str, object], url: str) -> None:
    """A narrowed token cannot bypass a rule."""
    ground = Ground()
    put(ground, ISSUED)
    assert await token(made(ground, **options), url, narrow=True) is None
    assert minted(ground) == []


async def test_if_a_narrow_token_is_impossible_no_other_one_is_used() -> None:
    """The next source's would be as wide as it is."""
    ground = Ground()
    put(ground, ISSUED)
    ground.environ["T"] = "wide"
    source = make((SETTINGS, EnvSource("T")), ground.source_tools())
    for kind in ("orgs", "users"):
        ground.http.script[f"{API}/{kind}/octo/installation"] = [said(ground, 404, {})]
    assert await token(source) == "wide"
    assert await token(source, narrow=True) is None


async def test_explain_checks_the_key_and_sends_no_request() -> None:
    """Failures are shown before a build fails."""
    ground = Ground()
    put(ground, ISSUED)
    source = made(ground)
    target = parse_uri(URL)
    identity = await source.locate(target, None)
    assert identity is not None
    assert await source.peek(identity, target) is None
    assert ground.http.requests == []
    await token(source)
    known = await source.peek(identity, target)
    assert known is not None
    assert known.stored == PlainSecret(Secret(ISSUED))
    ground.files.put(KEY, "canary")
    source.forget()
    with pytest.raises(Failed) as caught:
        await source.peek(identity, target)
    assert caught.value.failure.code is Code.CREDENTIAL_UNREADABLE
    assert "is not a private key" in caught.value.failure.message


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"app": "a b"}, "app"),
        ({"key_file": "app.pem"}, "key_file"),
        ({"installation": 0}, "installation"),
        ({"host": "api.github.com"}, "host"),
        ({"host": "https://github.com"}, "host"),
        ({"host": "GitHub.com"}, "host"),
        ({"repositories": ("octo/hello",)}, "repositories"),
        ({"permissions": {}}, "permissions"),
        ({"permissions": {"Contents": "read"}}, "permissions"),
    ],
)
def test_mistakes_are_reported_with_their_key(options: dict[str, object], key: str) -> None:
    """Before a daemon runs with them."""
    given = {"source": "github-app", "app": "4711", "key_file": KEY} | options
    found = [path for path, _ in msgspec.convert(given, GithubAppSource).problems()]
    assert found == [(key,)]
