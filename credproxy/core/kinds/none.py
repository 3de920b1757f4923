"""``provider = "none"``: nothing, whatever a wider rule or a login says."""

from typing import ClassVar

from credproxy.core.kinds.base import HostBase


class NoneHost(HostBase, frozen=True, tag_field="provider", tag="none"):
    """Always ``{}``: carves a host out of a wider rule or out of what works without one."""

    answers: ClassVar[bool] = False
