"""T16: how a sandbox is named, with real processes in real namespaces."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from credproxy.server.namespaces import namespaces, own_namespaces
from credproxy.server.nesting import sandbox as sandbox_of


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")

SAYS = "import sys; print(flush=True); sys.stdin.read()"
ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes namespaces without a user namespace")
USER = ("unshare", "--user", "--map-root-user")


@contextlib.contextmanager
def process(*around: str) -> Iterator[int]:
    """Run a process through that command; give the pid of the innermost one."""
    with subprocess.Popen(
        [*around, sys.executable, "-IS", "-c", SAYS], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as started:
        assert started.stdout is not None
        assert started.stdout.readline() == b"\n"
        pid = started.pid
        while children := Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            pid = int(children[0])
        try:
            yield pid
        finally:
            assert started.stdin is not None
            started.stdin.close()


def named(pid: int) -> str | None:
    """Its sandbox, as seen from here."""
    return sandbox_of(pid, namespaces(pid), own=own_namespaces())


def test_a_process_beside_this_one_is_in_no_sandbox() -> None:
    """The user's own."""
    with process() as pid:
        assert named(pid) is None


@pytest.mark.parametrize("inner", [(), USER * 20, ("unshare", "--mount"), ("unshare", "--pid", "--fork")])
def test_a_sandbox_is_its_outermost_user_namespace_whatever_is_made_inside(
    sandbox: tuple[str, ...], inner: tuple[str, ...]
) -> None:
    """Of the process that was put there and of those that went on down: the same name."""
    with process(*sandbox, *inner) as pid:
        outer = outermost_user(pid)
        assert named(pid) == outer
        assert (namespaces(pid)[0] == outer) is (inner != USER * 20)


def outermost_user(pid: int) -> str:
    """The user namespace of the first ancestor that is not in ours: found by the family, not by the kernel's trees."""
    found = ""
    while (theirs := namespaces(pid)[0]) != own_namespaces()[0]:
        found = theirs
        pid = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
    return found


def test_two_sandboxes_beside_one_another_have_two_names(sandbox: tuple[str, ...]) -> None:
    """Made by the same user outside of any."""
    with process(*sandbox) as one, process(*sandbox) as other:
        assert named(one) != named(other)


@ROOT
@pytest.mark.parametrize("inner", [(), USER, ("unshare", "--pid", "--fork"), (*USER, "unshare", "--mount")])
def test_a_container_that_root_made_is_its_pid_namespace(sandbox: tuple[str, ...], inner: tuple[str, ...]) -> None:
    """As docker makes them: user namespaces made in there are not outside of it, and gain it no second name."""
    del sandbox  # skips where this user gets no namespaces
    with process("unshare", "--mount", "--pid", "--fork", "sh", "-c", '"$@"; exit', "sh", *inner) as pid:
        name = named(pid)
        assert name is not None
        assert name.startswith("pid:[")
        parent = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        assert name == named(parent)


@ROOT
def test_a_caller_with_only_its_own_mount_namespace_is_identified_by_it() -> None:
    """Nothing else distinguishes it."""
    with process("unshare", "--mount") as pid:
        assert named(pid) == namespaces(pid)[1]


def test_naming_leaves_no_descriptor_open(sandbox: tuple[str, ...]) -> None:
    """It is done for each connection."""
    with process(*sandbox, *USER, *USER) as pid:
        before = sorted(os.listdir("/proc/self/fd"))  # noqa: PTH208  names, not paths
        assert named(pid) is not None
        assert sorted(os.listdir("/proc/self/fd")) == before  # noqa: PTH208  names, not paths


def test_a_process_that_has_ended_cannot_be_named(sandbox: tuple[str, ...]) -> None:
    """The caller handles that."""
    with process(*sandbox) as pid:
        seen = namespaces(pid)
    with pytest.raises(OSError, match="No such"):
        sandbox_of(pid, seen, own=own_namespaces())
