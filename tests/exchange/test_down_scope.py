"""What may be given to a build action, and what must stay in the daemon (SC-20)."""

import base64
import json

import pytest

from credproxy.core.ask.credential import Grant, IdentityToken, Lifetime, RegistryToken, Secret, Stored, UserPassword
from credproxy.exchange.down_scope import refusal


LOGIN = UserPassword("u", Secret("canary-password"))
SCOPES = ("repository:org/app:pull",)


def grant(value: str, name: str = "Authorization") -> Grant:
    """A grant of one header."""
    return Grant(((name, (Secret(value),)),), Lifetime(since=0.0))


def jwt(**claims: object) -> str:
    """A token with these claims; its signature is not checked here."""
    parts = [
        base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in ({"alg": "x"}, claims)
    ]
    return ".".join([*parts, "c2ln"])


def access(name: str = "org/app", *actions: str, kind: str = "repository") -> list[object]:
    """The ``access`` claim of distribution's tokens."""
    return [{"type": kind, "name": name, "actions": list(actions)}]


@pytest.mark.parametrize(
    "token",
    ["opaque", jwt(), jwt(access=access("org/app", "pull")), jwt(access=[]), jwt(access=access("org/app"))],
)
def test_a_token_for_what_was_asked_is_handed_out(token: str) -> None:
    """Opaque ones too: nothing can be parsed in them."""
    assert refusal(grant(f"Bearer {token}"), LOGIN, scopes=SCOPES) is None
    assert refusal(grant(f"Bearer {token}"), None, scopes=SCOPES) is None


def test_a_short_secret_is_not_found_in_a_longer_text_by_chance() -> None:
    """Four letters occur in many a token; where they are all of it, it is the secret."""
    assert refusal(grant("Bearer abcdef"), IdentityToken(Secret("bcde")), scopes=SCOPES) is None
    assert refusal(grant("Bearer bcde"), IdentityToken(Secret("bcde")), scopes=SCOPES) is not None


def test_an_empty_credential_is_not_a_secret() -> None:
    """``{}``."""
    assert refusal(Grant((), Lifetime(since=0.0)), LOGIN, scopes=SCOPES) is None


@pytest.mark.parametrize(
    ("made", "stored", "reason"),
    [
        (grant("Basic dTpw"), LOGIN, "the login itself"),
        (grant("Bearer canary-password"), LOGIN, "holds the stored secret"),
        (grant("Bearer x.canary-password.y"), LOGIN, "holds the stored secret"),
        (grant("Bearer " + base64.b64encode(b"u:canary-password").decode()), LOGIN, "holds the stored secret"),
        (grant("Bearer " + jwt(key="canary-password")), LOGIN, "holds the stored secret"),
        (grant("Bearer id"), IdentityToken(Secret("id")), "holds the stored secret"),
        (grant("Bearer x.ident"), IdentityToken(Secret("ident")), "holds the stored secret"),
        (Grant((("Authorization", (Secret("Bearer a"), Secret("canary"))),), Lifetime(0.0)), LOGIN, "the login itself"),
        (Grant((("Authorization", (Secret("Bearer a"),)), ("X", (Secret("canary"),))), Lifetime(0.0)), LOGIN, "login"),
        (grant("Bearer canary-password"), IdentityToken(Secret("i"), "u", Secret("canary-password")), "holds"),
        (grant("Bearer whatever"), RegistryToken(Secret("other")), "registry token"),
        (grant("Bearer " + jwt(access=access("org/app", "pull", "push"))), LOGIN, "more than was asked"),
        (grant("Bearer " + jwt(access=access("org/other", "pull"))), LOGIN, "more than was asked"),
        (grant("Bearer " + jwt(access=access("catalog", "*", kind="registry"))), LOGIN, "more than was asked"),
        (grant("Bearer " + jwt(access="all")), LOGIN, "more than was asked"),
        (grant("Bearer " + jwt(access=[{"type": "repository"}])), LOGIN, "more than was asked"),
    ],
)
def test_what_stays_inside(made: Grant, stored: Stored, reason: str) -> None:
    """Each with its reason, and no reason with the secret."""
    said = refusal(made, stored, scopes=SCOPES)
    assert said is not None
    assert reason in said
    assert "canary" not in said
