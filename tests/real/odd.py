"""A scripted registry over TLS, and a storage host: for what other registries than Debian's do."""

import contextlib
import socket
from collections.abc import Callable

from tests.real.accepting import Accepting
from tests.real.pki import Pki


Answer = Callable[[str, str, dict[str, str]], bytes]
"""Method, target and header fields (names in lower case) of a request; gives all bytes of its answer."""


def answered(status: str, body: bytes = b"", *fields: str) -> bytes:
    """An answer with a length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *fields, "", ""]
    return "\r\n".join(lines).encode() + body


class OddRegistry(Accepting):
    """Answers each request as ``answer`` says, one per connection; ``asked`` keeps method, target and fields.

    A ping without a login is told to use Basic, so that every other request shows whether it brought one.
    """

    def __init__(self, pki: Pki, answer: Answer) -> None:
        super().__init__()
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        self._answer = answer
        self._context = pki.server_context()

    @property
    def targets(self) -> list[str]:
        """What was asked for, pings apart."""
        return [f"{method} {target}" for method, target, _ in self.asked if target != "/v2/"]

    @property
    def logins(self) -> list[bool]:
        """Whether each of these brought a login."""
        return ["authorization" in fields for _, target, fields in self.asked if target != "/v2/"]

    def serve(self, client: socket.socket) -> None:
        """Answer one connection's request."""
        with contextlib.suppress(OSError), self._context.wrap_socket(client, server_side=True) as talk:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                got = talk.recv(1)
                if not got:
                    return
                head += got
            line, *lines = head.decode("latin-1").split("\r\n")
            fields = {name.lower(): value.strip() for name, _, value in (field.partition(":") for field in lines)}
            method, target, _ = line.split(" ")
            self.asked.append((method, target, fields))
            if target == "/v2/":
                talk.sendall(
                    answered("401 Unauthorized", b"", 'WWW-Authenticate: Basic realm="x"', "Connection: close")
                )
                return
            talk.sendall(self._answer(method, target, fields))
