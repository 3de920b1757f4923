"""The actions socket: what build actions, third-party code, may ask. Source: design.md section 4.

The JSON API is here; what begins with ``/v2`` is the gateway's.

Policy stands in front of everything else, the memo included: that one ends with the configuration it was filled under.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final

from aiohttp import web

from credproxy.broker.broker import Broker
from credproxy.core.credential import Origin
from credproxy.core.disclosure import outward
from credproxy.core.errors import Failed
from credproxy.core.message import decode_request
from credproxy.core.target import Granted, Question, Target
from credproxy.core.uri import check_canonical, parse_uri
from credproxy.ports import Clock
from credproxy.server.body import READ_TIMEOUT, arrived, read_body
from credproxy.server.gateway_api import IDLE, PREFIX, GatewayApi
from credproxy.server.memo import Memo
from credproxy.server.routes import Routes, connection, healthz, patience
from credproxy.server.sandboxes import Sandboxes


class ActionsApi:
    """Answers the actions socket's requests.

    Args:
        broker: the use case.
        memo: shared with the helper socket.
        clock: for limits.
        grants: the policy in force; raises Failed(policy_denied).
        gateway: answers what begins with ``/v2``.
        sandboxes: lets each of them have its share.
        refused: counts what was refused, by code.
    """

    PATHS: Final = {"/v1/get": "POST", "/healthz": "GET"}
    """Every path that is served beside the gateway's, and its method; all else is 404 (T2)."""

    def __init__(
        self,
        *,
        broker: Broker,
        memo: Memo,
        clock: Clock,
        grants: Callable[[Target], tuple[Granted, ...]],
        gateway: GatewayApi,
        sandboxes: Sandboxes,
        refused: Counter[str],
    ) -> None:
        self._broker = broker
        self._clock = clock
        self._grants = grants
        self._memo = memo
        handlers = (self._get, healthz)
        self._routes = Routes(
            "actions",
            {path: (method, route) for (path, method), route in zip(self.PATHS.items(), handlers, strict=True)},
            refused,
            outward,
        )
        self._gateway = gateway
        self._sandboxes = sandboxes

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        behind = request.raw_path.removeprefix(PREFIX)
        for_gateway = behind != request.raw_path and behind[:1] in {"", "/", "?"}
        api = self._gateway if for_gateway else self._routes
        caller = connection(request)
        try:
            seconds = IDLE if for_gateway else READ_TIMEOUT
            whole = caller.refusal() is not None or await arrived(request, self._clock, seconds)
            async with self._sandboxes.admit(caller.peer, whole=whole):
                caller.begin()
                return await api.handle(request)
        except Failed as error:
            return api.refuse(request, error.failure)

    async def _get(self, request: web.BaseRequest) -> web.Response:
        body = await read_body(request, self._clock)
        peer = connection(request).peer
        origin = Origin("actions", peer.uid)
        answer = self._memo.get(origin, body)
        if answer is None:
            raw = decode_request(body)
            target = parse_uri(raw)
            check_canonical(raw, target)
            question = Question(target, origin, self._grants(target), sandbox=peer.sandbox)
            answer = self._memo.put(origin, body, target, await self._broker.ask(question, patience(request)))
        return self._memo.give(answer, origin, peer)
