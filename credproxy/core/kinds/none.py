"""``provider = "none"``: nothing, whatever a wider rule says or logins exist."""

from typing import ClassVar

from credproxy.core.kinds.base import HostBase


class NoneHost(HostBase, frozen=True, tag_field="provider", tag="none"):
    """Always ``{}``: excludes a host from a wider rule or from what works without one."""

    answers: ClassVar[bool] = False
