"""Why a source or a provider knows nothing that it should know."""

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from credproxy.core.ask.target import Target
from credproxy.core.errors import Failure
from credproxy.ports.provider import Provider
from credproxy.ports.source import Source


@runtime_checkable
class Fallible(Protocol):
    """A source, or a provider, that gives None if it cannot look, because a file or a store cannot be read.

    One that raises in that case, or can always look, is not one.
    """

    def trouble(self, target: Target) -> Failure | None:
        """Why ``locate`` or ``plan`` may have given None for a target that it should know. Asked after it, and cheap.

        A rule that names the source then fails with it; without a rule, the answer is ``{}`` and ``explain`` says why.
        """
        ...


def trouble_of(one: Source | Provider, target: Target) -> Failure | None:
    """Why a source or a provider may have given None for a target that it should know; None if nothing is broken."""
    # For each question without a credential, and before Python 3.12 isinstance takes 20 us for a protocol.
    trouble: Callable[[Target], Failure | None] | None = getattr(one, "trouble", None)
    return None if trouble is None else trouble(target)


def first_trouble(many: Iterable[Source] | Iterable[Provider], target: Target) -> Failure | None:
    """The trouble of the first that has any; None if nothing is broken."""
    troubles = (trouble_of(one, target) for one in many)
    return next((trouble for trouble in troubles if trouble is not None), None)
