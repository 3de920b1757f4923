"""A request of HTTP, and its answer within a time, from a thread that a library has.

Source: the standard library's ``http.client``. By itself it waits as long again for each byte, so that a server which
sends one now and then, or interim responses for ever, would hold the thread.
"""

import http.client
import io
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from credproxy.core.ask.http import BODY_LIMIT
from credproxy.core.errors import Code, failed


@dataclass(frozen=True, slots=True)
class EgressAnswer:
    """What came back. Its body may be a secret.

    Attributes:
        headers: names in lower case; of several with one name the last.
    """

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Patience(NamedTuple):
    """How long a request may take.

    Attributes:
        end: second of the monotonic clock at which it is over, however steadily an answer trickles.
        each: seconds for each part of it, or None.
    """

    end: float
    each: float | None = None

    def left(self) -> float:
        """Seconds for the next part. Raises TimeoutError."""
        left = self.end - time.monotonic()  # noqa: TID251  a suspended machine waits for nobody
        if left <= 0:
            raise TimeoutError
        return left if self.each is None else min(left, self.each)


class _ReceivedBytes(io.RawIOBase):
    """What comes from a socket: for ``http.client``, which would wait as long again for each byte of it."""

    def __init__(self, sock: socket.socket, patience: Patience) -> None:
        super().__init__()
        self._sock = sock
        self._patience = patience

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # of what BufferedReader gives
        """Take what there is. Raises OSError."""
        self._sock.settimeout(self._patience.left())
        return self._sock.recv_into(buffer)


class _AnsweringSocket(NamedTuple):
    """A socket, as ``http.client`` wants one for a response."""

    sock: socket.socket
    patience: Patience

    def makefile(self, mode: str) -> io.BufferedReader:
        """To be read from."""
        del mode
        return io.BufferedReader(_ReceivedBytes(self.sock, self.patience))


def read_answer(sock: socket.socket, method: str, *, patience: Patience, name: str) -> EgressAnswer:
    """Read the answer to a request; that to CONNECT has no body.

    Args:
        sock: on which it was sent.
        method: of the request.
        patience: how long it may take.
        name: of the other side, for messages.

    Raises:
        Failed(answer_too_large): more than BODY_LIMIT bytes.
        OSError, http.client.HTTPException, ValueError: it took too long, broke off, or is not HTTP.
    """
    with http.client.HTTPResponse(_AnsweringSocket(sock, patience), method=method) as response:  # type: ignore[arg-type]  # it only calls makefile()
        response.begin()
        body = b"" if method == "CONNECT" else response.read(BODY_LIMIT + 1)
    if len(body) > BODY_LIMIT:
        raise failed(Code.ANSWER_TOO_LARGE, f"{name} answered with more than {BODY_LIMIT} bytes")
    return EgressAnswer(response.status, {key.lower(): value for key, value in response.getheaders()}, body)


def send_request(
    connection: http.client.HTTPConnection,
    method: str,
    *,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
    name: str,
) -> None:
    """Send a request on a connection whose socket has a time-out.

    Args:
        connection: to the host.
        method: such as POST.
        path: with the query.
        body: as it is sent, or None.
        headers: by name.
        name: of the other side, for messages.

    Raises:
        Failed(credential_unreadable): a header cannot be sent, such as a secret of two lines.
        OSError, http.client.HTTPException: it cannot be sent.
    """
    try:
        connection.request(method, path, body, dict(headers))
    except ValueError:
        message = f"what {name} would be shown holds a line break, or another character that no header can carry"
        hint = "store the login again where its library finds it, without what does not belong to it"
        raise failed(Code.CREDENTIAL_UNREADABLE, message, hint=hint) from None
