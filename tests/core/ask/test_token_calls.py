"""Which hosts are registries and repositories of Amazon's, and where their tokens are asked for."""

import pytest

from credproxy.core.ask.token_calls import codeartifact_call, ecr_call


@pytest.mark.parametrize(
    ("host", "region", "url"),
    [
        ("123456789012.dkr.ecr.eu-west-1.amazonaws.com", "eu-west-1", "https://api.ecr.eu-west-1.amazonaws.com/"),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com", "us-gov-west-1", "https://ecr-fips.us-gov-west-1.amazonaws.com/"),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn", "cn-north-1", "https://api.ecr.cn-north-1.amazonaws.com.cn/"),
        ("123456789012.dkr-ecr.eu-west-1.on.aws", "eu-west-1", "https://api.ecr.eu-west-1.amazonaws.com/"),
        ("123456789012.dkr.ecr.eusc-de-east-1.amazonaws.eu", "eusc-de-east-1", "https://api.ecr.eusc-de-east-1.amazonaws.eu/"),
        ("123456789012.dkr-ecr.eusc-de-east-1.on.amazonwebservices.eu", "eusc-de-east-1", "https://api.ecr.eusc-de-east-1.amazonaws.eu/"),
        ("123456789012.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn", "cn-north-1", "https://api.ecr.cn-north-1.amazonaws.com.cn/"),
        ("123456789012.dkr.ecr.us-iso-east-1.c2s.ic.gov", "us-iso-east-1", "https://api.ecr.us-iso-east-1.c2s.ic.gov/"),
        ("123456789012.dkr.ecr.us-isob-east-1.sc2s.sgov.gov", "us-isob-east-1", "https://api.ecr.us-isob-east-1.sc2s.sgov.gov/"),
        ("public.ecr.aws", "us-east-1", "https://api.ecr-public.us-east-1.amazonaws.com/"),
        ("ecr-public.aws.com", "us-east-1", "https://api.ecr-public.us-east-1.amazonaws.com/"),
    ],
)  # fmt: skip
def test_a_registry_says_where_its_token_comes_from(host: str, region: str, url: str) -> None:
    """Of the service's API in its region."""
    call = ecr_call(host)
    assert call is not None
    assert (call.region, call.url, call.username, call.body) == (region, url, "AWS", b"{}")
    assert call.target.endswith(".GetAuthorizationToken")


@pytest.mark.parametrize(
    "host",
    [
        "12345.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com.evil.test",
        "123456789012.dkr.ecr.evil.amazonaws.com",
        "x.123456789012.dkr.ecr.eu-west-1.amazonaws.com",
        "123456789012.dkr.ecr.eu-west-1.evilamazonaws.com",
        "evilpublic.ecr.aws",
        "evil.ecr-public.aws.com",
        "123456789012.dkr.ecr.eusc-de-east-1.evilamazonaws.eu",
        "123456789012.dkr-ecr.eu-west-1.evil.on.aws",
        "123456789012.lambda-url.eu-west-1.on.aws",
        "s3.eu-west-1.amazonaws.com",
    ],
)
def test_look_alikes_are_no_registries(host: str) -> None:
    """Nobody else is shown what is made with the key."""
    assert ecr_call(host) is None


def test_a_domain_says_its_owner_and_region() -> None:
    """A name may have dashes of its own."""
    call = codeartifact_call("my-corp-123456789012.d.codeartifact.eu-west-1.amazonaws.com", 900)
    assert call is not None
    query = "domain=my-corp&domain-owner=123456789012&duration=900"
    assert call.url == f"https://codeartifact.eu-west-1.amazonaws.com/v1/authorization-token?{query}"
    assert (call.headers, call.body, call.username) == ((), b"", "")
    for host in (
        "corp-123456789012.codeartifact.eu-west-1.on.aws",
        "corp-123456789012.d.codeartifact.eu-west-1.on.aws",
    ):
        call = codeartifact_call(host, 900)
        assert call is not None
        assert call.region == "eu-west-1"
        assert call.url.startswith("https://codeartifact.eu-west-1.amazonaws.com/v1/authorization-token?domain=corp&")
    for other in (
        "corp-123456789012.codeartifact.eu-west-1.amazonaws.com",
        "corp-123456789012.codeartifact.eu-west-1.on.aws.evil.test",
        "corp-123456789012.lambda-url.eu-west-1.on.aws",
    ):
        assert codeartifact_call(other) is None
    for other in ("corp.d.codeartifact.eu-west-1.amazonaws.com", "corp-123456789012.d.codeartifact.evil.amazonaws.com"):
        assert codeartifact_call(other) is None
