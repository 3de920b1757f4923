"""What a hostile or careless server sends: duplicate parameters, huge numbers, ambiguous JSON."""

import base64

import pytest

from credproxy.core.ask.credential import IdentityToken, Secret, UserPassword
from credproxy.core.ask.http import Dial, Response
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.exchange.challenge import parse_challenges
from credproxy.exchange.discovery import AskedRegistry, Asks, Found, choose
from credproxy.exchange.registry_token import Order, obtain
from credproxy.exchange.token_answer import lifetime_of, parse_token


NINES = b"9" * 400


def answer(body: bytes) -> Response:
    """Give a 200 of the first second of 1970."""
    return Response(200, (), body, 0.0, 0.0)


def jwt(payload: bytes) -> bytes:
    """Give a token answer with that payload."""
    return b'{"token":"e30.' + base64.urlsafe_b64encode(payload).rstrip(b"=") + b'.c2ln"}'


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan"), 10**400, -(10**400)])
def test_numbers_without_end_are_sixty_seconds(value: float) -> None:
    """TX-14: judged before they are converted, which would fail."""
    assert lifetime_of(value) == 60


@pytest.mark.parametrize(
    "body",
    [b'{"token":"t","expires_in":' + NINES + b"}", jwt(b'{"exp":' + NINES + b"}"), jwt(b"[" * 6000)],
    ids=["expires_in", "exp", "nested payload"],
)
def test_huge_numbers_in_an_answer_do_not_raise(body: bytes) -> None:
    """TX-16: T-105: the token is good, its life the default."""
    assert parse_token(answer(body), "s").lifetime.until == 60


@pytest.mark.parametrize("body", [b'{"token":"a","token":"b"}', b'{"token":"a","x":{"y":1,"y":2}}'])
def test_json_that_says_two_things_is_refused(body: bytes) -> None:
    """U10: which of the two a parser takes is arbitrary."""
    with pytest.raises(Failed) as caught:
        parse_token(answer(body), "s")
    assert caught.value.failure.code is Code.BAD_TOKEN


@pytest.mark.parametrize("access_token", [b"1", b"{}", b"null", b'""', b"true"])
def test_an_access_token_that_is_not_text_leaves_the_other_field(access_token: bytes) -> None:
    """TX-8: ``access_token`` if a non-empty string, else ``token``."""
    assert parse_token(answer(b'{"access_token":' + access_token + b',"token":"B"}'), "s").value.reveal() == "B"


def test_parameters_without_a_scheme_end_the_parsing_of_their_line() -> None:
    """CH-12: a line that begins with name=value is dropped."""
    assert parse_challenges(['scope=foo, Bearer realm="https://a/t"']) == ()


def test_an_unquoted_empty_realm_counts_as_named() -> None:
    """CH-8: ``realm=`` looks like a token68, and a second realm after it still has to poison."""
    assert parse_challenges(['Bearer realm=,realm="https://evil/t"'])[0].poisoned


def test_a_posts_url_loses_our_parameters_too() -> None:
    """CH-14: a realm cannot add a scope of its own to the form's."""
    found = Found(Asks.BEARER, "https://a/t?tenant=1&scope=evil", "a", "s")
    request = next(obtain(Order(found, (), IdentityToken(Secret("i")), "c", "r")))
    assert request.url == "https://a/t?tenant=1"


def test_a_service_beyond_ascii_goes_back_as_it_came() -> None:
    """CH-3: The client decodes such octets to surrogates, on which a plain ``quote`` raises."""
    found = Found(Asks.BEARER, "https://a/t", "a", "caf\udce9")
    get = next(obtain(Order(found, (), UserPassword("u", Secret("p")), "c", "r")))
    assert get.url == "https://a/t?service=caf%E9"
    post = next(obtain(Order(found, (), IdentityToken(Secret("i")), "c", "r")))
    assert post.body is not None
    assert "service=caf%E9" in post.body.reveal()


def test_unverified_tls_is_the_registrys_alone() -> None:
    """SEC-R: another port of the same host is another origin; its addresses are still the host's own."""
    registry = AskedRegistry(
        parse_uri("reg.test"), dial=Dial(own=True, tls_verify=False), realm_hosts=("reg.test:8443",)
    )
    dial = choose(registry, parse_challenges(['Bearer realm="https://reg.test:8443/t"']), peer="10.0.0.5").dial
    assert (dial.own, dial.tls_verify) == (True, True)


def test_the_token_request_goes_to_the_canonical_host() -> None:
    """SEC-R: with its dot the name would be a different one for TLS."""
    found = choose(
        AskedRegistry(parse_uri("reg.test")), parse_challenges(['Bearer realm="https://REG.test.:443/t?x=1"'])
    )
    assert found.realm == "https://reg.test/t?x=1"
