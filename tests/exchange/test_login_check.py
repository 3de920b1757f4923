"""The one real request that tries a login before it is stored, answer by answer."""

import pytest

from credproxy.core.ask.credential import IdentityToken, Secret, UserPassword, reveal
from credproxy.core.ask.http import Dial, Request, Response
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.exchange.discovery import AskedRegistry
from credproxy.exchange.login_check import LoginCheck, UnprovenError, check_page, check_registry
from tests.hints import filled


REGISTRY = AskedRegistry(parse_uri("https://reg.test"))
LOGIN = UserPassword("u", Secret("canary"))
TOKEN = '{"token": "t"}'


def answer(status: int, body: str = "", challenge: str = "") -> Response:
    """With a challenge or without."""
    headers = (("WWW-Authenticate", challenge),) if challenge else ()
    return Response(status, headers, body.encode(), 0.0, 0.0)


BEARER = answer(401, challenge='Bearer realm="https://reg.test/token",service="s"')
BASIC = answer(401, challenge="Basic realm=x")


def talk(check: LoginCheck, *responses: Response) -> list[tuple[str, str]]:
    """Hold the conversation to its end; give each URL with the Authorization that went there."""
    left, sent = iter(responses), []
    try:
        request: Request = next(check)
        while True:
            sent.append((request.url, next((reveal(v) for name, v in request.headers if name == "Authorization"), "")))
            request = check.send(next(left))
    except StopIteration:
        assert next(left, None) is None
        return sent


def test_a_registry_s_token_server_and_then_its_api_are_asked() -> None:
    """As ``docker login`` asks them, without a scope."""
    sent = talk(check_registry(REGISTRY, LOGIN, repository=None), BEARER, answer(200, TOKEN), answer(200))
    assert sent == [
        ("https://reg.test/v2/", ""),
        ("https://reg.test/token?service=s", "Basic dTpjYW5hcnk="),
        ("https://reg.test/v2/", "Bearer t"),
    ]


def test_a_registry_of_basic_is_asked_with_the_login() -> None:
    """And takes no refresh token."""
    assert talk(check_registry(REGISTRY, LOGIN, repository=None), BASIC, answer(200))[1][1] == "Basic dTpjYW5hcnk="
    with pytest.raises(Failed) as caught:
        talk(check_registry(REGISTRY, IdentityToken(Secret("canary")), repository=None), BASIC)
    assert not filled(caught.value.failure.hint, "give one: -u NAME")


@pytest.mark.parametrize(
    "responses",
    [(BASIC, answer(401)), (BEARER, answer(401)), (BEARER, answer(200, TOKEN), answer(401))],
    ids=["basic", "token server", "token for everybody"],
)
def test_a_refused_login_is_reported(responses: tuple[Response, ...]) -> None:
    """Also by a registry whose token server gives tokens to everybody."""
    with pytest.raises(Failed) as caught:
        talk(check_registry(REGISTRY, LOGIN, repository=None), *responses)
    assert caught.value.failure.code is Code.BAD_CREDENTIALS
    assert "canary" not in f"{caught.value.failure}"


def test_a_token_for_nothing_that_may_not_see_the_api_is_a_login() -> None:
    """Its token server accepted the password."""
    talk(check_registry(REGISTRY, LOGIN, repository=None), BEARER, answer(200, TOKEN), answer(403))


def test_a_registry_that_asks_for_nothing_proves_nothing() -> None:
    """Asking about a repository may show that it wants a login after all."""
    with pytest.raises(UnprovenError, match="asks for no login"):
        talk(check_registry(REGISTRY, LOGIN, repository=None), answer(200))
    sent = talk(check_registry(REGISTRY, LOGIN, repository="a/b"), answer(200), BASIC, answer(200))
    assert sent[1][0] == "https://reg.test/v2/a/b/tags/list?n=1"


@pytest.mark.parametrize("status", [429, 503])
def test_a_server_that_is_out_of_order_is_not_a_refusal(status: int) -> None:
    """Nothing is known about the login."""
    headers = (("x-api-key", (Secret("canary"),)),)
    page = check_page("https://a.test/", headers, dial=Dial())
    for check, before in ((check_registry(REGISTRY, LOGIN, repository=None), (BASIC,)), (page, ())):
        with pytest.raises(Failed) as caught:
            talk(check, *before, answer(status))
        assert caught.value.failure.code in {Code.RATE_LIMITED, Code.UPSTREAM_UNAVAILABLE}


def test_a_page_is_asked_with_the_login_and_without() -> None:
    """An answer that everybody gets proves nothing."""
    headers = (("Authorization", (Secret("Bearer t"),)),)
    page = "https://a.test/page"
    assert talk(check_page(page, headers, dial=Dial()), answer(404), answer(401)) == [(page, "Bearer t"), (page, "")]
    with pytest.raises(UnprovenError, match="it answers 404 without it, too"):
        talk(check_page(page, headers, dial=Dial()), answer(404), answer(404))
    with pytest.raises(Failed, match=r"host 'a\.test' refuses it with 403") as caught:
        talk(check_page(page, headers, dial=Dial()), answer(403))
    assert not filled(
        caught.value.failure.hint, "nothing was stored: check user name and password, and that it has not expired"
    )
    talk(check_page(page, headers, dial=Dial(), refusals={401}), answer(403), answer(401))
