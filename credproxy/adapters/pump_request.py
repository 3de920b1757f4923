"""One request of the pump, from its first byte to the head of its answer and a small body, inside the event loop.

Waiting for a head takes no thread: a pull-through cache takes minutes, and a hundred of them are only a hundred
sockets. A small answer needs no thread at all. For a large one, the pump takes over the connection as it is: nothing is
requested twice.
"""

import asyncio
import http.client
import itertools
import socket
import ssl
from typing import NamedTuple

from credproxy.adapters.interim_responses import UnfitAnswerError, unended
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

_AGAIN = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


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


async def ask(sock: socket.socket, request: Request, *, waits: Waits = Waits()) -> PumpAnswer:  # noqa: B008  a value
    """Send a request without a body, and give its answer; the socket does not block afterwards.

    Raises:
        OSError, http.client.HTTPException: it failed; ProxyError if a proxy is to blame, SilentError if no answer
            began.
        ValueError: a header that cannot be sent.
    """
    sock.settimeout(0)
    head, early = await _headed(sock, written(request), waits)
    if request.dial.proxy is not None and request.url.startswith("http:") and is_from_proxy(head.status, head.headers):
        raise ProxyError(head.status)
    if head.length is None or head.length > WHOLE:
        return PumpAnswer(head, early, small=False)
    whole = early if len(early) == head.length else await _whole(sock, head.status, early, head.length, waits)
    if len(whole) != head.length:  # so it is not known where the next answer would begin
        head, whole = head._replace(closes=True), whole[: head.length]
    return PumpAnswer(head, whole, small=True)


async def _headed(sock: socket.socket, data: bytes, waits: Waits) -> tuple[Head, bytes]:
    arriving, loop = Arriving(), asyncio.get_running_loop()
    latest = until = loop.time() + waits.answer
    begun = False
    try:
        await _sent(sock, data, until)
        while not arriving.take(await _received(sock, until)):
            if arriving.begun != begun:
                begun = arriving.begun
                until = min(latest, loop.time() + waits.headed) if begun else latest
    except TimeoutError as error:
        if error.errno is not None:  # the kernel's own time-out: the request has not even arrived
            raise
        if not arriving.begun:
            raise SilentError from None
        raise UnfitAnswerError(unended(waits.headed)) from None
    assert arriving.head is not None
    return arriving.head, arriving.early


async def _whole(sock: socket.socket, status: int, early: bytes, length: int, waits: Waits) -> bytes:
    found, until = bytearray(early), asyncio.get_running_loop().time() + waits.small
    try:
        while len(found) < length and (piece := await _received(sock, until)):
            found += piece
    except OSError:
        if status in CONTENT:
            raise http.client.IncompleteRead(b"") from None
    # Debian's registry announces the blob's length when it refuses a range, and then sends a sentence.
    if len(found) != length and status in CONTENT:
        raise http.client.IncompleteRead(b"")
    return bytes(found)


async def _sent(sock: socket.socket, data: bytes, until: float) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[sock.send(left) :]
        except ssl.SSLWantReadError:
            await _ready(sock, until)
        except (BlockingIOError, ssl.SSLWantWriteError):
            await _ready(sock, until, writing=True)


async def _received(sock: socket.socket, until: float) -> bytes:
    """Give what has arrived as soon as there is anything; empty at the end. A socket with TLS may be ready with no data."""
    for waited in itertools.count():
        try:
            piece = sock.recv(WHOLE)
        except _AGAIN:
            await _ready(sock, until)
        else:
            if not waited:  # a TLS record may hold one byte, and a hundred thousand of them may be there at once
                await asyncio.sleep(0)  # noqa: TID251  no time passes
            return piece
    raise AssertionError


async def _ready(sock: socket.socket, until: float, *, writing: bool = False) -> None:
    """Wait for a socket. Raises TimeoutError.

    Not with asyncio.timeout, which costs more than everything else here: most answers are there without waiting.
    """
    loop, number = asyncio.get_running_loop(), sock.fileno()
    if loop.time() >= until:  # a socket that is always ready would never be waited for
        raise TimeoutError
    ready = loop.create_future()
    add, remove = (loop.add_writer, loop.remove_writer) if writing else (loop.add_reader, loop.remove_reader)
    add(number, _settle, ready, True)
    timer = loop.call_at(until, _settle, ready, False)
    try:
        if not await ready:
            raise TimeoutError
    finally:
        timer.cancel()
        remove(number)


def _settle(ready: "asyncio.Future[bool]", found: bool) -> None:  # noqa: FBT001  a callback's argument
    if not ready.done():
        ready.set_result(found)
