"""What a registry asks for: the ping, the choice among challenges, where its token server may be reached."""

import pytest

from credproxy.core.errors import Code, Failed
from credproxy.core.http import Dial, Request, Response
from credproxy.core.uri import parse_uri
from credproxy.exchange.challenge import parse_challenges
from credproxy.exchange.discovery import Asks, Found, Registry, choose, discover


REG = Registry(parse_uri("reg.test"))
GOOD = 'Bearer realm="https://reg.test/t",service="s"'


def chosen(*lines: str, registry: Registry = REG) -> Found:
    """Give the choice among these lines."""
    return choose(registry, parse_challenges(lines), "10.0.0.5")


def refusal(*lines: str, registry: Registry = REG) -> Code:
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
def test_ch16_bearer_before_basic_and_basic_only_alone(lines: list[str], asks: Asks) -> None:
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
def test_ch16_nothing_usable_is_an_error_and_no_downgrade(lines: list[str], code: Code) -> None:
    """CH-8, CH-9, CH-13, CH-16, CH-17."""
    assert refusal(*lines) is code


def test_ch10_a_well_formed_challenge_is_preferred() -> None:
    """CH-10: the malformed one may have lost its service."""
    found = chosen('Bearer realm="https://reg.test/broken" service="x"', GOOD)
    assert found.realm == "https://reg.test/t"


def test_ch10_a_malformed_one_alone_is_used() -> None:
    """V22: what was read of it is good."""
    assert chosen('Bearer realm="https://reg.test/t" service="x"').realm == "https://reg.test/t"


def test_tx1_the_ping_is_bare() -> None:
    """TX-1, P-2: one GET with a trailing slash, and nothing in it that a registry could answer otherwise to."""
    requests, found = talk(response(401, GOOD))
    assert [(one.method, one.url) for one in requests] == [("GET", "https://reg.test/v2/")]
    assert [name for name, _ in requests[0].headers] == ["User-Agent"]
    assert found.asks is Asks.BEARER


def test_tx3_two_open_answers_mean_no_login() -> None:
    """TX-3: nothing is asked for where nothing is wanted."""
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


PRIVATE = Registry(
    parse_uri("reg.test"),
    dial=Dial(networks=("10.0.0.0/8",), own=True, ca_bundle="/ca.pem", tls_verify=False, proxy="http://p:1"),
    realm_hosts=("auth.test",),
)


def test_sec4_the_registrys_own_origin_is_reached_as_the_registry_is() -> None:
    """T-68: a registry with a certificate of its own has its token endpoint behind the same one."""
    assert chosen(GOOD, registry=PRIVATE).dial == PRIVATE.dial


def test_sec4_a_paired_realm_may_be_where_the_registry_is_and_is_always_verified() -> None:
    """T-67, T-68, SEC-R 9: its CA may be the same, the mark ``tls_verify = false`` is not."""
    dial = chosen('Bearer realm="https://auth.test/t"', registry=PRIVATE).dial
    assert dial == Dial(("10.0.0.0/8",), own=False, addresses=("10.0.0.5",), ca_bundle="/ca.pem", proxy="http://p:1")
