"""Kinds whose answer is the stored secret itself in another form, all served by one provider (``providers/dressed.py``)."""

from collections.abc import Hashable, Mapping
from typing import ClassVar

from credproxy.core.ask.credential import PlainSecret, Secret, Stored
from credproxy.core.ask.empty import empty_header, empty_login
from credproxy.core.ask.stored import unreadable
from credproxy.core.ask.target import Target
from credproxy.core.kinds.base import HostBase


SecretHeaders = tuple[tuple[str, tuple[Secret, ...]], ...]
"""Names and values, as ``Grant`` has them."""

Width = tuple[Hashable, ...]
"""The part of a target that its headers depend on, and so how wide one answer is: ``()`` is one for every target of the rule."""


class DressedHost(HostBase, frozen=True, kw_only=True):
    """A kind that knows how to dress.

    Attributes:
        calls: its name for the secret, in messages.
        lacks: what is missing if nothing is stored, in messages.
        empty: what is wrong with a place that holds no such secret, in messages.
        remedy: what a person does about that.
        note: what the log says of an answer.
        unsent: the same for a secret that is not sent to such a target.
        login_refused: statuses by which ``login_page`` says that it knows no such login.
    """

    calls: ClassVar[str] = "login"
    lacks: ClassVar[str] = "login"
    empty: ClassVar[str] = "holds no credential"
    remedy: ClassVar[str] = "store the secret itself in its place"
    note: ClassVar[str] = ""
    unsent: ClassVar[str] = ""
    login_refused: ClassVar[frozenset[int]] = frozenset({401, 403})

    def width(self, target: Target) -> Width:
        """Give the part of a target that the headers depend on: it is part of the cache key, and all that ``dress`` gets to see."""
        del target
        return ()

    def dress(self, stored: Stored, name: str, *, width: Width) -> SecretHeaders:
        """Make headers from a secret; none if such a secret is not sent to such a target.

        Args:
            stored: the secret.
            name: of the stored secret, for messages.
            width: what ``width`` gave for the target.

        Raises:
            Failed(credential_unreadable): it is not what this kind needs.
        """
        raise NotImplementedError  # a struct cannot be abstract; tests/core/kinds/test_kinds.py checks for it

    def login_page(self, target: Target) -> str:
        """Give the URL that is asked with a new login before it is stored; "" if nothing can be asked.

        Args:
            target: the host, and below it the path, that somebody logs in to.
        """
        return f"{target.origin}{target.path or '/'}"

    def about(self, width: Width) -> Mapping[str, str]:
        """What ``explain`` says about its headers."""
        del width
        return {}


def one_header(name: str, prefix: str, *, secret: Secret, where: str, remedy: str) -> SecretHeaders:
    """Give a header with the secret as it is.

    Args:
        name: of the header.
        prefix: what comes before the secret.
        secret: likewise.
        where: names the stored secret, for messages.
        remedy: what a person does about one that cannot be sent.

    Raises:
        Failed(credential_unreadable): it holds nothing.
    """
    value = Secret(prefix + secret.reveal())
    problem = empty_login(PlainSecret(secret))
    if problem is None and (odd := empty_header(name, [value.reveal()])) is not None:
        problem = f"is none: {odd}"
    if problem is not None:
        raise unreadable(f"the secret from {where}", problem, hint=remedy)
    return ((name, (value,)),)
