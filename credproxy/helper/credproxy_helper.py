#!/usr/bin/python3 -IS
"""The stand-in for credproxy_helper.c if there was no compiler: same behaviour, same messages, same tests.

It runs as a script, because ``-m`` would load the package first; the command line imports only ``verify_daemon``. It is
compiled at every start, and every import costs time: hence ``posix`` instead of ``os``, ``_socket`` instead of
``socket``, JSON and HTTP by hand, no ``typing``. Source of the rules: CL-1 to CL-12 and CL-41. The names are those of
the C source, which gives the reasons that are missing here.
"""

# ruff: noqa: SIM105  contextlib costs more than all other imports together

import _signal  # type: ignore[import-not-found]  # typeshed has no stub for it; `signal` imports enum
import _socket
import errno
import posix
import select
import sys
import time
from _struct import pack


VERSION = "unbuilt"  # hatch_build.py names the package's version

REQUEST_MAX = 65536
ANSWER_HEAD_MAX = 8192
ANSWER_MAX = 8192
ERROR_MAX = 2048
PATH_MAX = 4095
SUN_PATH_MAX = 103

TIMEOUT_MS = 9000
TIMEOUT_LEAST_MS = 100
TIMEOUT_MOST_MS = 600_000
START_WAIT_MS = 3000
RETURN_WAIT_MS = 1500
ENDING_MS = 200
PASSED_ON_MS = 1000
RETRY_PAUSE_MS = 50
PAUSE_FIRST_MS = 10
PAUSE_MOST_MS = 50

RESTART = b"ask again; restart the daemon if `credproxy status` does not answer either"
OWN_PLACE = b"set XDG_RUNTIME_DIR or CREDPROXY_SOCKET to a place of your own"
SYSTEM_SERVICE = b"as root, start its service with `systemctl start credproxy.socket`, or set CREDPROXY_SOCKET to a place of your own"
MAKE_ROOM = b"make room on that file system, then ask again"
OTHER_PATH = b"check the path, or set CREDPROXY_SOCKET to another"
TOO_LONG = b"no real URI is that long: look at what the caller sends"
ELSEWHERE = (
    b"in a build action use the actions socket; in a devcontainer set CREDPROXY_PEER_NAMESPACES=any; "
    b"otherwise delete the directory of that socket, which is not your daemon's"
)
HIDDEN = (
    b"set CREDPROXY_PEER_NAMESPACES=any, which also trusts a daemon in a sandbox, "
    b"or have /proc mounted with gid= of a group of yours as well"
)
BY_HAND = b"run `credproxy serve` by hand to see why"
SO_PEERPIDFD = 77
SAME, OTHER, UNKNOWN = range(3)
BAZEL_USAGE = b"usage: credproxy-helper get < REQUEST\n       credproxy-helper get --uri URI\n"
BAZEL_HELP = b"""
Ask the credproxy daemon for the credential of a URI, and
start the daemon if none listens.
REQUEST is {"uri": "https://..."}; the answer is what
Bazel's --credential_helper expects.

  get              ask
  -h, --help       print this text
  --version        print the version

  CREDPROXY_SOCKET           the daemon's socket
  CREDPROXY_AUTOSTART=0      do not start the daemon
  CREDPROXY_TIMEOUT          seconds to wait, 9 unless set
  CREDPROXY_PEER_NAMESPACES  any: also trust a daemon
                             outside this container

Exit status: 0 for a credential or for {}, 1 for an error.
"""
DOCKER_USAGE = b"usage: docker-credential-credproxy get|store|erase|list|version\n"
DOCKER_HELP = b"""
Docker's credential helper protocol, answered by the
credproxy daemon, which is started if none listens.

  get         print the login of the server URL on
              standard input
  store       store the login on standard input where
              `credproxy login` would
  erase       delete the login of the server URL on
              standard input, as `credproxy logout` does
  list        print the server URLs that logins are stored
              for, and their users
  version     print the version
  -h, --help  print this text

Exit status: 0 for a login and for what was done; 1 if
there is none, or for an error, which is printed on
standard output.
"""
SUPERVISION = (b"NOTIFY_SOCKET", b"WATCHDOG_USEC", b"WATCHDOG_PID", b"LISTEN_PID", b"LISTEN_FDS", b"LISTEN_FDNAMES")


class Stop(Exception):  # noqa: N818  it ends the program, with a cause and a hint
    """What is wrong, in one line, and a hint in another."""

    def __init__(self, cause: bytes, hint: bytes) -> None:
        super().__init__(cause)
        self.cause = cause
        self.hint = hint


class Run:
    """The settings and state of this run."""

    timeout_ms = TIMEOUT_MS
    deadline = 0
    error_fd = 2
    place = b""
    directory = b""
    directory_is_roots = False
    listener_gone = False


def now_ms() -> int:
    """Milliseconds on the clock of poll() and of Bazel's own timeout."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000_000


def left_ms() -> int:
    """The time that is left."""
    return max(0, Run.deadline - now_ms())


def not_after_deadline(wait_ms: int) -> int:
    """The end of a wait that begins now, at most the deadline."""
    return min(now_ms() + wait_ms, Run.deadline)


def pause_ms(wait_ms: int) -> None:
    """Sleep, but not past the deadline."""
    time.sleep(min(wait_ms, left_ms()) / 1000)


def ready(fd: int, event: int) -> bool:
    """Wait until fd can be used; false when the time is over."""
    poll = select.poll()
    poll.register(fd, event)
    return bool(poll.poll(left_ms()))


def put(fd: int, data: bytes) -> None:
    """Write everything; a caller that hung up no longer wants it (CL-8)."""
    while data:
        try:
            data = data[posix.write(fd, data) :]
        except BlockingIOError:
            if not ready(fd, select.POLLOUT):
                raise
        except BrokenPipeError:
            return


def say(fd: int, data: bytes, status: int) -> int:
    """Write a text and pass the exit status on."""
    put(fd, data)
    return status


def fail(stop: Stop) -> int:
    """Print the cause and the hint: ERROR_MAX bytes in all."""
    cause = stop.cause[: ERROR_MAX - len(stop.hint) - 3]
    cause = bytes([c if c >= 0x20 and c != 0x7F else 0x3F for c in cause])  # noqa: PLR2004  a path must not forge lines
    return say(Run.error_fd, cause + b"\n" + stop.hint + b"\n", 1)


def seconds(ms: int) -> bytes:
    """Milliseconds as seconds for people: ``9.0``, ``0.25``."""
    whole, rest = divmod(ms, 1000)
    return b"%d.%b" % (whole, (b"%03d" % rest).rstrip(b"0") or b"0")


def reason(error: OSError) -> bytes:
    """The system's own words."""
    return posix.strerror(error.errno or 0).encode()


# ---- settings and paths ----------------------------------------------------------------------------------------------


def setting(name: bytes) -> bytes:
    """The value of an environment variable; unset and empty are the same."""
    return posix.environ.get(name, b"")


def read_timeout() -> bool:
    """Take CREDPROXY_TIMEOUT; false if it is not such a number. Not float(): that takes "inf" and "1_0"."""
    text = setting(b"CREDPROXY_TIMEOUT")
    if not text:
        return True
    whole, _, fraction = text.partition(b".")
    if not whole.isdigit() or (fraction and not fraction.isdigit()):
        return False
    ms = int(whole[-7:]) * 1000 + int((fraction + b"000")[:3])
    if whole[:-7].strip(b"0") or not TIMEOUT_LEAST_MS <= ms <= TIMEOUT_MOST_MS:
        return False
    Run.deadline += ms - Run.timeout_ms
    Run.timeout_ms = ms
    return True


def refuse_timeout() -> Stop:
    """Separate from reading it, because standard input must be read before we exit (CL-2)."""
    return Stop(
        b"CREDPROXY_TIMEOUT must be from 0.1 to 600, not '%b'" % setting(b"CREDPROXY_TIMEOUT"),
        b"give seconds, such as 9 or 2.5, or unset it",
    )


def check_autostart() -> None:
    """A user who writes "false" or "no" wants no daemon: it must not be started because only 0 was understood."""
    wanted = setting(b"CREDPROXY_AUTOSTART")
    if wanted not in {b"", b"0", b"1"}:
        raise Stop(b"CREDPROXY_AUTOSTART must be '0' or '1', not '%b'" % wanted, b"set it to 0 or to 1, or unset it")


def fit(path: bytes, most: int) -> bytes:
    """Check that a path is not too long for its use."""
    if len(path) > most:
        raise Stop(
            b"'%b...' is longer than the %d bytes that it may have" % (path[:most], most),
            b"set CREDPROXY_SOCKET to a shorter path",
        )
    return path


def is_kind(path: bytes, kind: int) -> bool:
    """Whether there is a file of that kind (the S_IFMT bits of a mode)."""
    try:
        return posix.stat(path).st_mode & 0o170000 == kind
    except OSError:
        return False


def is_directory(path: bytes) -> bool:
    """Whether there is a directory."""
    return is_kind(path, 0o040000)


def is_program(path: bytes) -> bool:
    """Whether there is a file that may be executed."""
    return is_kind(path, 0o100000) and posix.access(path, posix.X_OK)


def home() -> bytes:
    """This user's home directory; empty if there is none."""
    path = setting(b"HOME")
    if not path.startswith(b"/"):
        import pwd  # noqa: PLC0415  hardly ever needed

        try:
            path = pwd.getpwuid(posix.geteuid()).pw_dir.encode(errors="surrogateescape")
        except KeyError:
            path = b""
    return path if path.startswith(b"/") else b""


def find_socket() -> None:
    """CL-11: the environment is the caller's, which may be bare. The daemon binds to the path that the same steps give."""
    path, runtime, own = setting(b"CREDPROXY_SOCKET"), setting(b"XDG_RUNTIME_DIR"), b"/run/user/%d" % posix.geteuid()
    if path:
        if not path.startswith(b"/") or path == b"/":
            raise Stop(
                b"CREDPROXY_SOCKET is not an absolute path: '%b'" % path, b"set it to an absolute path, or unset it"
            )
    elif runtime.startswith(b"/") and is_directory(runtime):
        path = runtime + b"/credproxy/helper.sock"
    elif is_directory(own):
        path = own + b"/credproxy/helper.sock"
    elif home():
        path = home() + b"/.local/state/credproxy/run/helper.sock"
    else:
        raise Stop(
            b"no place for the socket: HOME is not set, and /etc/passwd has no entry for uid %d" % posix.geteuid(),
            b"set HOME, XDG_RUNTIME_DIR or CREDPROXY_SOCKET",
        )
    Run.place = fit(path, SUN_PATH_MAX)
    Run.directory = path.rpartition(b"/")[0] or b"/"


def find_log() -> bytes:
    """Where the daemon that we start writes to."""
    state = setting(b"XDG_STATE_HOME")
    if state.startswith(b"/"):
        return fit(state + b"/credproxy/daemon.log", PATH_MAX)
    if home():
        return fit(home() + b"/.local/state/credproxy/daemon.log", PATH_MAX)
    return b"/dev/null"


def make_parents(path: bytes) -> None:
    """Make every directory above the last slash; new ones are private. Using the path will show any failure."""
    at = path.find(b"/", 1)
    while at > 0:
        try:
            posix.mkdir(path[:at], 0o700)
        except OSError:
            pass
        at = path.find(b"/", at + 1)


# ---- starting the daemon ---------------------------------------------------------------------------------------------


def look_for_program() -> bytes:
    """``credproxy`` beside this file, else on PATH; never relative to the working directory."""
    import os  # noqa: PLC0415  costs a millisecond, and only starting a daemon needs it

    places = (setting(b"PATH") or b"/usr/local/bin:/usr/bin:/bin").split(b":")
    try:
        places.insert(0, os.path.realpath(os.fsencode(sys.argv[0])).rpartition(b"/")[0])
    except OSError:
        pass  # a relative name, from a directory that is gone
    for at in places:
        if at.startswith(b"/") and is_program(at + b"/credproxy"):
            return at + b"/credproxy"
    return b""


def find_program() -> bytes:
    """Find the program that starts the daemon."""
    program = look_for_program()
    if not program:
        raise Stop(
            b"nothing listens on '%b', and there is no program `credproxy` to start" % Run.place,
            b"install credproxy beside credproxy-helper or on PATH, or start its daemon yourself with `credproxy serve`",
        )
    return program


def become_daemon(program: bytes, log: bytes, tell: int) -> None:
    """Become the daemon, without anything inherited: one descriptor left open here hangs a build (CL-9). Never returns."""
    pid, number = posix.getpid(), 0
    quiet = posix.open(b"/dev/null", posix.O_RDWR)
    for fd in range(3):
        posix.dup2(quiet, fd)
    make_parents(log)
    try:
        kept = posix.open(log, posix.O_WRONLY | posix.O_CREAT | posix.O_APPEND | posix.O_NOFOLLOW, 0o600)
        posix.dup2(kept, 1)
        posix.dup2(kept, 2)
    except OSError:
        pass  # without a log it still serves
    posix.dup2(tell, 3, False)  # not inheritable: when it is closed, the program runs
    posix.closerange(4, 65536)
    for signal in range(1, 32):
        try:
            _signal.signal(signal, _signal.SIG_DFL)
        except OSError:
            pass  # SIGKILL and SIGSTOP
    environ = {name: value for name, value in posix.environ.items() if name not in SUPERVISION}
    environ[b"CREDPROXY_SOCKET"] = Run.place
    try:
        posix.chdir(b"/")
        posix.write(3, pack("ii", pid, number)[:4])
        posix.execve(program, [program, b"serve"], environ)
    except OSError as error:
        number = error.errno or errno.EIO
        posix.write(3, pack("i", number))
    finally:
        posix._exit(127)  # noqa: SLF001  its public name


def launch(program: bytes, log: bytes) -> int:
    """Fork twice, so that the daemon has no terminal and is not our child. Returns its pid once it runs."""
    try:
        read_end, tell = posix.pipe()
        child = posix.fork()
    except OSError as error:
        raise Stop(b"cannot start the daemon '%b': %b" % (program, reason(error)), b"close some programs") from None
    if child == 0:
        grandchild = -1
        try:
            posix.setsid()
            grandchild = posix.fork()
            if grandchild == 0:
                become_daemon(program, log, tell)
        except OSError as error:
            posix.write(tell, pack("ii", grandchild, error.errno))
        finally:
            posix._exit(0)  # noqa: SLF001  its public name
    posix.close(tell)
    posix.waitpid(child, 0)
    report = b""
    while len(report) < 8 and ready(read_end, select.POLLIN):  # noqa: PLR2004  a pid and an error number
        data = posix.read(read_end, 8)
        if not data:
            break
        report += data
    posix.close(read_end)
    failed = int.from_bytes(report[4:8], sys.byteorder)
    if failed:
        raise Stop(
            b"cannot start the daemon '%b': %b" % (program, posix.strerror(failed).encode()),
            b"check that it is installed completely: run it by hand",
        )
    return int.from_bytes(report[:4], sys.byteorder, signed=True)


def has_ended(pid: int) -> bool:
    """Ask a pidfd if there is one: many containers do not reap, and kill() takes a zombie for alive."""
    try:
        if sys.platform != "linux":
            posix.kill(pid, 0)
            return False
        pidfd = posix.pidfd_open(pid)
    except ProcessLookupError:
        return True
    except OSError:
        return False  # a kernel before 5.3
    ended = bool(select.select([pidfd], [], [], 0)[0])
    posix.close(pidfd)
    return ended


class Start:
    """What this process has done about a daemon that does not listen."""

    def __init__(self) -> None:
        self.began = self.until = self.daemon = 0
        self.lock = -1
        self.ours = False
        self.allowed = setting(b"CREDPROXY_AUTOSTART") != b"0"
        self.program = self.log = b""

    def begin(self) -> None:
        """Note that nothing listens, seen for the first time."""
        wait = START_WAIT_MS if self.allowed else RETURN_WAIT_MS if is_directory(Run.directory) else 0
        self.began = now_ms()
        self.until = not_after_deadline(wait)
        if self.allowed:
            self.program = find_program()
            self.log = find_log()

    def take_lock(self) -> bool:
        """Whether this process is the one that may start the daemon."""
        import fcntl  # noqa: PLC0415  only starting a daemon needs it

        if self.lock < 0:
            make_parents(Run.place)
            path = Run.directory + b"/autostart.lock"
            try:
                flags = posix.O_RDWR | posix.O_CREAT | posix.O_CLOEXEC | posix.O_NOFOLLOW
                self.lock = posix.open(path, flags, 0o600)
            except OSError as error:
                # In root's directory a system service listens; elsewhere a daemon could not make its socket either.
                elsewhere = MAKE_ROOM if error.errno == errno.ENOSPC else OWN_PLACE
                raise Stop(
                    b"nothing listens on '%b', and no daemon can be started: '%b': %b"
                    % (Run.place, path, reason(error)),
                    SYSTEM_SERVICE if Run.directory_is_roots else elsewhere,
                ) from None
        try:
            fcntl.flock(self.lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True

    def release(self) -> None:
        """A daemon listens: release the lock."""
        if self.lock >= 0:
            posix.close(self.lock)

    def give_up(self) -> Stop:
        """Fail, saying why there is still no listener."""
        if not self.allowed:
            return Stop(
                b"nothing listens on '%b', and CREDPROXY_AUTOSTART=0 forbids starting the daemon" % Run.place,
                b"start the daemon with `credproxy serve`, or unset CREDPROXY_AUTOSTART",
            )
        if self.daemon < 0:
            cause = b"the daemon ended without listening on '%b'; its log is '%b'" % (Run.place, self.log)
            return Stop(cause, BY_HAND)
        waited = seconds(self.until - self.began)
        return Stop(
            b"the daemon does not listen on '%b' %b s after its start; its log is '%b'" % (Run.place, waited, self.log),
            BY_HAND,
        )

    def step(self) -> bool:
        """Take one step towards a listener, or fail. Returns true if it is worth connecting again at once."""
        if self.until == 0:
            self.begin()
        if now_ms() >= self.until:
            raise self.give_up()
        if not self.allowed:
            return False
        if not self.ours:
            self.ours = self.take_lock()
            return self.ours
        if self.daemon == 0:
            self.daemon = launch(self.program, self.log)
        elif self.daemon > 0 and has_ended(self.daemon):
            self.daemon = -1
            self.until = not_after_deadline(PASSED_ON_MS)
        return False


# ---- connecting ------------------------------------------------------------------------------------------------------


def check_directory() -> bool:
    """T4: in a directory that others can write to, anybody may have made the socket. False if there is no such directory."""
    try:
        found = posix.stat(Run.directory)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise Stop(b"cannot look into '%b': %b" % (Run.directory, reason(error)), OTHER_PATH) from None
    if found.st_uid not in {0, posix.geteuid()}:
        raise Stop(
            b"the socket's directory '%b' belongs to uid %d, not to you (uid %d) or root"
            % (Run.directory, found.st_uid, posix.geteuid()),
            OWN_PLACE,
        )
    if found.st_mode & 0o022:
        raise Stop(
            b"the socket's directory '%b' can be written by others (mode %04o)"
            % (Run.directory, found.st_mode & 0o7777),
            OWN_PLACE
            if found.st_mode & 0o1000  # meant for everybody, such as /tmp
            else b"make it private with `chmod 700`, after checking who owns what is in it",
        )
    Run.directory_is_roots = found.st_uid == 0
    return True


def is_roots_choice(uid: int) -> bool:
    """In root's directory only root makes a socket, and gives it to the user of a system service."""
    try:
        return Run.directory_is_roots and is_kind(Run.place, 0o140000) and posix.lstat(Run.place).st_uid == uid
    except OSError:
        return False


def read_proc(who: bytes, name: bytes, room: int) -> bytes:
    """The beginning of a file below /proc/WHO; nothing if it cannot be read."""
    try:
        fd = posix.open(b"/proc/%b/%b" % (who, name), posix.O_RDONLY)
    except OSError:
        return b""
    try:
        return posix.read(fd, room)
    except OSError:
        return b""
    finally:
        posix.close(fd)


def compare_mounts(pid: bytes) -> int:
    """The number of the first mount: unique on the machine, and in one mount namespace only."""
    theirs, ours = read_proc(pid, b"mountinfo", 15), read_proc(b"self", b"mountinfo", 15)
    if not theirs or not ours:
        return UNKNOWN
    return SAME if theirs.partition(b" ")[0] == ours.partition(b" ")[0] else OTHER


def compare_pids(pid: bytes) -> int:
    """A single number after "NSpid:" means the pid namespace of /proc."""
    try:
        if int(posix.readlink("/proc/self")) != posix.getpid():
            return UNKNOWN
    except (OSError, ValueError):
        return UNKNOWN
    _, found, rest = read_proc(pid, b"status", 16383).partition(b"\nNSpid:\t")
    if not found:
        return UNKNOWN
    return SAME if rest.partition(b"\n")[0].isdigit() else OTHER


def compare_users(pid: bytes) -> int:
    """The namespace's name if it may be read, else the map of user ids."""
    try:
        theirs, ours = posix.readlink(b"/proc/%b/ns/user" % pid), posix.readlink(b"/proc/self/ns/user")
    except OSError:
        theirs, ours = read_proc(pid, b"uid_map", 4095), read_proc(b"self", b"uid_map", 4095)
        if not theirs or not ours:
            return UNKNOWN
    return SAME if theirs == ours else OTHER


def proc_hides() -> bool:
    """Whether /proc hides processes that may not be traced, such as our daemon."""
    mounted = [line for line in read_proc(b"self", b"mounts", 16383).split(b"\n") if b" /proc proc " in line]
    return bool(mounted) and b"hidepid=" in mounted[-1]


def listener_ended(connection: _socket.socket, pid: int, wait_ms: int) -> bool:
    """Whether the very process that called listen() has ended."""
    try:
        held = connection.getsockopt(_socket.SOL_SOCKET, SO_PEERPIDFD)
    except OSError as error:
        return error.errno != errno.ENOPROTOOPT or has_ended(pid)
    ended = bool(select.select([held], [], [], wait_ms / 1000)[0])
    posix.close(held)
    return ended


def any_namespaces() -> bool:
    """Whether the caller accepts a daemon in any namespace."""
    wanted = setting(b"CREDPROXY_PEER_NAMESPACES")
    if wanted not in {b"", b"any", b"same"}:
        raise Stop(
            b"CREDPROXY_PEER_NAMESPACES must be 'any' or 'same', not '%b'" % wanted,
            b"set it to any or to same, or unset it",
        )
    return wanted == b"any"


def cannot_inspect(name: bytes, *, hidden: bool) -> Stop:
    """Fail for a listener that cannot be inspected."""
    if hidden:
        return Stop(
            b"/proc is mounted with hidepid, and hides the namespaces of the program that listens on '%b'" % Run.place,
            HIDDEN,
        )
    return Stop(
        b"/proc hides the namespaces of the program that listens on '%b' (%b)" % (Run.place, name),
        ELSEWHERE,
    )


def check_namespaces(connection: _socket.socket, peer: int) -> bool:
    """T11: is the listener where we are? False if the process that called listen() has ended."""
    if any_namespaces():
        return True
    pid = b"%d" % peer
    found = {b"mnt": UNKNOWN, b"pid": OTHER, b"user": UNKNOWN}
    if peer:
        found = {
            b"mnt": compare_mounts(pid),
            b"pid": compare_pids(pid),
            b"user": compare_users(pid),
        }
        if listener_ended(connection, peer, ENDING_MS if UNKNOWN in found.values() else 0):
            return False
    for name, likeness in found.items():
        if likeness == OTHER:
            raise Stop(
                b"the program that listens on '%b' is in a sandbox or container, or its caller is: "
                b"they are in different namespaces (%b)" % (Run.place, name),
                ELSEWHERE,
            )
    unknown = [name for name, likeness in found.items() if likeness == UNKNOWN]
    if unknown:
        raise cannot_inspect(unknown[0], hidden=peer != 0 and proc_hides())
    return True


def check_peer(connection: _socket.socket) -> bool:
    """T4: the directory shows who may have made the socket, but only the kernel knows who listens. False as above."""
    if sys.platform == "darwin":
        credentials = connection.getsockopt(0, 1, 76)  # SOL_LOCAL, LOCAL_PEERCRED, sizeof(struct xucred)
    else:
        credentials = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)  # struct ucred
    uid = int.from_bytes(credentials[4:8], sys.byteorder)
    if uid not in {0, posix.geteuid()} and not is_roots_choice(uid):
        raise Stop(
            b"the program that listens on '%b' runs as uid %d, not as you (uid %d) or root"
            % (Run.place, uid, posix.geteuid()),
            b"remove that socket after finding out whose it is, then start the daemon again",
        )
    if sys.platform == "linux" and uid == posix.geteuid():
        return check_namespaces(connection, int.from_bytes(credentials[:4], sys.byteorder))
    return True


def verify_daemon(connection: _socket.socket, path: bytes) -> bool:
    """For the command line: check that the daemon behind a connection to ``path`` is this user's.

    False if the process that called listen() has ended, which may be temporary.

    Raises:
        Stop: it is not this user's.
    """
    Run.place, Run.directory = path, path.rpartition(b"/")[0] or b"/"
    check_directory()
    return check_peer(connection)


def connect_once(connection: _socket.socket) -> int:
    """One attempt: 0, or the number of an error that may be temporary; ESRCH if the listener has ended."""
    left = left_ms() or 1
    connection.setsockopt(_socket.SOL_SOCKET, _socket.SO_SNDTIMEO, pack("ll", left // 1000, left % 1000 * 1000))
    number = connection.connect_ex(Run.place)
    if number == 0:
        Run.listener_gone = not check_peer(connection)
        return errno.ESRCH if Run.listener_gone else 0
    if number not in {errno.ENOENT, errno.ECONNREFUSED, errno.EAGAIN, errno.EINTR, errno.ECONNRESET, errno.ENOTCONN}:
        raise Stop(b"cannot connect to '%b': %b" % (Run.place, posix.strerror(number).encode()), OTHER_PATH)
    return number


def not_accepted() -> Stop:
    """Fail: the time is over, and no daemon has accepted our connection."""
    waited = seconds(Run.timeout_ms)
    if Run.listener_gone:
        return Stop(
            b"the program that listened on '%b' has ended, and no daemon has taken its place for %b s"
            % (Run.place, waited),
            b"run `systemctl --user restart credproxy.socket`; without systemd delete the directory of that socket",
        )
    return Stop(b"the daemon on '%b' has taken no connection for %b s" % (Run.place, waited), RESTART)


def open_connection() -> _socket.socket:
    """Find a listener, or start one."""
    start, pause = Start(), PAUSE_FIRST_MS
    while True:
        number = errno.ENOENT
        if check_directory():
            try:
                connection = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
            except OSError as error:
                raise Stop(b"cannot make a socket: %b" % reason(error), b"close some programs") from None
            number = connect_once(connection)
            if number == 0:
                start.release()
                return connection
            connection.close()
        if number in {errno.ENOENT, errno.ECONNREFUSED} and start.step():
            continue
        if left_ms() == 0:
            raise not_accepted()
        pause_ms(pause)
        pause = min(pause * 2, PAUSE_MOST_MS)


# ---- one question over HTTP/1.1 --------------------------------------------------------------------------------------


def too_slow() -> Stop:
    """Fail: the daemon took the question and does not answer."""
    return Stop(b"the daemon on '%b' has not answered for %b s" % (Run.place, seconds(Run.timeout_ms)), RESTART)


def unexpected(what: bytes) -> Stop:
    """Fail: it answers, but not as our daemon does."""
    return Stop(
        b"unexpected answer from the daemon on '%b': %b" % (Run.place, what),
        b"check that what listens there is credproxy, in the helper's version",
    )


def send_request(connection: _socket.socket, path: bytes, kind: bytes, body: bytes) -> None:
    """An error is ignored: a daemon that refuses a request may have answered before reading all of it."""
    head = (
        b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Type: %b\r\nAccept: text/plain\r\n"
        b"Content-Length: %d\r\nX-Credproxy-Deadline-Ms: %d\r\nX-Credproxy-Parent: %d\r\n"
        b"X-Credproxy-Version: %b\r\nConnection: close\r\n\r\n"
    )
    data = head % (path, kind, len(body), left_ms(), posix.getppid(), VERSION.encode()) + body
    while data:
        if not ready(connection.fileno(), select.POLLOUT):
            raise too_slow()
        try:
            data = data[connection.send(data, _socket.MSG_DONTWAIT) :]
        except BlockingIOError:
            continue
        except OSError:
            return


def parse_head(head: bytes) -> tuple[int, int]:
    """Status and length. The head ends before its empty line."""
    first, *lines = head.split(b"\r\n")
    code = first[9:].partition(b" ")[0]
    if b"\0" in head or len(code) != 3 or not code.isdigit():  # noqa: PLR2004  digits of a status
        raise unexpected(b"no status line")
    length = -1
    for line in lines:
        name, colon, value = line.partition(b":")
        if colon and name.lower() == b"transfer-encoding":
            raise unexpected(b"a Transfer-Encoding")
        if colon and name.lower() == b"content-length":
            if length >= 0:
                raise unexpected(b"two lengths")
            length = parse_length(value.strip(b" \t"))
    if length < 0:
        raise unexpected(b"no Content-Length")
    return int(code), length


def parse_length(value: bytes) -> int:
    """1*DIGIT, not above what a caller's pipe can hold."""
    if not value.isdigit():
        raise unexpected(b"a Content-Length that is not a number")
    if len(value.lstrip(b"0")) > len(str(ANSWER_MAX)) or int(value) > ANSWER_MAX:
        raise unexpected(b"more than 8192 bytes")
    return int(value)


def read_some(connection: _socket.socket) -> bytes:
    """The next bytes; none if the connection ended, in whatever way."""
    if not ready(connection.fileno(), select.POLLIN):
        raise too_slow()
    try:
        return connection.recv(ANSWER_HEAD_MAX + ANSWER_MAX)
    except OSError:
        return b""


def receive(connection: _socket.socket) -> tuple[int, bytes]:
    """Status and body; status 0 if the connection ended before the answer was complete."""
    data = b""
    while more := read_some(connection):
        data += more
        if data[:9] != b"HTTP/1.1 "[: len(data)]:
            raise unexpected(b"not HTTP/1.1")
        head, end, body = data.partition(b"\r\n\r\n")
        if len(head) > ANSWER_HEAD_MAX - len(end):
            raise unexpected(b"a head of more than 8192 bytes")
        if end:
            status, length = parse_head(head)
            if len(body) >= length:
                return status, body[:length]
    return 0, b""


def ask(path: bytes, kind: bytes, body: bytes) -> tuple[int, bytes]:
    """Ask one question, and repeat it once if its connection broke: a stopped or killed daemon has a successor."""
    for _ in range(2):
        connection = open_connection()
        send_request(connection, path, kind, body)
        status, answer = receive(connection)
        if status:
            return status, answer
        connection.close()
        pause_ms(RETRY_PAUSE_MS)
    raise Stop(
        b"the daemon on '%b' closed the connection twice before its answer was complete" % Run.place,
        b"ask again; if this persists, look in the daemon's log",
    )


# ---- the two protocols -----------------------------------------------------------------------------------------------


def read_stdin() -> bytes:
    """Always read to the end: a caller whose write fails reports "Broken pipe", and not our message (CL-2)."""
    data, overlong = b"", False
    while True:
        if not ready(0, select.POLLIN):
            raise Stop(
                b"standard input has not ended for %b s" % seconds(Run.timeout_ms),
                b"close it after the request; to type a question use `credproxy-helper get --uri URI`",
            )
        try:
            more = posix.read(0, REQUEST_MAX + 1)
        except BlockingIOError:
            continue
        except OSError as error:
            raise Stop(
                b"cannot read standard input: %b" % reason(error), b"this is a fault of the calling program"
            ) from None
        if not more:
            break
        data += more
        if len(data) > REQUEST_MAX:
            data, overlong = b"", True
    if overlong:
        raise Stop(b"the request on standard input is longer than %d bytes" % REQUEST_MAX, TOO_LONG)
    return data


def put_uri(uri: bytes) -> bytes:
    """``{"uri":"..."}``: the quote, the backslash and control characters escaped, every other byte as it is."""
    text = uri.replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    for control in range(0x20):
        text = text.replace(bytes([control]), b"\\u%04x" % control)
    text = b'{"uri":"' + text + b'"}'
    if len(text) > REQUEST_MAX:
        raise Stop(b"the URI makes a request longer than %d bytes" % REQUEST_MAX, TOO_LONG)
    return text


def deliver(status: int, answer: bytes) -> int:
    """Write the answer to standard output, in one write; anything else as text where the protocol expects errors."""
    if status == 200:  # noqa: PLR2004  OK
        try:
            put(1, answer)
        except OSError as error:
            raise Stop(
                b"cannot write the answer to standard output: %b" % reason(error), b"make room, or fix the redirection"
            ) from None
        return 0
    if not answer:
        raise Stop(b"the daemon answered with status %d and no text" % status, b"look in the daemon's log")
    text = answer[: ERROR_MAX - 1]
    return say(Run.error_fd, text if text.endswith(b"\n") else text + b"\n", 1)


def serve_bazel(arguments: list[bytes]) -> int:
    """The protocol of Bazel's ``--credential_helper``."""
    if len(arguments) == 1 and arguments[0] in {b"--help", b"-h", b"help"}:
        return say(1, BAZEL_USAGE + BAZEL_HELP, 0)
    if len(arguments) == 1 and arguments[0] in {b"--version", b"-V", b"version"}:
        return say(1, b"credproxy-helper (credproxy) %b\n" % VERSION.encode(), 0)
    named = len(arguments) == 3 and arguments[1] == b"--uri"  # noqa: PLR2004  get --uri URI
    if arguments[:1] != [b"get"] or (len(arguments) != 1 and not named):
        return say(2, BAZEL_USAGE, 1)
    timeout_valid = read_timeout()
    body = put_uri(arguments[2]) if named else read_stdin()
    if not timeout_valid:
        raise refuse_timeout()
    check_autostart()
    if not body:
        raise Stop(
            b"the request on standard input is empty",
            b'write {"uri": "https://..."} to it, or use `credproxy-helper get --uri URI`',
        )
    if named and not arguments[2]:
        raise Stop(b"the URI after --uri is empty", b"such as `credproxy-helper get --uri https://ghcr.io`")
    find_socket()
    return deliver(*ask(b"/v1/get", b"application/json", body))


def hand_over(command: bytes) -> None:
    """The daemon does not store logins: a separate process does, and then ends."""
    program = look_for_program()
    if not program:
        raise Stop(
            b"there is no program `credproxy` to run",
            b"install credproxy beside docker-credential-credproxy or on PATH",
        )
    _signal.signal(_signal.SIGPIPE, _signal.SIG_DFL)
    try:
        posix.execv(program, [program, b"docker-credential", command])
    except OSError as error:
        raise Stop(b"cannot run '%b': %b" % (program, reason(error)), b"install credproxy again") from None


def serve_docker(arguments: list[bytes]) -> int:
    """The protocol of docker-credential-helpers: errors go to standard output, with exit status 1."""
    command = arguments[0] if len(arguments) == 1 else b""
    Run.error_fd = 1
    said = {
        **dict.fromkeys((b"--help", b"-h", b"help"), DOCKER_USAGE + DOCKER_HELP),
        **dict.fromkeys(
            (b"--version", b"-V", b"version"), b"docker-credential-credproxy (credproxy) %b\n" % VERSION.encode()
        ),
    }
    if command in said:
        return say(1, said[command], 0)
    if command in {b"store", b"erase", b"list"}:
        hand_over(command)
    if command != b"get":
        return say(1, DOCKER_USAGE, 1)
    timeout_valid = read_timeout()
    body = read_stdin()
    if not timeout_valid:
        raise refuse_timeout()
    check_autostart()
    if not body:
        return say(1, b"no credentials server URL\n", 1)
    find_socket()
    return deliver(*ask(b"/v1/docker/get", b"text/plain", body))


def main() -> int:
    """Choose the protocol and the command."""
    Run.deadline = now_ms() + Run.timeout_ms
    for fd in range(3):
        try:
            posix.fstat(fd)
        except OSError:
            posix.open(b"/dev/null", posix.O_RDWR)
    _signal.pthread_sigmask(_signal.SIG_SETMASK, ())
    _signal.signal(_signal.SIGTERM, _signal.SIG_DFL)
    _signal.signal(_signal.SIGINT, _signal.SIG_DFL)
    name, *arguments = [argument.encode(sys.getfilesystemencoding(), "surrogateescape") for argument in sys.argv]
    serve = serve_docker if name.rpartition(b"/")[2] == b"docker-credential-credproxy" else serve_bazel
    try:
        return serve(arguments)
    except Stop as stop:
        return fail(stop)


if __name__ == "__main__":
    posix._exit(main())  # noqa: SLF001  there is nothing to clean up, and that would cost a millisecond
