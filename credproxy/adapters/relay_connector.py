"""How aiohttp gets connections from a relay. Source: adapters.relayed_socket."""

import asyncio

import aiohttp
from aiohttp.client_proto import ResponseHandler

from credproxy.adapters.relayed_socket import AskForRelay


class RelayConnector(aiohttp.BaseConnector):
    """Gets connections from a relay; all of them lead to one origin, whatever a request says.

    Args:
        ask: for a connection.
        relay: name of the relay.
        limit: connections at once; 0 for any number.
    """

    def __init__(self, ask: AskForRelay, relay: str, *, limit: int) -> None:
        super().__init__(limit=limit)
        self._ask = ask
        self._relay = relay

    async def _create_connection(
        self,
        req: aiohttp.ClientRequest,
        traces: object,
        timeout: aiohttp.ClientTimeout,  # noqa: ASYNC109  aiohttp gives it
    ) -> ResponseHandler:
        del req, traces, timeout  # the relay has time limits of its own
        made = await self._ask(self._relay)
        try:
            _, protocol = await asyncio.get_running_loop().create_connection(self._factory, sock=made)
        except BaseException:
            made.close()
            raise
        return protocol
