"""The peer gate: what the kernel says about the caller."""

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from credproxy.core.errors import Code, Failure
from credproxy.server.namespaces import confined, namespaces, own_namespaces, program
from credproxy.server.peer import Gate, Peer, attest, identify


def test_the_peer_of_a_socket_pair_is_this_process() -> None:
    """SO_PEERCRED gives the pid and uid of the creator of the other end."""
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        assert identify(left) == Peer(pid=os.getpid(), uid=os.getuid())


def test_the_own_user_is_admitted() -> None:
    """The daemon serves its user."""
    assert Gate(uid=1000).refusal(Peer(pid=1, uid=1000)) is None


def test_another_user_is_refused_and_told_what_to_do() -> None:
    """T7: whatever the file mode, another uid gets nothing."""
    failure = Gate(uid=1000).refusal(Peer(pid=1, uid=1001))
    assert failure is not None
    assert failure.code is Code.PEER_REFUSED
    assert failure.message == "this daemon serves uid 1000, the caller has uid 1001"


def test_root_is_refused_until_it_is_allowed() -> None:
    """Root could read everything anyway; answering it by default would hide a needless sudo."""
    failure = Gate(uid=1000).refusal(Peer(pid=1, uid=0))
    assert failure is not None
    assert "allow_root = true" in failure.hint
    assert Gate(uid=1000, allow_root=True).refusal(Peer(pid=1, uid=0)) is None


linux = pytest.mark.skipif(sys.platform != "linux", reason="namespaces and pidfds are Linux's")

HERE = ("user:[1]", "mnt:[2]", "pid:[3]")


def test_the_same_namespaces_are_admitted() -> None:
    """T11: And without a reference nothing is compared."""
    assert Gate(1000, namespaces=HERE).refusal(Peer(1, 1000, HERE)) is None
    assert Gate(1000).refusal(Peer(1, 1000, None)) is None


@pytest.mark.parametrize(
    ("theirs", "said"),
    [
        (("user:[9]", "mnt:[2]", "pid:[3]"), "other namespaces than the daemon's (user)"),
        (("user:[1]", "mnt:[9]", "pid:[9]"), "other namespaces than the daemon's (mnt, pid)"),
        (None, "cannot be read"),
    ],
)
def test_other_namespaces_are_refused(theirs: tuple[str, ...] | None, said: str) -> None:
    """T11: Fail closed; the refusal says which one, and names both remedies."""
    failure = Gate(1000, namespaces=HERE).refusal(Peer(1, 1000, theirs))
    assert failure is not None
    assert failure.code is Code.PEER_REFUSED
    assert said in failure.message
    assert "actions socket" in failure.hint
    assert 'peer_namespaces = "any"' in failure.hint


def test_a_caller_that_is_not_visible_is_refused_and_told_why() -> None:
    """The kernel gives 0 for a process of an outer or sibling pid namespace; that means an invisible process, and never "self"."""
    failure = Gate(1000, namespaces=HERE).refusal(Peer(None, 1000))
    assert failure is not None
    assert failure.code is Code.PEER_REFUSED
    assert "it is not visible from the daemon's pid namespace" in failure.message
    assert "actions socket" in failure.hint


@linux
@pytest.mark.parametrize("pid", [0, -1, -(2**31)])
def test_a_number_that_names_no_process_has_no_namespaces_and_no_program(pid: int) -> None:
    """S0: "self" is asked for without a number; 0 and negative numbers are errors like any process that is gone."""
    with pytest.raises(ProcessLookupError):
        namespaces(pid)
    assert program(pid) == ""


@linux
def test_this_process_is_read_without_a_number_and_with_its_own() -> None:
    """Both ways give the same names, of the three kinds that are compared."""
    assert namespaces() == namespaces(os.getpid()) == own_namespaces()
    assert [name.partition(":")[0] for name in namespaces()] == ["user", "mnt", "pid"]


INSIDE = """
import socket, sys
from credproxy.server.namespaces import obstacle, own_namespaces
from credproxy.server.peer import Gate, identify
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print(flush=True)
peer = identify(listener.accept()[0], where=True, what=True)
refusal = Gate(peer.uid, namespaces=own_namespaces()).refusal(peer)
print(peer.pid, peer.namespaces, repr(peer.program), peer.lifeline.held, refusal is not None)
blind = obstacle(supervised=True)
print(blind.message if blind else "sees", end="")
"""
"""A gate in namespaces of its own; prints what it knows about the caller, and whether it could know more."""


@linux
@pytest.mark.parametrize(
    ("proc", "sight"),
    [
        (("--mount-proc",), "sees"),
        (
            (),
            "the daemon cannot see in which namespaces callers are: /proc is missing, or belongs to another pid namespace",
        ),
    ],
    ids=["its own /proc", "the /proc of outside"],
)
def test_a_gate_in_a_pid_namespace_refuses_callers_from_outside(
    short_path: Path, sandbox: tuple[str, ...], proc: tuple[str, ...], sight: str
) -> None:
    """It sees neither number nor namespaces nor program; and it notices if /proc would show it another process's."""
    argv = [*sandbox, *proc, sys.executable, "-c", INSIDE, str(short_path / "s")]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, text=True) as process, socket.socket(socket.AF_UNIX) as caller:
        assert process.stdout is not None
        process.stdout.readline()
        caller.connect(str(short_path / "s"))
        seen, _, blind = process.stdout.read().partition("\n")
    assert seen == "None None '' False True"
    assert blind == sight


@linux
def test_a_gate_without_proc_knows_that_it_cannot_see_callers(sandbox: tuple[str, ...]) -> None:
    """Nothing is mounted there; no caller is taken for a neighbour, and starting does not fail."""
    script = (
        "from credproxy.server.namespaces import UNREADABLE, obstacle, own_namespaces; "
        "assert own_namespaces() == UNREADABLE; print(obstacle(supervised=False).message)"
    )
    hide = 'mount -t tmpfs none /proc && exec "$0" "$@"'
    done = subprocess.run(
        [*sandbox, "sh", "-c", hide, sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert "/proc is missing" in done.stdout, done.stderr


def test_root_does_not_bypass_them() -> None:
    """Root in a container is root."""
    assert Gate(1000, allow_root=True, namespaces=HERE).refusal(Peer(1, 0, None)) is not None


@linux
def test_a_living_peer_is_read() -> None:
    """T11: And held: what was read is true as long as it lives."""
    left, right = socket.socketpair(socket.AF_UNIX)
    with left, right:
        peer = identify(left, where=True)
    assert peer.namespaces == namespaces()
    assert peer.lifeline.held
    assert not peer.lifeline.ended()
    peer.lifeline.close()
    assert not peer.lifeline.held


@pytest.fixture
def visitor() -> Iterator[tuple[socket.socket, subprocess.Popen[bytes]]]:
    """A connection, and the process at its other end, which waits to be killed."""
    script = "import socket, sys; s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1]); sys.stdin.read()"
    with tempfile.TemporaryDirectory() as folder, socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"{folder}/s")
        listener.listen()
        with subprocess.Popen([sys.executable, "-c", script, f"{folder}/s"], stdin=subprocess.PIPE) as process:
            accepted, _ = listener.accept()
            with accepted:
                yield accepted, process
            process.kill()


@linux
def test_a_peer_that_has_ended_is_not_read(visitor: tuple[socket.socket, subprocess.Popen[bytes]]) -> None:
    """T9: By then the pid could belong to another process (PY26)."""
    accepted, process = visitor
    process.kill()
    process.wait()
    peer = identify(accepted, where=True)
    assert peer.namespaces is None
    assert not peer.lifeline.held


@linux
def test_peer_exits_during_attestation(visitor: tuple[socket.socket, subprocess.Popen[bytes]]) -> None:
    """T9: what was read may already have been a successor's, so it does not count."""
    accepted, process = visitor

    def look(pid: int) -> tuple[str, ...]:
        assert pid == process.pid
        process.kill()
        process.wait()
        return namespaces()

    seen, lifeline = attest(accepted, process.pid, look=look)
    assert seen is None
    assert not lifeline.held


@linux
def test_a_peer_that_ends_later_is_known_to_have_ended(
    visitor: tuple[socket.socket, subprocess.Popen[bytes]],
) -> None:
    """T9: Also while it has not been reaped yet."""
    accepted, process = visitor
    peer = identify(accepted, where=True)
    assert not peer.lifeline.ended()
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert peer.lifeline.ended()
    peer.lifeline.close()


def test_a_closed_gate_refuses_everybody_and_says_why() -> None:
    """8.2: better than a comparison that cannot be made."""
    why = Failure(Code.PEER_REFUSED, "blind")
    assert Gate(1000, closed=why).refusal(Peer(1, 1000, HERE)) is why


@pytest.mark.parametrize("uid", [0, 1, 1000])
def test_the_gate_of_a_system_service_leaves_it_to_the_sockets_group(uid: int) -> None:
    """6.5: every caller that could connect is in it, or is root."""
    assert Gate(None).refusal(Peer(1, uid)) is None


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
def test_a_process_in_its_parents_user_namespace_is_not_confined() -> None:
    """F2: Also if the parent's namespace cannot be read: it is another user's process."""
    assert not confined()


@pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
@pytest.mark.parametrize("root", ["--map-root-user", "--map-current-user"])
def test_a_process_in_a_user_namespace_of_its_own_is(root: str) -> None:
    """F2: what PrivateUsers= does; from in there the parent's namespace cannot be read, but its map of ids can."""
    script = "import sys; from credproxy.server.namespaces import confined; sys.exit(7 if confined() else 0)"
    done = subprocess.run(["unshare", "--user", root, sys.executable, "-c", script], capture_output=True, check=False)
    if b"unshare failed" in done.stderr:
        pytest.skip("allow unprivileged user namespaces: sysctl kernel.unprivileged_userns_clone=1")
    assert done.returncode == 7, done.stderr


def test_a_carrier_is_not_admitted() -> None:
    """It is the user's own process in the user's own namespaces, but an attacker may control it."""
    gate = Gate(uid=1000, carriers=lambda: frozenset({7}))
    refused = gate.refusal(Peer(7, 1000))
    assert refused is not None
    assert refused.code is Code.PEER_REFUSED
    assert gate.refusal(Peer(8, 1000)) is None
    assert gate.refusal(Peer(None, 1000)) is None
