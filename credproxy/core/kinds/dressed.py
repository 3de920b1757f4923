"""Kinds whose answer is the stored secret itself in another dress, which one provider serves (``providers/dressed.py``)."""

from collections.abc import Hashable, Mapping
from typing import ClassVar

from credproxy.core.ask.credential import Secret, Stored
from credproxy.core.ask.target import Target
from credproxy.core.kinds.base import HostBase


SecretHeaders = tuple[tuple[str, tuple[Secret, ...]], ...]
"""Names and values, as ``Grant`` has them."""

Width = tuple[Hashable, ...]
"""What of a target its headers depend on, and so how wide one answer is: ``()`` is one for every target of the rule."""


class DressedHost(HostBase, frozen=True, kw_only=True):
    """A kind that knows how to dress.

    Attributes:
        calls: what it calls the secret, in messages.
        lacks: what there is none of where nothing is stored, in messages.
        empty: what is wrong with a place that holds nothing of the sort, in messages.
        remedy: what a person does about that.
        note: what the log says of an answer.
        unsent: the same where a secret of its sort is not sent to such a target.
    """

    calls: ClassVar[str] = "login"
    lacks: ClassVar[str] = "login"
    empty: ClassVar[str] = "holds no credential"
    remedy: ClassVar[str] = "store the secret itself in its place"
    note: ClassVar[str] = ""
    unsent: ClassVar[str] = ""

    def width(self, target: Target) -> Width:
        """Give what of a target the headers depend on: a part of the cache key, and all that ``dress`` gets to see."""
        del target
        return ()

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """Make headers of a secret; none where a secret of its sort is not sent to such a target.

        Args:
            stored: the secret.
            name: of the stored secret, for messages.
            width: what ``width`` gave for the target.

        Raises:
            Failed(credential_unreadable): it is not of the sort that this kind needs.
        """
        raise NotImplementedError  # a struct cannot be abstract; tests/core/kinds/test_kinds.py asks for it

    def about(self, width: Width) -> Mapping[str, str]:
        """What ``explain`` tells of its dress."""
        del width
        return {}
