"""URLs that carry their authorisation themselves: beside a credential most stores answer 400."""

from typing import Final
from urllib.parse import parse_qsl

from credproxy.core.ask.target import Target


REASON: Final = "the URL carries its own signature, which a credential would break"

_SIGNATURES = (
    {"x-amz-signature"},
    {"x-amz-expires"},
    {"awsaccesskeyid", "signature"},
    {"x-goog-signature"},
    {"googleaccessid"},
    {"sig", "se"},
    {"expires", "key-pair-id"},
)
"""Amazon's two ways, Google's two ways, a shared access signature of Azure's, CloudFront's."""


def is_signed(target: Target) -> bool:
    """Whether the query of a URL signs it, as that of a storage host does which a redirect leads to."""
    if not target.query:
        return False
    names = {name.lower() for name, _ in parse_qsl(target.query, keep_blank_values=True)}
    return any(names >= wanted for wanted in _SIGNATURES)
