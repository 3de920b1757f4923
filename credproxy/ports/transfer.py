"""Bodies that the gateway moves from an upstream to a client."""

from enum import Enum
from typing import NamedTuple, Protocol

from credproxy.core.ask.http import Request
from credproxy.core.checksum import Checksum


class Stopped(Enum):
    """Why bytes stopped flowing.

    DONE: all were moved. UPSTREAM: it broke off, or stalled. SURPLUS: it had more than it announced, and the last piece
    was held back. CLIENT: it left, or stalled. WRONG: it is not what its digest says, and the last piece was held back.
    """

    DONE = "done"
    UPSTREAM = "upstream"
    SURPLUS = "surplus"
    CLIENT = "client"
    WRONG = "wrong"


class Poured(NamedTuple):
    """How many bytes were moved, and why it stopped."""

    moved: int
    stopped: Stopped


class Transfer(Protocol):
    """A response whose body is still to come. Its methods are called one at a time; ``close`` ends it in any case."""

    @property
    def status(self) -> int:
        """Of the response."""
        ...

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Of the response, in order, names as sent."""
        ...

    @property
    def length(self) -> int | None:
        """Bytes of body that were announced; None if they were not."""
        ...

    @property
    def whole(self) -> bytes | None:
        """The body, if it is small and has arrived with the head."""
        ...

    @property
    def tail(self) -> bytes:
        """The last bytes that were poured, as many as were kept; empty if this process did not see them."""
        ...

    async def read(self) -> bytes:
        """Give the next piece of a body, empty at its end. Raises Failed(upstream_unavailable) if it broke off."""
        ...

    async def pour(self, client: int, count: int, *, check: Checksum | None = None) -> Poured:
        """Move ``count`` bytes of an announced body to a client's descriptor, which is closed at the end.

        With a checksum the rest of the body is read as well, and the last piece is held back until all of it is right.
        """
        ...

    async def skip(self, count: int, check: Checksum | None = None) -> Poured:
        """Read ``count`` bytes of an announced body, only for the checksum."""
        ...

    def close(self) -> None:
        """End it."""
        ...


class Downloads(Protocol):
    """Opens blobs, whose bodies bypass the event loop."""

    async def open(self, request: Request, registry: str, *, account: str | None = None) -> Transfer:
        """Send a GET; give the response, whatever its status, as soon as its head is there.

        Args:
            request: for the registry, or for a host that it led to.
            registry: that has half of the slots at most, wherever it redirects.
            account: whose the request is, which has a quarter of the slots at most; None for the user's own.

        Raises:
            Failed: overloaded, upstream_unavailable, tls_failed, address_refused.
        """
        ...


class Sink(Protocol):
    """Where the body of an answer goes: the client's connection."""

    async def write(self, data: bytes) -> None:
        """Pass on a piece. Raises ConnectionError if the client has left."""
        ...

    async def descriptor(self) -> int:
        """Give a descriptor of the connection, once everything written has been sent; the caller closes it.

        Raises:
            ConnectionError: the client has left.
        """
        ...
