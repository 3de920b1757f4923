"""Requests of the gateway's whose answers are read whole."""

from collections.abc import AsyncIterable
from typing import Protocol

from credproxy.core.ask.http import Request, Response


class Room(Protocol):
    """The memory that one of the gateway's requests takes for bodies that are held whole."""

    async def hold(self, count: int) -> None:
        """Take so many more bytes, before they are read. Raises Failed(overloaded): there are none left."""
        ...


class Forwarder(Protocol):
    """Sends one of the gateway's requests and reads its whole answer: everything but the bodies of blobs."""

    async def forward(
        self, request: Request, body: AsyncIterable[bytes] | bytes | None, *, limit: int, room: Room | None = None
    ) -> Response:
        """Give the response, whatever its status; content codings are left alone, redirects not followed.

        Args:
            request: its own ``body`` is ignored.
            body: what is uploaded; in pieces if it is streamed.
            limit: bytes of the response that are read.
            room: where they are held; None without a share.

        Raises:
            Failed: overloaded, upstream_unavailable, tls_failed, address_refused, answer_too_large.
        """
        ...
