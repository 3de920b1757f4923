"""Waits until a socket is ready, in plain blocking code."""

import select
import time

from credproxy.adapters.tls_socket import AnySocket


class SocketWait:
    """Waits for one event of a socket that does not block.

    Args:
        sock: not closed while somebody waits, but it may be shut down.
        event: ``select.POLLIN`` or ``select.POLLOUT``.
        stalled: seconds after which the other end counts as gone.
    """

    def __init__(self, sock: AnySocket, event: int, *, stalled: float) -> None:
        self._ready = select.poll()
        self._ready.register(sock, event)
        self._stalled = stalled

    def wait(self) -> float:
        """Wait, and give the seconds that it took. Raises TimeoutError."""
        begun = time.monotonic()  # noqa: TID251  time during suspend does not count
        if not self._ready.poll(self._stalled * 1000):
            raise TimeoutError
        return time.monotonic() - begun  # noqa: TID251  see above
