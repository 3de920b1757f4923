"""Binding a socket where no service manager hands one over.

One daemon holds the lock beside the socket; a socket file without a listener is what a killed daemon left.
"""

import fcntl
import os
import socket
import stat
from dataclasses import dataclass
from pathlib import Path

from credproxy.core.errors import Code, failed


_PATH_LIMIT = 103
"""Bytes of ``sun_path`` that every system takes: macOS has 104 with the terminating zero (rule 36)."""


class AlreadyRunning(Exception):  # noqa: N818  it is a state of affairs, not an error: the second one leaves with 0
    """Another daemon holds this socket."""


@dataclass(slots=True)
class Bound:
    """A listening socket and the lock that makes it ours; ``close`` gives both back."""

    path: Path
    sock: socket.socket
    lock: int

    def close(self) -> None:
        """Remove the file while the lock is still held, so that a successor's is never removed (P1)."""
        self.sock.close()
        self.path.unlink(missing_ok=True)
        os.close(self.lock)


def bind(path: str, *, backlog: int, variable: str = "CREDPROXY_SOCKET") -> Bound:
    """Listen at ``path``; its directory is made with mode 0700, the socket with 0600 (T8).

    Args:
        path: of the socket.
        backlog: connections that may wait in the kernel.
        variable: names the path in the environment; for hints.

    Raises:
        AlreadyRunning: another daemon listens there.
        Failed(config_invalid): the path is too long, or its directory is not private to this user (T4).
    """
    place = Path(path)
    if len(os.fsencode(path)) > _PATH_LIMIT:
        raise failed(
            Code.CONFIG_INVALID,
            f"the socket path {path!r} is longer than {_PATH_LIMIT} bytes",
            f"set {variable} to a shorter path",
        )
    _private_directory(place.parent, variable)
    lock = os.open(place.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_stale(place)
        return Bound(place, _listen(path, backlog), lock)
    except BlockingIOError:
        os.close(lock)
        raise AlreadyRunning(path) from None
    except BaseException:
        os.close(lock)
        raise


def _private_directory(directory: Path, variable: str) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.stat()
    if found.st_uid != os.geteuid() or stat.S_IMODE(found.st_mode) & 0o077:
        raise failed(
            Code.CONFIG_INVALID,
            f"the socket's directory {str(directory)!r} is not private: uid {found.st_uid}, "
            f"mode {stat.S_IMODE(found.st_mode):04o}; wanted uid {os.geteuid()}, mode 0700",
            f"chmod 700 {directory}, or set {variable} to a path in a directory of your own",
        )


def _remove_stale(place: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(place))
        except FileNotFoundError:
            return
        except ConnectionRefusedError:
            place.unlink(missing_ok=True)
            return
        except OSError:
            pass  # a full queue or a foreign socket: somebody's, and not ours to remove
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
