"""What both sockets' APIs share: finding the handler for a path, and answering with a failure."""

import functools
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, NamedTuple, TypeVar

import structlog
from aiohttp import web

from credproxy.core.ask.disclosure import outward
from credproxy.core.errors import Code, Failed, Failure, failed
from credproxy.server.probes import Probes
from credproxy.server.protocol import Connection
from credproxy.server.responses import failure_response


PATIENCE = 8.5
"""Seconds that one question waits, so that our named cause is printed before the helper's own 9.0 s (docs/design/faults.md#deadlines)."""

_DEADLINE_MARGIN = 0.5

log = structlog.get_logger("credproxy.server")

RouteHandler = Callable[[web.BaseRequest], Awaitable[web.Response]]

Api = TypeVar("Api")


class Route(NamedTuple, Generic[Api]):
    """What is served at a path, by which of an API's methods, and whether it is for administrators only.

    Other users' questions are shown to the service's administrators only, and only they can flush them (T3, T10).
    """

    method: str
    path: str
    handler: Callable[[Api, web.BaseRequest], Awaitable[web.Response]]
    admin: bool = False

    def of(self, api: Api) -> "Served":
        """Bind it to the API that answers."""
        return Served(self.method, functools.partial(self.handler, api), admin=self.admin)


class Served(NamedTuple):
    """A path's method, its handler, and whether it is for administrators only."""

    method: str
    handler: RouteHandler
    admin: bool = False


class Routes:
    """Every path of one socket.

    Args:
        socket: its name, for the log.
        api: answers.
        table: every path that is served; anything else is 404 (T2).
        refused: counts failures by code.
        in_carrier: it is served in a carrier: a failure whose cause lies on this machine was told by the daemon, which has
            logged all of it; callers see no more than that.
        probes: refusals that were announced; None for none.
        admins: users who may see and change what concerns everybody; None if all callers are one user.
    """

    def __init__(
        self,
        socket: str,
        api: Api,
        *,
        table: Iterable[Route[Api]],
        refused: Counter[str] | None = None,
        probes: Probes | None = None,
        in_carrier: bool = False,
        admins: frozenset[int] | None = None,
    ) -> None:
        self._probes = probes
        self._socket = socket
        self._refused = Counter() if refused is None else refused
        self._in_carrier = in_carrier
        self._admins = admins
        self._served = {route.path: route.of(api) for route in table}

    async def handle(self, request: web.BaseRequest) -> web.Response:
        """Answer one request; a failure becomes the status of its code."""
        try:
            response = await self._handler(request)(request)
        except Failed as error:
            response = self.refuse(request, error.failure)
        if connection(request).once:
            response.force_close()
        return response

    def refuse(self, request: web.BaseRequest, failure: Failure) -> web.Response:
        """Answer with a failure, and log it, unless it is a refusal that the daemon's own user has announced."""
        announced = self._probes is not None and failure.code is Code.PEER_REFUSED and self._probes.expected(request)
        if announced:
            log.debug("gate probed", socket=self._socket)
        else:
            self._log(request, failure)
        shown = outward(failure) if self._in_carrier else failure
        response = failure_response(shown, plain=request.headers.get("Accept") == "text/plain")
        if failure.code in {Code.PEER_REFUSED, Code.TOO_LARGE}:
            response.force_close()
        return response

    def _log(self, request: web.BaseRequest, failure: Failure) -> None:
        self._refused[failure.code.value] += 1
        if self._in_carrier and failure.inside:
            return
        log.info(
            "question failed",
            socket=self._socket,
            path=request.path,
            code=failure.code.value,
            reason=failure.message,
        )

    def _handler(self, request: web.BaseRequest) -> RouteHandler:
        caller = connection(request)
        refusal = caller.refusal()
        if refusal is not None:
            raise Failed(refusal)
        found = self._served.get(request.path)
        if found is None:
            message = f"the {self._socket} socket has nothing at this path"
            raise failed(Code.NOT_FOUND, message, hint=f"it has {', '.join(self._served)}")
        if request.method != found.method:
            raise failed(Code.METHOD_NOT_ALLOWED, f"this path takes {found.method}, not {request.method!r}")
        if found.admin and self._admins is not None and caller.peer.uid not in self._admins:
            raise failed(
                Code.PEER_REFUSED, "this is for the administrator of the system service", hint="run it with sudo"
            )
        return found.handler


def connection(request: web.BaseRequest) -> Connection:
    """The connection that a request came on."""
    found = request.protocol
    assert isinstance(found, Connection)
    return found


def patience(request: web.BaseRequest) -> float:
    """Seconds that the caller will still wait, as it says, but at most ours."""
    left = request.headers.get("X-Credproxy-Deadline-Ms", "")
    if not (left.isascii() and left.isdigit() and len(left) <= 6):  # noqa: PLR2004  6 digits: 16 minutes
        return PATIENCE
    return max(0.0, min(PATIENCE, int(left) / 1000 - _DEADLINE_MARGIN))


def parent(request: web.BaseRequest) -> int | None:
    """Process id of the caller's parent, as the caller says; None if it does not say, or names init."""
    text = request.headers.get("X-Credproxy-Parent")
    if text is None or not (text.isascii() and text.isdigit() and len(text) <= 10):  # noqa: PLR2004  digits of a pid
        return None
    return int(text) if int(text) > 1 else None
