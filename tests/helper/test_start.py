"""Nothing listens: one helper starts the daemon, cut off from everything that the caller waits for."""

import fcntl
import os
import shutil
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helper import stub
from tests.helper.harness import Helper, Place, Result, at_end, call
from tests.helper.scripted import ScriptedDaemon, dying


pytestmark = pytest.mark.usefixtures("on_linux")  # the stub records what /proc says about it

PYTHONS_OWN = 1 << (signal.SIGPIPE - 1) | 1 << (signal.SIGXFSZ - 1)
"""Signals that the stub's own interpreter ignores."""

C_LIBRARYS_OWN = 0b11 << (32 - 1)
"""32 and 33 are the C library's (sigaction refuses them): what a caller did to them cannot be undone."""

AT_ONCE = 2.4
"""Seconds that a call may take, on a busy machine, which does not wait the three for a start."""

BY_HAND = "run `credproxy serve` by hand to see why"


@pytest.fixture
def starts(place: Place) -> Iterator[stub.Starts]:
    """What was started in this test; ended with it."""
    started = stub.Starts(place.root)
    yield started
    started.kill()


@pytest.fixture
def beside(helper: Helper, place: Place) -> Helper:
    """A copy of the helper that has a ``credproxy`` beside it."""
    directory = place.root / "opt"
    stub.install(directory)
    return copy_to(helper, directory)


def copy_to(helper: Helper, directory: Path) -> Helper:
    """The same program elsewhere."""
    directory.mkdir(exist_ok=True)
    copied = Helper(helper.kind, directory)
    shutil.copy2(helper.bazel, copied.bazel)
    return copied


def env(place: Place, **more: str) -> dict[str, str]:
    """An environment that allows the start."""
    return place.env(CREDPROXY_AUTOSTART="1", STUB_ROOT=str(place.root), **more)


def started(result: Result) -> bool:
    """Whether the answer is the stub's."""
    return (result.code, result.out, result.err, result.held) == (0, b"started", b"", ())


def test_a_missing_daemon_is_started_and_answers(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """The first call starts it, the next ones find it; both pipes are at their end within 100 ms of the exit."""
    results = [call([beside.bazel, "get"], env=env(place)) for _ in range(3)]
    assert [started(result) for result in results] == [True] * 3
    assert starts.count() == 1


def test_the_daemon_has_nothing_of_the_callers(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """Own session, descriptors 0-2 to /dev/null and the log, no other, cwd /, no signal ignored or blocked (CL-9)."""
    argv = ["/bin/sh", "-c", "trap '' HUP INT CHLD; exec \"$0\" get 9</dev/null 7>&1", str(beside.bazel)]
    assert started(call(argv, env=env(place), cwd=place.root))
    (note,) = starts.notes()
    assert note["argv"] == [str(place.root / "opt" / "credproxy"), "serve"]
    assert note["cwd"] == "/"
    assert note["stdio"] == ["/dev/null", str(place.log), str(place.log)]
    assert note["inherited"] == [3]  # the stub's own look into /proc/self/fd
    assert note["blocked"] == 0
    assert int(str(note["ignored"])) & ~(PYTHONS_OWN | C_LIBRARYS_OWN) == 0
    assert note["sid"] not in {os.getsid(0), note["pid"]}  # a session of its own, whose leader has gone: no terminal
    assert note["pgid"] == note["sid"]


def test_the_daemon_gets_the_environment_and_the_very_socket(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """A daemon that listened elsewhere would remain and never be found: it is told where its starter looks."""
    wanted = env(place, CANARY="BAR!", LC_ALL="C.UTF-8")  # in the C locale a Python adds LC_CTYPE
    assert started(call([beside.bazel, "get"], env=wanted))
    (note,) = starts.notes()
    assert note["environ"] == wanted | {"CREDPROXY_SOCKET": str(place.socket)}


def test_the_daemon_is_not_attributed_to_the_callers_service_manager(
    beside: Helper, place: Place, starts: stub.Starts
) -> None:
    """A caller below systemd has variables that are about itself: a daemon would say READY=1 for it."""
    supervision = dict.fromkeys(
        ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES"), "1"
    )
    wanted = env(place, LC_ALL="C.UTF-8")
    assert started(call([beside.bazel, "get"], env=wanted | supervision))
    (note,) = starts.notes()
    assert note["environ"] == wanted | {"CREDPROXY_SOCKET": str(place.socket)}


def test_its_log_is_private_and_kept(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """Mode 0600, below directories of mode 0700, and appended to."""
    for _ in range(2):
        call([beside.bazel, "get"], env=env(place, STUB_MODE="exit", CREDPROXY_TIMEOUT="0.5"))
    assert starts.count() == 2
    assert place.log.read_text() == "cannot start today\n" * 2
    assert place.log.stat().st_mode & 0o777 == 0o600
    assert place.log.parent.stat().st_mode & 0o777 == 0o700


def test_a_log_that_cannot_be_written_does_not_stop_it(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """Then the log goes to /dev/null."""
    assert started(call([beside.bazel, "get"], env=env(place, XDG_STATE_HOME="/dev/null")))
    (note,) = starts.notes()
    assert note["stdio"] == ["/dev/null"] * 3


@pytest.mark.parametrize("delay", ["0", "0.3"])
def test_many_starters_start_one_daemon(beside: Helper, place: Place, starts: stub.Starts, delay: str) -> None:
    """Eight helpers at once on a cold machine: one lock, one start, eight answers."""
    wanted = env(place, STUB_DELAY=delay)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda _: call([beside.bazel, "get"], env=wanted), range(8)))
    assert [started(result) for result in results] == [True] * 8
    assert starts.count() == 1


def test_the_directory_is_made_private(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """The helper makes it for its lock, with mode 0700; the socket is the daemon's to make."""
    place.directory.rmdir()
    assert started(call([beside.bazel, "get"], env=env(place)))
    assert place.directory.stat().st_mode & 0o777 == 0o700
    assert (place.directory / "autostart.lock").stat().st_mode & 0o777 == 0o600
    assert starts.count() == 1


def test_leftovers_of_a_killed_daemon_do_not_prevent_a_start(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """A socket file without a listener."""
    with ScriptedDaemon(place.socket):
        pass
    assert place.socket.exists()
    assert started(call([beside.bazel, "get"], env=env(place)))
    assert starts.count() == 1


def test_a_daemon_that_dies_over_the_question_is_replaced(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """The retry finds no listener, starts a successor, and asks it."""
    with ScriptedDaemon(place.socket, dying()) as daemon:
        result = call([beside.bazel, "get"], env=env(place))
    assert started(result)
    assert (daemon.connections, starts.count()) == (1, 1)


def test_the_docker_name_starts_it_too(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """Whichever protocol asks first."""
    docker = shutil.copy2(beside.bazel, beside.docker)
    assert started(call([docker, "get"], b"ghcr.io}", env=env(place)))
    assert starts.count() == 1


@pytest.mark.usefixtures("beside")
def test_the_program_is_found_beside_the_target_of_a_link(place: Place, starts: stub.Starts) -> None:
    """``%workspace%/tools/credproxy-helper`` is usually a link into an environment."""
    tools = place.root / "tools"
    tools.mkdir()
    (tools / "credproxy-helper").symlink_to("../opt/credproxy-helper")
    assert started(call([tools / "credproxy-helper", "get"], env=env(place), cwd="/"))
    assert starts.count() == 1


def test_the_program_is_found_beside_a_relative_name(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """As a user types it."""
    assert started(call(["./credproxy-helper", "get"], env=env(place), cwd=beside.directory))
    assert starts.count() == 1


def test_the_program_is_found_on_path(helper: Helper, place: Place, starts: stub.Starts) -> None:
    """Beside the helper there is none; entries that depend on the working directory are passed over (CL-12)."""
    alone = copy_to(helper, place.root / "alone")
    stub.install(place.root / "relative")
    program = stub.install(place.root / "bin")
    wanted = env(place, PATH=f":relative:/nowhere:{program.parent}:/bin")
    assert started(call([alone.bazel, "get"], env=wanted, cwd=place.root))
    (note,) = starts.notes()
    assert note["argv"] == [str(program), "serve"]


def test_a_missing_program_is_an_error_at_once(helper: Helper, place: Place) -> None:
    """It does not wait three seconds for what cannot come."""
    alone = copy_to(helper, place.root / "alone")
    (place.root / "bin" / "credproxy").mkdir(parents=True)  # a directory is not a program
    result = call([alone.bazel, "get"], env=env(place))
    assert (result.code, result.out) == (1, b"")
    assert result.lines == [
        f"nothing listens on '{place.socket}', and there is no program `credproxy` to start",
        "install credproxy beside credproxy-helper or on PATH, or start its daemon yourself with `credproxy serve`",
    ]
    assert result.seconds < AT_ONCE


def test_a_program_that_cannot_be_executed_is_an_error_at_once(beside: Helper, place: Place) -> None:
    """Such as an environment whose Python was removed."""
    program = beside.directory / "credproxy"
    program.write_text("#!/nowhere/python\n")
    result = call([beside.bazel, "get"], env=env(place))
    assert (result.code, result.held) == (1, ())
    assert result.lines == [
        f"cannot start the daemon '{program}': No such file or directory",
        "check that it is installed completely: run it by hand",
    ]
    assert result.seconds < AT_ONCE


def test_a_daemon_that_ends_at_once_is_not_waited_for(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """One second for another one that it may have met, not three; the text names the log."""
    result = call([beside.bazel, "get"], env=env(place, STUB_MODE="exit"))
    assert (result.code, result.held) == (1, ())
    assert result.lines == [
        f"the daemon ended without listening on '{place.socket}'; its log is '{place.log}'",
        BY_HAND,
    ]
    assert 0.9 < result.seconds < AT_ONCE
    assert starts.count() == 1


def test_a_daemon_that_never_listens_is_named_in_time(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """The wait for the start is within the helper's own deadline."""
    result = call([beside.bazel, "get"], env=env(place, STUB_MODE="sleep", CREDPROXY_TIMEOUT="0.5"))
    (cause, hint) = result.lines
    assert (result.code, result.held, starts.count()) == (1, (), 1)
    assert cause.startswith(f"the daemon does not listen on '{place.socket}' 0.")
    assert cause.endswith(f" s after its start; its log is '{place.log}'")
    assert hint == BY_HAND
    assert 0.4 < result.seconds < AT_ONCE


@pytest.mark.e2e
@pytest.mark.timeout(60)
def test_the_wait_for_the_start_is_three_seconds(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """Not the nine of the whole call: Bazel asks for the next URI with the same result."""
    result = call([beside.bazel, "get"], env=env(place, STUB_MODE="sleep"))
    assert result.lines[0].startswith(f"the daemon does not listen on '{place.socket}' 3.")
    assert 2.9 < result.seconds < 8
    assert starts.count() == 1


def test_a_helper_without_the_lock_waits_for_the_holder(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """It starts nothing itself."""
    with (place.directory / "autostart.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        result = call([beside.bazel, "get"], env=env(place, CREDPROXY_TIMEOUT="0.5"))
    assert result.lines[0].startswith(f"the daemon does not listen on '{place.socket}' 0.")
    assert starts.count() == 0


def test_a_starter_that_died_is_succeeded(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """The lock goes with its holder."""
    lock = (place.directory / "autostart.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    release = threading.Timer(0.2, lock.close)
    release.start()
    assert started(call([beside.bazel, "get"], env=env(place)))
    release.join()
    assert starts.count() == 1


def test_the_start_can_be_forbidden(beside: Helper, place: Place, starts: stub.Starts) -> None:
    """``CREDPROXY_AUTOSTART=0``; and if there never was a daemon, the error comes at once."""
    place.directory.rmdir()
    result = call([beside.bazel, "get"], env=env(place) | {"CREDPROXY_AUTOSTART": "0"})
    assert (result.code, result.out) == (1, b"")
    assert result.lines == [
        f"nothing listens on '{place.socket}', and CREDPROXY_AUTOSTART=0 forbids starting the daemon",
        "start the daemon with `credproxy serve`, or unset CREDPROXY_AUTOSTART",
    ]
    assert result.seconds < AT_ONCE
    assert (starts.count(), place.directory.exists()) == (0, False)


@pytest.mark.parametrize("left_over", [True, False], ids=["killed", "stopped"])
def test_a_daemon_that_is_being_restarted_is_waited_for(helper: Helper, place: Place, left_over: bool) -> None:  # noqa: FBT001  a parameter of the table
    """If a service manager restarts it, it is gone for up to a second (F7)."""
    if left_over:
        with ScriptedDaemon(place.socket):
            pass
    back = threading.Event()

    def come_back() -> None:
        time.sleep(0.4)  # the helper must find no listener first
        place.socket.unlink(missing_ok=True)
        with ScriptedDaemon(place.socket):
            back.wait()

    thread = threading.Thread(target=come_back)
    begun = time.perf_counter()
    thread.start()
    result = call([helper.bazel, "get"], env=place.env())
    seconds = time.perf_counter() - begun
    back.set()
    thread.join()
    assert (result.code, result.out, result.err) == (0, b"{}", b"")
    assert 0.4 <= seconds < AT_ONCE


def test_a_restart_that_does_not_come_is_given_up(helper: Helper, place: Place) -> None:
    """After a second and a half: a restart takes less."""
    result = call([helper.bazel, "get"], env=place.env())
    assert result.lines[0].startswith(f"nothing listens on '{place.socket}', and CREDPROXY_AUTOSTART=0")
    assert 1.4 < result.seconds < AT_ONCE


def test_sigterm_while_it_waits_for_the_start_leaves_no_process_on_the_pipes(
    beside: Helper, place: Place, starts: stub.Starts
) -> None:
    """Bazel's timeout in the middle of a start: the daemon lives on, the build goes on."""
    with subprocess.Popen(
        [beside.bazel, "get", "--uri", "https://x.example/"],
        stdout=subprocess.PIPE,
        env=env(place, STUB_MODE="sleep"),
    ) as process:
        assert process.stdout is not None
        until = time.perf_counter() + 5
        while not starts.count() and time.perf_counter() < until:
            time.sleep(0.005)
        process.terminate()
        assert at_end(process.stdout.fileno(), time.perf_counter() + 0.1)
    (note,) = starts.notes()
    os.kill(int(str(note["pid"])), 0)


@pytest.mark.parametrize(
    ("folder", "hint"),
    [
        ("/proc/nowhere", "set XDG_RUNTIME_DIR or CREDPROXY_SOCKET to a place of your own"),
        (
            "/proc",
            (
                "as root, start its service with `systemctl start credproxy.socket`, "
                "or set CREDPROXY_SOCKET to a place of your own"
            ),
        ),
    ],
)
def test_a_place_that_cannot_be_written_is_an_error(
    beside: Helper, place: Place, starts: stub.Starts, folder: str, hint: str
) -> None:
    """There the daemon could not listen either; in root's directory that of a system service may."""
    result = call([beside.bazel, "get"], env=env(place, CREDPROXY_SOCKET=f"{folder}/helper.sock"))
    assert (result.code, starts.count()) == (1, 0)
    assert result.lines == [
        (
            f"nothing listens on '{folder}/helper.sock', and no daemon can be started: "
            f"'{folder}/autostart.lock': No such file or directory"
        ),
        hint,
    ]
