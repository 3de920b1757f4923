"""Running other people's helpers: H1 to H12, with real processes."""

import asyncio
import errno
import os
import shlex
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from credproxy.adapters.clock import SystemClock
from credproxy.adapters.processes import StartProcess, SystemProcesses
from credproxy.adapters.program_pipes import STDOUT_LIMIT
from credproxy.core.errors import Code, Failed
from credproxy.ports.processes import Command, Completed
from credproxy.ports.terms import under_way
from tests.fakes import FakeClock, FakeMetrics, FixedTerms
from tests.hints import filled


@pytest.fixture
async def processes() -> AsyncIterator[SystemProcesses]:
    """The runner, with this process's environment and two variables of its own."""
    environ = dict(os.environ) | {"NOTIFY_SOCKET": "canary", "XDG_DATA_HOME": "/data", "SECRET_OF_MINE": "canary"}
    made = SystemProcesses(environ, clock=SystemClock(), metrics=FakeMetrics())
    yield made
    made.close()


def sh(script: str, **more: object) -> Command:
    """Give a command that runs a shell script."""
    return Command(("/bin/sh", "-c", script), **more)  # type: ignore[arg-type]  # a test's own fields


async def refusal(processes: SystemProcesses, command: Command) -> Failed:
    """Run what must fail."""
    with pytest.raises(Failed) as caught:
        await processes.run(command)
    return caught.value


def alive(mark: str) -> list[str]:
    """Give the processes with a mark in their command line, except zombies."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                line = (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if mark.encode() in line:
                found.append(folder.name)
    return found


async def gone(mark: str) -> None:
    """Wait until none of these is left: the kernel takes a moment to end a killed process."""
    for _ in range(100):
        if not alive(mark):
            return
        await asyncio.sleep(0.01)  # noqa: TID251  a real process has no event to wait for
    assert alive(mark) == []


async def test_input_output_and_status(processes: SystemProcesses) -> None:
    """The plain case."""
    assert await processes.run(Command(("/bin/cat",), stdin=b"hello")) == Completed(0, b"hello")
    assert (await processes.run(sh("exit 3"))).status == 3
    assert (await processes.run(sh("kill -9 $$"))).status == -9


async def test_a_program_that_hangs_and_ignores_sigterm_is_killed(processes: SystemProcesses) -> None:
    """H1, H2: SIGTERM, a second, SIGKILL; the message names it, with its last words."""
    begun = time.perf_counter()
    error = await refusal(processes, sh("trap '' TERM; echo waiting for a touch >&2; sleep 4711; true", timeout=0.2))
    assert 1.1 < time.perf_counter() - begun < 4
    assert error.failure.code is Code.HELPER_FAILED
    assert "has not answered for 0.2 s and was stopped; it said: waiting for a touch" in error.failure.message
    await gone("4711")


async def test_a_complaint_is_shown_without_tokens_and_control_characters(processes: SystemProcesses) -> None:
    """H3: the last 2 KiB, sanitised."""
    script = "printf 'no login\\033[31m for Bearer abcdefgh12345678 eyJhbGciOiJFUzI1NiJ9.e30abc12.c2ln\\n' >&2; exit 1"
    complaint = (await processes.run(sh(script))).complaint
    assert complaint.startswith("no login for Bearer ***")
    assert "eyJ" not in complaint
    assert len((await processes.run(sh("head -c 100000 /dev/zero >&2"))).complaint) <= 2048


@pytest.mark.parametrize(
    "before",
    ["", "head -c 4090 /dev/zero | tr '\\0' x >&2; echo >&2; ", "seq 1 20000 >&2; ", "head -c 4094 /dev/zero >&2; "],
)
async def test_a_secret_that_a_program_announces_is_not_in_its_complaint(
    processes: SystemProcesses, before: str
) -> None:
    """Also after a flood of output."""
    complaint = (await processes.run(sh(f"{before}echo password hunter2 >&2; exit 1"))).complaint
    assert complaint.endswith("***")
    assert "hunter2" not in complaint


@pytest.mark.parametrize("cut", range(9))
@pytest.mark.parametrize("between", [" ", "\\n", ": "])
async def test_a_secret_is_not_left_where_the_word_that_announces_it_was_cut_away(
    processes: SystemProcesses, cut: int, between: str
) -> None:
    """The last 4 KiB of a flood are checked; here they begin at each character of the secret, and before it."""
    padding = "x" * (4096 - len(" end") - cut - len(" "))
    script = f"printf 'password{between}hunter2 {padding} end' >&2; exit 1"
    complaint = (await processes.run(sh(script))).complaint
    assert "hunter2"[-cut:] not in complaint.split() or not cut
    assert "hunter2" not in complaint
    assert complaint.endswith("end")


async def test_a_flood_on_stdout_is_an_error_and_on_stderr_is_drained(processes: SystemProcesses) -> None:
    """H5: stops at 256 KiB; a chatty stderr does not block."""
    error = await refusal(processes, sh("head -c 100000000 /dev/zero"))
    assert str(STDOUT_LIMIT) in error.failure.message
    assert (await processes.run(sh("head -c 10000000 /dev/zero >&2; echo done"))).stdout == b"done\n"


@pytest.mark.parametrize(
    "script", ["sleep 4712 & echo hi", "setsid sleep 2.5 & echo hi"], ids=["same group", "escapee"]
)
async def test_children_that_hold_the_pipe_do_not_hold_us(processes: SystemProcesses, script: str) -> None:
    """H6, H7: the exit decides, not the end of output; the group does not survive."""
    begun = time.perf_counter()
    assert (await processes.run(sh(script))).stdout == b"hi\n"
    assert time.perf_counter() - begun < 2.4
    if "setsid" not in script:
        await gone("sleep\0004712")


async def test_a_program_that_does_not_read_its_input(processes: SystemProcesses) -> None:
    """H8: no deadlock, no broken pipe."""
    assert (await processes.run(Command(("/bin/true",), stdin=b"x" * 64 * 1024))).status == 0


async def test_missing_and_not_executable(processes: SystemProcesses, tmp_path: Path) -> None:
    """H9: distinct errors."""
    missing = await refusal(processes, Command((str(tmp_path / "nope"),)))
    assert missing.failure.code is Code.HELPER_NOT_RUNNABLE
    wrong = tmp_path / "wrong"
    wrong.write_bytes(b"\x7fELF nonsense")
    wrong.chmod(0o755)
    error = await refusal(processes, Command((str(wrong),)))
    assert "exec format error" in error.failure.message


def refusing(*numbers: int) -> tuple[StartProcess, list[str]]:
    """A system that refuses to start a program with these errors, one after the other, and then does it."""
    left, tried = list(numbers), list[str]()

    def start(program: str, command: Command, environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
        tried.append(program)
        if left:
            number = left.pop(0)
            raise OSError(number, os.strerror(number))
        return subprocess.Popen(
            [program, *command.argv[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environ,
            start_new_session=True, bufsize=0,
        )  # a table  # fmt: skip

    return start, tried


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOMEM])
async def test_a_system_without_a_process_to_give(number: int) -> None:
    """H10, C9: fork fails at TasksMax: reported as temporary, and the next run is like any other."""
    start, tried = refusing(number)
    made = SystemProcesses(os.environ, clock=SystemClock(), metrics=FakeMetrics(), start=start)
    error = await refusal(made, Command(("/bin/true",)))
    assert (error.failure.code, error.failure.status, error.failure.retry_after) == (Code.OVERLOADED, 503, 1.0)
    assert (await made.run(Command(("/bin/true",)))).status == 0
    assert len(tried) == 2
    made.close()


@pytest.mark.parametrize(("refusals", "answered"), [(1, True), (2, False)])
async def test_a_program_that_is_being_written_is_tried_once_more(refusals: int, *, answered: bool) -> None:
    """H9: an upgrade takes a moment; ETXTBSY is one retry, after 50 ms of the clock."""
    clock = FakeClock()
    start, tried = refusing(*[errno.ETXTBSY] * refusals)
    made = SystemProcesses(os.environ, clock=clock, metrics=FakeMetrics(), start=start)
    run = asyncio.ensure_future(made.run(Command(("/bin/true",))))
    while not run.done():
        await asyncio.sleep(0.01)  # noqa: TID251  threads do the work, which no fake clock moves
        await clock.advance(0.05)
    assert len(tried) == 2
    assert (run.exception() is None) is answered
    if not answered:
        failure = run.exception()
        assert isinstance(failure, Failed)
        assert failure.failure.code is Code.HELPER_NOT_RUNNABLE
        assert "text file busy" in failure.failure.message
    made.close()


async def test_no_more_than_its_concurrency_run_at_once(processes: SystemProcesses, tmp_path: Path) -> None:
    """H11, DC-19: the others wait their turn."""
    script = f"mkdir {tmp_path}/busy || echo two >&2; sleep 0.05; rmdir {tmp_path}/busy"
    done = await asyncio.gather(*(processes.run(sh(script, concurrency=1)) for _ in range(5)))
    assert [one.complaint for one in done] == [""] * 5


def _files(folder: Path) -> int:
    return len(list(folder.iterdir()))


async def test_build_actions_run_half_as_many_programs(processes: SystemProcesses, tmp_path: Path) -> None:
    """T16: helpers that hang for actions leave slots, of that program and of all, for the user's own calls."""

    async def hang() -> None:
        under_way.set(FixedTerms(for_actions=True))
        await processes.run(sh(f"touch {tmp_path}/$$; exec sleep 30", concurrency=4))

    async with asyncio.TaskGroup() as group:
        hanging = [group.create_task(hang()) for _ in range(6)]
        while _files(tmp_path) < 2:
            await processes.run(sh("true", concurrency=4))
        for _ in range(5):
            assert (await processes.run(sh("echo mine", concurrency=4))).stdout == b"mine\n"
        assert _files(tmp_path) == 2
        for task in hanging:
            task.cancel()


async def test_there_is_no_terminal_to_prompt_on(processes: SystemProcesses) -> None:
    """H12."""
    done = await processes.run(sh("echo x >/dev/tty; echo $GIT_TERMINAL_PROMPT"))
    assert done.stdout == b"0\n"
    assert "/dev/tty" in done.complaint


async def test_the_environment_is_minimal_and_nothing_is_inherited(processes: SystemProcesses) -> None:
    """T30, T6: no variable, descriptor or folder of the daemon's."""
    with open(os.devnull) as held:  # noqa: ASYNC230, PTH123  a descriptor that must not be inherited
        os.set_inheritable(held.fileno(), True)
        output = (await processes.run(sh("env; pwd; ls /proc/self/fd", env={"MINE": "yes"}))).stdout.decode()
    lines = output.splitlines()
    assert "MINE=yes" in lines
    assert "XDG_DATA_HOME=/data" in lines
    assert "canary" not in output
    assert "/" in lines
    assert lines[-4:] == ["0", "1", "2", "3"]  # 3 is ls's own


async def test_what_a_rule_gives_a_program_is_not_in_its_complaint(processes: SystemProcesses) -> None:
    """A program that prints its environment, or its arguments, as it fails."""
    command = Command(("/bin/sh", "-c", 'echo "$KEY $1 failed" >&2; exit 1', "x", "trustno"), env={"KEY": "swordfish"})
    assert (await processes.run(command)).complaint == "*** *** failed"


async def test_a_program_gets_the_daemons_variables_that_are_named(processes: SystemProcesses) -> None:
    """Those that are set; a rule's own value takes precedence, and a passed value is not in its complaint either."""
    names = ("SECRET_OF_MINE", "NOT_SET_ANYWHERE", "XDG_DATA_HOME")
    passing = sh("env", env={"XDG_DATA_HOME": "/mine"}, pass_env=names)
    lines = (await processes.run(passing)).stdout.decode().splitlines()
    assert "SECRET_OF_MINE=canary" in lines
    assert "XDG_DATA_HOME=/mine" in lines
    assert not [line for line in lines if line.startswith(("NOT_SET_ANYWHERE", "NOTIFY_SOCKET"))]
    told = sh('echo "$SECRET_OF_MINE failed" >&2; exit 1', pass_env=names)
    assert (await processes.run(told)).complaint == "*** failed"


async def test_a_program_that_others_could_replace_is_not_run(processes: SystemProcesses, tmp_path: Path) -> None:
    """T29: file and folders; the hint is the command that fixes it."""
    program = tmp_path / "helper"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o777)
    error = await refusal(processes, Command((str(program),)))
    assert error.failure.code is Code.HELPER_NOT_RUNNABLE
    assert error.failure.hint == f"chmod go-w {program}"
    program.chmod(0o755)
    assert (await processes.run(Command((str(program),)))).status == 0
    os.chmod(tmp_path, 0o777)  # noqa: PTH101  pathlib's is taken for slow I/O
    assert (await refusal(processes, Command((str(program),)))).failure.hint == f"chmod go-w {tmp_path}"
    os.chmod(tmp_path, 0o700)  # noqa: PTH101  see above


async def test_a_link_that_others_could_replace_is_not_followed(processes: SystemProcesses, tmp_path: Path) -> None:
    """T29: anybody who can replace a link on the way to a program, or write a link's directory, controls it."""
    (tmp_path / "bin").mkdir(mode=0o755)
    (tmp_path / "bin" / "helper").symlink_to("../program")
    (tmp_path / "link").symlink_to("bin")
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for named in (tmp_path / "bin" / "helper", tmp_path / "link" / "helper"):
        assert (await processes.run(Command((str(named),)))).status == 0
        (tmp_path / "bin").chmod(0o777)
        error = await refusal(processes, Command((str(named),)))
        assert error.failure.code is Code.HELPER_NOT_RUNNABLE
        assert error.failure.hint == f"chmod go-w {tmp_path / 'bin'}"
        (tmp_path / "bin").chmod(0o755)


async def test_a_cancelled_run_leaves_nothing(processes: SystemProcesses) -> None:
    """PY5: neither process nor zombie."""
    task = asyncio.ensure_future(processes.run(sh("sleep 4713; true")))
    while not alive("4713"):  # noqa: ASYNC110  a real process has no event to wait for
        await asyncio.sleep(0.01)  # noqa: TID251  a real process has to start
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    await gone("4713")


async def test_a_search_path_replaces_the_environments(processes: SystemProcesses, tmp_path: Path) -> None:
    """DC-17: ``helper_path``."""
    program = tmp_path / "docker-credential-x"
    program.write_text("#!/bin/sh\necho found\n")
    program.chmod(0o755)
    missing = (await refusal(processes, Command(("docker-credential-x",), missing="install it"))).failure
    assert missing.code is Code.HELPER_NOT_RUNNABLE
    assert missing.hint == "install it"
    processes.search(f"{tmp_path}:/usr/bin:/bin")
    assert (await processes.run(Command(("docker-credential-x",)))).stdout == b"found\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo x\n", "it is neither a program of this machine nor a script with a #! line"),
        ("#!/none/x\n", "the program that its #! line names is not there"),
    ],
)
async def test_why_a_script_cannot_be_started(processes: SystemProcesses, tmp_path: Path, text: str, said: str) -> None:
    """By hand the shell runs the first one, so that to try it would show nothing; the hint names no argument, which may be a secret."""
    path = tmp_path / "a script"
    path.write_text(text)
    path.chmod(0o700)
    for more in (("--token", "canary"), ("get",)):
        with pytest.raises(Failed) as caught:
            await processes.run(Command((str(path), *more)))
        failure = caught.value.failure
        assert (failure.code, said in failure.message) == (Code.HELPER_NOT_RUNNABLE, True)
        if more != ("get",):
            (named,) = filled(failure.hint, "look at how it begins: head -n 1 {}")
            assert named == shlex.quote(str(path))


@pytest.mark.parametrize(
    ("done", "said"),
    [
        (Completed(3, b"", "no such entry"), "ended with status 3: no such entry"),
        (Completed(3, b""), "ended with status 3"),
        (Completed(-9, b"", ""), "was killed by signal 9"),
        (Completed(-11, b"", "x" * 400), f"was killed by signal 11: {'x' * 300}"),
    ],
)
def test_how_a_program_ended(done: Completed, said: str) -> None:
    """One that said nothing leaves no colon, and a signal is not a status below zero."""
    assert done.ended() == said
