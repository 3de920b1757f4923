"""Names that are text, and not to be taken for one another: each is made where it is parsed, and mypy finds a swap."""

from typing import NewType


Authority = NewType("Authority", str)
"""A canonical ``host`` or ``host:port``; that of a registry is what the registry is called."""

Origin = NewType("Origin", str)
"""``scheme://authority``."""

RepositoryName = NewType("RepositoryName", str)
"""Such as ``org/app``: in the grammar of the OCI distribution specification."""
