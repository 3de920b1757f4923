"""A page on a port of 127.0.0.1, to which a browser comes back once. Source: RFC 8252, sections 7.3 and 8.3.

The port is bound before its number is known to anybody, so that no other process can have it. Requests that are not the answer
are refused, and the wait goes on: those without the login's state, as a web page may cause them, and those of another user,
who may have read the address in the browser's arguments; the owner of the connection tells.
"""

import asyncio
import errno
import socket
import sys
from collections.abc import Callable
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

from aiohttp import web


_HOST: Final = "127.0.0.1"
_SOCKETS: Final = "/proc/net/tcp"
_ESTABLISHED: Final = "01"
_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Connection": "close",
    "Content-Security-Policy": "default-src 'none'",
    "Content-Type": "text/plain; charset=utf-8",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


class LoopbackPage:
    """Waits for one request, between ``async with`` and its end.

    Args:
        wanted: tells from the query of a request whether it is the one.
        uid: whose processes may ask; root's may as well.
        address: of the page, at ``127.0.0.1`` or ``localhost``; one without a port gets one.

    Attributes:
        port: that it has.
        address: with that port.

    Raises:
        OSError: the port is taken.
    """

    def __init__(self, wanted: Callable[[str], bool], *, uid: int, address: str = f"http://{_HOST}/") -> None:
        parts = urlsplit(address)
        self._wanted = wanted
        self._uid = uid
        self._path = parts.path
        self._came: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._runner = web.ServerRunner(web.Server(self._answer, access_log=None), shutdown_timeout=1.0)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if parts.port is not None:  # the connections of the last login may still be remembered there
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            self._socket.bind((_HOST, parts.port or 0))
            self._socket.listen()
        except OSError:
            self._socket.close()
            raise
        self.port = int(self._socket.getsockname()[1])
        self._authority = f"{parts.hostname}:{self.port}"
        self.address = f"http://{self._authority}{parts.path}"

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        await web.SockSite(self._runner, self._socket).start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._came.cancel()
        await self._runner.cleanup()
        self._socket.close()

    async def query(self) -> str:
        """Wait for the request, and give its query."""
        return await asyncio.shield(self._came)

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        host = request.headers.get("Host", "")
        query = request.rel_url.raw_query_string
        if request.method != "GET" or request.rel_url.raw_path != self._path or host != self._authority:
            return _page(HTTPStatus.NOT_FOUND, "there is nothing here")
        if not self._wanted(query) or not await self._is_ours(request):
            return _page(HTTPStatus.BAD_REQUEST, "this is not the answer to the login that is waited for")
        if self._came.done():
            return _page(HTTPStatus.GONE, "the answer has come already")
        self._came.set_result(query)
        return _page(HTTPStatus.OK, "the login goes on in the terminal; this page can be closed")

    async def _is_ours(self, request: web.BaseRequest) -> bool:
        """Whether the other end is a process of this user, as far as the system tells."""
        peer = None if request.transport is None else request.transport.get_extra_info("peername")
        if peer is None:
            return False
        owner = await asyncio.to_thread(owner_of, peer[1], self.port)
        return owner is None or owner in {self._uid, 0}


def owner_of(port: int, to: int) -> int | None:
    """The user whose process holds a connection open.

    Args:
        port: of its own end, on the loopback.
        to: of the other end.

    Returns:
        -1 if nobody does; None on a system that does not tell.

    Source: proc(5), /proc/net/tcp: a socket that nobody holds any more stands there as root's, in another state.
    """
    try:
        lines = Path(_SOCKETS).read_text(encoding="ascii").splitlines()[1:]
    except OSError as error:
        if error.errno in {errno.ENOENT, errno.EACCES, errno.ENOTDIR}:
            return None
        raise
    ends = _end(port), _end(to)
    rows = (line.split() for line in lines)
    return next((int(row[7]) for row in rows if (row[1], row[2]) == ends and row[3] == _ESTABLISHED), -1)


def _end(port: int) -> str:
    address = int.from_bytes(socket.inet_aton(_HOST), sys.byteorder)
    return f"{address:08X}:{port:04X}"


def _page(status: HTTPStatus, text: str) -> web.Response:
    return web.Response(status=status, body=f"credproxy: {text}\n".encode(), headers=_HEADERS)
