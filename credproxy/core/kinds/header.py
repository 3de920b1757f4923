"""``provider = "header"``: a static header of any name, for remote caches and artifact hosts."""

import re
from collections.abc import Iterator

from credproxy.core.checks import Problem
from credproxy.core.kinds.base import HostBase
from credproxy.core.kinds.sources import SourceSettings
from credproxy.core.target import Target


_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,256}")


class HeaderHost(HostBase, frozen=True, tag_field="provider", tag="header"):
    """A static header of any name: remote caches, artifact hosts. ``prefix`` stands before the secret, as ``Bearer ``."""

    secret: SourceSettings
    name: str = "Authorization"
    prefix: str = ""

    def mistakes(self) -> Iterator[Problem]:
        """The header's name."""
        if not _HEADER.fullmatch(self.name):
            yield ("name",), "wanted the name of a header"

    def setup(self, target: Target) -> str:
        """Store it."""
        del target
        return "add it there, or name another place in its [[host]]: secret = { source = ... }"
