"""Sockets that the service manager hands over: found by name, and refused unless they are what is expected.

By name, because the order of two socket units is not stable: by index, build actions could get the helper socket (F4).
Source: sd_listen_fds(3), P13.
"""

import contextlib
import os
import socket
from collections.abc import Iterable, Mapping
from pathlib import Path

from credproxy.core.errors import Code, Failure, Unfit
from credproxy.server.listener import Bound, Listener


VARIABLES = ("LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES")

LOCK = ".lock"
"""Suffix of a socket's name: the lock of the daemon that bound it, which passes both on to its successor."""

_FIRST = 3  # SD_LISTEN_FDS_START
_HINT = "reinstall the units: credproxy install"


def handed_over(environ: Mapping[str, str], *, names: Iterable[str]) -> dict[str, Listener]:
    """Give the listening sockets by name; none if this process was given none.

    Args:
        environ: of the process.
        names: every name that may be there.

    Raises:
        Unfit(config_invalid): a name that is unknown, duplicate or missing, or not a listening Unix stream socket.
    """
    count = _count(environ)
    if not count:
        return {}
    given = environ.get("LISTEN_FDNAMES", "").split(":")
    if len(given) != count:
        raise _unfit(f"{count} sockets were handed over, with {len(given)} names: {':'.join(given)!r}")
    allowed, places, locks = set(names), dict[str, tuple[int, Path]](), dict[str, int]()
    for number, name in enumerate(given, _FIRST):
        base = name.removesuffix(LOCK)
        if base != name and base in places and base not in locks:
            locks[base] = number
            continue
        if name not in allowed:
            raise _unfit(f"a socket named {name!r} was handed over; wanted {' and '.join(sorted(allowed))}")
        if name in places:
            raise _unfit(f"two sockets named {name!r} were handed over")
        places[name] = number, _place(name, number)
    return {name: _adopt(number, place, locks.get(name, -1)) for name, (number, place) in places.items()}


def passed_on(environ: Mapping[str, str]) -> bool:
    """Whether another daemon handed the sockets over, not a service manager."""
    return _count(environ) > 0 and LOCK in environ.get("LISTEN_FDNAMES", "")


def turn_away(environ: Mapping[str, str], failure: Failure) -> None:
    """Answer the callers that wait in the queues with a failure, before this process ends.

    Otherwise their connections would start it again at once, over and over: the sockets deliberately have no limit on that.
    """
    with contextlib.suppress(Unfit):
        for number in range(_FIRST, _FIRST + _count(environ)):
            with contextlib.suppress(OSError), socket.socket(fileno=number) as listening:
                listening.setblocking(False)
                while True:
                    _answer(listening.accept()[0], failure)


def _answer(connection: socket.socket, failure: Failure) -> None:
    text = f"{failure.message}\n{failure.hint}\n".encode()
    head = f"HTTP/1.1 503 Service Unavailable\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n".encode()
    with connection, contextlib.suppress(OSError):
        connection.setblocking(False)
        connection.send(head + text)


def _count(environ: Mapping[str, str]) -> int:
    if environ.get("LISTEN_PID") != str(os.getpid()):
        return 0  # meant for a parent of ours
    text = environ.get("LISTEN_FDS", "0")
    if not (text.isascii() and text.isdigit()):
        raise _unfit(f"LISTEN_FDS is {text!r}, not a number of sockets")
    return int(text)


def _place(name: str, number: int) -> Path:
    """Where it listens. Examined through a duplicate: on an error its queue still has to be answered."""
    try:
        duplicate = socket.socket(fileno=os.dup(number))
    except OSError as error:
        raise _unfit(
            f"what was handed over as {name!r} is not a socket: {os.strerror(error.errno or 0).lower()}"
        ) from None
    with duplicate as sock:
        if sock.family != socket.AF_UNIX or sock.type != socket.SOCK_STREAM:
            kind = f"{socket.AddressFamily(sock.family).name} {socket.SocketKind(sock.type).name}"
            raise _unfit(f"the socket {name!r} is {kind}, not a Unix stream socket")
        if not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
            raise _unfit(f"the socket {name!r} does not listen")
        path = sock.getsockname()
    if not isinstance(path, str) or not path:
        raise _unfit(f"the socket {name!r} is abstract: no sandbox would keep build actions from it")
    return Path(path)


def _adopt(number: int, place: Path, lock: int) -> Listener:
    os.set_inheritable(number, False)
    if lock >= 0:
        os.set_inheritable(lock, False)
    sock = socket.socket(fileno=number)
    sock.setblocking(False)
    return Listener(place, sock) if lock < 0 else Bound(place, sock, lock)


def _unfit(message: str) -> Unfit:
    return Unfit(Failure(Code.CONFIG_INVALID, message, _HINT))
