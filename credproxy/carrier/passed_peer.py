"""A peer, as the daemon reports it."""

from dataclasses import dataclass

from credproxy.core.errors import Failure
from credproxy.server.peer import Peer


@dataclass(frozen=True, slots=True)
class PassedPeer(Peer):
    """Who connected, as the daemon saw it at accept; nothing is read about it here.

    Attributes:
        port: loopback port that it came in on; 0 for a Unix socket.
        account: that its connection is counted on; None for the user's own.
        refusal: why the gate does not admit it; None if it does.
    """

    port: int = 0
    account: str | None = None
    refusal: Failure | None = None

    @property
    def charged(self) -> str | None:
        """As the daemon reports: a sandbox, or one of many users. A caller that is served on a port has shown the token."""
        return None if self.port else self.account
