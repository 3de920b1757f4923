"""A registry over TLS that breaks off in the middle of a blob, like a restarted load balancer."""

import contextlib
import re
import socket
import ssl
from collections.abc import Callable, Mapping
from types import MappingProxyType

from tests.real.accepting import Accepting
from tests.real.content import digest
from tests.real.pki import Pki


_RANGE = re.compile(rb"\r\nRange: bytes=([0-9]+)-([0-9]+)\r\n")


class BreakingRegistry(Accepting):
    """Serves one blob to everybody, and closes each of the first ``breaks`` answers when half of it is sent.

    ``ranges`` says whether it knows them; ``etag`` gives the entity tag of each answer, and ``other`` the bytes of those
    that are not the blob's. ``instead`` are whole answers by the number of the request; ``hints`` come before every answer.
    ``heads`` keeps every request's.
    """

    def __init__(
        self,
        pki: Pki,
        blob: bytes,
        *,
        breaks: int,
        ranges: bool = True,
        etag: Callable[[int], str] = lambda _: '"one"',
        surplus: bytes = b"",
        other: Mapping[int, bytes] = MappingProxyType({}),
        instead: Mapping[int, bytes] = MappingProxyType({}),
        hints: bytes = b"",
    ) -> None:
        super().__init__()
        self.blob = blob
        self.heads: list[bytes] = []
        self._breaks = breaks
        self._ranges = ranges
        self._etag = etag
        self._surplus = surplus
        self._other = other
        self._instead = instead
        self._hints = hints
        self._context = pki.server_context()

    @property
    def path(self) -> str:
        """Where the blob is."""
        return f"/v2/team/app/blobs/{digest(self.blob)}"

    @property
    def downloads(self) -> list[bytes]:
        """The requests for the blob."""
        return [head for head in self.heads if b"/blobs/" in head]

    def serve(self, client: socket.socket) -> None:
        """Answer one connection's requests."""
        with contextlib.suppress(OSError), self._context.wrap_socket(client, server_side=True) as talk:
            while head := _head(talk):
                self.heads.append(head)
                talk.sendall(self._hints)
                if b"/blobs/" not in head:
                    talk.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
                elif self._answer(talk, head):
                    return

    def _answer(self, talk: ssl.SSLSocket, head: bytes) -> bool:
        """Send the blob, or half of it; True if the connection ends with that."""
        number = len(self.downloads)
        if number in self._instead:
            talk.sendall(self._instead[number])
            return False
        blob = self._other.get(number, self.blob)
        found = _RANGE.search(head) if self._ranges else None
        first, last = (0, len(blob) - 1) if found is None else (int(found[1]), int(found[2]))
        part = blob[first : last + 1]
        status = b"206 Partial Content" if found else b"200 OK"
        place = f"Content-Range: bytes {first}-{last}/{len(blob)}\r\n" if found else ""
        fields = f"Content-Length: {len(part)}\r\nETag: {self._etag(number)}\r\n{place}\r\n"
        breaking = number <= self._breaks
        talk.sendall(b"HTTP/1.1 " + status + b"\r\n" + fields.encode())
        talk.sendall(part[: len(part) // 2] if breaking else part + self._surplus)
        return breaking or bool(self._surplus)


def _head(talk: ssl.SSLSocket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        got = talk.recv(1)
        if not got:
            return b""
        head += got
    return head
