"""Revoking a refresh token (RFC 7009)."""

import json
from urllib.parse import parse_qs

import pytest

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial, Response
from credproxy.core.errors import Code, Failed
from credproxy.exchange.oauth_client import OauthClient
from credproxy.exchange.oauth_revocation import revoke
from credproxy.exchange.oauth_server import OauthServer
from tests.fakes import T0
from tests.hints import filled


SERVER = OauthServer(Dial(), token_url="https://id.test/token", revocation_url="https://id.test/revoke")


def answer(status: int, error: str = "") -> Response:
    """What the server says."""
    return Response(status, (), json.dumps({"error": error}).encode(), 1000.0, T0)


def test_the_token_is_posted_by_its_client_and_a_200_is_enough() -> None:
    """The server answers so for a token that it does not know as well (section 2.2)."""
    asked = revoke(SERVER, OauthClient("bazel"), token=Secret("canary"))
    request = next(asked)
    assert (request.method, request.url, request.repeatable) == ("POST", "https://id.test/revoke", True)
    assert request.body is not None
    wanted = {"token": ["canary"], "token_type_hint": ["refresh_token"], "client_id": ["bazel"]}
    assert parse_qs(request.body.reveal()) == wanted
    with pytest.raises(StopIteration):
        asked.send(answer(200))


@pytest.mark.parametrize(
    ("response", "code", "said"),
    [
        (answer(400, "unsupported_token_type"), Code.DENIED, "it answered 400 unsupported_token_type"),
        (answer(401, "canary"), Code.DENIED, "it answered 401"),
        (answer(302), Code.DENIED, "it answered 302"),
        (answer(503), Code.UPSTREAM_UNAVAILABLE, "answered 503"),
        (answer(429), Code.RATE_LIMITED, "asks to come back later"),
    ],
)
def test_anything_else_is_told_by_its_status(response: Response, code: Code, said: str) -> None:
    """A code of its own may be repeated, and nothing else of what it says."""
    asked = revoke(SERVER, OauthClient("bazel"), token=Secret("canary"))
    next(asked)
    with pytest.raises(Failed) as caught:
        asked.send(response)
    failure = caught.value.failure
    assert (failure.code, failure.message.endswith(said)) == (code, True)
    assert "canary" not in repr(failure)
    if code is Code.DENIED:
        assert filled(failure.hint, "ask its administrator to let the client revoke its tokens") == ()
