"""Headers of several fields of a secret: what is sent, what cannot be, and that everything comes from one read."""

import json

import msgspec
import pytest

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import IdentityToken, PlainSecret, Secret, Stored, UserPassword
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.core.kinds.sources.env import EnvSource
from credproxy.core.kinds.sources.vault import VaultSource
from credproxy.core.kinds.vault import VaultHost
from tests.contract import CANARY, HOST, ProviderContract
from tests.hints import filled


TARGET = parse_uri(f"https://{HOST}/x")


def rule(**options: object) -> VaultHost:
    """One rule, as a file has it."""
    document = {"provider": "vault", "match": HOST, "secret": {"source": "vault", "path": "secret/data/ci"}, **options}
    return msgspec.convert(document, VaultHost)


def fields(**found: object) -> PlainSecret:
    """All of a secret."""
    return PlainSecret(Secret(json.dumps(found)))


def sent(made: VaultHost, stored: Stored) -> dict[str, str]:
    """What an answer has."""
    return {name: value.reveal() for name, (value,) in made.dress(stored, "vault:x", width=())}


@pytest.mark.parametrize(
    ("options", "stored", "wanted"),
    [
        (
            {"headers": {"X-Id": "{id}", "X-Secret": "{secret}"}},
            fields(id="i", secret="s"),
            {"X-Id": "i", "X-Secret": "s"},
        ),
        ({"headers": {"Authorization": "Token {id}:{n}"}}, fields(id="i", n=7), {"Authorization": "Token i:7"}),
        ({"headers": {"A": "{b}"}}, fields(b="{c}", c="x"), {"A": "{c}"}),
        ({}, fields(username="u", password="p"), {"Authorization": basic(UserPassword("u", Secret("p"))).reveal()}),
        (
            {"basic": ["access_key", "secret_key"]},
            fields(access_key="a", secret_key="s"),
            {"Authorization": basic(UserPassword("a", Secret("s"))).reveal()},
        ),
        ({"headers": {"A": "{password}"}}, UserPassword("u", Secret("p")), {"A": "p"}),
    ],
)
def test_fields_are_put_where_the_rule_has_them(
    options: dict[str, object], stored: Stored, wanted: dict[str, str]
) -> None:
    """Each once: a field's value is not expanded again."""
    assert sent(rule(**options), stored) == wanted


@pytest.mark.parametrize(
    ("found", "says"),
    [
        ({"a": CANARY}, "has no text in a field 'token': it has 'a'"),
        ({"token": None}, "has no text in a field 'token'"),
        ({"token": {"a": CANARY}}, "has no text in a field 'token'"),
        ({}, "it has none"),
    ],
)
def test_a_field_that_is_not_there_is_reported_with_those_that_are(found: dict[str, object], says: str) -> None:
    """By name, and never by value."""
    with pytest.raises(Failed) as caught:
        sent(rule(headers={"A": "Bearer {token}"}), fields(**found))
    failure = caught.value.failure
    assert failure.code is Code.CREDENTIAL_UNREADABLE
    assert says in failure.message
    assert CANARY not in failure.message
    filled(failure.hint, "name fields that it has in headers or basic of its [[host]]")
    assert sent(rule(headers={"A": "Bearer {a}"}), fields(a="b")) == {"A": "Bearer b"}


@pytest.mark.parametrize("value", ["", "null", f"{CANARY}\n{CANARY}", " "])
def test_a_field_that_no_header_can_carry_is_an_error(value: str) -> None:
    """With the program that stores another one."""
    with pytest.raises(Failed) as caught:
        sent(rule(headers={"A": "{token}"}), fields(token=value))
    assert "the field 'token' of 'vault:x'" in caught.value.failure.message
    filled(caught.value.failure.hint, "store the secret itself in that field: vault kv patch, or bao kv patch")
    assert sent(rule(headers={"A": "{token}"}), fields(token="t")) == {"A": "t"}


@pytest.mark.parametrize(
    "stored",
    [
        PlainSecret(Secret(CANARY)),
        PlainSecret(Secret(f'["{CANARY}"]')),
        IdentityToken(Secret(CANARY)),
        fields(username="<token>", password=CANARY),
    ],
)
def test_a_secret_without_fields_goes_with_another_kind(stored: Stored) -> None:
    """``header`` sends one text."""
    with pytest.raises(Failed) as caught:
        sent(rule(), stored)
    assert "holds no fields" in caught.value.failure.message
    assert CANARY not in caught.value.failure.message
    filled(caught.value.failure.hint, 'send a secret of one text with provider = "header"')


def test_the_source_gives_all_fields_to_every_rule() -> None:
    """In a list, too; other sources are left as they are."""
    one, other = VaultSource("a"), EnvSource("X")
    assert VaultHost(HOST, secret=one).whole() == VaultSource("a", field="*")
    assert VaultHost(HOST, secret=(one, other)).whole() == (VaultSource("a", field="*"), other)


@pytest.mark.parametrize(
    ("options", "key"),
    [
        ({"headers": {"A b": "{c}"}}, ("headers", "A b")),
        ({"headers": {"A": "c"}}, ("headers", "A")),
        ({"headers": {"A": "{c}\n"}}, ("headers", "A")),
        ({"headers": {"A": "{c}", "a": "{c}"}}, ("headers",)),
        ({"headers": {"A": "{c}"}, "basic": ["a", "b"]}, ("basic",)),
        ({"secret": {"source": "vault", "path": "a", "field": "b"}}, ("secret", "field")),
        ({"secret": [{"source": "vault", "path": "a", "username": "b"}]}, ("secret", 0, "username")),
    ],
)
def test_options_that_cannot_be_meant_are_refused(options: dict[str, object], key: tuple[object, ...]) -> None:
    """With the key that is wrong."""
    assert key in {path for path, _ in rule(**options).problems()}


def test_a_user_without_a_token_is_told_how_to_log_in() -> None:
    """Or where to store what is not Vault's."""
    filled(
        rule().setup(TARGET),
        "vault login, or bao login; or write into the secret of its [[host]] how to log in: auth = { method = ... }",
    )
    assert "secret = { source = ... }" in rule(secret={"source": "env", "name": "X"}).setup(TARGET)


def test_it_is_explained_which_headers_there_are() -> None:
    """And no values."""
    assert rule(headers={"X-Id": "{id}", "X-Key": "{key}"}).about(()) == {"headers": "X-Id, X-Key"}
    assert rule().about(()) == {"headers": "Authorization"}


CONTRACTS = {
    "vault": ProviderContract(
        VaultHost(HOST, secret=EnvSource("X"), headers={"X-Key": "{key}"}),
        alike=f"https://{HOST}/y",
        stored=fields(key=CANARY),
    )
}
