"""One request of the pump, from its first byte to the head of its answer and a small body, inside the event loop.

Waiting for a head takes no thread: a pull-through cache takes minutes, and a hundred of them are only a hundred
sockets. A small answer needs no thread at all. For a large one, the pump takes over the connection as it is: nothing is
requested twice.
"""

import asyncio
import http.client
from typing import NamedTuple

from credproxy.adapters.answer_framing import UnfitAnswerError
from credproxy.adapters.awaited_socket import AwaitedSocket
from credproxy.adapters.interim_responses import unended
from credproxy.adapters.network_errors import SilentError
from credproxy.adapters.pump_response import Arriving, Head
from credproxy.adapters.request_bytes import written
from credproxy.adapters.tunnel import ProxyError
from credproxy.core.ask.http import Request
from credproxy.core.ask.proxy import is_from_proxy


ANSWER = 300.0
"""Seconds until the response's head arrives: a pull-through cache fetches the whole blob before it answers."""

HEADED = 30.0
"""Seconds within which a head that has begun must be complete."""

SMALL = 60.0
"""Seconds after its head within which a small body must be complete."""

WHOLE = 64 * 1024
"""Bytes of a body that is still read together with its head."""

CONTENT = (http.client.OK, http.client.PARTIAL_CONTENT)
"""Statuses whose body is the requested content."""


class Waits(NamedTuple):
    """Time limits in seconds, see ANSWER, HEADED and SMALL."""

    answer: float = ANSWER
    headed: float = HEADED
    small: float = SMALL


class PumpAnswer(NamedTuple):
    """A head, and what arrived with it.

    Attributes:
        early: the beginning of the body.
        small: ``early`` is the whole body.
    """

    head: Head
    early: bytes
    small: bool


async def ask(sock: AwaitedSocket, request: Request, *, waits: Waits = Waits()) -> PumpAnswer:  # noqa: B008  a value
    """Send a request without a body, and give its answer.

    Raises:
        OSError, http.client.HTTPException: it failed; ProxyError if a proxy is to blame, SilentError if no answer
            began.
        ValueError: a header that cannot be sent.
    """
    head, early = await _headed(sock, written(request), waits)
    if request.dial.proxy is not None and request.url.startswith("http:") and is_from_proxy(head.status, head.headers):
        raise ProxyError(head.status)
    if head.length is None or head.length > WHOLE:
        return PumpAnswer(head, early, small=False)
    whole = early if len(early) == head.length else await _whole(sock, head.status, early, head.length, waits)
    if len(whole) != head.length:  # so it is not known where the next answer would begin
        head, whole = head._replace(closes=True), whole[: head.length]
    return PumpAnswer(head, whole, small=True)


async def _headed(sock: AwaitedSocket, data: bytes, waits: Waits) -> tuple[Head, bytes]:
    arriving, loop = Arriving(), asyncio.get_running_loop()
    latest = until = loop.time() + waits.answer
    begun = False
    try:
        await sock.send(data, until)
        piece = await sock.receive(until, first=True)
        while not arriving.take(piece):
            if arriving.begun != begun:
                begun = arriving.begun
                until = min(latest, loop.time() + waits.headed) if begun else latest
            piece = await sock.receive(until)
    except TimeoutError as error:
        if error.errno is not None:  # the kernel's own time-out: the request has not even arrived
            raise
        if not arriving.begun:
            raise SilentError from None
        raise UnfitAnswerError(unended(waits.headed)) from None
    assert arriving.head is not None
    return arriving.head, arriving.early


async def _whole(sock: AwaitedSocket, status: int, early: bytes, length: int, waits: Waits) -> bytes:
    found, until = bytearray(early), asyncio.get_running_loop().time() + waits.small
    try:
        while len(found) < length and (piece := await sock.receive(until)):
            found += piece
    except OSError:
        if status in CONTENT:
            raise http.client.IncompleteRead(b"") from None
    # Debian's registry announces the blob's length when it refuses a range, and then sends a sentence.
    if len(found) != length and status in CONTENT:
        raise http.client.IncompleteRead(b"")
    return bytes(found)
