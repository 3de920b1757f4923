"""A scripted gateway, for clients of the actions socket."""

import socketserver
import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self


Answer = Callable[[str, int], bytes]
"""Gives the bytes for a request's target and its number of earlier requests; without any it hangs up."""


class Cut(bytes):
    """An answer after which the connection ends."""


def response(status: int, body: bytes = b"", *fields: str) -> bytes:
    """One response with its length."""
    head = [f"HTTP/1.1 {status} Words", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(head).encode() + body


class ScriptedGateway:
    """Listens on a Unix socket, keeps connections, and remembers the bytes of every request."""

    def __init__(self, path: Path, answer: Answer) -> None:
        self.path = path
        self.answer = answer
        self.heard: list[bytes] = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self) -> None:
                outer._serve(self)

        class Server(socketserver.ThreadingUnixStreamServer):
            daemon_threads = True

        self._server = Server(str(path), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        """Begin to accept."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def _serve(self, handler: socketserver.StreamRequestHandler) -> None:
        while head := _head(handler):
            target = head.split()[1].decode()
            before = sum(f" {target} ".encode() in other for other in self.heard)
            self.heard.append(head)
            data = self.answer(target, before)
            handler.wfile.write(data)
            if not data or isinstance(data, Cut):
                return


def _head(handler: socketserver.StreamRequestHandler) -> bytes:
    """Read one request without a body; nothing if there is none."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = handler.rfile.readline()
        if not line:
            return b""
        head += line
    return head
