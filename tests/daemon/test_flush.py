"""What a flush forgets besides the answers: sources look again, once each, and what upstreams taught is dropped."""

import pytest

from credproxy.broker.broker import Broker
from credproxy.broker.retry import RepeatingClient
from credproxy.core.ask.credential import Caller
from credproxy.core.ask.message import encode_answer
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.config.settings import Settings
from credproxy.core.kinds.header import HeaderHost
from credproxy.core.kinds.sources.command import CommandSource
from credproxy.daemon.build import World, build_table
from credproxy.ports.processes import Command, Completed
from credproxy.providers.learned import Learned
from tests.fakes import FakeClock, FakeFiles, FakeHttp, FakeMetrics, FakeProcesses, FakeSigner


class CountingLearned(Learned):
    """Says for whom it was told to forget."""

    def __init__(self) -> None:
        super().__init__(b"k")
        self.told: list[bool] = []

    def forget(self, wanted: object) -> None:
        """Ask about one authority."""
        assert callable(wanted)
        self.told.append(wanted("a.test"))


async def test_a_flush_reaches_a_shared_source_and_what_was_learned_once() -> None:
    """Two rules share the program that they name: after a flush it runs once more, not twice, and prints the new secret."""
    clock, learned, printed = FakeClock(), CountingLearned(), ["one", "two", "three"]
    program = CommandSource(("/opt/token",))

    def run(command: Command) -> Completed:
        del command
        return Completed(0, printed.pop(0).encode())

    processes = FakeProcesses({"/opt/token": run})
    world = World(
        {"HOME": "/home/u"}, 1000, clock, FakeHttp(clock=clock), processes, FakeFiles(), FakeSigner(), learned
    )
    table = build_table(Settings(host=(HeaderHost("a.test", program), HeaderHost("b.test", program))), world)
    upstream = RepeatingClient(world.http, clock=clock, sample=lambda: 0.5)
    async with Broker(table, clock=clock, sample=lambda: 0.5, metrics=FakeMetrics(), upstream=upstream) as broker:

        async def said(host: str) -> str:
            return encode_answer(await broker.ask(Question(parse_uri(f"https://{host}/x"), Caller()))).decode()

        assert "one" in await said("a.test")
        assert "one" in await said("b.test")
        broker.flush("a.test")
        assert "two" in await said("a.test")
        assert learned.told == [True]
        broker.flush("b.test")
        assert "three" in await said("b.test")
        assert learned.told == [True, False]
    assert len(processes.runs) == 3


@pytest.mark.parametrize("rules", [(), (HeaderHost("a.test", CommandSource(("/opt/token",))),)], ids=["none", "one"])
def test_each_memory_is_named_once(rules: tuple[HeaderHost, ...]) -> None:
    """Also that of the sources that work without a rule."""
    clock = FakeClock()
    world = World(
        {"HOME": "/home/u"},
        1000,
        clock,
        FakeHttp(clock=clock),
        FakeProcesses(),
        FakeFiles(),
        FakeSigner(),
        Learned(b"k"),
    )
    table = build_table(Settings(host=rules), world)
    owners = [getattr(forget, "__self__", forget) for forget in table.memories(lambda _: True)]
    assert len(owners) == len({id(owner) for owner in owners})
    assert len(owners) > len(rules)
