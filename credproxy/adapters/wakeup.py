"""Wakes a thread that waits on sockets, wherever it waits."""

import contextlib
import socket
import threading

from credproxy.adapters.tls_socket import AnySocket


class Waking:
    """The sockets that one piece of blocking work waits on; its methods may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._held: set[AnySocket] = set()
        self._over = False

    @property
    def over(self) -> bool:
        """Whether the work was broken off."""
        return self._over

    def hold(self, sock: AnySocket) -> None:
        """Register a socket before waiting on it. Raises ConnectionAbortedError: the work was broken off."""
        with self._lock:
            if self._over:
                raise ConnectionAbortedError
            self._held.add(sock)

    def release(self, sock: AnySocket) -> None:
        """Unregister a socket; it may be closed or lent to others from now on."""
        with self._lock:
            self._held.discard(sock)

    def break_off(self) -> None:
        """Wake the thread: its current and later waits end with an error."""
        with self._lock:
            self._over = True
            for sock in self._held:
                with contextlib.suppress(OSError):
                    sock.shutdown(socket.SHUT_RDWR)
