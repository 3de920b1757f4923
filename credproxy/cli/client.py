"""A client of the helper socket: HTTP over a Unix socket with the standard library, which starts fast."""

import http.client
import json
import os
import re
import socket
import time
from collections.abc import Callable, Mapping
from shlex import quote

from credproxy.cli.command_error import CommandError
from credproxy.core.errors import Code, failed
from credproxy.core.paths import SOCKET_PATH_LIMIT, helper_socket, log_file
from credproxy.core.unit_names import SERVICE
from credproxy.core.unreadable_json import UNREADABLE
from credproxy.helper import credproxy_helper


_TIMEOUT = 12.0
_NO_TEXT = re.compile(r"[\ud800-\udfff]")
"""A byte that is not UTF-8, as Python holds it."""

_LONGEST_WAIT = 10.0
"""Seconds of all pauses together; after a longer wait a user would think that the program hangs."""

_ATTEMPTS = 60
_PAUSE = 0.05
"""Seconds of all attempts together: as long as the helper waits for a daemon that is being replaced."""


class UnixConnection(http.client.HTTPConnection):
    """A connection to a Unix socket; ``timeout`` in seconds, for each step."""

    def __init__(self, path: str, timeout: float = _TIMEOUT) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class VerifiedConnection(UnixConnection):
    """A connection to a daemon of this user or root, in the namespaces of this process: with the helper's own checks.

    ``connect`` raises CommandError for a listener that is not trusted, ConnectionRefusedError if the listener has ended
    and another process has its socket.
    """

    def connect(self) -> None:
        """Connect, unless the listener is an impostor (T4, T11)."""
        for _ in range(_ATTEMPTS):
            super().connect()
            try:
                if credproxy_helper.verify_daemon(self.sock, os.fsencode(self._path)):
                    return
            except credproxy_helper.Stop as stop:
                self.sock.close()
                raise CommandError(os.fsdecode(stop.cause), os.fsdecode(stop.hint)) from None
            self.sock.close()
            time.sleep(_PAUSE)
        raise ConnectionRefusedError


def socket_path(environ: Mapping[str, str]) -> str:
    """Give the helper socket's path for this process. Raises Failed(config_invalid): there is no place for one, or it is too long."""
    path = helper_socket(environ, os.geteuid(), is_directory=os.path.isdir)
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        message = f"the socket path {path!r} is longer than {SOCKET_PATH_LIMIT} bytes"
        raise failed(Code.CONFIG_INVALID, message, hint="set CREDPROXY_SOCKET to a shorter path")
    return path


class NoDaemonError(CommandError):
    """Nothing listens at the socket."""

    def __init__(self, place: str) -> None:
        super().__init__(f"no daemon listens at {place}", "start it: credproxy serve")


def call(method: str, path: str, *, body: object = None) -> bytes:
    """Ask the daemon; give the body of a 200.

    Raises:
        NoDaemonError: nothing listens.
        CommandError: the daemon's own error with its hint.
    """
    status, content = _exchanged(method, path, body)
    if status == http.client.NOT_FOUND:  # a socket of another kind: the helper socket has every path that is asked for
        raise CommandError(told(status, content)[0], "unset CREDPROXY_SOCKET, or set it to the helper socket")
    if status != http.client.OK:
        raise CommandError(*told(status, content))
    return content


def call_in_turn(path: str, *, body: object = None, pause: Callable[[float], None] = time.sleep) -> dict[str, object]:
    """POST something that the daemon does once a second: if too early, wait as long as the daemon says and repeat.

    Raises:
        CommandError: as ``call``; or it was too early for ``_LONGEST_WAIT``, because others ask as well.
    """
    left = _LONGEST_WAIT
    status, content = _exchanged("POST", path, body)
    while status != http.client.OK and 0 < (seconds := _retry_after(content)) <= left:
        pause(seconds)
        left -= seconds
        status, content = _exchanged("POST", path, body)
    if status != http.client.OK:
        raise CommandError(*told(status, content))
    return as_object(content)


def _encoded(body: object) -> bytes | None:
    """The body of a request. Raises CommandError for a word of the command line that JSON cannot hold: it is not text."""
    for name, value in body.items() if isinstance(body, dict) else ():
        if isinstance(value, str) and _NO_TEXT.search(value):
            called = "URI" if name == "uri" else name
            raise CommandError(f"the {called} has a byte that is not ASCII", "percent-encode it: %FF for the byte 0xff")
    return None if body is None else json.dumps(body).encode()


def _exchanged(method: str, path: str, body: object) -> tuple[int, bytes]:
    place, content = socket_path(os.environ), _encoded(body)
    connection = VerifiedConnection(place)
    try:
        connection.request(method, path, content)
        response = connection.getresponse()
        answer = response.read()
    except (FileNotFoundError, ConnectionRefusedError):
        raise NoDaemonError(place) from None
    except TimeoutError:
        raise CommandError(f"the daemon at {place} has not answered for {_TIMEOUT:g} s", its_log()) from None
    except ConnectionError:  # also http.client's for the end before an answer
        raise CommandError(f"what listens at {place} ended the connection without an answer", its_log()) from None
    except OSError as error:
        said = os.strerror(error.errno or 0).lower()
        raise CommandError(f"the daemon at {place} cannot be asked: {said}", f"ss -xlp src {quote(place)}") from None
    except http.client.HTTPException:
        message = f"what listens at {place} is not a daemon of credproxy: its answer is not HTTP"
        raise CommandError(message, f"ss -xlp src {quote(place)}") from None
    finally:
        connection.close()
    return response.status, answer


def its_log() -> str:
    """The hint if only the daemon knows more."""
    own = quote(log_file(os.environ))
    return f"see its log: tail {own}; of a service: journalctl --user --unit={SERVICE}"


def _retry_after(content: bytes) -> float:
    try:
        return float(json.loads(content)["error"]["retry_after"])
    except (KeyError, TypeError, *UNREADABLE):
        return 0.0


def ask(method: str, path: str, *, body: object = None) -> dict[str, object]:
    """``call`` for a JSON object."""
    return as_object(call(method, path, body=body))


def as_object(content: bytes) -> dict[str, object]:
    """Read an answer. Raises CommandError if it is not a JSON object."""
    try:
        answer = json.loads(content)
    except UNREADABLE:
        answer = None
    if not isinstance(answer, dict):
        raise CommandError("the daemon's answer is not the JSON that was expected", "are both of the same version?")
    return answer


def told(status: int, content: bytes) -> tuple[str, str]:
    """The daemon's own error, and its hint."""
    try:
        error = json.loads(content)["error"]
        return f"{error['message']} ({error['code']})", error.get("hint", "")
    except (KeyError, TypeError, *UNREADABLE):
        return f"the daemon answered {status}", "see its log"
