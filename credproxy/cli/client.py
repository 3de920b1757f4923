"""A client of the helper socket: HTTP over a Unix socket with the standard library, which starts fast."""

import http.client
import json
import os
import socket
from collections.abc import Mapping

from credproxy.cli.errors import CommandError
from credproxy.core.paths import helper_socket


_TIMEOUT = 12.0


class Connection(http.client.HTTPConnection):
    """To a Unix socket; ``timeout`` in seconds, for each step."""

    def __init__(self, path: str, timeout: float = _TIMEOUT) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket file."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def socket_path(environ: Mapping[str, str]) -> str:
    """Give the helper socket's path for this process."""
    return helper_socket(environ, os.geteuid(), os.path.isdir)


def call(method: str, path: str, body: object = None) -> bytes:
    """Ask the daemon; give the body of a 200.

    Raises:
        CommandError: nothing listens, or the daemon's own error with its hint.
    """
    place = socket_path(os.environ)
    connection = Connection(place)
    try:
        connection.request(method, path, None if body is None else json.dumps(body).encode())
        response = connection.getresponse()
        content = response.read()
    except (FileNotFoundError, ConnectionRefusedError):
        raise CommandError(f"no daemon listens at {place}", "start it: credproxy serve") from None
    except (OSError, http.client.HTTPException) as error:
        raise CommandError(f"the daemon at {place} does not answer: {type(error).__name__}", "see its log") from None
    finally:
        connection.close()
    if response.status != http.client.OK:
        raise CommandError(*told(response.status, content))
    return content


def ask(method: str, path: str, body: object = None) -> dict[str, object]:
    """``call`` for a JSON object."""
    answer = json.loads(call(method, path, body))
    if not isinstance(answer, dict):
        raise CommandError("the daemon's answer is not the JSON that was expected", "are both of the same version?")
    return answer


def told(status: int, content: bytes) -> tuple[str, str]:
    """The daemon's own error, and its hint."""
    try:
        error = json.loads(content)["error"]
        return f"{error['message']} ({error['code']})", error.get("hint", "")
    except (ValueError, KeyError, TypeError):
        return f"the daemon answered {status}", "see its log"
