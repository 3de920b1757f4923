"""The libraries of clouds."""

from typing import Protocol, TypeVar

from credproxy.core.ask.worker_messages import LibraryAnswer, LibraryQuestion
from credproxy.core.kinds.uses import Library


A = TypeVar("A", bound=LibraryAnswer)


class CloudLibraries(Protocol):
    """The libraries of clouds, in a process of their own, which starts with the first question."""

    def lacks(self, library: Library) -> str:
        """Say what is not installed, and what installs it; "" if it is there. Cheap, and starts nothing."""
        ...

    async def ask(self, question: LibraryQuestion, wanted: type[A], *, limit: float = 30.0) -> A:
        """Ask a library.

        Args:
            question: one of core.ask.worker_messages.
            wanted: the type of its answer.
            limit: seconds for the answer, without those that the process takes to start.

        Raises:
            Failed: what the library said; helper_failed (not in time, or it died), helper_not_runnable.
        """
        ...
