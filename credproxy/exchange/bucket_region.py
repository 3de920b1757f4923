"""Which region a bucket is in: asked of the bucket itself, once.

Amazon answers with ``x-amz-bucket-region`` whatever else it says: 200, 301, 403. Other stores of this protocol may not, and take
``us-east-1`` then, as does one whose answer is not the name of a region: it would become part of a header.

Source: docs.aws.amazon.com API reference, HeadBucket.
"""

from collections.abc import Generator
from typing import Final

from credproxy.core.ask.aws_hosts import is_region
from credproxy.core.ask.http import Dial, Request, Response
from credproxy.core.ask.http_date import clock_ahead
from credproxy.core.errors import Code, failed
from credproxy.exchange.statuses import transient


USUAL: Final = "us-east-1"

_SKEW: Final = 900.0
"""Seconds between the two clocks from which S3 takes no signature (RequestTimeTooSkewed)."""


def bucket_region(url: str, *, dial: Dial, subject: str) -> Generator[Request, Response, str]:
    """Ask for the region of a bucket.

    Args:
        url: of the bucket.
        dial: of its host.
        subject: what to call the host in messages.

    Raises:
        Failed: bad_credentials where this machine's clock is so wrong that no signature of its would be taken; and what
            ``statuses.transient`` says.
    """
    response = yield Request("HEAD", url, dial=dial, subject=subject)
    check_clock(response, subject)
    told = next(filter(is_region, response.all("x-amz-bucket-region")), "")
    if not told and (failure := transient(response, subject)) is not None:
        raise failure
    return told or USUAL


def check_clock(response: Response, subject: str) -> None:
    """Compare this machine's clock with a server's. Raises Failed(bad_credentials) if no signature would be taken."""
    skew = clock_ahead(response.headers, response.wall)
    if skew is not None and abs(skew) > _SKEW:
        ahead = "ahead of" if skew > 0 else "behind"
        raise failed(
            Code.BAD_CREDENTIALS,
            f"this machine's clock is {abs(skew) / 60:.0f} minutes {ahead} that of {subject}, which takes no signature "
            "that is older than 15",
            hint="set the clock: timedatectl set-ntp true",
        )
