"""A client that only knows TCP at the actions socket: every connection is forwarded, with the gateway's header added.

What an operator without rules_img would write: the client's own bytes, with one header added. It is told to close after
each request, so that there is one head per connection to put it into.
"""

import contextlib
import socket
import threading
from pathlib import Path

from tests.real.accepting import Accepting


_TLS = b"\x16"


class Shim(Accepting):
    """In front of a daemon's actions socket, for one registry."""

    def __init__(self, actions: Path, registry: str) -> None:
        super().__init__()
        self._actions = actions
        self._registry = registry

    def serve(self, client: socket.socket) -> None:
        """Pass one connection on."""
        with client, socket.socket(socket.AF_UNIX) as gateway, contextlib.suppress(OSError):
            gateway.connect(str(self._actions))
            head = b""
            while b"\r\n\r\n" not in head:
                got = client.recv(65536)
                if not got or got.startswith(_TLS):  # skopeo tries that first
                    return
                head += got
            line, _, rest = head.partition(b"\r\n")
            added = f"X-Rules_img-Original-Host: {self._registry}\r\nConnection: close\r\n".encode()
            gateway.sendall(line + b"\r\n" + added + rest.replace(b"Connection: keep-alive\r\n", b"", 1))
            threading.Thread(target=_pass, args=(client, gateway), daemon=True).start()
            _pass(gateway, client)


def _pass(source: socket.socket, sink: socket.socket) -> None:
    with contextlib.suppress(OSError):
        while got := source.recv(65536):
            sink.sendall(got)
        sink.shutdown(socket.SHUT_WR)
