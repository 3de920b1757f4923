"""A peer by the daemon's word."""

from dataclasses import dataclass

from credproxy.core.errors import Failure
from credproxy.server.peer import Peer


@dataclass(frozen=True, slots=True)
class PassedPeer(Peer):
    """Who connected, as the daemon saw it at accept; nothing is read of it here.

    Attributes:
        port: of the loopback that it came in at; 0 for a Unix socket.
        account: on whose account its connection goes; None for the user's own.
        refusal: why the gate does not admit it; None for admitted.
    """

    port: int = 0
    account: str | None = None
    refusal: Failure | None = None

    @property
    def charged(self) -> str | None:
        """By the daemon's word: a sandbox, or one of many users. Whose requests are served on a port has shown the token."""
        return None if self.port else self.account
