"""``source = "r2"``: an access key for Cloudflare's R2, from the variables that its users have.

Source: developers.cloudflare.com/r2/api/tokens, "Get S3 API credentials from an API token".
"""

from collections.abc import Iterator
from typing import Final

from credproxy.core.kinds.sources.base import SourceBase
from credproxy.core.kinds.uses import Use, Usual


KEY_ID: Final = "R2_ACCESS_KEY_ID"
SECRET: Final = "R2_SECRET_ACCESS_KEY"  # noqa: S105  the name of a variable
API_TOKEN: Final = "CLOUDFLARE_API_TOKEN"  # noqa: S105  likewise


class R2Source(SourceBase, frozen=True, tag_field="source", tag="r2"):
    """``R2_ACCESS_KEY_ID`` and ``R2_SECRET_ACCESS_KEY``, or the access key that ``CLOUDFLARE_API_TOKEN`` is as well."""

    @property
    def log_in(self) -> str:
        """What to set."""
        return "set R2_ACCESS_KEY_ID and R2_SECRET_ACCESS_KEY, or CLOUDFLARE_API_TOKEN, in the daemon's environment"

    def uses(self) -> Iterator[Use]:
        """What may be missing."""
        yield Usual((KEY_ID, API_TOKEN))
