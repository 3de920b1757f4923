"""A URL for which a built-in rule answers, where its ``match`` is wider than what it is for."""

from typing import Final

from credproxy.core.ask.target import Target
from credproxy.core.ask.uri import parse_uri
from credproxy.core.kinds import HostRule


_AWS: Final = "123456789012"
_HOSTS: Final = {
    ("oci", "*.amazonaws.com"): f"{_AWS}.dkr.ecr.eu-west-1.amazonaws.com",
    ("oci", "*.amazonaws.com.cn"): f"{_AWS}.dkr.ecr.cn-north-1.amazonaws.com.cn",
    ("oci", "*.amazonaws.eu"): f"{_AWS}.dkr.ecr.eusc-de-east-1.amazonaws.eu",
    ("oci", "*.on.aws"): f"{_AWS}.dkr-ecr.eu-west-1.on.aws",
    ("oci", "*.on.amazonwebservices.com.cn"): f"{_AWS}.dkr-ecr.cn-north-1.on.amazonwebservices.com.cn",
    ("oci", "*.pkg.dev"): "europe-docker.pkg.dev",
    ("s3", "*.amazonaws.com"): "bucket.s3.eu-west-1.amazonaws.com",
    ("s3", "*.amazonaws.com.cn"): "bucket.s3.cn-north-1.amazonaws.com.cn",
    ("s3", "*.amazonaws.eu"): "bucket.s3.eusc-de-east-1.amazonaws.eu",
    ("s3", "*.r2.cloudflarestorage.com"): f"{'0' * 32}.r2.cloudflarestorage.com",
    ("codeartifact", "*.amazonaws.com"): f"domain-{_AWS}.d.codeartifact.eu-west-1.amazonaws.com",
    ("codeartifact", "*.on.aws"): f"domain-{_AWS}.codeartifact.eu-west-1.on.aws",
}
_PATHS: Final = {"gitlab": "/api/v4/projects/1/packages/generic/name/1/name"}


def sample(rule: HostRule) -> Target:
    """Give such a URL: if there is a login for it, there is one for the rule."""
    tag = rule.tag()
    host = _HOSTS.get((tag, rule.match)) or rule.match.replace("*", "name")
    path = "/v2/name/manifests/1" if rule.is_registry else _PATHS.get(tag, "/name/name")
    return parse_uri(f"https://{host}{path}")
