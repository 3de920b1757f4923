"""A login in the browser: where it is sent, and which answers are accepted (RFC 6749, 7636, 8252, 9207)."""

import json
from dataclasses import replace
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

import pytest

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial, Response
from credproxy.core.errors import Code, Failed
from credproxy.exchange.oauth_client import OauthClient
from credproxy.exchange.oauth_code import BrowserLogin, authorize_url, challenge_of, code_of, is_answer, redeem
from credproxy.exchange.oauth_server import OauthServer
from credproxy.exchange.oauth_token import OauthLimits
from credproxy.ports.http_client import converse
from tests.fakes import T0, FakeHttp, FixedTerms
from tests.hints import filled, text_of


ISSUER, PAGE, TOKEN = "https://id.test", "https://id.test/auth", "https://id.test/token"
SERVER = OauthServer(Dial(rule="cache.test", kind="oauth2"), ISSUER, TOKEN, authorize_url=PAGE)
CLIENT = OauthClient("bazel")
LIMITS = OauthLimits(("openid", "read"), (), ("https://cache.test/",))
LOGIN = BrowserLogin(Secret("canary-state"), Secret("canary-verifier"), "http://127.0.0.1:41234/")
AGAIN = text_of("begin again, and let the browser come back by itself")


def test_the_challenge_is_that_of_the_specification() -> None:
    """RFC 7636, appendix B."""
    verifier = Secret("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk")
    assert challenge_of(verifier) == "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


@pytest.mark.parametrize("page", [PAGE, f"{PAGE}?tenant=x"])
def test_where_the_browser_is_sent(page: str) -> None:
    """The verifier stays here: the code is worthless for anybody who sees the address."""
    url = authorize_url(replace(SERVER, authorize_url=page), CLIENT, limits=LIMITS, login=LOGIN)
    assert url.startswith(PAGE + "?")
    asked = dict(parse_qsl(urlsplit(url).query))
    asked.pop("tenant", None)
    assert asked == {
        "response_type": "code",
        "client_id": "bazel",
        "redirect_uri": "http://127.0.0.1:41234/",
        "state": "canary-state",
        "code_challenge": challenge_of(LOGIN.verifier),
        "code_challenge_method": "S256",
        "scope": "openid read",
        "resource": "https://cache.test/",
    }
    assert "canary" not in repr(LOGIN)


def test_who_wants_a_refresh_token_is_asked_for_consent() -> None:
    """Else a server leaves ``offline_access`` out, and the first renewal asks for more than was granted."""
    url = authorize_url(SERVER, CLIENT, limits=OauthLimits(("openid", "offline_access")), login=LOGIN)
    assert dict(parse_qsl(urlsplit(url).query))["prompt"] == "consent"
    assert "prompt" not in authorize_url(SERVER, CLIENT, limits=LIMITS, login=LOGIN)


def test_a_query_is_the_answer_where_it_has_the_state() -> None:
    """Once; whatever else it says."""
    assert is_answer(LOGIN, "error=x&state=canary-state")
    for query in ("", "state=", "state=other&code=x", "state=canary-state&state=canary-state", "x" * 20_000):
        assert not is_answer(LOGIN, query)


def test_a_server_without_that_page_is_reported_with_the_setting() -> None:
    """Its issuer publishes none."""
    with pytest.raises(Failed) as caught:
        authorize_url(replace(SERVER, authorize_url=""), CLIENT, limits=LIMITS, login=LOGIN)
    assert filled(caught.value.failure.hint, "name it {}")[0].endswith('authorize_url = "https://HOST/PATH"')


@pytest.mark.parametrize("issuer", [{}, {"iss": ISSUER}])
def test_the_code_is_taken_from_the_answer_to_our_own_login(issuer: dict[str, str]) -> None:
    """With the issuer if it names one."""
    query = urlencode({"code": "a+b/c", "state": "canary-state", **issuer})
    assert code_of(SERVER, LOGIN, query=query) == Secret("a+b/c")


@pytest.mark.parametrize(
    ("query", "code", "hint"),
    [
        ("", Code.BAD_REQUEST, AGAIN),
        ("code=x", Code.BAD_REQUEST, AGAIN),
        ("code=x&state=another", Code.BAD_REQUEST, AGAIN),
        ("code=x&state=canary-stat%C3%A9", Code.BAD_REQUEST, AGAIN),
        ("code=x&code=y&state=canary-state", Code.BAD_REQUEST, AGAIN),
        ("state=canary-state", Code.BAD_REQUEST, AGAIN),
        ("code=&state=canary-state", Code.BAD_REQUEST, AGAIN),
        ("code=x&state=canary-state&" + "x" * 20_000, Code.BAD_REQUEST, AGAIN),
        (
            "code=x&state=canary-state&iss=https://evil.test",
            Code.BAD_REQUEST,
            text_of("nothing was sent to it; somebody may stand in between: begin again"),
        ),
        ("error=access_denied", Code.BAD_REQUEST, AGAIN),
        ("error=access_denied&state=canary-state", Code.DENIED, text_of("begin again, and allow it there")),
        ("error=invalid_scope&state=canary-state", Code.DENIED, text_of("name another one {}")),
        (
            "error=server_error&state=canary-state",
            Code.UPSTREAM_UNAVAILABLE,
            "it is the server's fault and may pass",
        ),
        (
            "error=%1B[2J&error_description=canary&state=canary-state",
            Code.DENIED,
            text_of("its page says why; is http://127.0.0.1/ registered as a place to come back to?"),
        ),
    ],
)
def test_answers_that_are_rejected(query: str, code: Code, hint: str) -> None:
    """Any page may send the browser to a port of this machine."""
    with pytest.raises(Failed) as caught:
        code_of(SERVER, LOGIN, query=query)
    assert caught.value.failure.code is code
    filled(caught.value.failure.hint, hint)
    assert "canary" not in str(caught.value)


async def test_the_code_is_redeemed_with_the_verifier_and_once() -> None:
    """U14: it is spent; scopes were asked for before, and are not again (RFC 6749, section 4.1.3)."""
    answer = Response(200, (), json.dumps({"access_token": "t", "refresh_token": "r"}).encode(), 1000.0, T0)
    http = FakeHttp({TOKEN: [answer]})
    got = await converse(redeem(SERVER, CLIENT, limits=LIMITS, login=LOGIN, code=Secret("c")), http, terms=FixedTerms())
    assert got.token.refresh_token == Secret("r")
    (request,) = http.requests
    assert request.body is not None
    assert not request.repeatable
    assert parse_qs(request.body.reveal()) == {
        "grant_type": ["authorization_code"],
        "code": ["c"],
        "redirect_uri": ["http://127.0.0.1:41234/"],
        "code_verifier": ["canary-verifier"],
        "resource": ["https://cache.test/"],
        "client_id": ["bazel"],
    }
