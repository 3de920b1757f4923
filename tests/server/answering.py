"""The answers of the JSON API without a second process between question and broker."""

from dataclasses import dataclass

from credproxy.server.narrow import NarrowAnswers
from credproxy.server.peer import Peer


@dataclass
class InProcess:
    """Asks policy and broker in this process. Source: actions_api.ActionsAnswers."""

    behind: NarrowAnswers

    async def narrow(self, peer: Peer, body: bytes, *, patience: float) -> bytes:
        """Answer."""
        return await self.behind.narrow(peer, body, patience=patience)
