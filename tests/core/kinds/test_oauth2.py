"""Which options of ``provider = "oauth2"`` go together."""

from collections.abc import Mapping

import msgspec
import pytest

from credproxy.core.ask.uri import parse_uri
from credproxy.core.kinds.oauth2 import OauthHost
from credproxy.core.kinds.uses import Bundle, SecretFile
from credproxy.core.policy.objects import object_pattern
from tests.hints import filled


SECRET = {"source": "env", "name": "S"}
FILE = {"source": "file", "path": "/token"}
TOKEN = {"token_url": "https://id.test/token"}


def host(**given: object) -> OauthHost:
    """A rule."""
    return msgspec.convert({"provider": "oauth2", "match": "cache.test", "client_id": "c"} | TOKEN | given, OauthHost)


GOOD: tuple[Mapping[str, object], ...] = (
    {"client_secret": SECRET},
    {"client_secret": SECRET, "token_url": None, "issuer": "https://id.test/team"},
    {"client_secret": SECRET, "client_auth": "client_secret_post"},
    {"key_file": "/key.pem", "key_id": "k", "algorithm": "ES256"},
    {"grant": "refresh_token", "refresh_token": FILE},
    {"grant": "refresh_token", "refresh_token": FILE, "client_secret": SECRET},
    {"grant": "refresh_token", "refresh_token": FILE, "key_file": "/key.pem"},
    {"grant": "jwt_bearer", "assertion": SECRET},
    {"grant": "jwt_bearer", "key_file": "/key.pem", "subject": "me"},
    {"grant": "jwt_bearer", "assertion": SECRET, "key_file": "/key.pem", "client_auth": "private_key_jwt"},
    {"grant": "token_exchange", "subject_token": SECRET},
    {"client_secret": SECRET, "scope": ["a:b", "https://x/.default"], "resource": ["https://a.test/x"], "narrow": True},
    {"client_secret": SECRET, "token_url": "http://127.0.0.1:1/token"},
    {"client_secret": SECRET, "token_url": "http://[::1]:1/token"},
    {"client_secret": SECRET, "token_url": "http://id.test/token", "insecure": True},
)


@pytest.mark.parametrize("given", GOOD, ids=str)
def test_what_goes_together(given: Mapping[str, object]) -> None:
    """Each way to ask for a token."""
    assert list(host(**given).problems()) == []


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({}, "client_secret"),
        ({"client_secret": SECRET, "token_url": None}, "issuer"),
        ({"client_secret": SECRET, "issuer": "https://id.test/?x=1"}, "issuer"),
        ({"client_secret": SECRET, "issuer": "id.test"}, "issuer"),
        ({"client_secret": SECRET, "token_url": "http://id.test/token"}, "token_url"),
        ({"client_secret": SECRET, "token_url": "http://127.0.0.1.id.test/token"}, "token_url"),
        ({"client_secret": SECRET, "device_url": "https://u:p@id.test/d"}, "device_url"),
        ({"client_secret": SECRET, "authorize_url": "http://id.test/a"}, "authorize_url"),
        ({"client_secret": SECRET, "proxy": "ftp://x"}, "proxy"),
        ({"client_secret": SECRET, "allow_private": ["x"]}, "allow_private"),
        ({"client_secret": SECRET, "header": "a b"}, "header"),
        ({"client_secret": SECRET, "client_id": "ü"}, "client_id"),
        ({"client_secret": SECRET, "scope": ["a b"]}, "scope"),
        ({"client_secret": SECRET, "resource": ["cache.test"]}, "resource"),
        ({"client_secret": SECRET, "narrow": True}, "narrow"),
        ({"client_secret": SECRET, "subject_token": SECRET}, "subject_token"),
        ({"client_secret": SECRET, "refresh_token": FILE}, "refresh_token"),
        ({"client_secret": SECRET, "assertion": SECRET}, "assertion"),
        ({"client_secret": SECRET, "subject": "me"}, "subject"),
        ({"client_secret": SECRET, "key_file": "/key.pem"}, "key_file"),
        (
            {"client_secret": SECRET, "client_auth": "none", "grant": "token_exchange", "subject_token": SECRET},
            "client_secret",
        ),
        ({"client_auth": "client_secret_post"}, "client_secret"),
        ({"client_secret": SECRET, "assertion_audience": "x"}, "assertion_audience"),
        ({"client_auth": "private_key_jwt"}, "key_file"),
        ({"grant": "refresh_token", "refresh_token": SECRET}, "refresh_token"),
        ({"grant": "jwt_bearer"}, "assertion"),
        ({"grant": "jwt_bearer", "assertion": SECRET, "key_file": "/key.pem"}, "assertion"),
        ({"grant": "token_exchange"}, "subject_token"),
    ],
    ids=str,
)
def test_what_does_not_go_together(given: Mapping[str, object], key: str) -> None:
    """Each is reported with its key, before the daemon uses it."""
    assert {path[0] for path, _ in host(**given).problems()} == {key}


@pytest.mark.parametrize(
    ("given", "way", "used"),
    [
        (GOOD[0], "client_secret_basic", ("client_secret",)),
        (GOOD[2], "client_secret_post", ("client_secret",)),
        (GOOD[3], "private_key_jwt", ()),
        (GOOD[4], "none", ("refresh_token",)),
        ({"grant": "refresh_token"}, "none", ("refresh_token",)),
        (GOOD[5], "client_secret_basic", ("refresh_token", "client_secret")),
        (GOOD[8], "none", ()),
        (GOOD[9], "private_key_jwt", ("assertion",)),
        (GOOD[10], "none", ("subject_token",)),
    ],
    ids=str,
)
def test_how_the_client_authenticates(given: Mapping[str, object], way: str, used: tuple[str, ...]) -> None:
    """By what is configured, unless the rule says it; and which of its sources are checked."""
    rule = host(**given)
    assert (rule.authentication, rule.used, tuple(rule.places)) == (way, used, used)


def test_what_it_names_is_looked_at() -> None:
    """By ``doctor`` and by the daemon, which trusts no key that others could have written."""
    rule = host(key_file="/key.pem", ca_bundle="/ca.pem")
    assert {(("key_file",), SecretFile("/key.pem", pem=True)), (("ca_bundle",), Bundle("/ca.pem"))} <= set(rule.uses())


def test_how_a_person_logs_in() -> None:
    """The command that does it, or where the secret goes."""
    target = parse_uri("https://cache.test:8443/x")
    assert host(**GOOD[4]).setup(target) == "credproxy login cache.test:8443"
    assert "client_secret = { source = ... }" in host(**GOOD[0]).setup(target)
    assert "subject_token = { source = ... }" in host(**GOOD[10]).setup(target)
    assert filled(host(**GOOD[3]).setup(target), "write a private key for {}, in PEM form, to {}, mode 0600") == (
        "ES256",
        "/key.pem",
    )


@pytest.mark.parametrize(
    ("uri", "right"),
    [
        ("http://127.0.0.1/", True),
        ("http://localhost/", True),
        ("http://127.0.0.1:8250/oidc/callback", True),
        ("http://127.0.0.1", False),
        ("http://127.0.0.1:80/", False),
        ("http://127.0.0.1:70000/", False),
        ("https://127.0.0.1/", False),
        ("http://127.0.0.2/", False),
        ("http://localhost.evil.test/", False),
        ("http://u@localhost/", False),
        ("http://localhost/?x=1", False),
        ("http://localhost/%2e%2e", False),
        ("http://localhost//x", False),
    ],
)
def test_a_browser_comes_back_to_this_machine_alone(uri: str, *, right: bool) -> None:
    """To a page that is read in one way alone, and a port that everybody may have."""
    rule = host(grant="refresh_token", redirect_uri=uri)
    assert [path for path, _ in rule.problems()] == ([] if right else [("redirect_uri",)])


def test_a_host_that_no_login_can_be_stored_for_is_a_mistake() -> None:
    """Of the source; where the rule names no place, all its hosts share one login."""
    rule = host(grant="refresh_token", refresh_token={"source": "login", "host": "a b"})
    assert [path for path, _ in rule.problems()] == [("refresh_token", "host")]
    assert host(match="*.cache.test", grant="refresh_token").login_host == "cache.test"
    assert host(grant="client_credentials", client_secret=SECRET).login_host is None


def test_a_url_that_is_signed_gets_nothing() -> None:
    """A second credential makes most stores answer 400."""
    assert host(**GOOD[0]).withheld(parse_uri("https://cache.test/x?sig=s&se=e"))
    assert not host(**GOOD[0]).withheld(parse_uri("https://cache.test/x?a=b"))


RESOURCES = ("https://cache.test/", "https://cache.test", "https://b.test:8443/a.b/c", "http://c.test/~x/...")
NOT_COMPARED = (
    "https://cache.test/?a=b",
    "https://cache.test/a//b",
    "https://cache.test/a/../b",
    "https://cache.test/./b",
    "https://cache.test/..",
    "https://cache.test/a%2fb",
    "https://cache.test/a;x",
    "https://cache.test/*",
    "https://CACHE.test/",
    "https://cache.test:443/",
    "https://u@cache.test/",
    "urn:cache",
)


@pytest.mark.parametrize("resource", RESOURCES)
def test_a_resource_is_a_pattern_of_urls(resource: str) -> None:
    """As in rules for build actions: what a token for it gives access to."""
    rule = host(client_secret=SECRET, narrow=True, resource=[resource])
    assert list(rule.problems()) == []
    inside = f"{resource.rstrip('/')}/x"
    (opened,) = rule.opens(parse_uri(inside))
    pattern = object_pattern(opened)
    assert pattern is not None
    assert pattern.covers(parse_uri(inside))


@pytest.mark.parametrize("resource", NOT_COMPARED)
def test_a_resource_that_can_be_read_in_two_ways_is_not_compared(resource: str) -> None:
    """It is unknown what a token for it gives access to."""
    assert [*host(client_secret=SECRET, narrow=True, resource=[resource]).problems()]


def test_the_narrowest_resource_of_a_url_counts() -> None:
    """A name with the same beginning is different, and so is a URL that none covers."""
    rule = host(
        client_secret=SECRET, narrow=True, resource=["https://cache.test/", "https://cache.test/a/b", "https://b.test/"]
    )
    for url, wanted in (
        ("https://cache.test/a/b", "https://cache.test/a/b"),
        ("https://cache.test/a/b/c?x=y", "https://cache.test/a/b"),
        ("https://cache.test/a/bc", "https://cache.test/"),
        ("https://cache.test", "https://cache.test/"),
        ("https://b.test/x", "https://b.test/"),
        ("https://b.test.evil.test/x", None),
        ("http://cache.test/a", None),
        ("https://cache.test:8443/a", None),
    ):
        assert rule.resource_of(parse_uri(url)) == wanted, url
    assert rule.opens(parse_uri("https://cache.test/a/b/c")) == ("https://cache.test/a/b/**",)
    assert rule.opens(parse_uri("https://c.test/a")) == ()
    assert host(client_secret=SECRET, resource=["https://cache.test/"]).opens(parse_uri("https://cache.test/a")) == ()


LOGIN = {"source": "login"}


@pytest.mark.parametrize(
    ("given", "key"),
    [
        ({"grant": "refresh_token", "client_secret": LOGIN}, "client_secret"),
        ({"grant": "refresh_token", "client_secret": LOGIN | {"host": "other.test"}}, "client_secret"),
        ({"grant": "jwt_bearer", "assertion": LOGIN}, "assertion"),
        ({"grant": "token_exchange", "subject_token": LOGIN}, "subject_token"),
    ],
)
def test_a_place_in_which_nothing_can_be_stored_is_refused(given: Mapping[str, object], key: str) -> None:
    """A host has one login: beside a refresh token there would be none for the client's secret, and the token would be sent as one."""
    (found,) = host(**given).problems()
    assert found[0] == (key,)
    assert found[1].startswith("credproxy login stores nothing for this option: wanted another source, such as keyring")


def test_the_secret_of_a_client_may_be_stored_as_a_login() -> None:
    """Each secret that is missing is told with its own remedy: a login stores one of them."""
    target = parse_uri("https://cache.test:8443/")
    robot = host(client_secret=LOGIN)
    assert (list(robot.problems()), robot.login_key, robot.rotates) == ([], "client_secret", False)
    assert robot.setup(target) == "credproxy login cache.test:8443"
    exchange = host(grant="token_exchange", subject_token=SECRET, client_secret=LOGIN)
    assert exchange.setup_of("client_secret", target) == "credproxy login cache.test:8443"
    assert "subject_token = { source = ... }" in exchange.setup(target)
    person = host(grant="refresh_token", client_secret=SECRET)
    assert person.setup(target) == "credproxy login cache.test:8443"
    assert "client_secret = { source = ... }" in person.setup_of("client_secret", target)
    assert host(client_secret=SECRET).login_key == ""
