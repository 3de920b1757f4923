"""Logins for Azure's registries: a refresh token of each, made of one login."""

import json
from urllib.parse import parse_qs

import pytest

from credproxy.core.ask.credential import IdentityToken, reveal
from credproxy.core.ask.http import Response
from credproxy.core.ask.uri import parse_uri
from credproxy.core.ask.worker_messages import AzureToken, LibraryToken
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.sources.acr import AcrSource
from tests.contract import CANARY, Ground, SourceContract
from tests.sources.azure_world import PROFILE, SECRETS, AzureMachine, login, text


REGISTRY = parse_uri("https://team.azurecr.io/v2/a/b/manifests/latest")
OTHER = parse_uri("https://other.azurecr.io/v2/a/b/manifests/latest")
EXCHANGE = "https://team.azurecr.io/oauth2/exchange"


def answer(body: object, status: int = 200) -> Response:
    """A registry's."""
    return Response(status, (), json.dumps(body).encode(), 0.0, 0.0)


def put(ground: Ground, secret: str) -> None:
    """A login of az's; the registry's refresh token is what the secret says."""
    ground.files.put(PROFILE, secret)
    ground.libraries.answers[AzureToken] = lambda _: LibraryToken("aad")
    ground.http.script[EXCHANGE] = [answer({"refresh_token": secret})]


def put_broken(ground: Ground) -> None:
    """A login that the registry does not know."""
    put(ground, CANARY)
    ground.http.script[EXCHANGE] = [answer({"error": CANARY}, 401)]


CONTRACTS = {"acr": SourceContract(AcrSource(), put, put_broken, target=REGISTRY)}


def machine(*registries: str) -> AzureMachine:
    """With a login of the environment's, which these registries know."""
    made = AzureMachine()
    for name in registries or ("team",):
        made.http.script[f"https://{name}.azurecr.io/oauth2/exchange"] = [answer({"refresh_token": f"r-{name}"})]
    return made


async def test_the_registry_gives_an_identity_token_for_the_login() -> None:
    """With which ``oci`` asks it for tokens that are limited to a repository."""
    made = machine()
    found = await login(made.acr(), REGISTRY)
    assert isinstance(found.stored, IdentityToken)
    assert found.stored.username == "00000000-0000-0000-0000-000000000000"
    assert found.stored.token.reveal() == "r-team"
    assert made.asked.scope == "https://containerregistry.azure.net/.default"
    (request,) = made.http.requests
    assert request.body is not None
    form = parse_qs(reveal(request.body))
    assert (form["access_token"], form["tenant"], form["service"]) == (["aad"], ["t"], ["team.azurecr.io"])


async def test_each_registry_has_its_own_and_the_login_is_asked_for_once() -> None:
    """Forty repositories are one exchange."""
    made = machine("team", "other")
    source = made.acr()
    for _ in range(3):
        assert await text(source, REGISTRY) == "r-team"
        assert await text(source, OTHER) == "r-other"
    assert (len(made.http.requests), len(made.libraries.asked)) == (2, 1)


@pytest.mark.parametrize(
    "uri",
    ["https://evil.test/v2/a/manifests/1", "https://evilazurecr.io/v2/a/manifests/1", "https://x.azurecr.io:444/v2/"],
)
async def test_a_host_that_is_not_azures_gets_no_token_of_the_login(uri: str) -> None:
    """Whatever rule names it."""
    made, target = machine(), parse_uri(uri)
    source = made.acr()
    assert await source.locate(target, None) is None
    assert source.looked(target) == (f"{target.authority!r} is not a container registry of Azure's",)
    assert source.trouble(target) is None


async def test_it_is_asked_for_again_in_time_and_where_it_is_refused() -> None:
    """With another token of the login, which may be what was refused."""
    made = machine()
    source = made.acr()
    await login(source, REGISTRY)
    made.clock.suspend(3500)
    await login(source, REGISTRY)
    assert len(made.http.requests) == 2
    made.clock.suspend(11)
    await login(source, REGISTRY, anew=True)
    assert len(made.http.requests) == 3
    identity = await source.locate(REGISTRY, None)
    assert identity is not None
    assert await source.peek(identity, REGISTRY) is not None
    source.forget()
    assert await source.peek(identity, REGISTRY) is None


async def test_without_a_login_the_places_are_told() -> None:
    """Those of Azure's."""
    source = AzureMachine({}).acr()
    assert await source.locate(REGISTRY, None) is None
    assert len(source.looked(REGISTRY)) == 4


async def test_a_login_of_another_tenant_is_an_error_that_says_so() -> None:
    """And nothing of the answer."""
    made = AzureMachine(SECRETS)
    made.http.script[EXCHANGE] = [answer({"error": "canary"}, 401)]
    with pytest.raises(Failed) as caught:
        await login(made.acr(), REGISTRY)
    assert caught.value.failure.code is Code.BAD_CREDENTIALS
    assert "canary" not in repr(caught.value.failure)
