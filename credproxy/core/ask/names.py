"""Names that are text, and not to be taken for one another: each is made where it is parsed, and mypy finds a swap."""

import re
from typing import Final, NewType


Authority = NewType("Authority", str)
"""A canonical ``host`` or ``host:port``; that of a registry is what the registry is called."""

Origin = NewType("Origin", str)
"""``scheme://authority``."""

RepositoryName = NewType("RepositoryName", str)
"""Such as ``org/app``: in the grammar of the OCI distribution specification."""

_PORT: Final = re.compile(r":[0-9]+\Z")


def has_port(authority: str) -> bool:
    """Whether an authority, or a pattern of some, names a port."""
    return _PORT.search(authority) is not None


def without_port(authority: str) -> str:
    """An authority, or a pattern of some, without its port."""
    return _PORT.sub("", authority)
