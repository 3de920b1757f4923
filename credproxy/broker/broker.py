"""The use case: questions are answered by the era in force, and what outlives an era is kept here.

Start reading at ``Broker.ask``, which leads to ``era``. What belongs to the process: ``runway`` (which exchanges may
begin), ``renewal`` (ahead of expiry), ``doubt`` (what may have been refused), ``rate_limit`` (what build actions may cause),
``sweep`` (what has expired).
"""

import asyncio
import contextvars
from collections.abc import Coroutine
from types import TracebackType
from typing import Self

import structlog

from credproxy.broker.answers import Answer
from credproxy.broker.broker_settings import BrokerSettings
from credproxy.broker.bugs import Bugs
from credproxy.broker.cache import Cache
from credproxy.broker.doubt import Doubt
from credproxy.broker.entry import Entry
from credproxy.broker.era import PATIENCE, Era, GatewayAnswer
from credproxy.broker.flight import Flight, Outcome
from credproxy.broker.inspector import Inspector
from credproxy.broker.lasting import Lasting
from credproxy.broker.rate_limit import Budget
from credproxy.broker.renewal import Renewal
from credproxy.broker.report import Explanation, Status
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.runway import Runway
from credproxy.broker.sweep import Sweep
from credproxy.broker.table import Routed, Table, covers
from credproxy.core.ask.credential import Stored
from credproxy.core.ask.target import Question, Target
from credproxy.core.errors import Failed, Failure
from credproxy.core.policy.policy import Policy
from credproxy.core.policy.routing import Router
from credproxy.ports.clock import Clock, Sample
from credproxy.ports.observability import Metrics
from credproxy.ports.permissions import Permissions


_RELIEF = 1.0
"""Seconds without a new exchange when memory is short: less than the time between two checks, so that work goes on."""

_NOTHING_ALLOWED = Policy((), Router(()))

log = structlog.get_logger("credproxy.broker")


class Broker:
    """Answers questions. An asynchronous context manager: everything it starts ends with it.

    In its first era, build actions may have nothing: what they may have comes with ``swap``.

    Args:
        table: which provider answers.
        clock: judges every lifetime.
        sample: draws jitter.
        metrics: told of look-ups and exchanges.
        upstream: the HttpClient that the providers send through, for ``status``.
        options: the broker's part of the configuration.
        number: of its first era, shown to people.

    Attributes:
        doubt: what may have been refused.
    """

    def __init__(
        self,
        table: Table,
        *,
        clock: Clock,
        sample: Sample,
        metrics: Metrics,
        upstream: RepeatingClient,
        options: BrokerSettings | None = None,
        number: int = 1,
    ) -> None:
        self._group = asyncio.TaskGroup()
        self._bugs = Bugs(clock, self.relieve)
        self._runway = Runway(clock=clock, spawn=self._spawn, bugs=self._bugs)
        self._renewal = Renewal(clock=clock, sample=sample, start=self._renew)
        self._sweep = Sweep(clock=clock, cache=lambda: self.cache, swept=self._renewal.tidy)
        self.doubt = Doubt(clock)
        self._lasting = Lasting(
            clock=clock,
            sample=sample,
            metrics=metrics,
            bugs=self._bugs,
            budget=Budget(clock),
            doubt=self.doubt,
            runway=self._runway,
            renewal=self._renewal,
        )
        self._inspector = Inspector(
            clock=clock, runway=self._runway, renewal=self._renewal, upstream=upstream, bugs=self._bugs
        )
        self._background: list[asyncio.Task[None]] = []
        self._era = Era(
            table, _NOTHING_ALLOWED, options=options or BrokerSettings(), lasting=self._lasting, number=number
        )

    @property
    def cache(self) -> Cache:
        """What is cached; read-only."""
        return self._era.cache

    @property
    def policy(self) -> Permissions:
        """What build actions may have."""
        return self._era.policy

    # Not separate coroutines: each of ten thousand callers that wait for one exchange would hold one more frame.

    def ask(
        self, question: Question, patience: float = PATIENCE, *, doubted: bool = False
    ) -> Coroutine[object, object, Answer]:
        """Answer a question within ``patience`` seconds. Source: docs/design/faults.md#renewal.

        Args:
            question: what is asked, and by which caller.
            patience: seconds that the caller waits.
            doubted: the caller may have seen the last answer refused (CL-31).

        Raises:
            Failed: there should be an answer but there is none; still_trying if the exchange goes on without the caller.
        """
        return self._era.ask(question, patience, doubted=doubted)

    def ask_for_gateway(
        self, question: Question, patience: float = PATIENCE
    ) -> Coroutine[object, object, GatewayAnswer]:
        """Answer a question from the gateway, which sends the request itself. Raises Failed as ``ask`` does."""
        return self._era.ask_for_gateway(question, patience)

    def stored(self, target: Target, patience: float = PATIENCE) -> Coroutine[object, object, Stored | None]:
        """Give the stored login for a target, for the docker helper protocol; None if there is none."""
        return self._era.stored(target, patience)

    async def explain(self, question: Question, patience: float = PATIENCE) -> Explanation:
        """Give every decision for a question and the state of its key, without any exchange."""
        era = self._era
        try:
            found: Routed | Failure = await era.routed(question, patience)
        except Failed as error:
            found = error.failure
        nothing = isinstance(found, Routed) and found.plan is None
        why = era.table.why_nothing(question) if nothing else ()
        plan = found.plan if isinstance(found, Routed) else None
        broken = None if plan is None else await era.checked(question, patience)
        return self._inspector.explain(era, question, found=found, why=why, broken=broken)

    def status(self) -> Status:
        """Give the broker's state."""
        return self._inspector.status(self._era)

    def flush(self, match: str | None = None) -> int:
        """Forget grants, failures and what providers learned; give how many grants.

        Args:
            match: ``host`` (on any port), ``host:port`` or ``*.suffix``; None for all.
        """
        count = self._era.flush(covers(match))
        self._renewal.tidy()
        return count

    def relieve(self) -> int:
        """Free memory: drop the least recently used half of the grants, and begin no exchange for a second.

        What is still cached is answered. Returns how many grants were dropped. Source: C6.
        """
        self._runway.pause(_RELIEF)
        count = self.cache.halve()
        self._renewal.tidy()
        log.warning("short of memory", dropped=count, left=len(self.cache))
        return count

    def swap(self, table: Table, policy: Permissions | None = None, *, options: BrokerSettings | None = None) -> int:
        """Begin another era and end the one in force, whose policy and options are kept if none are given.

        Gives its number.
        """
        old = self._era
        self._era = Era(
            table,
            policy or old.policy,
            options=options or old.options,
            lasting=self._lasting,
            number=old.number + 1,
            evicted=old.cache.evicted,
        )
        old.end()
        self.doubt.anew()
        self._renewal.tidy()
        return self._era.number

    async def drain(self, seconds: float) -> None:
        """Wait for the exchanges that callers wait for, but no longer than that (P5)."""
        await self._runway.drain(seconds)

    async def __aenter__(self) -> Self:
        await self._group.__aenter__()
        for work in (self._renewal.run(), self._sweep.run()):
            self._background.append(self._group.create_task(work, context=contextvars.Context()))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._runway.close()
        for task in self._background:
            task.cancel()
        if isinstance(error, asyncio.CancelledError):
            await self._group.__aexit__(kind, error, traceback)
        else:
            # The group would wrap our caller's error in an exception group, although it has nothing to do with it.
            await self._group.__aexit__(None, None, None)

    def _renew(self, entry: Entry) -> Flight | None:
        return self._era.renew(entry)  # an era that is over has none left: its entries are dropped

    def _spawn(self, work: Coroutine[object, object, Outcome], context: contextvars.Context) -> asyncio.Task[Outcome]:
        return self._group.create_task(work, context=context)
