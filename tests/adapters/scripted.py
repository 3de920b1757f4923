"""A server on loopback that follows a test's script byte by byte, one script for each connection."""

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self


Script = Callable[["Wire"], None]


class Wire:
    """One accepted connection."""

    def __init__(self, sock: socket.socket, server: "Scripted") -> None:
        self.sock = sock
        self._server = server
        self._data = b""

    def head(self) -> str:
        """Read the head of one request. Raises EOFError if there are no more."""
        while b"\r\n\r\n" not in self._data:
            self._more()
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        self._server.heads.append(text)
        return text

    def body(self, length: int | None, *, chunked: bool) -> bytes:
        """Read the body of that request, by its length or in chunks. Raises EOFError if it breaks off."""
        if not chunked:
            return self._exactly(length or 0)
        found = b""
        while size := int(self._line(), 16):
            found += self._exactly(size)
            assert self._line() == b""
        assert self._line() == b""
        return found

    def rest(self) -> bytes:
        """Read to the end."""
        found, self._data = self._data, b""
        with contextlib.suppress(OSError):
            while more := self.sock.recv(65536):
                found += more
        return found

    def send(self, *parts: bytes | str) -> None:
        """Send all of it."""
        self.sock.sendall(b"".join(part.encode() if isinstance(part, str) else part for part in parts))

    def answer(self, body: bytes = b"", *lines: str, status: str = "200 OK") -> None:
        """Read a request and answer it with a body of announced length."""
        self.head()
        self.send("\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines, "", ""]), body)

    def stall(self) -> None:
        """Send nothing more until the other side has left or the test is over."""
        with contextlib.suppress(OSError):
            while self.sock.recv(65536):
                pass

    def reset(self) -> None:
        """Reset the connection."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def _line(self) -> bytes:
        while b"\r\n" not in self._data:
            self._more()
        line, _, self._data = self._data.partition(b"\r\n")
        return line

    def _exactly(self, length: int) -> bytes:
        while len(self._data) < length:
            self._more()
        found, self._data = self._data[:length], self._data[length:]
        return found

    def _more(self) -> None:
        more = self.sock.recv(65536)
        if not more:
            raise EOFError
        self._data += more

    def encrypt(self, context: ssl.SSLContext) -> None:
        """Continue with TLS, as the server."""
        self.sock = context.wrap_socket(self.sock, server_side=True)
        self._server.wires.append(self)


class Scripted:
    """Listens; the first connection gets the first script and so on, all later ones the last.

    Attributes:
        heads: of all requests, in the order in which they came.
        connections: how many were accepted.
    """

    def __init__(self, *scripts: Script, context: ssl.SSLContext | None = None) -> None:
        self.heads: list[str] = []
        self.wires: list[Wire] = []
        self.connections = 0
        self._scripts = scripts
        self._context = context
        self._errors: list[Exception] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._threads = [threading.Thread(target=self._accept)]

    @property
    def url(self) -> str:
        """Its origin."""
        return f"{'http' if self._context is None else 'https'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all connections; a script that failed fails the test."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._threads[0].join()
        for wire in self.wires:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(wire.sock, socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        assert not self._errors

    def _accept(self) -> None:
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            script = self._scripts[min(self.connections, len(self._scripts) - 1)]
            self.connections += 1
            wire = Wire(sock, self)
            self.wires.append(wire)
            thread = threading.Thread(target=self._play, args=(script, wire))
            self._threads.append(thread)
            thread.start()

    def _play(self, script: Script, wire: Wire) -> None:
        try:
            if self._context is not None:
                wire.encrypt(self._context)
            script(wire)
        except (OSError, EOFError):
            pass  # the other side has left, as some tests want
        except Exception as error:  # noqa: BLE001  shown by the test's own thread
            self._errors.append(error)
        finally:
            wire.sock.close()


def serial(*steps: Script) -> Script:
    """Play them one after the other, on one connection."""

    def play(wire: Wire) -> None:
        for step in steps:
            step(wire)

    return play


def answering(body: bytes = b"", *lines: str, status: str = "200 OK") -> Script:
    """Answer every request of the connection in the same way."""

    def play(wire: Wire) -> None:
        while True:
            wire.answer(body, *lines, status=status)

    return play


def raw(*parts: bytes | str) -> Script:
    """Read one request, send these bytes, hang up."""

    def play(wire: Wire) -> None:
        wire.head()
        wire.send(*parts)

    return play
