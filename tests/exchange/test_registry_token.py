"""The token request, branch by branch: the requests, and the meaning of each status (docs/design/exchanges.md#token-requests)."""

import base64
import json
from dataclasses import replace
from urllib.parse import parse_qs

import pytest

from credproxy.core.ask.credential import IdentityToken, Secret, UserPassword
from credproxy.core.ask.http import Request, Response
from credproxy.core.errors import Code, Failed, failed
from credproxy.exchange.discovery import Asks, Found
from credproxy.exchange.registry_token import Obtained, Order, obtain


LOGIN = UserPassword("u", Secret("p"))
IDENTITY = IdentityToken(Secret("idt"))
BOTH = IdentityToken(Secret("idt"), "u", Secret("p"))
TOKEN = Response(200, (), b'{"token":"t"}', 0.0, 0.0)


def order(
    credential: UserPassword | IdentityToken | None = LOGIN,
    *scopes: str,
    realm: str = "https://auth.test/t",
    service: str = "s",
) -> Order:
    """Give an order for these scopes."""
    found = Found(Asks.BEARER, realm, "auth.test", service)
    return Order(found, scopes, credential, "docker-config:reg.test", "reg.test")


def talk(wanted: Order, *responses: Response) -> tuple[list[Request], Obtained]:
    """Hold the conversation with these answers."""
    conversation, answers = obtain(wanted), iter(responses)
    requests = [next(conversation)]
    try:
        while True:
            requests.append(conversation.send(next(answers)))
    except StopIteration as stop:
        obtained = stop.value
        assert isinstance(obtained, Obtained)
        return requests, obtained


def status(code: int) -> Response:
    """Make an answer of this status, with a body that must not be shown."""
    return Response(code, (), b"SECRET", 0.0, 0.0)


def test_without_scopes_there_is_no_scope_parameter() -> None:
    """T-50 (b), TX-4: ``scope=`` breaks some servers."""
    requests, _ = talk(order(), TOKEN)
    assert requests[0].url == "https://auth.test/t?service=s"


def test_without_service_and_scopes_the_realm_stays_bare() -> None:
    """TX-4: not even a question mark."""
    requests, _ = talk(order(service=""), TOKEN)
    assert requests[0].url == "https://auth.test/t"


@pytest.mark.parametrize(
    ("query", "kept"),
    [
        ("tenant=1", "tenant=1&"),
        ("scope=evil&tenant=1&scope=worse", "tenant=1&"),
        ("service=evil", ""),
        ("account=evil&client_id=evil&offline_token=true", ""),
        ("%73cope=evil", ""),
        ("x", "x&"),
        ("a=%26scope%3Devil", "a=%26scope%3Devil&"),
        ("&&", ""),
    ],
)
def test_our_parameters_replace_the_realms(query: str, kept: str) -> None:
    """CH-14: also where the realm hides them behind escapes."""
    requests, _ = talk(order(LOGIN, "repository:a:pull", realm=f"https://auth.test/t?{query}"), TOKEN)
    assert requests[0].url == f"https://auth.test/t?{kept}service=s&scope=repository:a:pull"


def test_a_service_is_opaque_and_escaped() -> None:
    """TX-4: Cloudsmith's is a URL, olareg's has a space; neither may add a parameter."""
    requests, _ = talk(order(service="https://x/?a=1&scope=evil #"), TOKEN)
    assert requests[0].url == "https://auth.test/t?service=https://x/%3Fa%3D1%26scope%3Devil%20%23"


def test_no_second_long_lived_secret_is_asked_for() -> None:
    """TX-5, TX-6: neither offline_token nor access_type."""
    for credential in (LOGIN, IDENTITY):
        requests, _ = talk(order(credential), TOKEN)
        sent = requests[0].url + (requests[0].body.reveal() if requests[0].body else "")
        assert "offline" not in sent


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, Code.BAD_CREDENTIALS),
        (403, Code.DENIED),
        (400, Code.DENIED),
        (404, Code.NO_CHALLENGE),
        (307, Code.REDIRECT_REFUSED),
        (429, Code.RATE_LIMITED),
        (500, Code.UPSTREAM_UNAVAILABLE),
        (503, Code.UPSTREAM_UNAVAILABLE),
    ],
)
@pytest.mark.parametrize("credential", [LOGIN, IDENTITY], ids=["login", "identity token"])
def test_each_status_has_its_code_and_no_message_a_body(
    credential: UserPassword | IdentityToken, code: int, kind: Code
) -> None:
    """TX-10, SEC-6, U4: one request each, since nothing else could help."""
    conversation = obtain(order(credential, "repository:a:pull"))
    next(conversation)
    with pytest.raises(Failed) as caught:
        conversation.send(status(code))
    failure = caught.value.failure
    assert failure.code is kind
    assert "SECRET" not in failure.message + failure.hint


@pytest.mark.parametrize("code", [403, 429, 500, 503, 302])
def test_other_statuses_do_not_cause_a_second_request_with_the_password(code: int) -> None:
    """TX-9: a second secret is spent only if the first was refused for its form."""
    conversation = obtain(order(BOTH, "repository:a:pull"))
    next(conversation)
    with pytest.raises(Failed):
        conversation.send(status(code))


def test_a_get_that_follows_a_post_is_final() -> None:
    """TX-9: T-11: one fallback, then the login is bad."""
    conversation = obtain(order(BOTH, "repository:a:pull"))
    assert next(conversation).method == "POST"
    assert conversation.send(status(401)).method == "GET"
    with pytest.raises(Failed) as caught:
        conversation.send(status(401))
    assert caught.value.failure.code is Code.BAD_CREDENTIALS


def test_a_refresh_token_is_sent_once() -> None:
    """U14: the client that repeats requests must not repeat this one; a GET it may."""
    assert not talk(order(IDENTITY), TOKEN)[0][0].repeatable
    assert talk(order(LOGIN), TOKEN)[0][0].repeatable


def test_a_failure_of_the_client_passes_through() -> None:
    """An outage of the server never causes another request."""
    conversation = obtain(order(BOTH))
    next(conversation)
    with pytest.raises(Failed) as caught:
        conversation.throw(failed(Code.UPSTREAM_UNAVAILABLE, "token server 'auth.test' cannot be reached"))
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE


TARGET, SOURCE = "repository:dst:pull,push", "repository:src:pull"


def mount(credential: UserPassword | IdentityToken | None = LOGIN) -> Order:
    """Give an order for an upload that mounts a blob from another repository."""
    return replace(order(credential, TARGET, SOURCE), mounted=(SOURCE,))


def saying(*names: str) -> Response:
    """Make a token that claims pull and push for these repositories."""
    access = [{"type": "repository", "name": name, "actions": ["pull", "push"]} for name in names]
    claims = base64.urlsafe_b64encode(json.dumps({"access": access}).encode()).decode().rstrip("=")
    return Response(200, (), json.dumps({"token": f"e30.{claims}.{'-'.join(names)}"}).encode(), 0.0, 0.0)


@pytest.mark.parametrize("refused", [201, 302, 400, 401, 403, 404, 405, 409, 422, 501])
@pytest.mark.parametrize("credential", [LOGIN, IDENTITY, None], ids=["login", "identity token", "nobody"])
def test_an_upload_does_without_the_source_that_a_token_server_refuses(
    credential: UserPassword | IdentityToken | None, refused: int
) -> None:
    """TX-22: the token is for the target at least; a blob that is not mounted is uploaded."""
    requests, obtained = talk(mount(credential), status(refused), TOKEN)
    shown = [scopes_of(request) for request in requests]
    assert shown == [[TARGET, SOURCE], [TARGET]]
    assert obtained.token.value.reveal() == "t"


@pytest.mark.parametrize("body", [b'{"token":""}', b"{}", b"<html>"])
def test_an_upload_does_without_a_source_that_makes_an_answer_without_a_token(body: bytes) -> None:
    """TX-22: some servers refuse with 200."""
    requests, obtained = talk(mount(), Response(200, (), body, 0.0, 0.0), TOKEN)
    assert [scopes_of(request) for request in requests] == [[TARGET, SOURCE], [TARGET]]
    assert obtained.token.value.reveal() == "t"


def test_an_outage_is_not_a_refusal_of_the_source() -> None:
    """All attempts were made with both scopes; a temporary failure is reported as such."""
    with pytest.raises(Failed) as caught:
        talk(mount(), status(503))
    assert caught.value.failure.code is Code.UPSTREAM_UNAVAILABLE


def scopes_of(request: Request) -> list[str]:
    """The scopes of a token request, from its query or its form."""
    text = request.url.partition("?")[2] if request.body is None else request.body.reveal()
    return " ".join(parse_qs(text)["scope"]).split()


def test_a_server_that_looked_at_the_source_alone_is_asked_for_the_target() -> None:
    """TX-21: an older GitLab reads the last scope, and its token would push nothing."""
    requests, obtained = talk(mount(), saying("src"), saying("dst"))
    assert [scopes_of(request) for request in requests] == [[TARGET, SOURCE], [TARGET]]
    assert obtained.token.value.reveal().endswith(".dst")


def test_a_token_that_lacks_only_the_source_is_taken_as_it_is() -> None:
    """Nothing that the upload needs is missing."""
    requests, _ = talk(mount(), saying("dst"))
    assert len(requests) == 1


def test_a_request_that_is_not_a_mount_keeps_all_scopes() -> None:
    """The scopes that a bare host was configured with are all wanted."""
    with pytest.raises(Failed):
        talk(order(LOGIN, "repository:a:pull", "repository:b:pull"), status(401))


def test_a_login_that_is_wrong_is_reported_after_two_tries() -> None:
    """It is also refused for the target alone; that counts."""
    with pytest.raises(Failed) as caught:
        talk(mount(), status(401), status(401))
    assert caught.value.failure.code is Code.BAD_CREDENTIALS
