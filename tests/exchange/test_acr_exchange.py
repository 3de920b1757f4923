"""A refresh token of Azure's registry for an access token: what is sent, and what each answer means."""

import json
from urllib.parse import parse_qs

import pytest

from credproxy.core.ask.credential import Secret, reveal
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.names import Authority
from credproxy.core.errors import Code, Failed
from credproxy.exchange.acr_exchange import acr_refresh_token
from tests.hints import filled


REGISTRY = Authority("team.azurecr.io")


def exchange(status: int, body: object, tenant: str = "") -> tuple[Request, Secret]:
    """Hold the conversation."""
    conversation = acr_refresh_token(REGISTRY, Secret("canary-aad"), tenant=tenant)
    request = next(conversation)
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    with pytest.raises(StopIteration) as done:
        conversation.send(Response(status, (), content, 0.0, 0.0))
    given = done.value.value
    assert isinstance(given, Secret)
    return request, given


@pytest.mark.parametrize("tenant", ["", "t-1"])
def test_the_registry_itself_is_asked(tenant: str) -> None:
    """With the token in the body, and its tenant if that is known; it is sent once."""
    request, given = exchange(200, {"refresh_token": "r"}, tenant)
    assert (request.method, request.url) == ("POST", "https://team.azurecr.io/oauth2/exchange")
    assert request.body is not None
    form = {"grant_type": ["access_token"], "service": [REGISTRY], "access_token": ["canary-aad"]}
    assert parse_qs(reveal(request.body)) == (form | {"tenant": [tenant]} if tenant else form)
    assert given.reveal() == "r"
    assert "canary" not in repr(request)


@pytest.mark.parametrize(
    ("status", "body", "code"),
    [
        (401, {"errors": [{"code": "UNAUTHORIZED", "message": "canary"}]}, Code.BAD_CREDENTIALS),
        (403, b"canary", Code.BAD_CREDENTIALS),
        (400, b"canary", Code.BAD_CREDENTIALS),
        (302, b"", Code.REDIRECT_REFUSED),
        (429, b"", Code.RATE_LIMITED),
        (503, b"", Code.UPSTREAM_UNAVAILABLE),
        (404, b"canary", Code.BAD_TOKEN),
        (200, b"canary", Code.BAD_TOKEN),
        (200, {"refresh_token": 1}, Code.BAD_TOKEN),
    ],
)
def test_what_an_answer_means(status: int, body: object, code: Code) -> None:
    """None of it is repeated."""
    with pytest.raises(Failed) as caught:
        exchange(status, body)
    assert caught.value.failure.code is code
    assert "canary" not in repr(caught.value.failure)


def test_a_login_of_another_tenant_is_told_what_to_do() -> None:
    """Registries know their own tenant alone."""
    with pytest.raises(Failed) as caught:
        exchange(401, {}, "t-1")
    failure = caught.value.failure
    assert failure.message == "registry 'team.azurecr.io' does not know the login of the tenant 't-1' (status 401)"
    assert filled(failure.hint, 'log in to its tenant, and name that: tenant = "..."') == ()
