"""Tokens that Amazon's services give for an access key: of ECR for registries, of CodeArtifact for repositories of packages.

Which host needs which, and where that is asked for. Source: docs.aws.amazon.com, API references of Amazon ECR, Amazon ECR Public
and AWS CodeArtifact; awslabs/amazon-ecr-credential-helper, ``ecr-login/api/client.go``.
"""

import re
from dataclasses import dataclass
from typing import Final

from credproxy.core.ask.aws_hosts import DOMAIN, REGION


PUBLIC: Final = ("public.ecr.aws", "ecr-public.aws.com")
"""Both names of the public registry: the second is reached by IPv6 as well."""

DURATION: Final = 12 * 3600
"""Seconds for which CodeArtifact's tokens are good unless a rule says otherwise: the most that it gives, and what ECR gives."""

_ECR = (
    re.compile(rf"(?P<owner>[0-9]{{12}})\.dkr\.ecr(?P<fips>-fips)?\.{REGION}\.{DOMAIN}"),
    re.compile(
        rf"(?P<owner>[0-9]{{12}})\.dkr-ecr(?P<fips>-fips)?\.{REGION}\.(?P<domain>on\.(?:aws|amazonwebservices\.(?:com\.cn|eu)))"
    ),
)
_CODEARTIFACT = re.compile(
    rf"(?P<name>[a-z](?:[a-z0-9-]{{0,48}}[a-z0-9])?)-(?P<owner>[0-9]{{12}})"
    rf"(?:\.d\.codeartifact\.{REGION}\.amazonaws\.com|(?:\.d)?\.codeartifact\.{REGION.replace('region', 'dual')}\.on\.aws)"
)
_PLAIN_DOMAINS: Final = {
    "on.aws": "amazonaws.com",
    "on.amazonwebservices.com.cn": "amazonaws.com.cn",
    "on.amazonwebservices.eu": "amazonaws.eu",
}
"""Of the services themselves, by the domain of hosts that are reached by IPv6 as well."""
_JSON = "application/x-amz-json-1.1"


@dataclass(frozen=True, slots=True)
class TokenCall:
    """One request for a token; what is equal gives tokens for the same things.

    Attributes:
        service: by its name in signatures.
        region: likewise.
        url: that is asked.
        target: the operation, of the services that tell it in a header; "" of others.
        username: for Basic, that goes with the token; "" for a token alone.
        named: the user's own environment names the address, which may then be a private one.
    """

    service: str
    region: str
    url: str
    target: str = ""
    username: str = ""
    named: bool = False

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """That are signed and sent."""
        return (("Content-Type", _JSON), ("X-Amz-Target", self.target)) if self.target else ()

    @property
    def body(self) -> bytes:
        """That is sent."""
        return b"{}" if self.target else b""


def ecr_call(host: str) -> TokenCall | None:
    """The call for an ECR registry, by its host without a port; None for every other host.

    A token is good for all registries in the region that its owner may use, regardless of their owner.
    """
    if host in PUBLIC:
        url, operation = "https://api.ecr-public.us-east-1.amazonaws.com/", "SpencerFrontendService"
        return TokenCall("ecr-public", "us-east-1", url, f"{operation}.GetAuthorizationToken", "AWS")
    found = next((found for form in _ECR if (found := form.fullmatch(host))), None)
    if found is None:
        return None
    region, domain = found["region"], _PLAIN_DOMAINS.get(found["domain"], found["domain"])
    name = f"ecr-fips.{region}" if found["fips"] else f"api.ecr.{region}"
    operation = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"
    return TokenCall("ecr", region, f"https://{name}.{domain}/", operation, "AWS")


def codeartifact_call(host: str, duration: int = DURATION) -> TokenCall | None:
    """The call for a CodeArtifact domain, by its host without a port; None for every other host."""
    found = _CODEARTIFACT.fullmatch(host)
    if found is None:
        return None
    region = found["region"] or found["dual"]
    query = f"domain={found['name']}&domain-owner={found['owner']}&duration={duration}"
    url = f"https://codeartifact.{region}.amazonaws.com/v1/authorization-token?{query}"
    return TokenCall("codeartifact", region, url)
