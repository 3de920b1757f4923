"""The token request for each grant type, its results, and its refusals (RFC 6749, 7523, 8693, 8707)."""

import json
from urllib.parse import parse_qsl

import pytest

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import Dial, Response
from credproxy.core.errors import Code, Failed, Failure
from credproxy.exchange.oauth_client import OauthClient
from credproxy.exchange.oauth_refusals import GrantRefused
from credproxy.exchange.oauth_server import OauthServer
from credproxy.exchange.oauth_token import (
    JWT_BEARER,
    OF_CLIENT,
    TOKEN_EXCHANGE,
    OauthLimits,
    OauthToken,
    Proof,
    obtain,
    of_assertion,
    of_code,
    of_refresh_token,
    of_subject_token,
)
from credproxy.ports.http_client import converse
from tests.fakes import T0, FakeHttp, FixedTerms
from tests.hints import filled, text_of


URL = "https://id.test/token"
SERVER = OauthServer(Dial(rule="cache.test", kind="oauth2"), token_url=URL)
ROBOT = OauthClient("robot", "client_secret_basic", Secret("canary-secret"), "env:S")
REFRESH = of_refresh_token(
    Secret("canary-refresh"),
    name="file:/r",
    setup="credproxy login HOST",
)
ASSERTION = of_assertion(Secret("canary-assertion"), name="/key.pem", setup="compare subject", signed=True)
SUBJECT = of_subject_token(Secret("canary-subject"), "urn:t", wanted="urn:w", name="env:JOB", setup="look at the job")
LIMITS = OauthLimits(("read", "write"), ("aud",), ("https://cache.test/", "https://b.test/"))
IN_HOST = 'in the [[host]] with match = "cache.test" and provider = "oauth2": '


def answer(status: int, body: object, *headers: tuple[str, str]) -> Response:
    """An answer of a token server."""
    return Response(status, headers, body if isinstance(body, bytes) else json.dumps(body).encode(), 1000.0, T0)


async def run(
    response: Response, proof: Proof = OF_CLIENT, client: OauthClient = ROBOT, limits: OauthLimits = LIMITS
) -> OauthToken:
    """Hold the conversation."""
    return await converse(
        obtain(SERVER, client, proof=proof, limits=limits), FakeHttp({URL: [response]}), terms=FixedTerms()
    )


async def failure(response: Response, proof: Proof = OF_CLIENT, client: OauthClient = ROBOT) -> Failed:
    """The failure, which quotes neither the server nor a secret (SEC-6, SEC-11)."""
    with pytest.raises(Failed) as caught:
        await run(response, proof, client)
    assert "canary" not in f"{caught.value.failure}{caught.value!r}"
    return caught.value


@pytest.mark.parametrize(
    ("proof", "form"),
    [
        (OF_CLIENT, [("grant_type", "client_credentials")]),
        (REFRESH, [("grant_type", "refresh_token"), ("refresh_token", "canary-refresh")]),
        (ASSERTION, [("grant_type", JWT_BEARER), ("assertion", "canary-assertion")]),
        (
            SUBJECT,
            [
                ("grant_type", TOKEN_EXCHANGE),
                ("subject_token", "canary-subject"),
                ("subject_token_type", "urn:t"),
                ("requested_token_type", "urn:w"),
            ],
        ),
        (
            of_code(Secret("canary-code"), Secret("canary-verifier"), redirect_uri="http://127.0.0.1:1/"),
            [
                ("grant_type", "authorization_code"),
                ("code", "canary-code"),
                ("redirect_uri", "http://127.0.0.1:1/"),
                ("code_verifier", "canary-verifier"),
            ],
        ),
    ],
    ids=lambda value: value.grant if isinstance(value, Proof) else "",
)
async def test_what_each_grant_posts(proof: Proof, form: list[tuple[str, str]]) -> None:
    """Scopes are one field, resources and audiences one each (RFC 8707, section 2)."""
    http = FakeHttp({URL: [answer(200, {"access_token": "t", "expires_in": 300})]})
    await converse(obtain(SERVER, ROBOT, proof=proof, limits=LIMITS), http, terms=FixedTerms())
    (request,) = http.requests
    assert request.body is not None
    assert parse_qsl(request.body.reveal()) == [
        *form,
        ("scope", "read write"),
        ("resource", "https://cache.test/"),
        ("resource", "https://b.test/"),
        ("audience", "aud"),
    ]
    assert "canary" not in repr(proof)


@pytest.mark.parametrize(
    ("proof", "once"),
    [(OF_CLIENT, False), (SUBJECT, False), (REFRESH, True), (ASSERTION, True)],
    ids=lambda value: str(value)[:30],
)
async def test_what_is_spent_is_sent_once(proof: Proof, once: bool) -> None:  # noqa: FBT001  a table
    """U14: a refresh token that is seen twice may cost the login."""
    http = FakeHttp({URL: [answer(200, {"access_token": "t"})]})
    await converse(obtain(SERVER, ROBOT, proof=proof, limits=OauthLimits()), http, terms=FixedTerms())
    assert http.requests[0].repeatable is not once


async def test_a_token_lives_as_its_server_says() -> None:
    """TX-14 to TX-16; if the server does not say, a token that is a JWT may (RFC 6749, section 5.1)."""
    issued = await run(
        answer(200, {"access_token": "t", "expires_in": 300, "token_type": "bearer", "refresh_token": "r"})
    )
    assert issued.token.lifetime.until == 1300.0
    assert issued.token.refresh_token == Secret("r")
    assert issued.lacking == ()
    silent = await run(answer(200, {"access_token": "t"}))
    assert silent.token.lifetime.until == 1060.0


@pytest.mark.parametrize(
    ("scope", "lacking"),
    [("read write x", ()), ("read", ("write",)), ("", ("read", "write")), (None, ()), (["read"], ())],
)
async def test_scopes_that_are_not_granted_are_reported(scope: object, lacking: tuple[str, ...]) -> None:
    """A 200 does not mean that everything was granted; a server that does not say grants it all."""
    assert (await run(answer(200, {"access_token": "t", "scope": scope}))).lacking == lacking


@pytest.mark.parametrize(
    ("kind", "good"),
    [("Bearer", True), ("BearerToken", True), ("N_A", True), (None, True), ("DPoP", False), ("mac", False)],
)
async def test_a_token_that_wants_more_than_a_header_is_refused(kind: object, good: bool) -> None:  # noqa: FBT001  a table
    """RFC 9449: sent as Bearer it is refused everywhere, for no obvious reason."""
    response = answer(200, {"access_token": "t", "token_type": kind})
    if good:
        assert (await run(response)).token.value == Secret("t")
        return
    said = await failure(response)
    assert said.failure.code is Code.BAD_TOKEN
    assert not isinstance(said, GrantRefused)


def refusal(error: str) -> dict[str, str]:
    """A body with a word that must not be repeated."""
    return {"error": error, "error_description": "canary-words"}


SIGNER = OauthClient("signer", "private_key_jwt", Secret("canary.jwt"), "/key.pem")
PUBLIC = OauthClient("bazel")

REFUSALS = [
    (OF_CLIENT, ROBOT, 401, "invalid_client", Code.BAD_CREDENTIALS, text_of("store the right one there; if it is right, send it in another way: {}")),
    (OF_CLIENT, ROBOT, 401, "", Code.BAD_CREDENTIALS, text_of("store the right one there; if it is right, send it in another way: {}")),
    (OF_CLIENT, SIGNER, 400, "invalid_client", Code.BAD_CREDENTIALS, text_of("register the key's public half there, and name it as it is named there: {}")),
    (REFRESH, PUBLIC, 401, "invalid_client", Code.BAD_CREDENTIALS, text_of("give it one: {}")),
    (REFRESH, PUBLIC, 400, "invalid_grant", Code.BAD_CREDENTIALS, "credproxy login HOST"),
    (SUBJECT, ROBOT, 400, "invalid_grant", Code.BAD_CREDENTIALS, "look at the job"),
    (OF_CLIENT, ROBOT, 400, "invalid_scope", Code.DENIED, text_of("have it granted to the client, or name another one {}")),
    (OF_CLIENT, ROBOT, 400, "unauthorized_client", Code.DENIED, text_of("have that grant enabled for the client, or name another one {}")),
    (OF_CLIENT, ROBOT, 400, "unsupported_grant_type", Code.DENIED, text_of("have that grant enabled for the client, or name another one {}")),
    (OF_CLIENT, ROBOT, 400, "invalid_target", Code.DENIED, text_of("have it allowed for the client, or correct it {}")),
    (REFRESH, PUBLIC, 403, "access_denied", Code.DENIED, "credproxy login HOST"),
    (OF_CLIENT, ROBOT, 403, "access_denied", Code.DENIED, text_of("ask its administrator to grant it to the client {}")),
    (OF_CLIENT, ROBOT, 400, "slow_down", Code.RATE_LIMITED, "too many requests were made with this login"),
    (OF_CLIENT, ROBOT, 400, "invalid_request", Code.DENIED, text_of("see that the client may ask so, and compare with what the server wants, {}")),
    (OF_CLIENT, ROBOT, 400, "invalid_grant", Code.DENIED, "ask its administrator"),
    (OF_CLIENT, ROBOT, 400, "canary-invented", Code.DENIED, "ask its administrator"),
    (OF_CLIENT, ROBOT, 404, "", Code.NO_CHALLENGE, text_of("name the right token endpoint {}")),
    (OF_CLIENT, ROBOT, 302, "", Code.REDIRECT_REFUSED, text_of("name the right token endpoint {}")),
    (OF_CLIENT, ROBOT, 204, "", Code.BAD_TOKEN, "a token comes with 200"),
    (REFRESH, PUBLIC, 400, "interaction_required", Code.BAD_CREDENTIALS, "credproxy login HOST"),
    (REFRESH, PUBLIC, 400, "consent_required", Code.BAD_CREDENTIALS, "credproxy login HOST"),
    (OF_CLIENT, ROBOT, 400, "consent_required", Code.DENIED, text_of("ask its administrator to consent for the client {}")),
    (REFRESH, PUBLIC, 200, "bad_refresh_token", Code.BAD_CREDENTIALS, "credproxy login HOST"),
    (REFRESH, PUBLIC, 200, "invalid_grant", Code.BAD_CREDENTIALS, "credproxy login HOST"),
    (OF_CLIENT, ROBOT, 200, "incorrect_client_credentials", Code.BAD_CREDENTIALS, text_of("store the right one there; if it is right, send it in another way: {}")),
    (OF_CLIENT, ROBOT, 200, "canary-invented", Code.DENIED, "ask its administrator"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("proof", "client", "status", "error", "code", "hint"), REFUSALS, ids=lambda value: str(value)[:24]
)
async def test_what_a_refusal_says(
    proof: Proof, client: OauthClient, status: int, error: str, code: Code, hint: str
) -> None:
    """The user's next step; what was sent is still valid."""
    said = await failure(answer(status, refusal(error) if error else b""), proof, client)
    assert isinstance(said, GrantRefused)
    assert said.failure.code is code
    filled(said.failure.hint, hint)


@pytest.mark.parametrize(
    ("status", "body"), [(503, b""), (500, refusal("server_error")), (400, refusal("temporarily_unavailable"))]
)
async def test_a_temporary_failure_is_not_a_refusal(status: int, body: object) -> None:
    """Then it is unknown whether what was sent is spent."""
    said = await failure(answer(status, body), REFRESH)
    assert not isinstance(said, GrantRefused)
    assert said.failure.may_pass


@pytest.mark.parametrize(("ahead", "word"), [(300.0, "ahead"), (-300.0, "behind")])
@pytest.mark.parametrize(
    ("proof", "client", "error"),
    [(OF_CLIENT, SIGNER, "invalid_client"), (ASSERTION, ROBOT, "invalid_grant")],
    ids=["client", "assertion"],
)
async def test_a_clock_that_is_off_is_named(
    ahead: float, word: str, proof: Proof, client: OauthClient, error: str
) -> None:
    """Signed claims contain times of this machine."""
    date = ("Date", "Thu, 01 Jan 2026 00:00:00 GMT")
    response = Response(400, (date,), json.dumps(refusal(error)).encode(), 1000.0, T0 + ahead)
    said = (await failure(response, proof, client)).failure
    assert f"this machine's clock is 300 s {word}" in said.message
    assert said.hint == "timedatectl set-ntp true"


async def test_a_clock_that_is_off_has_no_part_in_what_is_not_signed() -> None:
    """A secret contains no time, and setting the clock would not help."""
    response = Response(
        400,
        (("Date", "Thu, 01 Jan 2026 00:00:00 GMT"),),
        json.dumps(refusal("invalid_client")).encode(),
        1000.0,
        T0 + 300,
    )
    assert "clock" not in (await failure(response)).failure.message
    assert isinstance((await failure(response, REFRESH)).failure, Failure)
