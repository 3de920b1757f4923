"""Binding the helper socket: private from the first moment, one daemon at a time, stale files removed."""

import contextlib
import os
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import UUID

import pytest

from credproxy.core.errors import Code, Failed
from credproxy.server.listener import AlreadyRunning, Bound, Listener, Standing, bind


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A socket path in a private directory that does not exist yet."""
    return tmp_path / "run" / "helper.sock"


def test_the_directory_is_0700_and_the_socket_0600_whatever_the_umask(place: Path) -> None:
    """T8: no other user can connect, not even between bind and a later chmod, because there is none."""
    before = os.umask(0)
    try:
        bound = bind(str(place), backlog=8)
    finally:
        os.umask(before)
    assert stat.S_IMODE(place.stat().st_mode) == 0o600
    assert stat.S_IMODE(place.parent.stat().st_mode) == 0o700
    bound.close()


def test_the_directories_above_are_private_as_well_where_they_are_made(place: Path) -> None:
    """Anybody who may write one of them could replace the socket."""
    deep = place.parent / "a" / "b" / place.name
    before = os.umask(0)
    try:
        bind(str(deep), backlog=8).close()
    finally:
        os.umask(before)
    assert [stat.S_IMODE(one.stat().st_mode) for one in list(deep.parents)[:3]] == [0o700] * 3


def test_a_second_daemon_finds_the_first(place: Path) -> None:
    """P2: the lock decides, and the first one's socket is left alone."""
    bound = bind(str(place), backlog=8)
    inode = place.stat().st_ino
    with pytest.raises(AlreadyRunning):
        bind(str(place), backlog=8)
    assert place.stat().st_ino == inode
    bound.close()


def test_who_is_meek_leaves_whatever_is_there(place: Path) -> None:
    """A lock that somebody has, and a file, even if nobody listens: a connection could start a service of systemd's."""
    with contextlib.closing(bind(str(place), backlog=8)), pytest.raises(AlreadyRunning):
        bind(str(place), backlog=8, meek=True)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(place))
    with pytest.raises(AlreadyRunning):
        bind(str(place), backlog=8, meek=True)
    place.unlink()
    with contextlib.closing(bind(str(place), backlog=8, meek=True)) as made:
        assert made.standing() is Standing.OURS


def test_a_socket_that_a_killed_daemon_left_is_replaced(place: Path) -> None:
    """P6: a file without a listener is stale."""
    bound = bind(str(place), backlog=8)
    bound.sock.close()
    os.close(bound.lock)
    again = bind(str(place), backlog=8)
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(str(place))
    again.close()


def test_a_listener_without_our_lock_is_left_alone(place: Path) -> None:
    """P1: a socket with a listener belongs to that listener, with or without the lock."""
    place.parent.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as other:
        other.bind(str(place))
        other.listen()
        with pytest.raises(AlreadyRunning):
            bind(str(place), backlog=8)
        assert place.exists()


@pytest.mark.parametrize("kind", ["file", "directory", "link", "dangling"])
def test_what_is_not_a_socket_is_never_removed(place: Path, kind: str) -> None:
    """A variable that names the wrong path; connecting to a file is refused as by a stale socket."""
    place.parent.mkdir(mode=0o700)
    notes = place.parent / "notes"
    notes.write_text("notes")
    if kind == "file":
        notes.rename(place)
    elif kind == "directory":
        place.mkdir()
    else:
        place.symlink_to(notes if kind == "link" else "nowhere")
    before = place.lstat().st_ino
    with pytest.raises(Failed) as caught:
        bind(str(place), backlog=8, variable="CREDPROXY_ACTIONS_SOCKET")
    assert caught.value.failure.code is Code.CONFIG_INVALID
    assert "is not a socket but a" in caught.value.failure.message
    assert caught.value.failure.hint == "set CREDPROXY_ACTIONS_SOCKET to another path"
    assert place.lstat().st_ino == before
    assert not place.with_suffix(".lock").exists()


def test_a_file_is_not_taken_for_a_directory(place: Path) -> None:
    """Its mode stays as it is, too."""
    place.parent.write_text("notes")
    with pytest.raises(Failed) as caught:
        bind(str(place), backlog=8)
    assert caught.value.failure.message == f"the socket's directory {str(place.parent)!r} is not a directory"
    assert caught.value.failure.hint == "set CREDPROXY_SOCKET to another path"


@pytest.mark.parametrize("content", ["package\n" * 500, "1234\n", "{}"])
def test_a_file_that_has_the_name_of_the_lock_stays_as_it_is(place: Path, content: str) -> None:
    """Such as the lock of a package manager, or of another program."""
    place.parent.mkdir(mode=0o700)
    lock = place.with_suffix(".lock")
    lock.write_text(content)
    with pytest.raises(Failed) as caught:
        bind(str(place), backlog=8)
    assert str(lock) in caught.value.failure.message
    assert lock.read_text() == content
    assert not place.exists()


@pytest.mark.parametrize("content", ["", "\n\n\n", f"user:[1]\nmnt:[2]\npid:[3]\n{UUID(int=7)}\n"])
def test_what_an_earlier_daemon_has_left_in_its_lock_is_no_such_file(place: Path, content: str) -> None:
    """Also one that could not see its namespaces, or that was killed before it wrote anything."""
    place.parent.mkdir(mode=0o700)
    place.with_suffix(".lock").write_text(content)
    bind(str(place), backlog=8).close()


@pytest.mark.parametrize("suffix", [".lock", ".new"])
def test_a_socket_cannot_have_the_name_of_a_file_beside_it(place: Path, suffix: str) -> None:
    """It would be its own lock."""
    with pytest.raises(Failed) as caught:
        bind(str(place.with_suffix(suffix)), backlog=8)
    assert caught.value.failure.hint == "set CREDPROXY_SOCKET to a path that ends in .sock"


def test_a_file_that_was_put_beside_a_socket_stays(bound: Bound) -> None:
    """When a socket is bound again, a new one is made beside its path for a moment."""
    beside = bound.path.with_suffix(".new")
    beside.write_text("notes")
    with pytest.raises(Failed):
        bound.rebind(backlog=8)
    assert beside.read_text() == "notes"


def test_closing_removes_the_file(place: Path) -> None:
    """A clean stop leaves nothing that a client could try to connect to."""
    bind(str(place), backlog=8).close()
    assert not place.exists()


def test_a_directory_that_others_may_enter_is_refused(place: Path) -> None:
    """T4: the message says what is wrong, what was wanted, and the command."""
    place.parent.mkdir(mode=0o755)
    place.parent.chmod(0o755)
    with pytest.raises(Failed) as caught:
        bind(str(place), backlog=8)
    assert caught.value.failure.code is Code.CONFIG_INVALID
    assert "mode 0755; wanted" in caught.value.failure.message
    assert f"chmod 700 {place.parent}" in caught.value.failure.hint


def test_a_path_that_no_socket_address_holds_is_refused(tmp_path: Path) -> None:
    """CL-36: 103 bytes fit everywhere; the kernel's own error would not say which path."""
    with pytest.raises(Failed, match="longer than 103 bytes"):
        bind(str(tmp_path / ("x" * 120) / "helper.sock"), backlog=8)


@pytest.fixture
def bound(place: Path) -> Iterator[Bound]:
    """Our own socket."""
    with contextlib.closing(bind(str(place), backlog=8)) as made:
        yield made


OTHER = """
import socket, sys
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[1])
listener.listen()
print(flush=True)
sys.stdin.read()
"""


@contextlib.contextmanager
def another_at(place: Path, *around: str) -> Iterator[None]:
    """Another process that listens there."""
    argv = [*around, sys.executable, "-IS", "-c", OTHER, str(place)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield
        process.communicate()


def test_what_callers_find_at_the_path(bound: Bound) -> None:
    """P1: us, nothing, a file without a listener, or another process."""
    assert bound.standing() is Standing.OURS
    bound.path.unlink()
    assert bound.standing() is Standing.GONE
    bound.path.touch()
    assert bound.standing() is Standing.STALE
    bound.path.unlink()
    with another_at(bound.path):
        assert bound.standing() is Standing.TAKEN


WATCHER = """
import sys
from pathlib import Path
from credproxy.server.listener import bind
bound = bind(sys.argv[1], backlog=8)
print(bound.standing().value, flush=True)
sys.stdin.readline()
print(bound.standing().value, flush=True)
bound.close()
print(Path(sys.argv[1]).exists())
"""


@pytest.mark.skipif(sys.platform != "linux", reason="pid namespaces are Linux's")
def test_a_socket_of_an_invisible_process_belongs_to_another_user(short_path: Path, sandbox: tuple[str, ...]) -> None:
    """From inside a pid namespace a listener outside has the pid 0: it is not us, and its file stays."""
    place = short_path / "run" / "helper.sock"
    argv = [*sandbox, "--mount-proc", sys.executable, "-c", WATCHER, str(place)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as watcher:
        assert watcher.stdout is not None
        assert watcher.stdout.readline() == "ours\n"
        place.unlink()
        with another_at(place):
            told, _ = watcher.communicate("\n")
    assert told == "taken\nTrue\n"


def test_a_socket_that_hands_out_nothing_is_busy_and_not_lost(place: Path) -> None:
    """P1: a burst fills the queue; that must not lead to a second socket."""
    with contextlib.closing(bind(str(place), backlog=0)) as bound, contextlib.ExitStack() as stack:
        for _ in range(4):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(str(place))
        assert bound.standing() is Standing.OURS


def test_closing_leaves_another_ones_socket_alone(bound: Bound) -> None:
    """P1: systemd's, after an installation: it would be gone for good, and the unit would still say active."""
    bound.path.unlink()
    with another_at(bound.path):
        bound.close()
        assert bound.path.exists()


def test_a_socket_that_was_handed_over_is_never_removed(bound: Bound) -> None:
    """P1, F5: its creator removes it."""
    Listener(bound.path, bound.sock.dup()).close()
    assert bound.standing() is Standing.OURS


def test_closing_twice_is_closing_once(place: Path) -> None:
    """Once when the daemon stops listening, once when it ends."""
    bound = bind(str(place), backlog=8)
    bound.close()
    with contextlib.closing(bind(str(place), backlog=8)):
        bound.close()
        assert place.exists()


@pytest.mark.parametrize("left", ["nothing", "file", "no directory"])
def test_a_deleted_socket_is_bound_again_under_the_same_lock(bound: Bound, left: str) -> None:
    """P1: what a cleaner of temporary files took away; a second daemon is still refused."""
    before = bound.sock
    bound.path.unlink()
    if left == "file":
        bound.path.touch()
    if left == "no directory":
        bound.path.with_suffix(".lock").unlink()
        bound.path.parent.rmdir()
    bound.rebind(backlog=8)
    before.close()
    assert bound.standing() is Standing.OURS
    assert stat.S_IMODE(bound.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(bound.path.parent.stat().st_mode) == 0o700
    with pytest.raises(AlreadyRunning):
        bind(str(bound.path), backlog=8)


def test_a_daemon_that_lost_lock_and_socket_to_another_one_stays_away(bound: Bound) -> None:
    """P1: the whole directory was deleted, and another daemon was faster."""
    bound.path.unlink()
    bound.path.with_suffix(".lock").unlink()
    with contextlib.closing(bind(str(bound.path), backlog=8)) as successor:
        inode = successor.path.stat().st_ino
        with pytest.raises(AlreadyRunning):
            bound.rebind(backlog=8)
        assert successor.path.stat().st_ino == inode


linux = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")

SANDBOXES = {
    "user, mount and pid": ("unshare", "--user", "--map-root-user", "--mount", "--pid", "--fork", "--kill-child"),
    "user and mount": ("unshare", "--user", "--map-root-user", "--mount"),
    "user and mount, without a map": ("unshare", "--user", "--mount"),
}


@linux
@pytest.mark.parametrize("kind", SANDBOXES)
def test_a_process_in_a_sandbox_knows_it(sandbox: tuple[str, ...], kind: str) -> None:
    """It has a user namespace for a user or two, and mounts of its own."""
    del sandbox  # skips where this user gets no namespaces
    script = "import sys; from credproxy.server.sandboxed import sandboxed; sys.exit(7 if sandboxed() else 0)"
    done = subprocess.run([*SANDBOXES[kind], sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 7, done.stderr


@linux
@pytest.mark.parametrize(
    "around",
    [
        (),
        ("unshare", "--user", "--map-root-user"),
        pytest.param(
            ("unshare", "--mount", "--pid", "--fork", "--mount-proc"),
            marks=pytest.mark.skipif(os.geteuid() != 0, reason="root alone makes these without a user namespace"),
        ),
    ],
    ids=["nothing", "a user namespace alone", "a container"],
)
def test_a_process_elsewhere_is_in_no_sandbox(sandbox: tuple[str, ...], around: tuple[str, ...]) -> None:
    """A container counts as a separate machine, and a process with its user's mounts sees what that user sees."""
    del sandbox
    script = "import sys; from credproxy.server.sandboxed import sandboxed; sys.exit(7 if sandboxed() else 0)"
    done = subprocess.run([*around, sys.executable, "-c", script], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr


@linux
@pytest.mark.parametrize("kind", SANDBOXES)
def test_a_socket_of_a_sandbox_is_taken_back(bound: Bound, sandbox: tuple[str, ...], kind: str) -> None:
    """A listener in a sandbox is not given way to, unlike another daemon of the user; rebinding ends it."""
    del sandbox
    bound.path.unlink()
    with another_at(bound.path, *SANDBOXES[kind]):
        assert bound.standing() is Standing.BELOW
        before = bound.sock
        bound.rebind(backlog=8)
        before.close()
        assert bound.standing() is Standing.OURS


@linux
def test_a_place_that_a_sandbox_has_is_bound_by_the_user(place: Path, sandbox: tuple[str, ...]) -> None:
    """Also if the sandbox has no lock there."""
    place.parent.mkdir(mode=0o700)
    with another_at(place, *sandbox), contextlib.closing(bind(str(place), backlog=8)) as made:
        assert made.standing() is Standing.OURS


HOLDS = """
import sys
from credproxy.server.listener import bind
bound = bind(sys.argv[1], backlog=8)
print(flush=True)
sys.stdin.read()
bound.close()
"""


@linux
def test_a_lock_that_a_sandbox_has_does_not_keep_the_user_out(place: Path, sandbox: tuple[str, ...]) -> None:
    """When the sandbox's daemon ends, it removes nothing of the user's."""
    argv = [*sandbox, sys.executable, "-c", HOLDS, str(place)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as inside:
        assert inside.stdout is not None
        inside.stdout.readline()
        with contextlib.closing(bind(str(place), backlog=8)) as made:
            inside.communicate()
            assert made.standing() is Standing.OURS
            with pytest.raises(AlreadyRunning):
                bind(str(place), backlog=8)


def test_the_hint_for_a_directory_that_is_not_private_holds_it_as_one_word(tmp_path: Path) -> None:
    """Users copy it into a shell."""
    folder = tmp_path / "My Home"
    folder.mkdir()
    folder.chmod(0o755)
    with pytest.raises(Failed) as caught:
        bind(str(folder / "helper.sock"), backlog=8)
    assert caught.value.failure.hint.endswith(f": chmod 700 '{folder}'")


@pytest.mark.parametrize("mode", [0o1777, 0o1770])
def test_nobody_is_told_to_close_a_directory_that_is_for_everybody(tmp_path: Path, mode: int) -> None:
    """As root, `chmod 700 /tmp` would work, and little else from then on."""
    tmp_path.chmod(mode)
    with pytest.raises(Failed) as caught:
        bind(str(tmp_path / "helper.sock"), backlog=8)
    assert caught.value.failure.hint == "set CREDPROXY_SOCKET to a path in a directory of its own"


def test_nobody_is_told_to_close_a_directory_that_holds_other_things(tmp_path: Path) -> None:
    """Such as /etc, or a home that a web server reads from."""
    tmp_path.chmod(0o755)
    (tmp_path / "other.sock").touch()
    for file, hint in ((None, f"chmod 700 {tmp_path}"), ("notes", "a path in a directory of its own")):
        if file is not None:
            (tmp_path / file).touch()
        with pytest.raises(Failed) as caught:
            bind(str(tmp_path / "helper.sock"), backlog=8)
        assert caught.value.failure.hint.endswith(hint)
