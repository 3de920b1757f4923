"""The hosts of Amazon's services, and Cloudflare's R2, as their documentation names them: every other name is somebody else's.

Source: docs.aws.amazon.com "Amazon Simple Storage Service endpoints and quotas", "Virtual hosting of general purpose buckets",
"Dual-stack endpoints", "AWS PrivateLink for Amazon S3"; botocore's ``partitions.json``; developers.cloudflare.com/r2/api/s3/api.
"""

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final


AUTO: Final = "auto"
"""R2's only region."""

_HOSTS: Final = 256
"""Names whose reading is remembered: a build asks for thousands of objects at a few hosts."""

REGION: Final = r"(?P<region>[a-z]{2,4}(?:-[a-z]{2,10}){1,3}-[0-9]{1,2})"
"""The name of a region in a host's name."""

DOMAIN: Final = (
    r"(?P<domain>amazonaws\.(?:com(?:\.cn)?|eu)|c2s\.ic\.gov|sc2s\.sgov\.gov|cloud\.adc-e\.uk|csp\.hci\.ic\.gov)"
)
"""The domain of Amazon's services, in each partition."""

_EXTERNAL = "us-east-1"
"""Where a host of old is whose name does not say it."""

_BUCKET = r"(?P<bucket>[a-z0-9][a-z0-9._-]{0,252})"
_VPCE = rf"vpce-[0-9a-z-]{{1,60}}\.s3\.{REGION}\.vpce"
"""An interface endpoint of a private network, which the network's owner cannot give another service's."""

_REGION_NAME = re.compile(r"[a-z0-9-]{1,64}")

_S3 = tuple(
    re.compile(rf"{form}\.{DOMAIN}")
    for form in (
        rf"(?:{_BUCKET}\.)?s3(?:-fips)?(?:\.dualstack)?\.{REGION}",
        rf"(?:{_BUCKET}\.)?s3",
        rf"(?:{_BUCKET}\.)?s3-(?:fips-)?{REGION}",  # as they were written before 2019
        rf"(?:{_BUCKET}\.)?s3-(?P<external>external-1)",
        rf"{_BUCKET}\.s3-accelerate(?:\.dualstack)?",
        rf"{_BUCKET}\.s3-accesspoint(?:-fips)?(?:\.dualstack)?\.{REGION}",
        rf"(?:(?:{_BUCKET}\.)?bucket)\.{_VPCE}",
        rf"{_BUCKET}\.accesspoint\.{_VPCE}",
    )
)
_R2 = re.compile(
    r"(?:(?P<bucket>[a-z0-9][a-z0-9-]{1,61})\.)?(?P<account>[0-9a-f]{16,64})(?:\.(?:eu|fedramp))?\.r2\.cloudflarestorage\.com"
)


@dataclass(frozen=True, slots=True)
class S3Place:
    """What the name of a host says of an object's place.

    Attributes:
        region: "" if it does not say.
        bucket: "" if the path names it.
    """

    region: str = ""
    bucket: str = ""


def is_region(text: str) -> bool:
    """Whether a text can be the name of a region, at Amazon or at another store."""
    return _REGION_NAME.fullmatch(text) is not None


@lru_cache(maxsize=_HOSTS)
def s3_place(host: str) -> S3Place | None:
    """Read the name of a host of Amazon's S3, without a port; None for every other one."""
    found = next((found for form in _S3 if (found := form.fullmatch(host))), None)
    if found is None:
        return None
    parts = found.groupdict(default="")
    region = _EXTERNAL if parts.get("external") else parts.get("region", "")
    return S3Place(region, parts.get("bucket", ""))


@lru_cache(maxsize=_HOSTS)
def r2_account(host: str) -> str | None:
    """The account whose R2 a host is, without a port; None for every other host."""
    found = _R2.fullmatch(host)
    return None if found is None else found["account"]


def r2_mistaken(host: str) -> str:
    """Why a name below R2's is not one of its hosts; "" if it is one, or not below R2's."""
    below = host.endswith(".r2.cloudflarestorage.com") and r2_account(host) is None
    return (
        "the hosts of Cloudflare's store are ACCOUNT.r2.cloudflarestorage.com, where ACCOUNT is 32 hex digits"
        if below
        else ""
    )


def r2_bucket(host: str) -> str:
    """The bucket that the name of such a host begins with; "" if the path names it."""
    found = _R2.fullmatch(host)
    return (found["bucket"] or "") if found is not None else ""
