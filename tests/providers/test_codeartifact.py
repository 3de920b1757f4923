"""Tokens of CodeArtifact, in the dress of each format."""

import msgspec
import pytest

from credproxy.core.ask.basic_auth import basic
from credproxy.core.ask.credential import PlainSecret, Secret, UserPassword
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Failed
from credproxy.core.kinds.codeartifact import CodeartifactHost
from credproxy.core.kinds.sources.codeartifact import CodeartifactSource
from credproxy.core.kinds.sources.env import EnvSource
from tests.contract import HOST, ProviderContract
from tests.hints import filled


DOMAIN = "corp-123456789012.d.codeartifact.eu-west-1.amazonaws.com"
BASIC = basic(UserPassword("aws", Secret("t"))).reveal()


@pytest.mark.parametrize(
    ("path", "wanted"),
    [
        ("/pypi/r/simple/x/", BASIC),
        ("/maven/r/com/x/1/x-1.jar", BASIC),
        ("/nuget/r/v3/index.json", BASIC),
        ("/ruby/r/gems/x.gem", BASIC),
        ("/npm/r/x/-/x-1.tgz", "Bearer t"),
        ("/generic/r/n/p/1/a", "Bearer t"),
        ("/cargo/r/index/x", "Bearer t"),
        ("/swift/r/x", "Bearer t"),
        ("/pypix/r", "Bearer t"),
    ],
)
def test_a_token_is_dressed_as_its_format_wants_it(path: str, wanted: str) -> None:
    """By the first part of the path."""
    rule, target = CodeartifactHost(DOMAIN), parse_uri(f"https://{DOMAIN}{path}")
    width = rule.width(target)
    ((name, (value,)),) = rule.dress(PlainSecret(Secret("t")), "x", width=width)
    assert (name, value.reveal()) == ("Authorization", wanted)
    assert rule.about(width) == {"dress": "basic" if wanted == BASIC else "bearer"}


def test_a_signed_url_gets_nothing() -> None:
    """Packages are redirected to a bucket."""
    rule = CodeartifactHost(DOMAIN)
    assert rule.withheld(parse_uri(f"https://{DOMAIN}/x?X-Amz-Signature=0"))
    assert not rule.withheld(parse_uri(f"https://{DOMAIN}/pypi/x"))


@pytest.mark.parametrize(
    ("host", "claimed"),
    [(DOMAIN, True), ("corp.d.codeartifact.eu-west-1.amazonaws.com", False), ("b.s3.eu-west-1.amazonaws.com", False)],
)
def test_without_a_rule_it_answers_for_domains_alone(host: str, *, claimed: bool) -> None:
    """Amazon has other services below the same name."""
    rule, _ = CodeartifactHost.builtin()
    assert rule.claims(parse_uri(f"https://{host}/x")) is claimed


def test_whoever_has_no_key_is_told_how_to_get_one() -> None:
    """By Amazon's own tools."""
    target = parse_uri(f"https://{DOMAIN}/x")
    assert CodeartifactHost(DOMAIN).setup(target) == "aws configure, or aws sso login"
    named = CodeartifactHost(DOMAIN, credentials=CodeartifactSource("corp")).setup(target)
    assert named == "aws configure --profile corp, or aws sso login --profile corp"
    assert "credentials = { source = ... }" in CodeartifactHost(DOMAIN, credentials=EnvSource("X")).setup(target)


def test_an_empty_token_is_told() -> None:
    """It is not a login."""
    rule = CodeartifactHost(DOMAIN)
    with pytest.raises(Failed) as caught:
        rule.dress(PlainSecret(Secret("")), "env:X", width=("basic",))
    filled(caught.value.failure.hint, "log in with Amazon's tools: aws configure, or aws sso login")
    assert rule.dress(PlainSecret(Secret("t")), "env:X", width=("basic",))


def test_its_options_are_those_of_a_file() -> None:
    """As a person writes them."""
    document = {"provider": "codeartifact", "match": DOMAIN, "credentials": {"source": "codeartifact", "duration": 900}}
    rule = msgspec.convert(document, CodeartifactHost)
    assert not list(rule.problems())
    assert isinstance(rule.credentials, CodeartifactSource)


CONTRACTS = {
    "codeartifact": ProviderContract(
        CodeartifactHost(HOST, credentials=EnvSource("X")), f"https://{HOST}/pypi/x", alike=f"https://{HOST}/pypi/y"
    )
}
