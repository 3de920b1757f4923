"""HTTP/1.1 as Go's ``net/http`` speaks it to a Unix socket, as far as ``img`` needs it.

Raw, because an HTTP library would add headers of its own and hide how a response ends.
"""

import socket
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path


_PATIENCE = 20.0
"""Seconds of silence after which a test fails; ``img`` itself would wait for ever."""

_EMPTY = frozenset({204, 304})


class DroppedError(Exception):
    """The connection ended before a byte of the response: worth another attempt."""


class FinalError(Exception):
    """Nothing is tried again. Its argument is what ``img`` prints."""


@dataclass(frozen=True)
class Sent:
    """One request as it was sent, and the number of its connection."""

    connection: int
    data: bytes


@dataclass(frozen=True)
class Response:
    """One response. ``body`` is decoded; ``whole`` is false if it ended before its length."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool


@dataclass
class _Connection:
    number: int
    sock: socket.socket
    file: BufferedReader

    def close(self) -> None:
        self.file.close()
        self.sock.close()


class Connections:
    """Go's pool: one idle connection for each host, all to the same socket."""

    def __init__(self, path: Path) -> None:
        self.sent: list[Sent] = []
        self._path = path
        self._idle: dict[str, _Connection] = {}
        self._opened = 0

    def close(self) -> None:
        """Hang up."""
        for connection in self._idle.values():
            connection.close()

    def send(self, host: str, data: bytes) -> Response:
        """Send a request; if a kept connection turns out to be closed, again on a new one, at once.

        Raises:
            DroppedError: a new connection ended without a response.
            FinalError: nothing listens, or the response is broken.
        """
        kept = self._idle.pop(host, None)
        if kept is not None:
            try:
                return self._exchange(host, kept, data)
            except DroppedError:
                pass
        return self._exchange(host, self._open(), data)

    def _open(self) -> _Connection:
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(_PATIENCE)
        try:
            sock.connect(str(self._path))
        except OSError as error:
            sock.close()
            raise FinalError(f"dial unix {self._path}: connect: {str(error.strerror).lower()}") from None
        self._opened += 1
        return _Connection(self._opened, sock, sock.makefile("rb"))

    def _exchange(self, host: str, connection: _Connection, data: bytes) -> Response:
        self.sent.append(Sent(connection.number, data))
        try:
            connection.sock.sendall(data)
            response, kept = _read(connection.file)
        except BaseException as error:
            connection.close()
            if isinstance(error, ConnectionError):
                raise DroppedError from None
            raise
        if kept:
            self._idle[host] = connection
        else:
            connection.close()
        return response


def _read(file: BufferedReader) -> tuple[Response, bool]:
    """Give the response, and whether another one may follow it."""
    line = file.readline()
    if not line:
        raise DroppedError
    version, _, rest = line.decode("latin-1").partition(" ")
    if not version.startswith("HTTP/1.") or not rest[:3].isdigit():
        raise FinalError(f"malformed HTTP response {line!r}")
    status, headers = int(rest[:3]), _read_headers(file)
    framed = "content-length" in headers or "transfer-encoding" in headers or status in _EMPTY
    body, whole = (b"", True) if status in _EMPTY else _read_body(file, headers)
    if headers.get("content-encoding", "").lower() == "gzip":
        # Go requested it itself, so it also decodes it.
        body = zlib.decompressobj(zlib.MAX_WBITS | 16).decompress(body)
    kept = framed and whole and headers.get("connection", "").lower() != "close"
    return Response(status, headers, body, whole), kept


def _read_headers(file: BufferedReader) -> dict[str, str]:
    found: dict[str, str] = {}
    while (line := file.readline()) != b"\r\n":
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon or not line.endswith(b"\r\n"):
            raise FinalError(f"malformed MIME header: {line!r}")
        found[name.lower()] = value.strip()
    return found


def _read_body(file: BufferedReader, headers: Mapping[str, str]) -> tuple[bytes, bool]:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return _read_chunks(file)
    if "content-length" in headers:
        length = int(headers["content-length"])
        body = file.read(length)
        return body, len(body) == length
    return file.read(), True


def _read_chunks(file: BufferedReader) -> tuple[bytes, bool]:
    body = b""
    while line := file.readline():
        length = int(line.partition(b";")[0], 16)
        if length == 0:
            return body, file.readline() == b"\r\n"
        chunk = file.read(length)
        body += chunk
        if len(chunk) < length or file.read(2) != b"\r\n":
            break
    return body, False
