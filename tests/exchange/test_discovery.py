"""What a registry asks for: the ping, the choice among challenges, where its token server may be reached."""

import pytest

from credproxy.core.ask.http import Dial, Request, Response
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.exchange.challenge import parse_challenges
from credproxy.exchange.discovery import AskedRegistry, Asks, Found, choose, discover
from tests.hints import filled


REG = AskedRegistry(parse_uri("reg.test"))
GOOD = 'Bearer realm="https://reg.test/t",service="s"'


def chosen(*lines: str, registry: AskedRegistry = REG) -> Found:
    """Give the choice among these lines."""
    return choose(registry, parse_challenges(lines), peer="10.0.0.5")


def refusal(*lines: str, registry: AskedRegistry = REG) -> Code:
    """Give the code of the refusal of these lines."""
    with pytest.raises(Failed) as caught:
        chosen(*lines, registry=registry)
    return caught.value.failure.code


def talk(*responses: Response, second_look: str | None = None) -> tuple[list[Request], Found]:
    """Hold the conversation with these answers."""
    conversation, answers = discover(REG, second_look), iter(responses)
    requests = [next(conversation)]
    try:
        while True:
            requests.append(conversation.send(next(answers)))
    except StopIteration as stop:
        found = stop.value
        assert isinstance(found, Found)
        return requests, found


def response(status: int, *lines: str) -> Response:
    """Make a response with these ``WWW-Authenticate`` lines."""
    return Response(status, tuple(("www-authenticate", line) for line in lines), b"", 0.0, 0.0)


@pytest.mark.parametrize(
    ("realm", "configured", "shown"),
    [
        ("https://reg.test/t", None, True),
        ("https://reg.test:8443/t", None, True),
        ("https://auth.test/t", None, True),
        ("https://other.test/t", "https://other.test/t", True),
        ("https://auth.docker.io/token", None, False),
    ],
)
def test_a_token_server_is_shown_the_client_certificate_only_where_somebody_named_it(
    realm: str, configured: str | None, *, shown: bool
) -> None:
    """The registry's own host, ``realm`` and ``realm_hosts``; any other would learn who somebody is."""
    target = parse_uri("registry-1.docker.io" if "docker.io" in realm else "reg.test")
    allowed = frozenset({"auth.test", "reg.test:8443"})
    registry = AskedRegistry(target, dial=Dial(client_cert="/c"), realm=configured, realm_hosts=allowed)
    found = chosen(f'Bearer realm="{realm}",service="s"', registry=registry)
    assert (found.dial.client_cert, found.dial.identified) == ("/c", shown)


def test_a_registry_that_wants_a_client_certificate_says_so() -> None:
    """Nginx answers over TLS, with a page; the hint names the option."""
    page = b"<html><head><title>400 No required SSL certificate was sent</title></head></html>"
    with pytest.raises(Failed) as caught:
        talk(Response(400, (), page, 0.0, 0.0))
    assert caught.value.failure.code is Code.DENIED
    hint = caught.value.failure.hint
    wanted = filled(hint, 'name one that it knows in the [[host]] with match = "{}" and provider = "oci": {}')
    assert wanted == ("reg.test", 'client_cert = "/PATH/client.pem"')
    assert talk(response(200))[1].asks is Asks.NOTHING


@pytest.mark.parametrize(
    ("lines", "asks"),
    [
        pytest.param(["Basic"], Asks.BASIC, id="V04"),
        pytest.param(["Negotiate", 'Basic realm="r"'], Asks.BASIC, id="V07"),
        pytest.param(['Basic realm="r"', GOOD], Asks.BEARER, id="V08"),
        pytest.param([f'Negotiate, {GOOD}, Basic realm="r"'], Asks.BEARER, id="V12"),
        pytest.param(['Digest realm="d", nonce="n", Basic realm="r"'], Asks.BASIC, id="V31"),
        pytest.param(['Bearer realm="https://evil/t"', GOOD], Asks.BEARER, id="the second realm is trusted"),
        pytest.param(['Bearer realm="https://reg.test/t",realm="x"', GOOD], Asks.BEARER, id="V25 beside a good one"),
    ],
)
def test_bearer_before_basic_and_basic_only_alone(lines: list[str], asks: Asks) -> None:
    """CH-16, P-4."""
    assert chosen(*lines).asks is asks


@pytest.mark.parametrize(
    ("lines", "code"),
    [
        pytest.param([], Code.NO_CHALLENGE, id="V33"),
        pytest.param(["Bearer  "], Code.NO_CHALLENGE, id="V05"),
        pytest.param(["Bearer", 'Basic realm="r"'], Code.NO_CHALLENGE, id="V05 beside Basic"),
        pytest.param(["Bearer realm='https://reg.test/t'"], Code.REALM_REFUSED, id="V27"),
        pytest.param(['Bearer realm="https://evil/t"', "Basic"], Code.REALM_REFUSED, id="V34"),
        pytest.param(['Bearer realm="https://reg.test/\x01"'], Code.POISONED_CHALLENGE, id="V32"),
        pytest.param(['Bearer realm="https://reg.test/t",realm="x"', "Basic"], Code.POISONED_CHALLENGE, id="V25"),
        pytest.param(["Negotiate, NTLM"], Code.UNSUPPORTED_SCHEME, id="T-77"),
    ],
)
def test_nothing_usable_is_an_error_and_no_downgrade(lines: list[str], code: Code) -> None:
    """CH-8, CH-9, CH-13, CH-16, CH-17."""
    assert refusal(*lines) is code


def test_a_well_formed_challenge_is_preferred() -> None:
    """CH-10: the malformed one may have lost its service."""
    found = chosen('Bearer realm="https://reg.test/broken" service="x"', GOOD)
    assert found.realm == "https://reg.test/t"


def test_a_malformed_one_alone_is_used() -> None:
    """CH-10: V22: what was parsed of it can be used."""
    assert chosen('Bearer realm="https://reg.test/t" service="x"').realm == "https://reg.test/t"


def test_the_ping_is_bare() -> None:
    """TX-1, P-2: one GET with a trailing slash, and nothing in it that could change the answer."""
    requests, found = talk(response(401, GOOD))
    assert [(one.method, one.url) for one in requests] == [("GET", "https://reg.test/v2/")]
    assert [name for name, _ in requests[0].headers] == ["User-Agent"]
    assert found.asks is Asks.BEARER


def test_two_open_answers_mean_no_login() -> None:
    """TX-3: no token is requested if none is wanted."""
    requests, found = talk(response(200), response(200), second_look="a/b")
    assert [one.url for one in requests] == ["https://reg.test/v2/", "https://reg.test/v2/a/b/tags/list?n=1"]
    assert found.asks is Asks.NOTHING


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (404, Code.NO_CHALLENGE),
        (403, Code.NO_CHALLENGE),
        (302, Code.REDIRECT_REFUSED),
        (503, Code.UPSTREAM_UNAVAILABLE),
    ],
)
def test_other_answers_to_a_ping_are_errors(status: int, code: Code) -> None:
    """T-104, TX-10: each says what it was."""
    with pytest.raises(Failed) as caught:
        talk(response(status))
    assert caught.value.failure.code is code


PRIVATE = AskedRegistry(
    parse_uri("reg.test"),
    dial=Dial(networks=("10.0.0.0/8",), own=True, ca_bundle="/ca.pem", tls_verify=False, proxy="http://p:1"),
    realm_hosts=("auth.test",),
)


def test_the_registrys_own_origin_is_reached_as_the_registry_is() -> None:
    """SEC-4: T-68: a registry with a private certificate has its token endpoint behind the same one."""
    assert chosen(GOOD, registry=PRIVATE).dial == PRIVATE.dial


def test_a_paired_realm_may_be_where_the_registry_is_and_is_always_verified() -> None:
    """SEC-4: T-67, T-68, SEC-R: its CA may be the same, the mark ``tls_verify = false`` is not."""
    dial = chosen('Bearer realm="https://auth.test/t"', registry=PRIVATE).dial
    assert dial == Dial(("10.0.0.0/8",), own=False, addresses=("10.0.0.5",), ca_bundle="/ca.pem", proxy="http://p:1")


def redirect(location: str, status: int = 301) -> Response:
    """Make a redirect."""
    headers = (("Location", location),) if location else ()
    return Response(status, headers, b"", 0.0, 0.0)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize(
    ("location", "asked"),
    [
        ("/v2", "https://reg.test/v2"),
        ("https://reg.test/v2", "https://reg.test/v2"),
        ("https://REG.test:443/v2", "https://reg.test/v2"),
        ("https://reg.test./v2/", "https://reg.test/v2/"),
        ("//reg.test/v2", "https://reg.test/v2"),
        ("../v2/?x=1", "https://reg.test/v2/?x=1"),
        ("?x=1", "https://reg.test/v2/?x=1"),
        ("/mirror/v2/#there", "https://reg.test/mirror/v2/"),
        ("/auth/check", "https://reg.test/auth/check"),
    ],
)
def test_a_ping_is_followed_on_the_registrys_own_origin(location: str, asked: str, status: int) -> None:
    """However that is spelled (RFC 3986); neither request carries a login."""
    requests, found = talk(redirect(location, status), response(401, GOOD))
    assert [request.url for request in requests] == ["https://reg.test/v2/", asked]
    assert [name for request in requests for name, _ in request.headers] == ["User-Agent"] * 2
    assert found.asks is Asks.BEARER


def test_a_second_look_is_followed_as_well() -> None:
    """TX-3: the same registry, the same rule."""
    requests, found = talk(
        redirect("/v2"), response(200), redirect("/v2/a/b/tags/list"), response(401, GOOD), second_look="a/b"
    )
    assert [request.url for request in requests][-1] == "https://reg.test/v2/a/b/tags/list"
    assert found.asks is Asks.BEARER


@pytest.mark.parametrize(
    ("location", "code", "named"),
    [
        ("https://evil.test/v2/?token=SECRET", Code.REDIRECT_REFUSED, "'https://evil.test/v2/'"),
        ("https://reg.test:8443/v2/", Code.REDIRECT_REFUSED, "'https://reg.test:8443/v2/'"),
        ("http://reg.test/v2/", Code.DOWNGRADE, "'http://reg.test/v2/'"),
        ("//evil.test/v2/", Code.REDIRECT_REFUSED, "'https://evil.test/v2/'"),
        ("https://user:SECRET@reg.test/v2/", Code.REDIRECT_REFUSED, "something that is not a URL"),
        ("https://reg.test/a b", Code.REDIRECT_REFUSED, "something that is not a URL"),
        ("ftp://reg.test/v2/", Code.REDIRECT_REFUSED, "something that is not a URL"),
        ("https://[", Code.REDIRECT_REFUSED, "something that is not a URL"),
        ("", Code.REDIRECT_REFUSED, "something that is not a URL"),
    ],
)
def test_a_ping_is_followed_nowhere_else_and_the_error_names_where(location: str, code: Code, named: str) -> None:
    """Another host, port or scheme is another origin; the query may be a secret (T-104, SEC-3)."""
    with pytest.raises(Failed) as caught:
        talk(redirect(location))
    failure = caught.value.failure
    assert (failure.code, named in failure.message) == (code, True)
    assert "SECRET" not in failure.message + failure.hint


def test_a_registry_that_is_marked_insecure_and_speaks_https_is_told_how_to_be_asked() -> None:
    """The remedy is a line of the configuration."""
    conversation = discover(AskedRegistry(parse_uri("http://reg.test/")), None)
    next(conversation)
    with pytest.raises(Failed) as caught:
        conversation.send(redirect("https://reg.test/v2/"))
    assert "take insecure = true out" in caught.value.failure.hint


def test_redirects_of_a_ping_are_bounded() -> None:
    """Three, and then an error."""
    with pytest.raises(Failed) as caught:
        talk(*[redirect("/v2/")] * 4)
    assert (caught.value.failure.code, "more than 3 times" in caught.value.failure.message) == (
        Code.REDIRECT_REFUSED,
        True,
    )


def test_a_login_page_at_the_end_of_a_redirect_is_not_an_open_registry() -> None:
    """P-12: otherwise a web server's page would make requests with a configured login anonymous."""
    with pytest.raises(Failed) as caught:
        talk(redirect("/users/sign_in"), response(200))
    assert (caught.value.failure.code, "'https://reg.test/users/sign_in'" in caught.value.failure.message) == (
        Code.NO_CHALLENGE,
        True,
    )
    assert talk(redirect("/v2"), response(200))[1].asks is Asks.NOTHING
