"""Reads the body of an answer: no more of it than was asked for, and not for longer than its pace allows."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

import aiohttp

from credproxy.adapters.answer_framing import UnfitAnswerError
from credproxy.core.errors import Code, failed
from credproxy.core.minimum_speed import LEAST, Pace
from credproxy.ports.forwarder import Room


_CHUNK = 16 * 1024

_SMALL = 64 * 1024
"""Bytes reserved at first for an answer of unknown length; most manifests are smaller."""

_REASON = 64 * 1024
"""Bytes that are read of the body of a refusal or a redirect."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """Limits of one request: bytes of its answer, its time-outs, and whether content codings are left alone."""

    size: int
    timeout: aiohttp.ClientTimeout
    verbatim: bool = False
    stalled: float | None = None
    room: Room | None = None


async def read_capped(answer: aiohttp.ClientResponse, name: str, *, limits: RequestLimits) -> bytes:
    """Read a body, or its beginning if the status says enough.

    Args:
        answer: whose head has arrived.
        name: of the other side, for messages.
        limits: of the request.

    Raises:
        Failed: answer_too_large; overloaded, as ``Room.hold``.
        UnfitAnswerError: it stalled, or came too slowly.
    """
    # One read() may give less than has arrived, and without a cap a decompression bomb fills the memory (TX-7, T24).
    body, held = bytearray(), 0
    pace = None if limits.stalled is None else Pace(over=limits.stalled)
    while chunk := await _piece(answer, pace, limits.stalled):
        if answer.status >= HTTPStatus.MULTIPLE_CHOICES and len(body) + len(chunk) > _REASON:
            answer.close()  # the status is enough: a body that is too long does not make it a different failure
            return bytes(body)
        if len(body) + len(chunk) > limits.size:
            answer.close()
            raise failed(Code.ANSWER_TOO_LARGE, f"{name} answered with more than {limits.size} bytes")
        if len(body) + len(chunk) > held and limits.room is not None:
            wanted = _next_share(held, answer.content_length, limits.size)
            await limits.room.hold(wanted - held)
            held = wanted
        body += chunk
    return bytes(body)


def _next_share(held: int, announced: int | None, limit: int) -> int:
    """How much to reserve next: what was announced, else a little and then all: in small steps tasks would block one another."""
    if held:
        return limit
    return _SMALL if announced is None else min(max(announced, _CHUNK), limit)


async def _piece(answer: aiohttp.ClientResponse, pace: Pace | None, stalled: float | None) -> bytes:
    loop = asyncio.get_running_loop()
    begun = loop.time()
    try:
        async with asyncio.timeout(stalled):
            piece = await answer.content.read(_CHUNK)
    except aiohttp.SocketTimeoutError:
        raise
    except TimeoutError:
        reason = f"sent nothing for {stalled:g} s in the middle of its answer"
        raise UnfitAnswerError(reason) from None
    try:
        if pace is not None and piece:
            pace.moved(len(piece), loop.time() - begun)
    except TimeoutError:
        reason = f"sent less than {LEAST:,} bytes a second of its answer over {stalled:g} s"
        raise UnfitAnswerError(reason) from None
    return piece
