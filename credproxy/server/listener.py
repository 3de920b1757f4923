"""Binding a socket when no service manager hands one over, and checking that callers still find it.

One daemon holds the lock beside the socket; a socket file without a listener is what a killed daemon left.
"""

import enum
import fcntl
import os
import socket
import stat
import sys
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import structlog

from credproxy.core.errors import Code, failed
from credproxy.core.paths import SOCKET_PATH_LIMIT
from credproxy.server.peer import identify
from credproxy.server.sandboxed import is_below, is_note, sign


log = structlog.get_logger("credproxy.server")


_NOTE = 1024
"""Bytes that a daemon's note in its lock has at most."""

_BESIDE = (".lock", ".new")
"""Suffixes of the files that are made beside a socket."""


class AlreadyRunning(Exception):  # noqa: N818  it is a state of affairs, not an error: the second one leaves with 0
    """Another daemon holds this socket."""


_KINDS = ((stat.S_ISREG, "a file"), (stat.S_ISDIR, "a directory"), (stat.S_ISLNK, "a symbolic link"))


class Standing(enum.Enum):
    """What a caller that connects to a socket's path finds there."""

    OURS = "ours"
    GONE = "gone"
    STALE = "stale"
    TAKEN = "taken"
    BELOW = "below"
    """A process in a sandbox below: not the one that callers look for, so the daemon does not give way to it."""


@dataclass(slots=True)
class Listener:
    """A listening socket and its path. This one was handed over: the process that made the file also removes it."""

    path: Path
    sock: socket.socket

    def standing(self) -> Standing:
        """Connect as a caller would, and ask the kernel who listens (P1)."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.setblocking(False)
            try:
                probe.connect(str(self.path))
            except FileNotFoundError:
                return Standing.GONE
            except ConnectionRefusedError:
                return Standing.STALE
            except BlockingIOError:
                return Standing.OURS  # a full queue: the listener is busy, and is most likely us
            except OSError:
                return Standing.TAKEN
            return _standing(probe)

    def leave(self) -> None:
        """Let no new caller connect; what is in the queue still has to be accepted, by us or by a successor."""

    def close(self) -> None:
        """Stop listening. May be called twice."""
        self.leave()
        self.sock.close()


def _standing(probe: socket.socket) -> Standing:
    """Which process took a connection."""
    if sys.platform == "darwin":
        return Standing.OURS  # the kernel does not say who listens
    listens = identify(probe).pid
    if listens == os.getpid():
        return Standing.OURS
    return Standing.BELOW if is_below(listens) else Standing.TAKEN


@dataclass(slots=True)
class Bound(Listener):
    """A socket that we made, and the lock that makes it ours; ``close`` releases both."""

    lock: int

    def leave(self) -> None:
        """Remove the file, unless another process listens there by now (P1)."""
        if self.lock >= 0 and self.sock.fileno() >= 0 and self.standing() is Standing.OURS:
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Remove the file first, while the lock is held, so that a successor's is never removed."""
        Listener.close(self)
        if self.lock >= 0:
            os.close(self.lock)
            self.lock = -1

    def release(self) -> int:
        """Give up the lock, and with it the socket file and its path: ``close`` then removes nothing."""
        lock, self.lock = self.lock, -1
        return lock

    def rebind(self, *, backlog: int) -> None:
        """Listen at the same path again; ``sock`` is then another one, and the caller has to close the old one.

        Raises:
            AlreadyRunning: another daemon has the lock by now: lock and socket were deleted together.
            Failed(config_invalid): the directory is no longer private.
            OSError: the path cannot be replaced.
        """
        _private_directory(self.path.parent, "CREDPROXY_SOCKET")
        if not _same_file(self.lock, lock_path(self.path)):
            fresh = _lock(self.path, "CREDPROXY_SOCKET")
            sign(fresh)
            os.close(self.lock)
            self.lock = fresh
        beside = self.path.with_suffix(".new")
        _remove_socket(beside, "CREDPROXY_SOCKET")
        self.sock = _listen(str(beside), backlog)
        # A caller that connects finds the old file or the new one, never none.
        beside.rename(self.path)


def bind(path: str, *, backlog: int, variable: str = "CREDPROXY_SOCKET", meek: bool = False) -> Bound:
    """Listen at ``path``; its directory is made with mode 0700, the socket with 0600 (T8).

    Args:
        path: of the socket.
        backlog: connections that may wait in the kernel.
        variable: names the path in the environment; for hints.
        meek: whatever is there stays, and is not even connected to: that may be tried every few seconds.

    Raises:
        AlreadyRunning: another daemon listens there.
        Failed(config_invalid): the path is too long, its name is that of the lock, something other than a socket is
            there, or its directory is not private to this user (T4).
    """
    place = Path(path)
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise failed(
            Code.CONFIG_INVALID,
            f"the socket path {path!r} is longer than {SOCKET_PATH_LIMIT} bytes",
            hint=f"set {variable} to a shorter path",
        )
    if place.suffix in _BESIDE:
        message = f"the socket path {path!r} ends in {place.suffix}, as a file beside it does"
        raise failed(Code.CONFIG_INVALID, message, hint=f"set {variable} to a path that ends in .sock")
    _judge(place, variable)
    if meek and place.exists():
        raise AlreadyRunning(path)
    _private_directory(place.parent, variable)
    lock = _lock(place, variable) if meek else _lock_or_take_back(place, variable)
    try:
        if not meek:
            _remove_stale(place, variable)
        sign(lock)
        return Bound(place, _listen(path, backlog), lock)
    except BaseException:
        os.close(lock)
        raise


def _private_directory(directory: Path, variable: str) -> None:
    for place in reversed([directory, *directory.parents]):
        if not place.exists():  # one by one: parents=True leaves the mode of the upper ones to the umask
            place.mkdir(mode=0o700, exist_ok=True)
    found = directory.stat()
    if not stat.S_ISDIR(found.st_mode):
        message = f"the socket's directory {str(directory)!r} is not a directory"
        raise failed(Code.CONFIG_INVALID, message, hint=f"set {variable} to another path")
    if found.st_uid == os.geteuid() and not found.st_mode & 0o077:
        return
    problem = (
        f"the socket's directory {str(directory)!r} is not private: uid {found.st_uid}, "
        f"mode {stat.S_IMODE(found.st_mode):04o}; wanted uid {os.geteuid()}, mode 0700"
    )
    if found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX or _holds_others(directory):
        # Without /tmp or /etc the machine would not work, nor the user's other programs without their home.
        raise failed(Code.CONFIG_INVALID, problem, hint=f"set {variable} to a path in a directory of its own")
    raise failed(
        Code.CONFIG_INVALID,
        problem,
        hint=f"set {variable} to a path in a directory of its own, or if nothing else is in this one: "
        f"chmod 700 {quote(str(directory))}",
    )


def _holds_others(directory: Path) -> bool:
    """Whether there is more in a directory than sockets, as far as one can see."""
    try:
        return any(entry.suffix not in {".sock", *_BESIDE} for entry in directory.iterdir())
    except OSError:
        return True


def lock_path(place: Path) -> Path:
    """The lock next to a socket."""
    return place.with_suffix(".lock")


def _lock(place: Path, variable: str) -> int:
    lock = os.open(lock_path(place), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not is_note(os.pread(lock, _NOTE + 1, 0)):
            message = f"{str(lock_path(place))!r} would be the lock, and is somebody's file"
            raise failed(Code.CONFIG_INVALID, message, hint=f"set {variable} to a path in a directory of its own")  # noqa: TRY301  the lock is closed below
    except BaseException as error:
        os.close(lock)
        if isinstance(error, BlockingIOError):
            raise AlreadyRunning(str(place)) from None
        raise
    return lock


def _lock_or_take_back(place: Path, variable: str) -> int:
    """Take the lock, even from a daemon in a sandbox below: the user's daemon is the one outside.

    The other notices within a minute that another daemon listens, and gives way.
    """
    path = lock_path(place)
    try:
        return _lock(place, variable)
    except AlreadyRunning:
        held = path.stat()
        if sys.platform != "linux" or not _listens_below(place) or not os.path.samestat(held, path.stat()):
            raise
    path.unlink()
    _take_back(place)
    return _lock(place, variable)


def _take_back(place: Path) -> None:
    log.warning("socket taken back", socket=str(place), reason="somebody in a sandbox listened there")
    place.unlink(missing_ok=True)


def _listens_below(place: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(place))
            return is_below(identify(probe).pid)
        except OSError:
            return False


def _same_file(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _judge(place: Path, variable: str) -> None:
    """Refuse a path where something other than a socket is; it was named by mistake, and is somebody's."""
    try:
        mode = place.lstat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return
    if not stat.S_ISSOCK(mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(mode)), "something else")
        message = f"{str(place)!r} is not a socket but {kind}, and stays as it is"
        raise failed(Code.CONFIG_INVALID, message, hint=f"set {variable} to another path")


def _remove_socket(place: Path, variable: str) -> None:
    _judge(place, variable)
    place.unlink(missing_ok=True)


def _remove_stale(place: Path, variable: str) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(place))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            _remove_socket(place, variable)
            return
        except OSError:
            pass  # a full queue or a foreign socket: in use, and not ours to remove
        else:
            if sys.platform == "linux" and is_below(identify(probe).pid):
                _take_back(place)
                return
    raise AlreadyRunning(str(place))


def _listen(path: str, backlog: int) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    # The mode must be right from the first moment: between bind and a later chmod anybody could connect (T8).
    before = os.umask(0o177)
    try:
        sock.bind(path)
    except BaseException:
        sock.close()
        raise
    finally:
        os.umask(before)
    sock.setblocking(False)
    sock.listen(backlog)
    return sock
