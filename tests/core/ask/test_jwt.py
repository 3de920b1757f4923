"""What a JWT says about its own end: it may only shorten a lifetime."""

import base64
import json

import pytest

from credproxy.core.ask.credential import IdentityToken, PlainSecret, RegistryToken, Secret, Stored, UserPassword
from credproxy.core.ask.jwt import header_life, life, stored_life, whose


NOW = 1_000_000.0


def jwt(**claims: object) -> str:
    """Make a token with these claims; its signature is not checked."""
    parts = [{"alg": "none"}, claims]
    return ".".join(
        [*(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts), "s"]
    )


def nested() -> str:
    """Claims that no decoder follows to their end."""
    return base64.urlsafe_b64encode(b'{"x":' + b"[" * 20_000).decode().rstrip("=")


@pytest.mark.parametrize(
    ("token", "left"),
    [
        (jwt(exp=NOW + 100), 100),
        (jwt(exp=NOW + 100.5), 100.5),
        (jwt(exp=NOW - 5), -5),
        pytest.param(jwt(exp=NOW + 600, iat=NOW + 300), 300, id="a slow clock gives it no more than its whole life"),
        pytest.param(jwt(exp=NOW + 100, iat=NOW + 200), 100, id="issued after its end says nothing"),
        (jwt(), None),
        (jwt(exp=0), None),
        (jwt(exp="soon"), None),
        (jwt(exp=None), None),
        (jwt(exp=1e300), None),
        ("", None),
        ("..", None),
        pytest.param(f"a.{nested()}.b", None, id="nested in a member that nobody reads"),
        ("a.b.c", None),
        ("ä.ä.ä", None),
        (f"{jwt(exp=NOW)}.x", None),
    ],
)
def test_the_seconds_that_a_token_has_left_by_its_own_words(token: str, left: float | None) -> None:
    """RFC 7519, section 4.1.4; anything else, or one without an end, gives None and not an error."""
    assert life(token, NOW) == left


@pytest.mark.parametrize(
    "stored",
    [
        PlainSecret(Secret(jwt(exp=NOW + 9))),
        PlainSecret(Secret(f"Bearer {jwt(exp=NOW + 9)}")),
        RegistryToken(Secret(jwt(exp=NOW + 9))),
        IdentityToken(Secret(jwt(exp=NOW + 9))),
        UserPassword("oauth2accesstoken", Secret(jwt(exp=NOW + 9))),
    ],
)
def test_every_kind_of_stored_credential_may_hold_one(stored: Stored) -> None:
    """A password may be a token as well."""
    assert stored_life(stored, NOW) == 9


def test_headers_are_read_like_stored_credentials() -> None:
    """After any scheme, or as the password of a Basic value."""
    token = jwt(exp=NOW + 9)
    pair = base64.b64encode(f"u:{token}".encode()).decode()
    assert [header_life(value, NOW) for value in (f"Bearer {token}", token, f"Basic {pair}")] == [9, 9, 9]
    assert [header_life(value, NOW) for value in ("Basic !", "Basic /w==", "key", "")] == [None] * 4


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ({"iss": "i", "sub": "s", "exp": 1}, ("i", "s")),
        ({"iss": "i"}, None),
        ({"iss": "i", "sub": ""}, None),
        ({"iss": 1, "sub": "s"}, None),
        ([], None),
    ],
)
def test_whose_a_token_is(said: object, wanted: tuple[str, str] | None) -> None:
    """Two tokens of one subject are one login."""
    token = f"h.{base64.urlsafe_b64encode(json.dumps(said).encode()).decode().rstrip('=')}.s"
    assert whose(token) == wanted
    assert whose("no-jwt") is None
