"""Bodies of lists, whose size the specification does not limit: streamed unless they are small."""

from credproxy.core.errors import Code, failed
from credproxy.gateway.blob import Blob
from credproxy.gateway.incoming import Headers, Stream
from credproxy.ports.clock import Clock
from credproxy.ports.transfer import Sink, Transfer


WHOLE = 64 * 1024
"""Bytes of a list without a length that are read first: a list that ends within them is sent with a length, also for
HTTP/1.0."""


async def listed(transfer: Transfer, clock: Clock, *, registry: str) -> bytes | Stream:
    """Give a list's body: whole if it is small, else a stream, which is not resumed, because a list may change.

    Raises:
        Failed(upstream_unavailable): it broke off within its first bytes; the caller closes the transfer.
    """
    if transfer.whole is not None:
        transfer.close()
        return transfer.whole
    rest = Blob(transfer, None, reopen=_never, clock=clock, name=registry, digest="")
    if transfer.length is not None:
        return rest
    begun = bytearray()
    while len(begun) <= WHOLE:
        piece = await transfer.read()
        if not piece:
            transfer.close()
            return bytes(begun)
        begun += piece
    return _Begun(bytes(begun), rest)


class _Begun:
    """A body of unknown length whose first bytes were read. Source: incoming.Stream."""

    def __init__(self, first: bytes, rest: Blob) -> None:
        self._first = first
        self._rest = rest

    @property
    def length(self) -> int | None:
        """Unknown."""
        return None

    async def send(self, sink: Sink) -> None:
        """Send both parts. Raises the same as Blob."""
        await sink.write(self._first)
        await self._rest.send(sink)

    def close(self) -> None:
        """End the transfer."""
        self._rest.close()


async def _never(rest: Headers) -> Transfer:
    del rest
    raise failed(Code.INTERNAL, "a list is not resumed")
