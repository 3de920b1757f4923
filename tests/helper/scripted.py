"""A daemon that does what the test says, one step for each connection."""

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self


@dataclass(frozen=True, slots=True)
class Heard:
    """One request as it arrived. Header names in lower case."""

    line: str
    headers: dict[str, str]
    body: bytes


class ScriptedDaemon:
    """Listens, and takes a step for each connection in the order they come; after the last one it answers ``{}``."""

    def __init__(self, path: Path, *steps: "Step", backlog: int = 64) -> None:
        self.heard: list[Heard] = []
        self.connections = 0
        self.over = threading.Event()
        self._steps = list(steps)
        self._sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._sock.bind(str(path))
        self._sock.listen(backlog)
        self._path = path
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        """Begin to accept."""
        self._spawn(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections."""
        self.over.set()
        self.stop_listening()
        for thread in self._threads:
            thread.join()

    def stop_listening(self) -> None:
        """As after SIGKILL: the socket's file stays, and connecting to it is refused."""
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)  # wakes the accepting thread
        self._sock.close()

    def hear(self, connection: socket.socket) -> Heard:
        """Read one whole request."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += _more(connection)
        head, _, body = data.partition(b"\r\n\r\n")
        line, *fields = head.decode().split("\r\n")
        headers = {name.lower(): value for name, value in (field.split(": ", 1) for field in fields)}
        assert len(headers) == len(fields), "a header twice"
        while len(body) < int(headers["content-length"]):
            body += _more(connection)
        heard = Heard(line, headers, body)
        self.heard.append(heard)
        return heard

    def _spawn(self, target: Callable[[], None]) -> None:
        thread = threading.Thread(target=target)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._sock.accept()
            except OSError:
                return
            self.connections += 1
            step = self._steps.pop(0) if self._steps else answer()
            self._spawn(partial(self._take, step, connection))

    def _take(self, step: "Step", connection: socket.socket) -> None:
        with connection, suppress(ConnectionError):  # the helper may have left, as some tests want
            step(self, connection)


Step = Callable[[ScriptedDaemon, socket.socket], None]


def _more(connection: socket.socket) -> bytes:
    data = connection.recv(65536)
    if not data:
        raise ConnectionResetError
    return data


def message(status: int, body: bytes, *fields: str) -> bytes:
    """An answer as aiohttp writes it."""
    head = [
        f"HTTP/1.1 {status} Words",
        "Content-Type: text/plain; charset=utf-8",
        f"Content-Length: {len(body)}",
        *fields,
    ]
    return "\r\n".join([*head, "Server: credproxy", "", ""]).encode() + body


def answer(status: int = 200, body: bytes = b"{}") -> Step:
    """A good answer."""
    return raw(message(status, body))


def raw(*pieces: bytes, pause: float = 0.0) -> Step:
    """Read the request, send these pieces, hang up."""

    def step(daemon: ScriptedDaemon, connection: socket.socket) -> None:
        daemon.hear(connection)
        for piece in pieces:
            connection.sendall(piece)
            daemon.over.wait(pause)

    return step


def kept_open(data: bytes) -> Step:
    """Read the request, send this, and keep the connection."""

    def step(daemon: ScriptedDaemon, connection: socket.socket) -> None:
        daemon.hear(connection)
        connection.sendall(data)
        daemon.over.wait()

    return step


def silence() -> Step:
    """Read the request, and send nothing."""
    return kept_open(b"")


def reset() -> Step:
    """Hang up with the request unread: the helper gets ECONNRESET."""

    def step(_: ScriptedDaemon, connection: socket.socket) -> None:
        connection.recv(1, socket.MSG_PEEK)  # it has been sent

    return step


def answer_unread(status: int, body: bytes) -> Step:
    """Answer without reading, and hang up: like a server that refuses a request by its head."""

    def step(_: ScriptedDaemon, connection: socket.socket) -> None:
        connection.recv(1, socket.MSG_PEEK)
        connection.sendall(message(status, body))

    return step


def dying() -> Step:
    """Read the request, then end like a killed daemon: nothing listens any more."""

    def step(daemon: ScriptedDaemon, connection: socket.socket) -> None:
        daemon.hear(connection)
        daemon.stop_listening()

    return step
