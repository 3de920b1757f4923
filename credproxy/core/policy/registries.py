"""Which registries a rule of the actions policy matches: its ``registry``, read once and used for every request.

::

    ghcr.io          that host, at the default port of https
    reg.test:5000    that host, at this port
    *.corp.example   every host below, at the default port
    reg.test:*       any port; only from a policy file, whose hosts have none
    *                every host; only from a policy file

Docker Hub's names are one registry (SC-13), so a rule for one of them cannot be bypassed through another.
"""

from credproxy.core.ask.docker_hub import HUB
from credproxy.core.ask.names import without_port
from credproxy.core.ask.uri import canonical_authority


ANY_PORT = ":*"
"""The ending of a host that matches on any port."""


class Registries:
    """The registries of one rule.

    Args:
        pattern: see above; checked when the rule was read.
    """

    def __init__(self, pattern: str) -> None:
        text = pattern.removesuffix(ANY_PORT).lower()
        self._any_port = pattern.endswith(ANY_PORT)
        self._suffix = text.removeprefix("*") if text.startswith("*") else None
        self._name = canonical_authority(text) or text

    @property
    def is_hub(self) -> bool:
        """True if only Docker Hub matches, under any of its names."""
        return self._suffix is None and self._name in HUB

    def cover(self, registry: str) -> bool:
        """Tell whether this registry matches. It is canonical, such as ``ghcr.io`` or ``reg.test:5000``."""
        name = without_port(registry) if self._any_port else registry
        return any(map(self._is, HUB)) if name in HUB else self._is(name)

    def include(self, pattern: str) -> bool:
        """Tell whether every registry matches that another pattern matches, such as ``ghcr.io`` or ``*.corp.example``."""
        if not pattern.startswith("*"):
            return self.cover(canonical_authority(pattern) or pattern.lower())
        return self._suffix is not None and pattern.removeprefix("*").lower().endswith(self._suffix)

    def _is(self, name: str) -> bool:
        return name == self._name if self._suffix is None else name.endswith(self._suffix)
