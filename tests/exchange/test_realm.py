"""Which token servers are trusted (SEC-R): tables of attacks, the reason at the end of each row."""

import pytest

from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed
from credproxy.exchange.realm import PAIRS, check_realm


R = "https://r.example.com/v2/"

REFUSED = [
    (R, "file:///etc/passwd", "no https"),
    (R, "/token", "relative"),
    (R, "//evil/t", "relative, too"),
    (R, "https://u:p@r.example.com/t", "userinfo"),
    (R, "https://r.example.com\\@evil/t", "backslash"),
    (R, "https://r.example.com/t#x", "fragment"),
    (R, "https://auth.example.com/t", "a sibling is not the registry"),
    (R, "//]0:%/b:[#:@2:[p%", "garbage"),
    (R, "https://[::1", "unbalanced"),
    (R, "https://r.example.com/" + "x" * 2048, "too long"),
    (R, "https://r.exämple.com/t", "not ASCII"),
    ("http://127.0.0.1:5000/v2/", "http://127.0.0.1:8080/auth", "another port is another origin"),
    ("https://r.azurecr.io.attacker.com/v2/", "https://r.azurecr.io/oauth2/token", "SEC-H"),
    ("https://registry/v2/", "https://evilhost/t", "T-62: single labels share no domain"),
    ("https://victim.azurecr.io/v2/", "https://evil.azurecr.io/t", "tenants share a suffix"),
    ("https://a.jfrog.io/v2/", "https://b.jfrog.io/t", "tenants share a suffix"),
    ("https://us-docker.pkg.dev/v2/", "https://evil.pkg.dev/t", "tenants share a suffix"),
    ("https://evil.test/v2/", "https://auth.docker.io/token", "T-71: pairs, not a set"),
    ("https://reg.test/v2/", "https://reg.test:8443/token", "T-70: another port"),
    ("https://reg.test/v2/", "https://169.254.169.254/x", "T-64: metadata"),
    ("https://reg.test/v2/", "https://[::ffff:169.254.169.254]/", "T-64: mapped metadata"),
    ("https://reg.test/v2/", "https://0.0.0.0/", "T-64: unspecified"),
    ("https://reg.test/v2/", "https://2130706433/", "T-64: an address in disguise"),
    ("https://reg.test/v2/", "https://0x7f.1/", "T-64: another disguise"),
    ("https://10.0.0.5/v2/", "https://10.0.0.6/t", "T-68: a neighbour"),
    ("https://reg.test/v2/", "grpcs://reg.test/t", "another scheme"),
    ("https://reg.test/v2/", "https://*.test/t", "no host at all"),
]


@pytest.mark.parametrize(
    ("registry", "realm", "why"), REFUSED, ids=[f"{why}: {realm[:40]}" for _, realm, why in REFUSED]
)
def test_refused(registry: str, realm: str, why: str) -> None:
    """Refused with our own error, whatever it is."""
    with pytest.raises(Failed) as caught:
        check_realm(realm, parse_uri(registry), allowed=())
    assert caught.value.failure.code is Code.REALM_REFUSED, why


TRUSTED = [
    (R, "https://r.EXAMPLE.com./t", "the same host, spelled differently"),
    (R, "https://r.example.com:443/t", "T-99: the default port in full"),
    ("http://127.0.0.1:5000/v2/", "http://127.0.0.1:5000/auth", "plain http as the registry itself"),
    ("https://registry-1.docker.io/v2/", "https://auth.docker.io/token", "pair"),
    ("https://index.docker.io/v2/", "https://auth.docker.io/token", "pair"),
    ("https://nvcr.io/v2/", "https://authn.nvidia.com/token", "pair across domains"),
    ("https://registry.gitlab.com/v2/", "https://gitlab.com/jwt/auth", "pair"),
]


@pytest.mark.parametrize(
    ("registry", "realm", "why"), TRUSTED, ids=[f"{why}: {registry}" for registry, _, why in TRUSTED]
)
def test_trusted(registry: str, realm: str, why: str) -> None:
    """Same origin, or a listed pair."""
    assert check_realm(realm, parse_uri(registry), allowed=()).host, why


def test_an_https_registry_cannot_send_logins_to_plain_http() -> None:
    """T-65, SEC-7: also where the host is its own."""
    with pytest.raises(Failed) as caught:
        check_realm("http://reg.test/token", parse_uri("https://reg.test/v2/"), allowed=())
    assert caught.value.failure.code is Code.DOWNGRADE


def test_an_operator_lists_another_authority_with_its_port() -> None:
    """T-70: A non-default port has to be spelled out."""
    registry = parse_uri("https://reg.test/v2/")
    assert check_realm("https://reg.test:8443/token", registry, allowed=("reg.test:8443",)).authority == "reg.test:8443"
    with pytest.raises(Failed):
        check_realm("https://auth.test:8443/token", registry, allowed=("auth.test",))


def test_the_refusal_names_both_hosts_and_the_line_that_would_allow_it() -> None:
    """T-61: the operator of the registry can decide at once."""
    with pytest.raises(Failed) as caught:
        check_realm("https://evil.test/token?x=secret", parse_uri("https://reg.test/v2/"), allowed=())
    failure = caught.value.failure
    assert failure.message == "registry 'reg.test' sends logins to 'evil.test', which it is not paired with"
    assert (
        failure.hint
        == 'if that is right, say so in the [[host]] with match = "reg.test" and provider = "oci": realm_hosts = ["evil.test"]'
    )


def test_an_ip_literal_is_not_trusted_even_when_listed() -> None:
    """SEC-R: a name can be checked by its certificate and its address; a literal address may be anybody."""
    with pytest.raises(Failed):
        check_realm("https://10.0.0.6/t", parse_uri("https://reg.test/v2/"), allowed=("10.0.0.6",))


def test_five_registries_are_paired() -> None:
    """SEC-8: the built-in pairs are few, and for public registries."""
    assert len({realm for _, realm in PAIRS}) == 5
