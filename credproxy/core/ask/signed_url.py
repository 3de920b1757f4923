"""URLs that carry their own authorisation: given a credential as well, most stores answer 400."""

from typing import Final
from urllib.parse import parse_qsl

from credproxy.core.ask.target import Target


REASON: Final = "the URL carries its own signature, which a credential would break"

_SIGNATURES = (
    # Amazon's two ways, which most other stores have as well; CloudFront with a policy that it knows, and with one in the URL.
    {"x-amz-signature"},
    {"x-amz-expires"},
    {"awsaccesskeyid", "signature"},
    {"expires", "key-pair-id"},
    {"signature", "key-pair-id"},
    # Google's two ways, then those of its two content networks.
    {"x-goog-signature"},
    {"googleaccessid"},
    {"keyname", "signature"},
    {"edge-cache-token"},
    # Azure's shared access signature: its end is in the URL, or in a policy that the URL names.
    {"sig", "se"},
    {"sig", "si"},
    {"sig", "sv"},
    # Alibaba's two ways, Huawei's, Tencent's, Volcengine's; Backblaze's and Baidu's.
    {"x-oss-signature"},
    {"ossaccesskeyid", "signature"},
    {"x-obs-signature"},
    {"accesskeyid", "signature"},
    {"q-signature"},
    {"x-tos-signature"},
    {"authorization"},
)
"""Parameters, in lower case, that are together in no URL but a signed one.

Source: each owner's documentation of signed URLs. CloudFront: "Create a signed URL using a custom policy", which has no
``Expires``. Azure: "Create a service SAS", where a stored access policy replaces ``se``.
"""


def is_signed(target: Target) -> bool:
    """Whether the query of a URL signs it, as with storage hosts that redirects lead to."""
    if not target.query:
        return False
    names = {name.lower() for name, _ in parse_qsl(target.query, keep_blank_values=True)}
    return any(names >= wanted for wanted in _SIGNATURES)
