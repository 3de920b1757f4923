"""The conversations with Vault and OpenBao. The answers are OpenBao 2.7's own; tests/real/test_vault.py compares them with the real one."""

import json
from collections.abc import Generator
from typing import TypeVar

import pytest

from credproxy.core.ask.credential import Secret, reveal
from credproxy.core.ask.http import Request, Response
from credproxy.core.ask.vault_values import Lease, VaultLogin, VaultSecret, VaultServer, VaultToken
from credproxy.core.errors import Code, Failed, Failure
from credproxy.exchange.vault_api import log_in, read_secret, renew_lease, renew_token, token_lease


T = TypeVar("T")

SERVER = VaultServer("https://vault.test:8200")
INSIDE = VaultServer("https://vault.test:8200", "team/ci")
TOKEN = Secret("canary-token")
JWT = VaultLogin("jwt", "ci", {"role": "ci", "jwt": Secret("canary-jwt")})
APPROLE = VaultLogin("approle", "", {"role_id": "r", "secret_id": Secret("canary-secret")}, repeatable=False)
SENT = 1000.0


def answer(status: int, body: object = None) -> Response:
    """An answer at that moment."""
    return Response(status, (), b"" if body is None else json.dumps(body).encode(), SENT, 0.0)


def errors(status: int, *texts: str) -> Response:
    """Errors in the form of both."""
    return answer(status, {"errors": texts})


def held(conversation: Generator[Request, Response, T], *answers: Response) -> tuple[T, list[Request]]:
    """Hold a conversation with exactly these answers."""
    asked = [next(conversation)]
    try:
        for each in answers:
            request = conversation.send(each)
            asked += [request]
    except StopIteration as stop:
        result: T = stop.value
        return result, asked
    raise AssertionError(asked)


def refusal(conversation: Generator[Request, Response, object], *answers: Response) -> Failure:
    """The failure of a conversation."""
    with pytest.raises(Failed) as caught:
        held(conversation, *answers)
    failure = caught.value.failure
    assert "canary" not in failure.message + failure.hint
    return failure


def auth(seconds: int = 30, *, renewable: bool = True) -> Response:
    """A token."""
    found = {"client_token": "s.canary", "lease_duration": seconds, "renewable": renewable, "policies": ["ci"]}
    return answer(200, {"lease_id": "", "data": None, "auth": found})


def test_a_login_sends_the_role_and_its_proof_and_gives_a_token_with_its_lease() -> None:
    """As JSON; neither in the URL."""
    token, (request,) = held(log_in(INSIDE, JWT), auth())
    assert token == VaultToken(Secret("s.canary"), Lease(SENT, 30.0, renewable=True))
    assert (request.method, request.url) == ("POST", "https://vault.test:8200/v1/auth/jwt/login")
    assert request.body is not None
    assert json.loads(request.body.reveal()) == {"role": "ci", "jwt": "canary-jwt"}
    headers = {name: reveal(value) for name, value in request.headers}
    assert headers["X-Vault-Namespace"] == "team/ci"
    assert headers["X-Vault-Request"] == "true"
    assert headers["Content-Type"] == "application/json"
    assert "canary" not in repr(request) + repr(JWT)


def test_a_secret_id_is_sent_once() -> None:
    """It may be valid for one use only."""
    assert not next(log_in(SERVER, APPROLE)).repeatable
    assert next(log_in(SERVER, JWT)).repeatable


@pytest.mark.parametrize(
    ("login", "response", "says", "hint"),
    [
        (
            APPROLE,
            errors(400, "invalid role or secret ID"),
            "is not the ID of a role",
            "vault read auth/approle/role/NAME",
        ),
        (APPROLE, errors(400, "invalid secret id"), "that one is used up", "auth/approle/role/NAME"),
        (JWT, errors(400, 'role "ci" could not be found'), "knows no role 'ci'", "vault list auth/jwt/role"),
        (JWT, errors(400, 'invalid role name "ci"'), "knows no role 'ci'", "vault list auth/jwt/role"),
        (
            JWT,
            errors(400, "error validating token: invalid audience (aud) claim: audience claim does not match any"),
            "is for another audience",
            "vault read auth/jwt/role/ci",
        ),
        (JWT, errors(400, "invalid expiration time (exp) claim: token is expired"), "has expired", "role/ci"),
        (JWT, errors(400, "error verifying token signature: no known key"), "keys do not match", "role/ci"),
        (JWT, errors(400, "error validating token: invalid subject (sub) claim"), "other claims", "role/ci"),
        (JWT, errors(403, "permission denied"), "has no way to log in at 'auth/jwt'", "vault auth list"),
        (JWT, errors(404, "namespace not found"), "no such namespace", "VAULT_NAMESPACE"),
        (JWT, answer(400, "canary"), "is not taken", "role/ci"),
    ],
)
def test_a_login_that_is_refused_says_what_is_wrong_with_it(
    login: VaultLogin, response: Response, says: str, hint: str
) -> None:
    """By the phrases of both; nothing of the answer is repeated."""
    failure = refusal(log_in(SERVER, login), response)
    assert says in failure.message
    assert hint in failure.hint
    assert failure.code in {Code.BAD_CREDENTIALS, Code.CREDENTIAL_UNREADABLE}


def test_an_answer_without_a_token_is_not_a_login() -> None:
    """Such as one that waits for a second factor."""
    waits = {"client_token": "", "mfa_requirement": {"mfa_request_id": "canary"}}
    assert refusal(log_in(SERVER, JWT), answer(200, {"auth": waits})).code is Code.BAD_TOKEN
    assert refusal(log_in(SERVER, JWT), answer(200, {"auth": None})).code is Code.BAD_TOKEN


@pytest.mark.parametrize(
    ("response", "wanted"),
    [
        (auth(20), VaultToken(Secret("s.canary"), Lease(SENT, 20.0, renewable=True))),
        (auth(0, renewable=False), VaultToken(Secret("s.canary"), Lease(SENT, None))),
        (auth(0), VaultToken(Secret("s.canary"), Lease(SENT, 0.0, renewable=True))),
        (errors(403, "permission denied"), None),
        (errors(400, "lease is not renewable"), None),
    ],
)
def test_a_token_is_renewed_or_not(response: Response, wanted: VaultToken | None) -> None:
    """If it is not, a new login is needed; 0 is the last second of a token that ends, and otherwise "endless"."""
    got, (request,) = held(renew_token(SERVER, TOKEN), response)
    assert got == wanted
    assert (request.method, request.url) == ("POST", "https://vault.test:8200/v1/auth/token/renew-self")
    assert ("X-Vault-Token", TOKEN) in request.headers


@pytest.mark.parametrize(
    ("response", "wanted"),
    [
        (answer(200, {"data": {"ttl": 12, "expire_time": "x", "renewable": True}}), Lease(SENT, 12.0, renewable=True)),
        (answer(200, {"data": {"ttl": 0, "expire_time": "x"}}), Lease(SENT, 0.0)),
        (answer(200, {"data": {"ttl": 0, "expire_time": None}}), Lease(SENT, None)),
        (answer(200, {"data": {"ttl": True, "expire_time": "x"}}), Lease(SENT, 0.0)),
        (errors(403, "permission denied"), None),
    ],
)
def test_what_is_left_of_a_token_is_looked_up(response: Response, wanted: Lease | None) -> None:
    """A policy may forbid that; then it is unknown."""
    assert held(token_lease(SERVER, TOKEN), response)[0] == wanted


METADATA = {"version": 3, "deletion_time": "", "destroyed": False}


@pytest.mark.parametrize(
    ("body", "wanted"),
    [
        ({"data": {"data": {"a": "b"}, "metadata": METADATA}}, VaultSecret({"a": "b"})),
        (
            {"data": {"data": {"a": "b"}, "metadata": {**METADATA, "deletion_time": "2026-11-27T09:20:47.804047397Z"}}},
            VaultSecret({"a": "b"}, wall_until=1795771247.804047),
        ),
        ({"data": {"data": {"a": "b"}, "metadata": {**METADATA, "deletion_time": "?"}}}, VaultSecret({"a": "b"})),
        ({"lease_duration": 1800, "data": {"a": "b", "ttl": "30m"}}, VaultSecret({"a": "b", "ttl": "30m"}, keep=1800)),
        ({"data": {"data": "x", "metadata": "y"}}, VaultSecret({"data": "x", "metadata": "y"})),
        (
            {"lease_id": "db/creds/ro/1", "lease_duration": 20, "renewable": True, "data": {"username": "u"}},
            VaultSecret({"username": "u"}, Lease(SENT, 20.0, renewable=True, id="db/creds/ro/1")),
        ),
    ],
    ids=["kv2", "kv2 with an end", "kv2 with an odd end", "kv1", "kv1 with odd fields", "dynamic"],
)
def test_a_secret_is_read_whatever_its_engine(body: dict[str, object], wanted: VaultSecret) -> None:
    """Version 2 of KV is known by its metadata, a dynamic secret by its lease."""
    secret, (request,) = held(read_secret(SERVER, "secret/data/ci", token=TOKEN), answer(200, body))
    assert secret == wanted
    assert request.url == "https://vault.test:8200/v1/secret/data/ci"


def test_a_path_is_encoded() -> None:
    """Spaces are allowed in the names of secrets."""
    assert next(read_secret(SERVER, "secret/data/a b?c", token=TOKEN)).url.endswith("/v1/secret/data/a%20b%3Fc")


def test_a_token_that_may_not_read_is_reported_with_its_policies() -> None:
    """And with the line that a policy lacks: the token is looked up, because the refusal does not name its policies."""
    looked = answer(200, {"data": {"policies": ["ci", "default"], "id": "canary"}})
    failure = refusal(read_secret(SERVER, "secret/data/x", token=TOKEN), errors(403, "permission denied"), looked)
    assert failure.code is Code.DENIED
    assert "its policies are 'ci', 'default'" in failure.message
    assert failure.hint == 'one of them has to have: path "secret/data/x" { capabilities = ["read"] }'


def test_a_token_that_is_over_is_told_apart_from_one_that_may_not_read() -> None:
    """Both are answered with 403."""
    failure = refusal(
        read_secret(SERVER, "secret/data/x", token=TOKEN), errors(403, "x"), errors(403, "permission denied")
    )
    assert failure.code is Code.BAD_CREDENTIALS
    assert failure.hint == "log in again: vault login, or bao login"


def mount(version: object, kind: str = "kv", path: str = "secret/") -> Response:
    """What the server says about an engine."""
    return answer(200, {"data": {"path": path, "type": kind, "options": version and {"version": version}}})


VERSIONED = answer(404, {"data": None, "warnings": ["Invalid path for a versioned K/V secrets engine. canary"]})
NOTHING = errors(404)


@pytest.mark.parametrize(
    ("path", "answers", "says", "hint"),
    [
        ("secret/ci/x", (VERSIONED, mount("2")), "its engine there is KV 2", 'path = "secret/data/ci/x"'),
        ("a/kv/ci/x", (VERSIONED, mount("2", path="a/kv/")), "its engine there is KV 2", 'path = "a/kv/data/ci/x"'),
        ("secret/data/ci/x", (NOTHING, mount("1")), "its engine there is KV 1", 'path = "secret/ci/x"'),
        ("secret/data/ci/x", (NOTHING, mount(None)), "its engine there is KV 1", 'path = "secret/ci/x"'),
        ("secret/data/ci/x", (NOTHING, mount("2")), "has nothing at 'secret/data/ci/x'", "vault kv put"),
        ("secret/ci/x", (NOTHING, mount("1")), "has nothing at 'secret/ci/x'", "vault kv put"),
        ("db/creds/x", (NOTHING, mount(None, "database", "db/")), "has nothing at 'db/creds/x'", "vault kv put"),
        ("secret/ci/x", (VERSIONED, errors(403, "x")), "has nothing at 'secret/ci/x'", "vault kv put"),
        (
            "secret/data/x",
            (answer(404, {"data": {"data": None, "metadata": {"deletion_time": "2026"}}}), mount("2")),
            "its version was deleted",
            "vault kv put",
        ),
        ("nope/x", (errors(404, 'no handler for route "nope/x". canary'),), "no secrets engine", "vault secrets list"),
        ("secret/x", (errors(404, "namespace not found"),), "there is no such namespace", "VAULT_NAMESPACE"),
    ],
)
def test_a_path_where_nothing_is_is_reported_with_the_one_that_would_be_right(
    path: str, answers: tuple[Response, ...], says: str, hint: str
) -> None:
    """The two versions of KV have different paths for the same secret."""
    failure = refusal(read_secret(SERVER, path, token=TOKEN), *answers)
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert says in failure.message
    assert hint in failure.hint


@pytest.mark.parametrize(
    ("response", "code", "says"),
    [
        (errors(503, "Vault is sealed"), Code.UPSTREAM_UNAVAILABLE, "is sealed"),
        (answer(503, "canary"), Code.UPSTREAM_UNAVAILABLE, "answered 503"),
        (errors(500, "1 error occurred: canary"), Code.UPSTREAM_UNAVAILABLE, "answered 500"),
        (errors(429, "canary"), Code.RATE_LIMITED, "come back later"),
        (answer(307, "canary"), Code.REDIRECT_REFUSED, "a token is not sent on"),
        (answer(200, ["canary"]), Code.BAD_TOKEN, "not as Vault does"),
        (answer(405, "canary"), Code.BAD_TOKEN, "not as Vault does"),
    ],
)
def test_every_conversation_ends_with_an_answer_that_none_could_take(response: Response, code: Code, says: str) -> None:
    """For every request."""
    for conversation in (
        log_in(INSIDE, JWT),
        renew_token(INSIDE, TOKEN),
        token_lease(INSIDE, TOKEN),
        read_secret(INSIDE, "secret/data/x", token=TOKEN),
        renew_lease(INSIDE, Lease(0, 1, id="l"), token=TOKEN),
    ):
        failure = refusal(conversation, response)
        assert failure.code is code
        assert says in failure.message
        assert "Vault 'vault.test:8200', namespace 'team/ci'" in failure.message


@pytest.mark.parametrize("body", [{"data": None, "warnings": ["canary"]}, {"data": ["canary"]}, {"wrap_info": {}}])
def test_an_answer_without_a_secret_is_not_one(body: dict[str, object]) -> None:
    """Such as a wrapped one, which others would have to open."""
    assert refusal(read_secret(SERVER, "secret/data/x", token=TOKEN), answer(200, body)).code is Code.BAD_TOKEN


@pytest.mark.parametrize(
    ("response", "wanted"),
    [
        (
            answer(200, {"lease_id": "other", "lease_duration": 9, "renewable": True}),
            Lease(SENT, 9.0, renewable=True, id="l"),
        ),
        (answer(200, {"lease_duration": 0, "renewable": False}), Lease(SENT, 0.0, id="l")),
        (errors(400, "lease not found"), None),
        (errors(403, "permission denied"), None),
    ],
)
def test_a_lease_is_renewed_or_not(response: Response, wanted: Lease | None) -> None:
    """A lease that is gone, or may not be renewed, is replaced by another secret."""
    got, (request,) = held(renew_lease(SERVER, Lease(0.0, 20.0, renewable=True, id="l"), token=TOKEN), response)
    assert got == wanted
    assert request.body is not None
    assert json.loads(request.body.reveal()) == {"lease_id": "l"}
    assert request.url == "https://vault.test:8200/v1/sys/leases/renew"
