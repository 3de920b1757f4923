"""Which token server a rule means, and which documents are accepted (RFC 8414, OpenID Connect Discovery)."""

import json
from collections.abc import Mapping

import pytest

from credproxy.core.ask.http import Dial, Request, Response
from credproxy.core.errors import Code, Failed, Failure
from credproxy.exchange.oauth_server import OauthServer, find
from credproxy.ports.http_client import converse
from tests.fakes import T0, FakeHttp, FixedTerms, Step
from tests.hints import filled


ISSUER = "https://id.test/team"
FIRST = "https://id.test/.well-known/oauth-authorization-server/team"
SECOND = "https://id.test/team/.well-known/openid-configuration"
TOKEN = "https://id.test/team/token"
DOCUMENT = {"issuer": ISSUER, "token_endpoint": TOKEN}


def answer(body: object, status: int = 200) -> Response:
    """An answer of an issuer."""
    return Response(status, (), body if isinstance(body, bytes) else json.dumps(body).encode(), 1000.0, T0)


def named(**given: str) -> OauthServer:
    """The endpoints that a rule names."""
    return OauthServer(Dial(own=True, rule="cache.test", kind="oauth2"), **({"issuer": ISSUER} | given))


async def found(
    script: Mapping[str, Step], server: OauthServer | None = None
) -> tuple[OauthServer | Failure, list[Request]]:
    """The result, and the requests."""
    http = FakeHttp({url: [step] for url, step in script.items()})
    try:
        return await converse(find(server or named()), http, terms=FixedTerms()), http.requests
    except Failed as error:
        return error.failure, http.requests


async def refused(document: Mapping[str, object], server: OauthServer | None = None) -> Failure:
    """Why a document is refused."""
    result, _ = await found({FIRST: answer(document)}, server)
    assert isinstance(result, Failure)
    return result


async def test_the_document_of_rfc_8414_is_asked_for_first_and_without_a_secret() -> None:
    """Its well-known part comes before the path of the issuer, unlike that of OpenID Connect."""
    server, requests = await found({FIRST: answer(DOCUMENT)})
    assert isinstance(server, OauthServer)
    assert (server.token_url, server.device_url, server.authorize_url) == (TOKEN, "", "")
    assert server.subject == "token server 'id.test'"
    assert [(request.method, request.url, request.body) for request in requests] == [("GET", FIRST, None)]
    assert {name for name, _ in requests[0].headers} == {"Accept", "User-Agent"}
    assert requests[0].dial.own


@pytest.mark.parametrize("first", [answer(b"", 404), answer(b"<html>"), answer(b"[1]"), answer(b"", 403)], ids=repr)
async def test_the_openid_document_is_requested_if_the_first_is_missing(first: Response) -> None:
    """Many have only the second, and some answer everything with a page."""
    server, requests = await found({FIRST: first, SECOND: answer(DOCUMENT)})
    assert isinstance(server, OauthServer)
    assert [request.url for request in requests] == [FIRST, SECOND]


async def test_an_issuer_without_a_path_has_both_at_its_root() -> None:
    """With and without its last slash, which is a part of the issuer's name."""
    for issuer in ("https://id.test", "https://id.test/"):
        url = "https://id.test/.well-known/oauth-authorization-server"
        server, requests = await found({url: answer(DOCUMENT | {"issuer": issuer})}, named(issuer=issuer))
        assert isinstance(server, OauthServer)
        assert [request.url for request in requests] == [url]


async def test_the_rest_of_the_document_is_read_where_it_may_be_used() -> None:
    """A browser may be sent anywhere over TLS; to a device's endpoint the client's own secret goes."""
    own = {"device_authorization_endpoint": "https://id.test/device", "authorization_endpoint": "https://login.test/a"}
    server, _ = await found({FIRST: answer(DOCUMENT | own)})
    assert isinstance(server, OauthServer)
    assert (server.device_url, server.authorize_url) == ("https://id.test/device", "https://login.test/a")
    other = {"device_authorization_endpoint": "https://evil.test/d", "authorization_endpoint": "http://login.test/a"}
    server, _ = await found({FIRST: answer(DOCUMENT | other)})
    assert isinstance(server, OauthServer)
    assert (server.device_url, server.authorize_url) == ("", "")


@pytest.mark.parametrize("said", ["https://evil.test/team", ISSUER + "/", "https://ID.test/team", None, 1, ""])
async def test_a_document_of_another_issuer_is_refused(said: object) -> None:
    """RFC 8414, section 3.3: compared character by character, as the name is an identity."""
    failure = await refused(DOCUMENT | {"issuer": said})
    assert failure.code is Code.REALM_REFUSED
    assert filled(failure.hint, "write {}")[0].startswith(
        'in the [[host]] with match = "cache.test" and provider = "oauth2"'
    )


@pytest.mark.parametrize(
    ("url", "code"),
    [
        ("https://evil.test/token", Code.REALM_REFUSED),
        ("https://id.test:8443/token", Code.REALM_REFUSED),
        ("https://id.test.evil.test/token", Code.REALM_REFUSED),
        ("http://id.test/token", Code.DOWNGRADE),
        ("http://evil.test/token", Code.DOWNGRADE),
        ("https://u:p@id.test/token", Code.NO_CHALLENGE),
        ("https://id.test\\@evil.test/token", Code.NO_CHALLENGE),
        ('https://id.test/"x', Code.NO_CHALLENGE),
        ("/token", Code.NO_CHALLENGE),
        ("", Code.NO_CHALLENGE),
        (None, Code.NO_CHALLENGE),
        (["https://id.test/token"], Code.NO_CHALLENGE),
    ],
)
async def test_a_secret_goes_to_the_issuers_own_origin_alone(url: object, code: Code) -> None:
    """A changed document could have it sent anywhere; an invalid URL counts as missing."""
    assert (await refused(DOCUMENT | {"token_endpoint": url})).code is code


async def test_the_refusal_names_the_line_that_allows_it_which_then_stands() -> None:
    """Identity providers with their token endpoint elsewhere need that."""
    elsewhere = DOCUMENT | {"token_endpoint": "https://oauth.test/token"}
    failure = await refused(elsewhere)
    (said,) = filled(failure.hint, "if that is right, say so {}")
    where, _, setting = said.rstrip('"').partition(': token_url = "')
    assert where == 'in the [[host]] with match = "cache.test" and provider = "oauth2"'
    server, _ = await found({FIRST: answer(elsewhere)}, named(token_url=setting))
    assert isinstance(server, OauthServer)
    assert server.token_url == setting


async def test_nothing_is_followed() -> None:
    """A redirect names another issuer, and the configured one counts."""
    redirect = Response(302, (("Location", "https://evil.test/x"),), b"", 1000.0, T0)
    failure, requests = await found({FIRST: redirect})
    assert isinstance(failure, Failure)
    assert failure.code is Code.REDIRECT_REFUSED
    assert len(requests) == 1


@pytest.mark.parametrize(("status", "code"), [(503, Code.UPSTREAM_UNAVAILABLE), (404, Code.NO_CHALLENGE)])
async def test_an_issuer_that_has_neither_is_told_apart_from_one_that_is_down(status: int, code: Code) -> None:
    """The first is a mistake in the rule; the second is temporary, and then the second document is not requested."""
    failure, requests = await found({FIRST: answer(b"", status), SECOND: answer(b"", status)})
    assert isinstance(failure, Failure)
    assert failure.code is code
    assert len(requests) == (1 if status == 503 else 2)


@pytest.mark.parametrize(
    ("given", "url", "taken"),
    [
        ({}, "https://id.test/revoke", True),
        ({}, "https://elsewhere.test/revoke", False),
        ({}, "http://id.test/revoke", False),
        ({"token_url": "https://elsewhere.test/token"}, "https://elsewhere.test/revoke", True),
        ({"token_url": "https://elsewhere.test/token"}, "https://third.test/revoke", False),
    ],
)
async def test_a_refresh_token_is_sent_to_be_revoked_only_where_it_comes_from(
    given: Mapping[str, str], url: str, *, taken: bool
) -> None:
    """A changed document could have it sent anywhere else; some issuers have their endpoints on a host that the rule has to name."""
    server, _ = await found({FIRST: answer(DOCUMENT | {"revocation_endpoint": url})}, named(**given))
    assert isinstance(server, OauthServer)
    assert server.revocation_url == (url if taken else "")
