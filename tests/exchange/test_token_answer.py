"""How a token answer is parsed: the token, its lifetime, a rotated refresh token (TX-7, TX-8, TX-13 to TX-16)."""

import base64
import contextlib
import json

import pytest
from hypothesis import given, strategies as st

from credproxy.core.ask.http import Response
from credproxy.core.errors import Code, Failed
from credproxy.exchange.token_answer import Token, lifetime_of, parse_token
from tests.fakes import T0


SENT = 1000.0


def answer(body: object) -> Response:
    """Give a 200 that was asked for at SENT, T0."""
    return Response(200, (), body if isinstance(body, bytes) else json.dumps(body).encode(), SENT, T0)


def left(body: dict[str, object]) -> float:
    """Give the lifetime of an answer's token in seconds."""
    until = parse({"token": "t"} | body).lifetime.until
    assert until is not None
    return until - SENT


def parse(body: object) -> Token:
    """Read an answer."""
    return parse_token(answer(body), "token server 'a'")


@pytest.mark.parametrize("body", [b"", b"{", b"null", b'"t"', b"1", b"\xff", b'{"token":NaN}', b"[" * 100_000])
def test_only_a_json_object_is_a_token(body: bytes) -> None:
    """U10: our own error, whatever the bytes."""
    with pytest.raises(Failed) as caught:
        parse(body)
    assert caught.value.failure.code is Code.BAD_TOKEN


@pytest.mark.parametrize(
    ("token", "good"),
    [("!~", True), ("x" * 16_384, True), ("x" * 16_385, False), ("a b", False), ("a\x7f", False), ("a\n", False)],
    ids=["printable", "longest", "too long", "space", "DEL", "line end"],
)
def test_the_characters_of_a_token(token: str, good: bool) -> None:  # noqa: FBT001  a table
    """TX-8: what a header can carry, up to a reasonable length."""
    if good:
        assert parse({"token": token}).value.reveal() == token
    else:
        with pytest.raises(Failed):
            parse({"token": token})


@pytest.mark.parametrize("refresh", ["", 1, None, "a b", "new\r\n"])
def test_an_unusable_refresh_token_is_ignored(refresh: object) -> None:
    """TX-13: the token itself is still good."""
    assert parse({"token": "t", "refresh_token": refresh}).refresh_token is None


@pytest.mark.parametrize(
    ("issued_at", "seconds"),
    [
        ("2025-12-31T23:59:10Z", 250),
        ("2025-12-31T23:59:10.123456789Z", 250.123456),
        ("2026-01-01T01:59:10+02:00", 250),
        ("2026-01-01T00:00:01Z", 300),
        ("2025-12-31T23:59:10", 300),
        ("2025-12-31T23:00:00Z", 60),
        (12345, 300),
    ],
    ids=["past", "nanoseconds", "offset", "future", "no zone", "dead", "number"],
)
def test_issued_at(issued_at: object, seconds: float) -> None:
    """TX-15: it may only move the beginning backwards, and a token that has already expired means that a clock is off."""
    assert left({"expires_in": 300, "issued_at": issued_at}) == pytest.approx(seconds)


def test_a_dead_token_with_a_short_life_is_not_made_longer() -> None:
    """TX-15: at most sixty seconds, and no more than the server said."""
    assert left({"expires_in": 20, "issued_at": "2025-12-31T23:00:00Z"}) == 20


@pytest.mark.parametrize(
    "payload", ["", "e30", "!!!", "W10", "bm8", "eyJleHAiOnRydWV9", "eyJleHAiOiJ4In0", "eyJleHAiOjB9e"]
)
def test_a_payload_without_a_usable_exp_changes_nothing(payload: str) -> None:
    """TX-16: opaque tokens with two dots, other JSON, ``true``, text."""
    assert left({"token": f"e30.{payload}.c2ln", "expires_in": 300}) == 300


@pytest.mark.parametrize("value", ["³", "٣٠", "", " 300", "+300", "3e2", [], {}, 0.9, -0.0])
def test_unusable_lifetimes_are_sixty_seconds(value: object) -> None:
    """TX-14: digits beyond ASCII, signs, white space, fractions of a second."""
    assert lifetime_of(value) == 60


@given(st.integers(-(10**6), 10**8) | st.floats(-1e6, 1e8) | st.text(max_size=30) | st.none() | st.booleans())
def test_no_lifetime_is_above_twelve_hours_or_below_a_second(value: object) -> None:
    """TX-14: whatever the server sends."""
    assert 1 <= lifetime_of(value) <= 43_200


@given(st.binary(max_size=200))
def test_no_body_raises_anything_but_our_own_error(body: bytes) -> None:
    """T-105, T23: a hostile token server can only cause an error."""
    with contextlib.suppress(Failed):
        parse(body)


def jwt(**times: float) -> str:
    """Give a JWT with these times and nothing else."""
    payload = base64.urlsafe_b64encode(json.dumps(times).encode()).decode().rstrip("=")
    return f"e30.{payload}.c2ln"


def seen(ahead: float, *, date: bool, body: dict[str, object], trust_jwt_exp: bool = False) -> float:
    """Give the seconds of life of a token that is issued at T0, to a machine whose clock is ahead by so many."""
    headers = (("Date", "Thu, 01 Jan 2026 00:00:00 GMT"),) if date else ()
    response = Response(200, headers, json.dumps({"token": "t"} | body).encode(), SENT, T0 + ahead)
    until = parse_token(response, "token server 'a'", trust_jwt_exp=trust_jwt_exp).lifetime.until
    assert until is not None
    return until - SENT


@pytest.mark.parametrize("ahead", [0, 360, -360, 86_400, -86_400])
@pytest.mark.parametrize(
    "body",
    [
        {"expires_in": 300},
        {"expires_in": 300, "issued_at": "2026-01-01T00:00:00Z"},
        {"expires_in": 300, "token": jwt(exp=T0 + 300)},
        {"expires_in": 300, "issued_at": "2026-01-01T00:00:00Z", "token": jwt(exp=T0 + 300, iat=T0)},
        {"expires_in": 900, "token": jwt(exp=T0 + 300, nbf=T0)},
        {"expires_in": 360, "issued_at": "2025-12-31T23:59:00Z"},
    ],
    ids=["expires_in", "issued_at", "jwt", "all", "jwt that ends before", "issued a minute ago"],
)
def test_a_token_lives_as_long_as_its_server_says_whatever_this_machines_clock(
    body: dict[str, object], ahead: float
) -> None:
    """TX-15, TX-16: the server's times are judged by the server's own Date."""
    assert seen(ahead, date=True, body=body) == 300


@pytest.mark.parametrize("ahead", [0, 360, -360])
def test_a_trusted_exp_counts_from_the_servers_date(ahead: float) -> None:
    """TX-16: a clock that is behind must not lengthen what the server limits."""
    assert seen(ahead, date=True, body={"token": jwt(exp=T0 + 600)}, trust_jwt_exp=True) == 600


@pytest.mark.parametrize(
    ("ahead", "body", "seconds"),
    [
        (360, {"expires_in": 300, "token": jwt(exp=T0 + 300, iat=T0)}, 60),
        (360, {"expires_in": 30, "token": jwt(exp=T0 + 30, iat=T0)}, 30),
        (360, {"expires_in": 300, "issued_at": "2026-01-01T00:00:00Z"}, 60),
        (-360, {"expires_in": 300, "token": jwt(exp=T0 + 300, iat=T0)}, 300),
        (-360, {"token": jwt(exp=T0 + 300, iat=T0)}, 60),
    ],
    ids=["ahead", "ahead, short", "ahead, issued_at", "behind", "behind, no expires_in"],
)
def test_without_a_date_a_clock_that_is_off_costs_time_and_no_token(
    ahead: float, body: dict[str, object], seconds: float
) -> None:
    """A minute is a safe guess, and nothing is lengthened."""
    assert seen(ahead, date=False, body=body) == seconds


def test_a_token_that_its_own_server_calls_over_is_over() -> None:
    """By the server's clock it ended ten seconds ago, whatever ours says."""
    for ahead in (0, -360):
        assert seen(ahead, date=True, body={"expires_in": 300, "token": jwt(exp=T0 - 10, iat=T0 - 310)}) == -10
