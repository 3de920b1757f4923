"""What is remembered of programs that print logins, and when they are asked again."""

import asyncio
from dataclasses import dataclass, field

import pytest

from credproxy.core.ask.credential import PlainSecret, Secret, secret_of
from credproxy.core.errors import Code, Failed, failed
from credproxy.sources.program_answers import Printed, ProgramAnswer
from tests.fakes import FakeClock, settle


@dataclass
class Program:
    """Prints what it is told to."""

    text: str = "one"
    failure: Failed | None = None
    gate: asyncio.Event | None = None
    runs: int = 0
    clock: FakeClock = field(default_factory=FakeClock)

    async def run(self) -> Printed:
        """Start it."""
        self.runs += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise Failed(self.failure.failure)
        return self.text.encode(), PlainSecret(Secret(self.text)) if self.text else None

    def answer(self, keep: float = 240) -> ProgramAnswer:
        """Make what remembers this program."""
        return ProgramAnswer(keep=keep, key=b"k", clock=self.clock)


async def said(answer: ProgramAnswer, program: Program, *, anew: bool = False) -> str | None:
    """Give the secret, or None."""
    login = await answer.login(program.run, anew=anew)
    return None if login is None else secret_of(login.stored).reveal()


async def test_an_answer_is_remembered_until_what_is_made_of_it_is_renewed() -> None:
    """So that a renewal gets a newer one, and nothing is ever older than ``keep``."""
    program = Program()
    answer = program.answer()
    assert await said(answer, program) == "one"
    program.text = "two"
    program.clock.suspend(173)
    assert await said(answer, program) == "one"
    program.clock.suspend(2)
    assert await said(answer, program) == "two"
    assert (program.runs, answer.count) == (2, 1)


async def test_a_failure_may_be_remembered_where_there_is_no_login_yet() -> None:
    """A login that there is stays good where a run fails that a refusal caused; another file ends what is remembered."""
    program = Program(failure=failed(Code.HELPER_FAILED, "no", hint="x"))
    answer = ProgramAnswer(keep=240, key=b"k", clock=program.clock, failure_keep=2)
    for stamp, runs in (("a", 1), ("a", 1), ("b", 2), ("b", 2)):
        with pytest.raises(Failed):
            await answer.login(program.run, anew=False, stamp=stamp)
        assert program.runs == runs
    program.clock.suspend(2)
    good, program.failure = program.failure, None
    login = await answer.login(program.run, anew=False, stamp="b")
    assert login is not None
    program.failure = good
    with pytest.raises(Failed):
        await answer.login(program.run, anew=True, stamp="b")
    assert await answer.login(program.run, anew=False, stamp="b") == login


async def test_a_refusal_has_the_program_asked_again_at_once_and_once_in_ten_seconds() -> None:
    """``docker login`` updated a store without changing a file: the registry's refusal shows it."""
    program = Program()
    answer = program.answer()
    await said(answer, program)
    program.text = "two"
    assert await said(answer, program, anew=True) == "two"
    program.text = "three"
    program.clock.suspend(9)
    assert await said(answer, program, anew=True) == "two"
    program.clock.suspend(1)
    assert await said(answer, program, anew=True) == "three"
    assert program.runs == 3


async def test_forty_refusals_at_once_cause_one_run() -> None:
    """Forty repositories of one login: the first one starts the run, the rest wait for its result."""
    program = Program()
    answer = program.answer()
    await said(answer, program)
    program.text, program.gate = "two", asyncio.Event()
    tasks = [asyncio.ensure_future(said(answer, program, anew=True)) for _ in range(40)]
    await settle()
    program.gate.set()
    assert await asyncio.gather(*tasks) == ["two"] * 40
    assert program.runs == 2


async def test_forty_questions_at_once_cause_one_run() -> None:
    """A cold build with many images of one registry."""
    program = Program(gate=asyncio.Event())
    answer = program.answer()
    tasks = [asyncio.ensure_future(said(answer, program)) for _ in range(40)]
    await settle()
    assert program.gate is not None
    program.gate.set()
    assert await asyncio.gather(*tasks) == ["one"] * 40
    assert program.runs == 1


@pytest.mark.parametrize("failing", [False, True])
async def test_a_login_that_changes_while_a_run_is_under_way_has_a_run_of_its_own(*, failing: bool) -> None:
    """A question about the new one waits for the old one's run, and is not given what that found, or why it failed."""
    program = Program(gate=asyncio.Event(), failure=failed(Code.HELPER_FAILED, "no") if failing else None)
    answer = program.answer()
    old = asyncio.ensure_future(answer.login(program.run, anew=False, stamp="old"))
    await settle()
    other = Program(text="two", clock=program.clock)
    new = [asyncio.ensure_future(answer.login(other.run, anew=False, stamp="new")) for _ in range(3)]
    await settle()
    assert program.gate is not None
    program.gate.set()
    found = [login for login in await asyncio.gather(*new) if login is not None]
    assert [secret_of(login.stored).reveal() for login in found] == ["two"] * 3
    assert (program.runs, other.runs) == (1, 1)
    await asyncio.gather(old, return_exceptions=True)


async def test_waiters_of_a_failed_run_share_its_failure_and_the_next_question_retries() -> None:
    """Otherwise ten flights would start a hanging program, one after another."""
    program = Program(gate=asyncio.Event(), failure=failed(Code.HELPER_FAILED, "locked"))
    answer = program.answer()
    tasks = [asyncio.ensure_future(said(answer, program)) for _ in range(10)]
    await settle()
    assert program.gate is not None
    program.gate.set()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert [isinstance(one, Failed) for one in found] == [True] * 10
    assert program.runs == 1
    program.failure = None
    assert await said(answer, program) == "one"


async def test_a_failed_second_run_does_not_take_the_login_from_others() -> None:
    """It is denied for one repository while the store is locked: the other repositories are not affected."""
    program = Program()
    answer = program.answer()
    await said(answer, program)
    program.failure = failed(Code.HELPER_FAILED, "locked")
    with pytest.raises(Failed):
        await said(answer, program, anew=True)
    assert await said(answer, program) == "one"
    program.clock.suspend(175)
    with pytest.raises(Failed):
        await said(answer, program)


async def test_what_was_forgotten_is_not_given_because_the_program_fails() -> None:
    """After a flush, and after the file was rewritten, there is no login until the program has given one."""
    program = Program()
    answer = program.answer()
    await said(answer, program)
    program.failure = failed(Code.HELPER_FAILED, "locked")
    with pytest.raises(Failed):
        await answer.login(program.run, anew=False, stamp=2)
    with pytest.raises(Failed):
        await answer.login(program.run, anew=False, stamp=2)


async def test_no_login_is_remembered_for_ten_seconds_only() -> None:
    """A first ``docker login`` into a store changes no file that names the store already."""
    program = Program(text="")
    answer = program.answer()
    assert await said(answer, program) is None
    program.text = "one"
    assert await said(answer, program) is None
    program.clock.suspend(10)
    assert await said(answer, program) == "one"


async def test_forgetting_starts_the_program() -> None:
    """As in ``flush``; the counter is kept, or two logins would share an identity."""
    program = Program()
    answer = program.answer()
    await said(answer, program)
    program.text = "two"
    answer.forget()
    assert await said(answer, program) == "two"
    assert answer.count == 1


async def test_a_cancelled_waiter_does_not_cancel_others() -> None:
    """F11."""
    program = Program(gate=asyncio.Event())
    answer = program.answer()
    first = asyncio.ensure_future(said(answer, program))
    second = asyncio.ensure_future(said(answer, program))
    await settle()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    assert program.gate is not None
    program.gate.set()
    assert await second == "one"


async def test_a_run_that_a_flush_overtook_is_not_what_is_said_afterwards() -> None:
    """A login that has changed before a flush is the answer to each later question."""
    gate = asyncio.Event()
    program = Program()
    answer = program.answer()

    async def slow() -> Printed:
        printed = await program.run()
        await gate.wait()
        return printed

    async with asyncio.TaskGroup() as group:
        before = group.create_task(answer.login(slow, anew=False))
        await settle()
        program.text = "two"
        answer.forget()
        after = [group.create_task(said(answer, program)) for _ in range(3)]
        await settle()
        gate.set()
    login = before.result()
    assert login is not None
    assert secret_of(login.stored).reveal() == "one"
    assert [one.result() for one in after] == ["two"] * 3
    assert await said(answer, program) == "two"
    assert program.runs == 2
