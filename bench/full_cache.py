"""Prints how many MB a full cache adds to the process, beyond the bytes of its tokens: 100,000 URIs of one helper.

Two numbers: each URI asked once, as one Bazel server does, and each asked twice, so that all are kept fresh.
"""

import asyncio
import gc
import random
from pathlib import Path

import structlog

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.http_client import AiohttpClient
from credproxy.adapters.metrics import PrometheusMetrics
from credproxy.broker.broker import Broker
from credproxy.broker.retry import RepeatingClient
from credproxy.broker.table import Table
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.kinds.exec import ExecHost
from credproxy.core.policy.routing import Router
from credproxy.ports.processes import Command, Completed
from credproxy.providers.exec import ExecProvider


ENTRIES = 100_000
TOKEN = 200


class Programs:
    """A helper that answers at once, with a new token each time."""

    def __init__(self) -> None:
        self._count = 0

    async def find(self, command: Command) -> None:
        """Find the program."""
        del command

    async def run(self, command: Command) -> Completed:
        """Answer."""
        del command
        self._count += 1
        token = f"{self._count:0{TOKEN}d}"
        return Completed(0, b'{"headers":{"Authorization":["Bearer %s"]}}' % token.encode())


def resident() -> int:
    """Bytes of this process in memory."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


async def main() -> None:
    """Fill, and measure."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    clock = SystemClock()
    rule = ExecHost(match="*", command=("/opt/helper",))
    provider = ExecProvider(rule, processes=Programs(), clock=clock)
    async with AiohttpClient(clock) as client:
        upstream = RepeatingClient(client, clock=clock, sample=random.random)
        table = Table(Router([rule]), {"*": provider})
        broker = Broker(table, clock=clock, sample=random.random, metrics=PrometheusMetrics(), upstream=upstream)
        async with broker:
            await broker.ask(Question(parse_uri("https://a.example/warm"), Caller()), 8.5)
            before = resident()
            for _ in ("once", "twice"):
                for number in range(ENTRIES):
                    await broker.ask(Question(parse_uri(f"https://a.example/{number}"), Caller()), 8.5)
                grown = resident() - before
                assert broker.status().cached == ENTRIES
                print((grown - ENTRIES * (TOKEN + len("Bearer "))) / 1e6)


if __name__ == "__main__":
    asyncio.run(main())
