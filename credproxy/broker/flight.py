"""One exchange, as the callers that wait for it see it."""

import asyncio
from typing import Protocol

from credproxy.broker.entry import Entry
from credproxy.broker.lookup import Lookup
from credproxy.core.ask.credential import Grant
from credproxy.core.errors import Code, Failure


Result = Grant | Failure
Outcome = Entry | Failure


class Home(Protocol):
    """Where a flight was begun, and where it lands."""

    def land(self, flight: "Flight", result: Result) -> Outcome:
        """Take its result; return what the waiters get."""
        ...

    def forget(self, flight: "Flight") -> None:
        """It is over: it can no longer be joined."""
        ...


class Flight:
    """One exchange; it also serves as the Terms of the code that runs inside it.

    Attributes:
        home: where it lands.
        lookup: what it is for; that of the first waiter.
        limit: seconds that it may take, counted from ``started``.
        background: no caller waits for it, or the caller has already been answered.
        anew: the last grant for its key was refused upstream, or may have been.
        forsaken: flushed while under way, or its era is over: its result goes to the waiters, and is not kept (P12).
        started: boot-clock seconds; None while it is queued.
        waiters: boot-clock seconds at which each of them stops waiting.
        outcome: set once, never to an exception.
    """

    __slots__ = (
        "anew", "background", "dismissed", "forsaken", "home", "key", "limit", "lookup", "outcome", "plan", "started", "task",
        "waiters",
    )  # a table  # fmt: skip

    def __init__(self, home: Home, lookup: Lookup, *, limit: float, background: bool, anew: bool) -> None:
        self.home = home
        self.lookup = lookup
        self.key = lookup.key
        self.plan = lookup.plan
        self.limit = limit
        self.background = background
        self.anew = anew
        self.forsaken = False
        self.dismissed: Failure | None = None
        self.started: float | None = None
        self.task: asyncio.Task[Outcome] | None = None
        self.waiters: dict[int, float] = {}
        self.outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    @property
    def label(self) -> str:
        """What to call its upstream in a metric: a wildcard's hosts come from requests and are unbounded."""
        return self.lookup.rule if "*" in self.lookup.rule else self.plan.upstream

    @property
    def deadline(self) -> float:
        """Boot-clock second at which it is given up."""
        assert self.started is not None
        return self.started + self.limit

    @property
    def patience(self) -> float:
        """Boot-clock second at which the first waiter stops waiting; without waiters, the deadline."""
        return min(self.waiters.values(), default=self.deadline)

    def out_of_time(self, now: float) -> Failure:
        """What a waiter is told whose patience ended before it landed; ``now`` in boot-clock seconds."""
        if self.started is None:
            message = f"{self.plan.subject} is waiting for its turn behind other exchanges"
            return Failure(Code.OVERLOADED, message, "run the build again, or with fewer --jobs", 1.0)
        message = (
            f"{self.plan.subject} has not answered for {now - self.started:.1f} s; still trying, run the build again"
        )
        return Failure(Code.STILL_TRYING, message, "the answer is kept for the next call; credproxy status shows it")

    @property
    def for_actions(self) -> bool:
        """Whether build actions caused it."""
        return self.lookup.caller.for_actions
