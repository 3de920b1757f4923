"""A place where logins are stored, and what only some of them can do."""

from contextlib import AbstractAsyncContextManager
from typing import Protocol, runtime_checkable

from credproxy.core.ask.credential import Identity, Secret
from credproxy.core.ask.login import Login
from credproxy.core.ask.names import RepositoryName
from credproxy.core.ask.target import Target


class Source(Protocol):
    """A place where secrets are stored."""

    async def locate(self, target: Target, repository: RepositoryName | None) -> Identity | None:
        """Name the credential without reading a secret or starting a program; None means "not mine, ask the next".

        Cheap: called for every question that is not answered from the front's memory. ``repository`` picks a
        path-scoped entry (DC-8) and is None for a bare host.

        Raises:
            Failed(credential_unreadable): this host would use a source that is broken (DC-4); fatal only for it.
        """
        ...

    async def read(self, identity: Identity, target: Target, *, anew: bool = False) -> Login | None:
        """Give the login; None means the entry turned out to hold nothing ("credentials not found").

        Args:
            identity: from ``locate``.
            target: what is asked about.
            anew: an upstream refused what was given last: look it up again, whatever is remembered. A source
                does so at most once in ten seconds for a login.

        Raises:
            Failed: credential_unreadable, helper_failed, helper_not_runnable: fatal, no other source is asked (DC-5).
        """
        ...

    async def peek(self, identity: Identity, target: Target) -> Login | None:
        """Give the login if it is known without starting a program; for ``explain``.

        None if a program would have to be asked and could be started, or if ``read`` gives None.

        Raises:
            Failed: as ``read``, if that can be seen without starting a program.
        """
        ...

    def looked(self, target: Target) -> tuple[str, ...]:
        """Say where ``locate`` has just looked in vain, a sentence for each place: for people, and never a secret."""
        ...


@runtime_checkable
class Caches(Protocol):
    """A source that remembers what files and programs gave."""

    def forget(self) -> None:
        """Drop that: the next question looks again (``flush``)."""
        ...


@runtime_checkable
class Ordered(Protocol):
    """A source that asks others one after the other: what ``explain`` says about those that were skipped."""

    def passed(self, identity: Identity, target: Target) -> tuple[str, ...]:
        """What was found at each place before the one that has the credential: a sentence each, for people."""
        ...


@runtime_checkable
class Guesses(Protocol):
    """A source that may name a login before it knows whether there is one, because only a program could tell."""

    def guessed(self, identity: Identity) -> bool:
        """Whether ``read`` may give None for this identity without anything being wrong."""
        ...

    def unasked(self, identity: Identity, target: Target) -> str:
        """Say who has to be asked before it is known whether there is a login; "" if it is known. For people."""
        ...


@runtime_checkable
class Narrows(Protocol):
    """A source whose issuer limits a login to a repository or to a folder, so that a build action may have it."""

    def narrow(self, identity: Identity, target: Target, *, opened: str) -> Identity | None:
        """Name the same login limited to reading what a build action may have; None if it cannot be limited to that.

        What ``read`` gives for it is no more than that.

        Args:
            identity: from ``locate``.
            target: what is asked about.
            opened: the first pattern of one of the kind's ``openings`` for it: all that the login may open.
        """
        ...


class Turn(Protocol):
    """A stored login that nobody else uses meanwhile, in this process or another."""

    @property
    def login(self) -> Login | None:
        """As it was stored when the turn began; None if nothing is."""
        ...

    @property
    def doubtful(self) -> bool:
        """Whether it was sent before, and nobody knows what became of that."""
        ...

    async def sent(self) -> None:
        """Note that it is about to be sent, for the next process in case this one ends. Raises as ``Lock.mark``."""
        ...

    async def settled(self) -> None:
        """Note that it was answered, and is still the one to use. Raises as ``Lock.mark``."""
        ...

    async def store(self, secret: Secret) -> None:
        """Put another secret in its place; it is kept for good when this returns.

        Raises:
            Failed(credential_unreadable): it could not be written, and the old one is still there.
        """
        ...


@runtime_checkable
class Rewritable(Protocol):
    """A source whose login changes by being used, as rotated refresh tokens do (RFC 9700, section 4.14)."""

    def turn(self, identity: Identity, target: Target, *, until: float) -> AbstractAsyncContextManager[Turn]:
        """Have a login to oneself.

        Args:
            identity: from ``locate``, which goes on to give the same one for what is stored in the turn.
            target: what is asked about.
            until: boot-clock second up to which is waited for others.

        Raises:
            Failed: credential_unreadable, before anything is sent: it cannot be read or could not be written;
                upstream_unavailable: another process has it all the time.
        """
        ...
