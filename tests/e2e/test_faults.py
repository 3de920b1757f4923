"""Failures of carriers while eight sandboxes download: the user's helper is answered, and no truncated layer goes unnoticed."""

import os
import resource
import shlex
import shutil
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from credproxy.core.ask.carrier_messages import SHORT_OF_MEMORY
from tests.e2e.halves import HALF, Halves, carriers, curl, nurseries, until
from tests.e2e.stage import Stage


pytestmark = [
    pytest.mark.e2e,
    pytest.mark.timeout(60),
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]

HERE = Path(__file__)
CARRIERS = 4
SANDBOXES = 8
WHOLE = f"0 {2 * HALF}"


@dataclass
class Building:
    """Eight sandboxes, each with half of a layer; those of a carrier are four apart. The helper is called all the while."""

    staged: Stage
    halves: Halves
    actions: list[subprocess.Popen[str]] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)
    over: threading.Event = field(default_factory=threading.Event)

    def begin(self, stack: ExitStack, sandbox: tuple[str, ...]) -> None:
        """Begin all of them, one after the other: each carrier has two."""
        *how, url = curl(self.staged, self.halves)
        command = ["sh", str(HERE.with_name("builder.sh")), url, *how]
        for number in range(1, SANDBOXES + 1):
            action = subprocess.Popen(
                [*sandbox, *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
                env={"PATH": self.staged.environ["PATH"]},
            )
            self.actions.append(stack.enter_context(action))
            stack.callback(action.kill)
            until(lambda count=number: self.halves.begun == count)  # type: ignore[misc]  # mypy infers no lambda with a default
        assert len(carriers(self.staged)) == CARRIERS
        calling = threading.Thread(target=self._call)
        calling.start()
        stack.callback(calling.join)
        stack.callback(self.over.set)

    def _call(self) -> None:
        while not self.over.wait(0.05):
            self.codes.append(self.staged.helper(self.halves.uri("org/app/manifests/x")).returncode)

    def ask(self, number: int) -> None:
        """Have a sandbox ask for a manifest."""
        talk = self.actions[number].stdin
        assert talk is not None
        talk.write("\n")
        talk.flush()

    def end(self) -> list[list[str]]:
        """Let the registry send the rest; give the outcomes of the downloads and of the repeated ones."""
        self.halves.rest.set()
        told = [action.communicate(timeout=30)[0].splitlines() for action in self.actions]
        self.over.set()
        return told


def start(staged: Stage, halves: Halves, **environ: str) -> None:
    """Start a daemon whose carriers can be broken, see ``breakable.py``; the environment is for them as well."""
    rule = f'[[actions.rule]]\naction = "allow"\nregistry = "{halves.authority}"\nrepository = "org/*"\n'
    operations = 'operations = ["blob:read", "manifest:read"]\n'
    staged.configure(f"{halves.rule()}insecure = true\n[actions]\ncarriers = {CARRIERS}\n{rule}{operations}")
    breakable = str(HERE.with_name("breakable.py"))
    nursery = staged.home / "nursery"
    given = [f"{name}={value}" for name, value in environ.items()]
    nursery.write_text(f'#!/bin/sh\nexec {shlex.join(["env", *given, sys.executable, breakable])} "$@"\n')
    nursery.chmod(0o700)
    staged.start(sys.executable, breakable, str(nursery), REGISTRY_PASSWORD=halves.password, **environ)


@pytest.fixture
def building(staged: Stage, halves: Halves, sandbox: tuple[str, ...]) -> Iterator[Building]:
    """Eight sandboxes in the middle of their layers."""
    start(staged, halves)
    with begun(staged, halves, sandbox) as made:
        yield made


@contextmanager
def begun(staged: Stage, halves: Halves, sandbox: tuple[str, ...]) -> Iterator[Building]:
    """Begin the eight."""
    made = Building(staged, halves)
    with ExitStack() as stack:
        made.begin(stack, sandbox)
        yield made


def judge(building: Building, *victims: int) -> None:
    """The affected sandboxes got a broken body and then a complete one; all others a complete one at once; the helper no error."""
    for number, tries in enumerate(building.end()):
        broken, last = tries[:-1], tries[-1]
        assert last == WHOLE, (number, tries)
        assert bool(broken) == (number % CARRIERS in victims), (number, tries)
        for one in broken:
            code, size = map(int, one.split())
            assert code != 0, (number, tries)
            assert size < 2 * HALF, (number, tries)
    assert len(building.codes) > 2
    assert set(building.codes) == {0}
    assert building.staged.stop() == 0


def take_memory(victim: int) -> None:
    """Limit its memory to what it uses; the next manifest does not fit."""
    _, hard = resource.prlimit(victim, resource.RLIMIT_DATA)
    resource.prlimit(victim, resource.RLIMIT_DATA, (resource.getpagesize(), hard))  # the kernel takes 0 for no limit


def take_descriptors(victim: int) -> None:
    """No descriptor is left for the next connection."""
    _, hard = resource.prlimit(victim, resource.RLIMIT_NOFILE)
    resource.prlimit(victim, resource.RLIMIT_NOFILE, (3, hard))


def test_a_lost_carrier_does_not_affect_downloads_of_others(building: Building) -> None:
    """Killed, out of memory, out of descriptors: another carrier serves its sandboxes as soon as they ask again."""
    killed, hungry, full, other = carriers(building.staged)
    os.kill(killed, signal.SIGKILL)
    take_memory(hungry)
    take_descriptors(full)
    for number in (1, 2):
        building.ask(number)
    until(lambda: not {killed, hungry, full} & set(carriers(building.staged)))
    assert other in carriers(building.staged)
    judge(building, 0, 1, 2)
    assert {lost["carrier"] for lost in building.staged.events("carrier lost", least=3)} == {killed, hungry, full}
    statuses = {ended["carrier"]: ended["status"] for ended in building.staged.events("carrier ended", least=3)}
    assert (statuses[killed], statuses[hungry]) == (-signal.SIGKILL, SHORT_OF_MEMORY)


def test_carriers_that_hang_are_ended(building: Building) -> None:
    """One that is stopped, and one in an endless loop: after ten seconds without a sign of life."""
    stopped, spinning, *others = carriers(building.staged)
    os.kill(stopped, signal.SIGSTOP)
    os.kill(spinning, signal.SIGUSR1)
    until(lambda: not {stopped, spinning} & set(carriers(building.staged)))
    assert set(others) <= set(carriers(building.staged))
    judge(building, 0, 1)
    assert {lost["carrier"] for lost in building.staged.events("carrier lost", least=2)} == {stopped, spinning}


@pytest.fixture(scope="module")
def clocks_source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that moves the clocks of processes; see ``clocks.c``."""
    compiler = shutil.which("cc")
    if compiler is None:
        pytest.skip("apt-get install gcc")
    built = tmp_path_factory.mktemp("clocks") / "clocks.so"
    source = str(HERE.with_name("clocks.c"))
    subprocess.run(
        [compiler, "-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o", built, source], check=True, timeout=50
    )
    return built


@pytest.fixture
def clocks(clocks_source: Path, staged: Stage, halves: Halves) -> Path:
    """A daemon, and a file that moves its clocks and those of its carriers."""
    file = staged.home / "clocks"
    move(file, wall=0, boot=0)
    start(staged, halves, LD_PRELOAD=str(clocks_source), CREDPROXY_TEST_CLOCKS=str(file))
    return file


def move(file: Path, *, wall: int, boot: int) -> None:
    """Set by how many seconds a clock is ahead, in place: the processes have the file in their memory."""
    with file.open("r+b" if file.exists() else "wb") as clocks:
        clocks.write(struct.pack("=qq", wall, boot))


def test_a_suspend_costs_no_download_and_no_carrier(
    clocks: Path, staged: Stage, halves: Halves, sandbox: tuple[str, ...]
) -> None:
    """All of them stand still for an hour; the last one to wake up does not count as hung, and expired tokens are renewed."""
    with begun(staged, halves, sandbox) as building:
        assert staged.process is not None
        all_of_it = [staged.process.pid, *nurseries(staged), *carriers(staged)]
        before = carriers(staged)
        time.sleep(2.5)  # the daemon checks every two seconds that they are alive
        for pid in all_of_it:
            os.kill(pid, signal.SIGSTOP)
        move(clocks, wall=3600, boot=3600)
        for pid in all_of_it:
            os.kill(pid, signal.SIGCONT)
        time.sleep(2.5)
        assert carriers(staged) == before
        judge(building)
        assert staged.events("carrier lost", least=0) == []
    assert halves.exchanges() > 2


def test_a_wall_clock_that_jumps_breaks_no_download(
    clocks: Path, staged: Stage, halves: Halves, sandbox: tuple[str, ...]
) -> None:
    """By a day, forward and back, in the middle of a layer; later callers are answered, too."""
    with begun(staged, halves, sandbox) as building:
        for seconds in (86_400, -86_400):
            move(clocks, wall=seconds, boot=0)
            called, asked = len(building.codes), halves.manifests
            until(lambda called=called: len(building.codes) > called + 2)  # type: ignore[misc]  # as above
            building.ask(0)
            until(lambda asked=asked: halves.manifests > asked)  # type: ignore[misc]  # as above
        judge(building)
        assert staged.events("carrier lost", least=0) == []
