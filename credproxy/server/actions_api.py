"""The actions socket: what build actions, which run third-party code, may ask for. Source: docs/reference/api.md.

The JSON API is here; paths that begin with ``/v2`` belong to the gateway.

It runs in the process that parses connections, and asks for every answer: nothing is decided here.
"""

from collections import Counter
from typing import Final, Protocol

from aiohttp import web

from credproxy.core.errors import Failed
from credproxy.gateway.incoming import ORIGINAL_HOST
from credproxy.gateway.request_reader import FETCH
from credproxy.ports.clock import Clock
from credproxy.server.body import READ_TIMEOUT, arrived, read_body
from credproxy.server.client_streams import IDLE
from credproxy.server.gateway_api import PREFIX, GatewayApi
from credproxy.server.peer import Peer
from credproxy.server.request_intake import HEAD_BYTES, TOO_LARGE, head_size
from credproxy.server.responses import json_response, text_response
from credproxy.server.routes import Route, Routes, connection, patience
from credproxy.server.sandboxes import Sandboxes


class ActionsAnswers(Protocol):
    """Answers questions of build actions."""

    async def narrow(self, peer: Peer, body: bytes, *, patience: float) -> bytes:
        """Give the encoded answer to an encoded question: what policy lets a build action have, and no more.

        Args:
            peer: the caller.
            body: as it arrived, at most 64 KiB.
            patience: seconds that the caller waits.

        Raises:
            Failed: policy_denied, use_gateway, and those of ``Broker.ask``.
        """
        ...


class ActionsApi:
    """Answers the actions socket's requests.

    Args:
        answers: what is asked on the JSON API.
        clock: for limits.
        gateway: answers what begins with ``/v2``.
        sandboxes: gives each of them its share.
        refused: counts what was refused, by code.
    """

    def __init__(
        self,
        *,
        answers: ActionsAnswers,
        clock: Clock,
        gateway: GatewayApi,
        sandboxes: Sandboxes,
        refused: Counter[str],
    ) -> None:
        self._answers = answers
        self._clock = clock
        self._routes = Routes("actions", self, table=self.ROUTES, refused=refused, in_carrier=True)
        self._gateway = gateway
        self._sandboxes = sandboxes

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        behind = request.raw_path.removeprefix(PREFIX)
        of_registry = behind != request.raw_path and behind[:1] in {"", "/", "?"}
        for_gateway = of_registry or _fetches(request)
        api = self._gateway if for_gateway else self._routes
        caller = connection(request)
        try:
            if head_size(request) > HEAD_BYTES:
                raise Failed(TOO_LARGE)  # noqa: TRY301  answered below like every failure
            seconds = IDLE if for_gateway else READ_TIMEOUT
            whole = caller.refusal() is not None or await arrived(request, self._clock, seconds=seconds)
            # Elsewhere nobody reads it: with another one each time, a host of objects would have all slots.
            registry = request.headers.get(ORIGINAL_HOST, "") if of_registry else ""
            async with self._sandboxes.admit(caller.peer, whole=whole, registry=registry):
                caller.begin()
                return await api.handle(request)
        except Failed as error:
            return api.refuse(request, error.failure)

    async def _get(self, request: web.BaseRequest) -> web.Response:
        body = await read_body(request, self._clock)
        return json_response(await self._answers.narrow(connection(request).peer, body, patience=patience(request)))

    async def _healthz(self, request: web.BaseRequest) -> web.Response:
        del request
        return text_response("ok\n")

    ROUTES: Final = (Route("POST", "/v1/get", _get), Route("GET", "/healthz", _healthz))
    """Every path that is served apart from the gateway's; anything else is 404 (T2)."""


def _fetches(request: web.BaseRequest) -> bool:
    return request.raw_path.partition("?")[0] == FETCH
