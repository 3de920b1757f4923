"""``provider = "exec"``: one run of another helper, and how its answer is used."""

from collections.abc import Callable

import pytest

from credproxy.core.ask.credential import Caller, Grant
from credproxy.core.ask.target import Question
from credproxy.core.ask.uri import parse_uri
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.kinds.exec import ExecHost
from credproxy.core.kinds.sources.command import CommandSource
from credproxy.ports.processes import Command, Completed
from credproxy.providers.exec import ExecProvider
from credproxy.sources.command import CommandOutput
from tests.contract import HOST, ISSUED, Ground, ProviderContract, Setting
from tests.fakes import T0, FakeClock, FakeProcesses, FixedTerms


URI = "https://a.corp.example/x?X-Amz-Signature=canary"
HOUR = 3600.0

Program = Callable[[Command], Completed | Failed]


def printing(text: str, status: int = 0, complaint: str = "") -> Program:
    """A program that prints this."""
    return lambda _: Completed(status, text.encode(), complaint)


def provider(program: Program, clock: FakeClock, **settings: str | float) -> tuple[ExecProvider, FakeProcesses]:
    """The provider of one rule, and its program."""
    processes = FakeProcesses({"/opt/corp": program})
    rule = ExecHost(match="*.corp.example", command=("/opt/corp", "--quiet"), **settings)  # type: ignore[arg-type]  # by name
    return ExecProvider(rule, processes=processes, clock=clock), processes


async def grant(program: Program, clock: FakeClock | None = None) -> Grant:
    """Plan and run once."""
    made, _ = provider(program, clock or FakeClock())
    plan = await made.plan(Question(parse_uri(URI), Caller()))
    assert plan is not None
    return await plan.run(FixedTerms())


async def test_the_helper_is_asked_as_bazel_would() -> None:
    """Its own arguments, then ``get``; the whole URI on standard input and nowhere else (T5)."""
    made, processes = provider(printing("{}"), FakeClock())
    plan = await made.plan(Question(parse_uri(URI), Caller()))
    assert plan is not None
    await plan.run(FixedTerms())
    (run,) = processes.runs
    assert run.argv == ("/opt/corp", "--quiet", "get")
    assert run.stdin == b'{"uri":"' + URI.encode() + b'"}'
    assert "canary" not in f"{run.argv}{run.env}{plan.key}{plan.subject}{plan.detail}{plan.upstream}"


async def test_an_expiry_counts_and_is_at_most_twelve_hours() -> None:
    """T31: on both clocks; a year is a mistake."""
    clock = FakeClock()
    short = await grant(printing('{"headers":{"A":["1"]},"expires":"2026-01-01T01:00:00Z"}'), clock)
    assert (short.lifetime.until, short.lifetime.wall_until) == (clock.boot() + HOUR, T0 + HOUR)
    long = await grant(printing('{"headers":{"A":["1"]},"expires":"2027-01-01T00:00:00Z"}'), clock)
    assert long.lifetime.until == clock.boot() + 12 * HOUR


async def test_an_expiry_in_the_past_is_an_error() -> None:
    """T31: never an expired credential (TX-17)."""
    with pytest.raises(Failed) as caught:
        await grant(printing('{"headers":{"A":["1"]},"expires":"2025-12-31T23:59:59Z"}'))
    assert caught.value.failure.code is Code.EXPIRED_ON_ARRIVAL


async def test_no_expiry_is_kept_as_long_as_the_rule_says() -> None:
    """T31: Ten minutes by default; callers get no expiry."""
    found = await grant(printing('{"headers":{"A":["1"]}}'))
    assert (found.lifetime.until, found.lifetime.keep) == (None, 600.0)


async def test_an_empty_answer_is_not_an_error() -> None:
    """``{}`` is kept for a minute, so that a login is seen soon."""
    found = await grant(printing('{"headers":{}}'))
    assert found.empty
    assert found.lifetime.keep == 60.0


@pytest.mark.parametrize(
    ("program", "words"),
    [
        (printing("", 3, "no such user"), "helper 'corp' ended with status 3; it said: no such user"),
        (printing("", -9), "helper 'corp' was killed by signal 9"),
        (printing("garbage"), "helper 'corp' failed: its answer is not one JSON object"),
        (printing('{"headers":{"Host":["x"]}}'), "helper 'corp' failed: its answer cannot be used"),
    ],
)
async def test_a_failure_names_the_helper_and_how_to_try_it(program: Program, words: str) -> None:
    """H3, H4: cause and command; the URI's path may be presigned, so only its origin is in the command."""
    with pytest.raises(Failed) as caught:
        await grant(program)
    failure = caught.value.failure
    assert failure.code is Code.HELPER_FAILED
    assert failure.message.startswith(words)
    assert failure.hint == 'run it by hand: echo \'{"uri": "https://a.corp.example"}\' | /opt/corp get'


async def test_what_the_system_refuses_is_passed_on() -> None:
    """H9, H10: missing, not executable, no process available."""
    with pytest.raises(Failed) as caught:
        await grant(lambda _: failed(Code.OVERLOADED, "no process"))
    assert caught.value.failure.code is Code.OVERLOADED


async def test_routing_is_ours() -> None:
    """T31: with ``cache_key = "host"`` one answer serves that host, and no other; a helper cannot widen it."""
    made, _ = provider(printing("{}"), FakeClock(), cache_key="host")
    keys = []
    for uri in ("https://a.corp.example/x", "https://a.corp.example/y", "https://b.corp.example/x"):
        plan = await made.plan(Question(parse_uri(uri), Caller()))
        assert plan is not None
        keys.append(plan.key)
    assert keys[0] == keys[1] != keys[2]


async def test_its_program_gets_the_variables_that_the_rule_names() -> None:
    """``env`` as it is written, ``pass_env`` from the daemon."""
    rule = ExecHost("a.test", ("/opt/corp",), env={"A": "1"}, pass_env=("B",))
    seen: list[Command] = []

    def program(command: Command) -> Completed:
        seen.append(command)
        return Completed(0, b'{"headers": {}}')

    made = ExecProvider(rule, processes=FakeProcesses({"/opt/corp": program}), clock=FakeClock())
    await made.exchange("https://a.test/")
    source = CommandSource(("/opt/corp",), env={"A": "1"}, pass_env=("B",))
    output = CommandOutput(source, processes=FakeProcesses({"/opt/corp": program}), clock=FakeClock(), key=lambda: b"k")
    target = parse_uri("https://a.test/")
    identity = await output.locate(target, None)
    assert identity is not None
    await output.read(identity, target)
    assert [(dict(command.env), command.pass_env) for command in seen] == [({"A": "1"}, ("B",))] * 2


def says(text: str, status: int = 0) -> Setting:
    """The helper prints this, for the checks of tests/contract.py."""

    def setting(ground: Ground) -> None:
        ground.processes.programs = {"/opt/corp": printing(text, status)}

    return setting


def gone(ground: Ground) -> None:
    """There is no such program."""
    ground.processes.programs = {}


CONTRACTS = {
    "exec": ProviderContract(
        ExecHost(HOST, ("/opt/corp",), env={"X": "1"}),
        granted=says(f'{{"headers":{{"Authorization":["Bearer {ISSUED}"]}}}}'),
        faults=(
            says(ISSUED),
            says(ISSUED, 1),
            says(f'{{"headers":{{"A":["{ISSUED}\\nX: y"]}}}}'),
            says(f'{{"headers":{{"A":["{ISSUED}"]}},"expires":"2020-01-01T00:00:00Z"}}'),
            gone,
        ),
    )
}
