"""How a client authenticates (RFC 6749, section 2.3; RFC 7523)."""

import base64
from urllib.parse import parse_qsl

import pytest

from credproxy.core.ask.credential import Secret, reveal
from credproxy.core.ask.http import Dial, Request
from credproxy.exchange.oauth_client import ASSERTION_TYPE, BACK, LIFE, OauthClient, claims, post
from credproxy.exchange.oauth_server import OauthServer
from tests.fakes import T0


SERVER = OauthServer(Dial(), token_url="https://id.test/token")
FORM = (("grant_type", "x"), ("token", Secret("a+b&c=d")), ("resource", "https://a.test/"), ("resource", "b c"))


def sent(client: OauthClient, *, once: bool = False) -> tuple[Request, dict[str, str], dict[str, str]]:
    """The request, its headers and its form."""
    request = post(SERVER, SERVER.token_url, client=client, form=FORM, once=once)
    assert request.body is not None
    pairs = parse_qsl(request.body.reveal(), strict_parsing=True)
    assert pairs[: len(FORM)] == [(name, reveal(value)) for name, value in FORM]
    return request, {name: reveal(value) for name, value in request.headers}, dict(pairs[len(FORM) :])


def test_a_secret_in_basic_is_form_encoded_first() -> None:
    """RFC 6749, section 2.3.1: a colon in the id would end it, and some servers accept only one way."""
    _, headers, named = sent(OauthClient("a:b ü", "client_secret_basic", Secret("s+/%")))
    assert base64.b64decode(headers["Authorization"].removeprefix("Basic ")) == b"a%3Ab+%C3%BC:s%2B%2F%25"
    assert named == {}


def test_a_secret_may_go_into_the_form() -> None:
    """With the id beside it."""
    _, headers, named = sent(OauthClient("a", "client_secret_post", Secret("s+/%")))
    assert "Authorization" not in headers
    assert named == {"client_id": "a", "client_secret": "s+/%"}


def test_a_client_without_a_secret_names_itself() -> None:
    """RFC 6749, section 3.2.1."""
    _, headers, named = sent(OauthClient("a"))
    assert "Authorization" not in headers
    assert named == {"client_id": "a"}


def test_a_signed_assertion_goes_into_the_form_once() -> None:
    """RFC 7523, section 2.2; a server may remember its jti, so that a second try needs another one."""
    request, _, named = sent(OauthClient("a", "private_key_jwt", Secret("h.p.s")))
    assert named == {"client_id": "a", "client_assertion_type": ASSERTION_TYPE, "client_assertion": "h.p.s"}
    assert not request.repeatable


@pytest.mark.parametrize("once", [True, False])
def test_what_is_spent_is_not_sent_again(once: bool) -> None:  # noqa: FBT001  a table
    """U14."""
    assert sent(OauthClient("a"), once=once)[0].repeatable is not once


def test_no_secret_is_shown() -> None:
    """SEC-11: neither that of the client nor what is in the form."""
    for client in (
        OauthClient("a", "client_secret_basic", Secret("canary")),
        OauthClient("a", "client_secret_post", Secret("canary")),
    ):
        assert "canary" not in repr(client)
        assert "canary" not in repr(sent(client)[0])


def test_what_is_signed_is_good_for_a_minute() -> None:
    """RFC 7523, section 3; the clock of the server may be behind ours."""
    said = claims("a", "b", audience="https://id.test", wall=T0 + 0.9, nonce="n")
    assert said == {"iss": "a", "sub": "b", "aud": "https://id.test", "iat": T0 - BACK, "exp": T0 + LIFE, "jti": "n"}
