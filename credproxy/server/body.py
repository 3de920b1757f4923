"""Reading a request's body within bounds: 64 KiB and two seconds (PY11, F10)."""

from aiohttp import HttpVersion11, web

from credproxy.core.errors import Code, failed
from credproxy.ports.clock import Clock
from credproxy.server.protocol import BODY_LIMIT


READ_TIMEOUT = 2.0
"""Seconds; aiohttp has no body timeout of its own, and a client that stalls would hold a task for ever."""


async def arrived(request: web.BaseRequest, clock: Clock, *, seconds: float) -> bool:
    """Wait for a small body, without reading it, so that a request that waits for one holds no slot (T16).

    Args:
        request: its head.
        clock: for the limit.
        seconds: that the body may take.

    Returns:
        False for a body that arrives while it is read: a large one, one of unknown length, or one that its client
        sends only when it is told to.

    Raises:
        Failed(bad_request): it does not arrive in time, or breaks off.
    """
    if request.content.is_eof():
        return True
    length = request.content_length
    if length is None or length > BODY_LIMIT or "Expect" in request.headers:
        return False
    try:
        async with clock.timeout(seconds):
            await request.content.wait_eof()
    except TimeoutError:
        raise failed(Code.BAD_REQUEST, f"the request's body did not arrive within {seconds:g} s") from None
    except (OSError, web.RequestPayloadError):
        raise failed(Code.BAD_REQUEST, "the request's body broke off") from None
    return True


async def go_on(request: web.BaseRequest) -> None:
    """Ask for a body that its client keeps back until it is told to send it (RFC 9110, section 10.1.1).

    aiohttp's low-level server leaves this to its user, and curl would wait a second for it, others for ever.

    Raises:
        ConnectionError: the client is gone.
    """
    if request.version < HttpVersion11 or request.content.is_eof():
        return
    expected = [one.strip().lower() for line in request.headers.getall("Expect", ()) for one in line.split(",")]
    if "100-continue" in expected:
        await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")


async def read_body(request: web.BaseRequest, clock: Clock) -> bytes:
    """The whole body.

    Raises:
        Failed: too_large, judged by Content-Length, if there is one, before a byte is read; bad_request for a body
            that does not arrive in time or breaks off.
    """
    if (request.content_length or 0) > BODY_LIMIT:
        raise _too_large()
    content = request.content
    if content.is_eof():  # the usual case: it came with the headers, and a timer would cost more than the read
        return content.read_nowait()
    chunks = bytearray()
    try:
        await go_on(request)
        async with clock.timeout(READ_TIMEOUT):
            while chunk := await content.readany():
                chunks += chunk
                if len(chunks) > BODY_LIMIT:
                    raise _too_large()
    except TimeoutError:
        raise failed(Code.BAD_REQUEST, f"the request's body did not arrive within {READ_TIMEOUT:g} s") from None
    except (OSError, web.RequestPayloadError):
        raise failed(Code.BAD_REQUEST, "the request's body broke off") from None
    return bytes(chunks)


def _too_large() -> Exception:
    return failed(Code.TOO_LARGE, f"the request is larger than {BODY_LIMIT} bytes", hint="a URI has at most 8192")
