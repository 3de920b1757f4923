"""A login on another device: the requests, and how long to wait (RFC 8628)."""

import json
from dataclasses import replace
from urllib.parse import parse_qs

import pytest

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial, Request, Response
from credproxy.core.errors import Code, Failed, failed
from credproxy.exchange.oauth_client import OauthClient
from credproxy.exchange.oauth_code import challenge_of
from credproxy.exchange.oauth_device import GRANT, DeviceLogin, ask, begin
from credproxy.exchange.oauth_server import OauthServer
from credproxy.exchange.oauth_token import OauthLimits, OauthToken
from credproxy.ports.http_client import converse
from tests.fakes import T0, FakeHttp, FixedTerms
from tests.hints import filled


DEVICE, TOKEN = "https://id.test/device", "https://id.test/token"
SERVER = OauthServer(Dial(rule="cache.test", kind="oauth2"), token_url=TOKEN, device_url=DEVICE)
CLIENT = OauthClient("bazel")
LIMITS = OauthLimits(("read", "offline_access"))
VERIFIER = Secret("canary-verifier")
BEGUN = {
    "device_code": "canary-code",
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://id.test/d",
    "verification_uri_complete": "https://id.test/d?user_code=ABCD-EFGH",
    "expires_in": 300,
    "interval": 7,
}
LOGIN = DeviceLogin("ABCD-EFGH", "https://id.test/d", "", 5.0, 1300.0, Secret("canary-code"), VERIFIER)


def answer(body: object, status: int = 200) -> Response:
    """An answer of the server."""
    return Response(status, (), json.dumps(body).encode(), 1000.0, T0)


def form(request: Request) -> dict[str, str]:
    """What was posted."""
    assert request.body is not None
    return {name: values[0] for name, values in parse_qs(request.body.reveal()).items()}


async def begun(body: object) -> DeviceLogin:
    """Begin one."""
    return await converse(
        begin(SERVER, CLIENT, limits=LIMITS, verifier=VERIFIER), FakeHttp({DEVICE: [answer(body)]}), terms=FixedTerms()
    )


async def asked(response: Response | Failed, login: DeviceLogin = LOGIN) -> OauthToken | DeviceLogin:
    """Ask once."""
    return await converse(
        ask(SERVER, CLIENT, login=login, limits=LIMITS), FakeHttp({TOKEN: [response]}), terms=FixedTerms()
    )


async def test_a_login_begins_with_a_code_for_a_person() -> None:
    """With PKCE, which some servers require here as well; the secrets for polling are not shown."""
    http = FakeHttp({DEVICE: [answer(BEGUN)]})
    login = await converse(begin(SERVER, CLIENT, limits=LIMITS, verifier=VERIFIER), http, terms=FixedTerms())
    assert form(http.requests[0]) == {
        "client_id": "bazel",
        "scope": "read offline_access",
        "code_challenge": challenge_of(VERIFIER),
        "code_challenge_method": "S256",
    }
    assert (login.user_code, login.url, login.complete_url) == (
        "ABCD-EFGH",
        "https://id.test/d",
        "https://id.test/d?user_code=ABCD-EFGH",
    )
    assert (login.interval, login.until) == (7, 1300)
    assert "canary" not in repr(login)


@pytest.mark.parametrize(
    ("more", "interval", "until"),
    [
        ({"interval": None, "expires_in": None}, 5, 1600),
        ({"interval": 0, "expires_in": -1}, 5, 1600),
        ({"interval": "1", "expires_in": True}, 5, 1600),
        ({"interval": 10_000, "expires_in": 1e300}, 60, 4600),
    ],
    ids=str,
)
async def test_times_that_make_no_sense(more: dict[str, object], interval: float, until: float) -> None:
    """The specification says five seconds; a day is too long."""
    login = await begun(BEGUN | more)
    assert (login.interval, login.until) == (interval, until)


@pytest.mark.parametrize(
    "more",
    [
        {"device_code": None},
        {"device_code": ""},
        {"user_code": ""},
        {"user_code": "x" * 65},
        {"user_code": "a\u001b[2J"},
        {"user_code": "\u00e4"},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "file:///etc/passwd"},
        {"verification_uri": "id.test/d"},
        {"verification_uri": "https://id.test/\u001b[2J"},
        {"verification_uri": "https://id.test/\u202ed"},
        {"verification_uri": "https://id.test@evil.test/d"},
        {"verification_uri": "http://id.test/d"},
        {"verification_uri": "https://id.test/" + "d" * 2048},
        {"user_code": " " * 9},
        {"user_code": "x" * 1_000_000},
        {"verification_uri": None},
    ],
    ids=str,
)
async def test_an_answer_that_no_person_could_follow_is_refused(more: dict[str, object]) -> None:
    """It is shown on a terminal, and opened in a browser."""
    with pytest.raises(Failed) as caught:
        await begun(BEGUN | more)
    assert caught.value.failure.code is Code.BAD_TOKEN
    assert "canary" not in str(caught.value)


async def test_a_page_with_the_code_in_it_is_optional() -> None:
    """And left out where it is none, or leads to another place than the page that is shown: nobody reads a QR code."""
    for complete in ("javascript:x", "https://evil.test/d?user_code=x", "http://id.test/d", 7):
        assert (await begun(BEGUN | {"verification_uri_complete": complete})).complete_url == ""


async def test_a_page_is_as_secure_as_the_server_is_asked() -> None:
    """Where the rule has plain http, which is told, the page may have it as well."""
    plain = replace(SERVER, token_url="http://id.test/token", device_url="http://id.test/device")
    http = FakeHttp({"http://id.test/device": [answer(BEGUN | {"verification_uri": "http://id.test/d"})]})
    login = await converse(begin(plain, CLIENT, limits=LIMITS, verifier=VERIFIER), http, terms=FixedTerms())
    assert login.url == "http://id.test/d"


async def test_a_server_without_that_endpoint_is_reported_with_the_setting() -> None:
    """Its issuer does not publish one, or not on its own origin."""
    with pytest.raises(Failed) as caught:
        await converse(
            begin(replace(SERVER, device_url=""), CLIENT, limits=LIMITS, verifier=VERIFIER),
            FakeHttp(),
            terms=FixedTerms(),
        )
    failure = caught.value.failure
    assert failure.code is Code.NO_CHALLENGE
    assert filled(failure.hint, "name it {}")[0].endswith('device_url = "https://HOST/PATH"')


async def test_a_client_that_may_not_begin_gets_an_error() -> None:
    """As for every other grant."""
    http = FakeHttp({DEVICE: [answer({"error": "unauthorized_client"}, 400)]})
    with pytest.raises(Failed) as caught:
        await converse(begin(SERVER, CLIENT, limits=LIMITS, verifier=VERIFIER), http, terms=FixedTerms())
    assert "does not let the client 'bazel' ask by device_code" in caught.value.failure.message


async def test_the_code_is_polled_until_the_user_confirms() -> None:
    """With the verifier of its challenge."""
    http = FakeHttp({TOKEN: [answer({"access_token": "t", "refresh_token": "r", "scope": "read"})]})
    got = await converse(ask(SERVER, CLIENT, login=LOGIN, limits=LIMITS), http, terms=FixedTerms())
    assert form(http.requests[0]) == {
        "grant_type": GRANT,
        "device_code": "canary-code",
        "code_verifier": "canary-verifier",
        "client_id": "bazel",
    }
    assert http.requests[0].repeatable
    assert isinstance(got, OauthToken)
    assert got.token.refresh_token == Secret("r")
    assert got.lacking == ("offline_access",)


@pytest.mark.parametrize("status", [400, 200])
async def test_slow_down_lengthens_all_later_intervals(status: int) -> None:
    """RFC 8628, section 3.5: five seconds more each time. GitHub says so with 200."""
    assert await asked(answer({"error": "authorization_pending"}, status)) == LOGIN
    slower = await asked(answer({"error": "slow_down"}, status))
    assert isinstance(slower, DeviceLogin)
    assert slower.interval == 10
    again = await asked(answer({"error": "slow_down"}, 400), slower)
    assert isinstance(again, DeviceLogin)
    assert again.interval == 15


@pytest.mark.parametrize(
    ("error", "code", "hint"),
    [
        ("access_denied", Code.DENIED, "begin again"),
        ("expired_token", Code.BAD_CREDENTIALS, "begin again"),
        ("invalid_grant", Code.BAD_CREDENTIALS, "begin again"),
        ("bad_verification_code", Code.BAD_CREDENTIALS, "begin again"),
    ],
)
@pytest.mark.parametrize("status", [400, 200])
async def test_a_login_that_is_over(status: int, error: str, *, code: Code, hint: str) -> None:
    """The user said no, or did not answer."""
    with pytest.raises(Failed) as caught:
        await asked(answer({"error": error}, status))
    assert caught.value.failure.code is code
    assert caught.value.failure.hint == hint


@pytest.mark.parametrize("step", [answer({}, 503), failed(Code.UPSTREAM_UNAVAILABLE, "it broke off")], ids=str)
async def test_what_may_pass_does_not_end_it(step: Response | Failed) -> None:
    """A laptop that is carried to another room asks again."""
    with pytest.raises(Failed) as caught:
        await asked(step)
    assert caught.value.failure.may_pass
