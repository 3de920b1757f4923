"""URLs that carry their own authorisation: given a credential as well, most stores answer 400."""

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
"""Amazon's two ways, Google's two ways, Azure's shared access signature, CloudFront's way."""


def is_signed(target: Target) -> bool:
    """Whether the query of a URL signs it, as with storage hosts that redirects lead to."""
    if not target.query:
        return False
    names = {name.lower() for name, _ in parse_qsl(target.query, keep_blank_values=True)}
    return any(names >= wanted for wanted in _SIGNATURES)
