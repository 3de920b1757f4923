"""The use case: a question is routed, answered from memory where that is possible, and exchanged once where not.

Begin reading at ``Broker.ask``. What it stands on: ``table`` (which provider), ``cache`` (grants), ``flight`` (one
exchange per key), ``landing`` (what remains of it), ``negative`` (failures, briefly), ``renewal`` (ahead of expiry).
"""

import asyncio
import contextvars
from collections.abc import Coroutine
from dataclasses import dataclass
from math import floor
from types import TracebackType
from typing import Self, TypeVar

import structlog

from credproxy.broker.bugs import Bugs
from credproxy.broker.cache import Cache, Entry, Key
from credproxy.broker.flight import Flight, Flights
from credproxy.broker.landing import Landing
from credproxy.broker.negative import Negative
from credproxy.broker.renewal import Renewal
from credproxy.broker.report import Explanation, Status
from credproxy.broker.table import Routed, Table
from credproxy.broker.upstream import Upstream
from credproxy.core.credential import Handout, Stored
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.core.lifetime import State, expires, remaining, state
from credproxy.core.target import Question, Target
from credproxy.ports import Clock, Metrics, Plan, Sample


MANDATORY_WAIT = 3.0
_MEMO = 1.0
"""Seconds for which the front may repeat an answer: so late at most is a changed credential file seen."""

_STEP = 2.0
"""Seconds by which a wall clock may be set before an answer is worked out anew: less than the smallest margin M."""

_ALMOST_GONE = 1.0
_LONG = 1800.0

_T = TypeVar("_T")

log = structlog.get_logger("credproxy.broker")


@dataclass(frozen=True, slots=True)
class Options:
    """The broker's part of the configuration: seconds, a count, bytes. Source: design.md section 5."""

    empty_ttl: float = 60.0
    flight_timeout: float = 30.0
    bazel_71_compat: bool = False
    entries: int = 100_000
    bytes: int = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class _Era:
    """A configuration in force. A question keeps the one that it began with."""

    generation: int
    table: Table
    options: Options


@dataclass(frozen=True, slots=True)
class _Asked:
    """One question on its way: ``until`` is the boot-clock second at which its caller stops waiting."""

    era: _Era
    authority: str
    routed: Routed
    plan: Plan
    key: Key
    until: float


class Broker:
    """Answers questions. An asynchronous context manager: what it starts ends with it.

    Args:
        table: which provider answers.
        clock: judges every lifetime.
        sample: draws jitter.
        metrics: is told of look-ups and exchanges.
        upstream: the HttpClient that the providers send through, for ``status``.
        options: see Options.
    """

    def __init__(
        self,
        table: Table,
        *,
        clock: Clock,
        sample: Sample,
        metrics: Metrics,
        upstream: Upstream,
        options: Options | None = None,
    ) -> None:
        self._clock = clock
        self._metrics = metrics
        self._upstream = upstream
        self._era = _Era(1, table, options or Options())
        self._group = asyncio.TaskGroup()
        self._bugs = Bugs(clock)
        self._cache = Cache(self._era.options.entries, self._era.options.bytes)
        self._negative = Negative(sample)
        self._renewal = Renewal(clock=clock, sample=sample, cache=self._cache, start=self._renew)
        self._landing = Landing(
            clock=clock,
            sample=sample,
            metrics=metrics,
            cache=self._cache,
            negative=self._negative,
            schedule=self._renewal.schedule,
        )
        self._flights = Flights(clock=clock, spawn=self._spawn, bugs=self._bugs, land=self._landing.land)

    async def ask(self, question: Question, patience: float) -> Handout:
        """Answer a question within ``patience`` seconds.

        Raises:
            Failed: it should have an answer and cannot; still_trying where the exchange goes on without the caller.
        """
        era, until = self._era, self._clock.boot() + patience
        routed = await self._routed(era, question, patience)
        if routed.plan is None:
            return self._nothing(era)
        key = Key(era.generation, question.origin, routed.plan.key)
        asked = _Asked(era, question.target.authority, routed, routed.plan, key, until)
        entry = self._cache.get(key)
        match self._state(entry, asked):
            case State.FRESH:
                return self._hand_out(entry, asked)
            case State.ADVISORY:
                self._renew(entry)
                return self._hand_out(entry, asked)
            case State.MANDATORY:
                return self._hand_out(await self._renewed_or_valid(entry, asked), asked)
            case State.EXPIRED:
                return self._hand_out(await self._exchanged(asked), asked)
