"""A broker with fakes all around it: a provider for every host, a clock that the test moves, chance that is fixed."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from credproxy.broker.answers import Answer
from credproxy.broker.broker import Broker
from credproxy.broker.broker_settings import BrokerSettings
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.table import Table
from credproxy.core.ask.credential import Caller, Grant
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Failed, Failure
from credproxy.core.policy.routing import Router
from credproxy.ports.provider import Plan
from credproxy.ports.terms import Terms
from tests.fakes import T0, FakeClock, FakeHttp, FakeMetrics, FakeProvider, settle


BLOB = "https://reg.test/v2/a/b/blobs/x"

Told = Answer | Failure


def question(uri: str = BLOB, uid: int = 0) -> Question:
    """A question on the helper socket."""
    return Question(parse_uri(uri), Caller("helper", uid))


def never(name: str) -> Plan:
    """A plan that is not run."""

    async def run(terms: Terms) -> Grant:
        raise AssertionError(terms)

    return Plan((name,), name, "upstream", run)


def token(answer: Told) -> str:
    """The token of an answer; "" for ``{}``."""
    assert isinstance(answer, Answer), answer
    return answer.headers[0][1][0].reveal().removeprefix("Bearer ") if answer.headers else ""


def shown(answer: Told) -> float | None:
    """The ``expires`` of an answer, in seconds from the beginning of the test."""
    assert isinstance(answer, Answer), answer
    return None if answer.expires is None else answer.expires - T0


@dataclass
class World:
    """The broker under test and everything around it."""

    broker: Broker
    provider: FakeProvider
    table: Table
    clock: FakeClock
    metrics: FakeMetrics
    group: asyncio.TaskGroup

    async def ask(self, uri: str = BLOB, patience: float = 8.5, uid: int = 0) -> Told:
        """Ask; a failure is given as a value."""
        try:
            return await self.broker.ask(question(uri, uid), patience)
        except Failed as error:
            return error.failure

    def asking(self, uri: str = BLOB, patience: float = 8.5, uid: int = 0) -> asyncio.Task[Told]:
        """Ask in a task of its own."""
        return self.group.create_task(self.ask(uri, patience, uid))

    async def answer(self, uri: str = BLOB, patience: float = 8.5, uid: int = 0) -> Answer:
        """Ask, let the time of the exchange pass, and give the answer; a failure fails the test."""
        result = await self._through(uri, patience, uid)
        assert isinstance(result, Answer), result
        return result

    async def failure(self, uri: str = BLOB, patience: float = 8.5, uid: int = 0) -> Failure:
        """Ask, let the time of the exchange pass, and give the failure; an answer fails the test."""
        result = await self._through(uri, patience, uid)
        assert isinstance(result, Failure), result
        return result

    def looks(self) -> list[object]:
        """The outcomes of all look-ups so far."""
        return [event[1] for event in self.metrics.seen if event[0] == "cache"]

    async def _through(self, uri: str, patience: float, uid: int) -> Told:
        task = self.asking(uri, patience, uid)
        await settle()
        while not task.done():
            await self.clock.advance(0.25)
        return task.result()


@contextlib.asynccontextmanager
async def world(sample: float = 0.5, options: BrokerSettings | None = None) -> AsyncIterator[World]:
    """A running broker. ``sample`` is what every draw gives: 0.5 means no jitter."""
    clock, metrics = FakeClock(), FakeMetrics()
    provider = FakeProvider(clock)
    upstream = RepeatingClient(FakeHttp(), clock=clock, sample=lambda: sample)
    table = Table(Router([]), {}, fallback=[provider])
    broker = Broker(table, clock=clock, sample=lambda: sample, metrics=metrics, upstream=upstream, options=options)
    async with asyncio.TaskGroup() as group, broker:
        yield World(broker, provider, table, clock, metrics, group)
