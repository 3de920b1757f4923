"""Fixtures that every test gets, and hypothesis profiles."""

import asyncio
import gc
import os
import shutil
import signal
import subprocess
import tempfile
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from blockbuster import blockbuster_ctx
from hypothesis import HealthCheck, settings
from pytest_asyncio import is_async_test

from credproxy.adapters.own_metadata import own_copy
from credproxy.server.namespaces import proc_is_own


# A shared processor makes every generator slow at times: that is not a failure.
UNTIMED = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("dev", UNTIMED, max_examples=50)
settings.register_profile("ci", UNTIMED, max_examples=200, derandomize=True, print_blob=True)
settings.register_profile("deep", UNTIMED, max_examples=20_000)
settings.load_profile("ci" if os.environ.get("CI") else "dev")  # another: pytest --hypothesis-profile=deep


proc_is_own()  # read once in a process, and before its loop runs, as the daemon does
own_copy()  # likewise

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # So a shell starts what it runs in the background, and every program that a test starts would ignore Ctrl-C, too.
    signal.signal(signal.SIGINT, signal.default_int_handler)

gc.disable()  # until all tests are collected: nothing that is made meanwhile is let go


WAITING = {"e2e", "helper", "real", "systemd"}
"""Folders whose tests start processes and wait for them."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with files that take long, most tests first: such a file at the end would keep one process busy and the others idle."""
    tests = Counter(item.path for item in items)
    items.sort(key=lambda item: -tests[item.path] if item.path.parent.name in WAITING else 0)


def pytest_collection_finish() -> None:
    """Keep modules and collected tests out of every later garbage collection, or one that a test asks for takes half a second."""
    gc.collect()
    gc.freeze()
    gc.enable()


SANDBOX = ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--net", "--ipc", "--kill-child")


@pytest.fixture
def sandbox() -> tuple[str, ...]:
    """The command prefix for a sandbox; skips if the system gives this user no namespaces."""
    if shutil.which("unshare") is None:
        pytest.skip("apt-get install util-linux")
    tried = subprocess.run([*SANDBOX, "true"], capture_output=True, text=True, check=False, timeout=20)
    if tried.returncode:
        pytest.skip(f"no namespaces for this user: {tried.stderr.strip()}; sysctl kernel.unprivileged_userns_clone=1")
    return SANDBOX


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder for sockets: pytest's own paths grow with each run, and a socket's has at most 103 bytes."""
    with tempfile.TemporaryDirectory(prefix="credproxy-") as name:
        yield Path(name)


@pytest.fixture(autouse=True, scope="session")
def _no_blocking_calls() -> Iterator[None]:
    """Fail a test whose event loop blocks on a file, a socket or a sleep; set up once, because that takes as long as most tests."""
    # Rare operations on a socket's own file are not worth a thread.
    with blockbuster_ctx(
        "credproxy",
        excluded_modules=[
            "credproxy.server.listener",
            "credproxy.server.sandboxed",
            "credproxy.daemon.listeners",
            "credproxy.daemon.sockets",
        ],
    ) as guard:
        guard.functions["os.readlink"].can_block_in(
            "credproxy/server/namespaces.py", {"namespaces", "program"}
        )  # /proc is not a disk
        # Of one directory, every ten seconds while a socket is missing: asked by core/paths, which the exclusion does not reach.
        guard.functions["os.stat"].can_block_in("credproxy/daemon/sockets.py", {"open_actions_late"})
        guard.functions["io.TextIOWrapper.read"].can_block_in("credproxy/adapters/resident_memory.py", {"resident"})
        yield


@pytest.fixture(autouse=True)
def _no_leftover_tasks(request: pytest.FixtureRequest) -> None:
    """Fail a test that leaves a task running; only a test that has a loop can."""
    if is_async_test(request.node):
        request.getfixturevalue("_tasks_end")


@pytest.fixture
async def _tasks_end() -> AsyncIterator[None]:
    yield
    here = asyncio.current_task()
    left = {task for task in asyncio.all_tasks() if task is not here}
    assert not left
