"""A way to obtain a credential, and what only some of them can do."""

from collections.abc import Awaitable, Callable, Hashable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

from credproxy.core.ask.credential import Grant, Identity, Stored
from credproxy.core.ask.http import Reach
from credproxy.core.ask.target import Question, Target
from credproxy.core.errors import Failure
from credproxy.ports.terms import Terms


@dataclass(frozen=True, slots=True)
class Plan:
    """How one question will be answered, decided without any exchange.

    Attributes:
        key: the provider's part of the cache key: texts, bytes, numbers, None, tuples and Identity; holds no secret
            (SEC-17).
        subject: what it is about, for messages: ``registry 'ghcr.io'``, ``helper 'corp-helper'``.
        upstream: origin whose flights are counted together, ``https://ghcr.io`` or ``program:/opt/x``.
        run: performs the exchange; called at most once at a time per key.
        narrow: whatever it gives is no more than the question's ``grants``; only such a plan may serve a build action.
        reach: where the registry's API is, for the gateway; None if that is the URI's own authority.
        min_lifetime: seconds; a cached grant with less left is exchanged again first (SC-18).
        timeout: seconds that its flight may take; None for the configured ``flight_timeout``.
        detail: for ``explain``: provider, kind, scopes, credential; never a secret.
        identity: of the stored login that it begins with; None if it begins with none.
        trouble: for ``explain``: why it goes without a login that may exist (``Fallible.trouble``); None if nothing
            is broken, or if it has a login.
        guess: for ``explain``: who has to be asked before it is known whether there is a credential; "" if it is known.
        basis: obtains what the answers to many questions are made from, once for all of them: the key that signs for each
            object of a bucket. Its grant has no headers, and is neither handed out nor kept. None if ``run`` shares nothing.
        make: gives what ``run`` would, without waiting for anything; None until the basis is there. Raises Failed as ``run``.
    """

    key: tuple[Hashable, ...]
    subject: str
    upstream: str
    run: Callable[[Terms], Awaitable[Grant]] = field(compare=False, repr=False)
    narrow: bool = False
    reach: Reach | None = None
    min_lifetime: float = 0.0
    timeout: float | None = None
    detail: Mapping[str, str] = field(default_factory=dict, compare=False)
    identity: Identity | None = field(default=None, compare=False)
    trouble: Failure | None = field(default=None, compare=False)
    guess: str = field(default="", compare=False)
    basis: "Plan | None" = field(default=None, compare=False, repr=False)
    make: Callable[[], Grant | None] | None = field(default=None, compare=False, repr=False)


class Provider(Protocol):
    """One way to obtain a credential."""

    async def plan(self, question: Question) -> Plan | None:
        """Decide; None means this kind of URI gets no credential: the answer is ``{}``, without I/O.

        Raises:
            Failed: there should be an answer but there is none (an unreadable credential, a policy).
        """
        ...

    async def check(self, plan: Plan, target: Target) -> None:
        """Check whether the exchange of its plan could begin, for ``explain``; starts no program and sends nothing.

        Raises:
            Failed: as the plan's ``run`` would before it contacts a server: the stored login cannot be used, or there is no
                such program.
        """
        ...

    def reasons(self, question: Question) -> tuple[str, ...]:
        """Say why ``plan`` has just given None for a question of the helper socket: for people, a sentence each."""
        ...


@runtime_checkable
class HasLogin(Protocol):
    """A provider whose stored login is one that another client could use: for the docker helper protocol."""

    async def stored(self, target: Target) -> Stored | None:
        """The stored login itself, for the docker helper protocol; None means not found."""
        ...


@runtime_checkable
class Remembers(Protocol):
    """A provider, or something that several providers share, that learns from upstreams."""

    def forget(self, wanted: Callable[[str], bool]) -> None:
        """Drop what was learned about the authorities that ``wanted`` selects: ``flush``, TX-1."""
        ...
