"""``provider = "basic"``: ``Authorization: Basic`` from a stored login."""

from msgspec import field

from credproxy.core.kinds.base import HostBase
from credproxy.core.kinds.sources import SourceSettings
from credproxy.core.kinds.sources.netrc import NetrcSource
from credproxy.core.target import Target


class BasicHost(HostBase, frozen=True, tag_field="provider", tag="basic"):
    """``Authorization: Basic`` from a stored login."""

    credentials: SourceSettings = field(default_factory=NetrcSource)

    def setup(self, target: Target) -> str:
        """Store one."""
        del target
        return "add it there, or name another place in its [[host]]: credentials = { source = ... }"
