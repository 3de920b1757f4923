"""The rules of the actions policy as frozen types. Source: docs/reference/configuration.md."""

from typing import Literal

from credproxy.core.formats.toml_types import Base, PublicText


Operation = Literal["blob:read", "blob:write", "manifest:read", "manifest:write", "*"]


class ActionRule(Base, frozen=True):
    """What build actions may do; the first rule that matches decides.

    Either ``registry``, ``repository`` and ``operations``, or ``url`` and ``methods`` for objects elsewhere.
    """

    action: Literal["allow", "deny"]
    registry: PublicText = ""
    repository: PublicText = ""
    operations: tuple[Operation, ...] = ()
    bare_host_scopes: tuple[PublicText, ...] = ()
    url: PublicText | None = None
    methods: tuple[Literal["GET", "HEAD"], ...] = ("GET", "HEAD")
