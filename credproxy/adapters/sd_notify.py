"""Tells systemd the state of the daemon: ready, reloading, stopping, alive. Source: sd_notify(3)."""

import contextlib
import os
import socket
from collections.abc import Mapping

from credproxy.adapters.clock import monotonic_usec


_PING = 1.0
"""Seconds between two signs of life, well within the unit's six."""

VARIABLES = ("NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID")


class Notifier:
    """Sends datagrams to ``$NOTIFY_SOCKET``; does nothing if there is none, and never raises.

    Args:
        environ: of the process.

    Attributes:
        supervised: whether a service manager listens.
        watchdog: seconds between two calls of ``alive``; None if no watchdog is set.
    """

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = _address(environ.get("NOTIFY_SOCKET", ""))
        self.supervised = self._address is not None
        self.watchdog = _interval(environ) if self.supervised else None
        self._socket: socket.socket | None = None

    def ready(self) -> None:
        """Tell that the daemon serves; also after a reload."""
        self._send("READY=1")

    def reloading(self) -> None:
        """Tell that the configuration is being reloaded, until ``ready``."""
        self._send("RELOADING=1", f"MONOTONIC_USEC={monotonic_usec()}")

    def stopping(self) -> None:
        """Tell that the daemon takes no more questions."""
        self._send("STOPPING=1")

    def status(self, text: str) -> None:
        """Set the line that ``systemctl status`` shows."""
        self._send("STATUS=" + " ".join(text.split()))

    def alive(self) -> None:
        """Tell the watchdog that the event loop runs."""
        self._send("WATCHDOG=1")

    def close(self) -> None:
        """Close the socket."""
        self._address = None
        if self._socket is not None:
            self._socket.close()

    def _send(self, *lines: str) -> None:
        if self._address is None:
            return
        # A service manager that is gone or too busy is not a reason to stop serving.
        with contextlib.suppress(OSError):
            if self._socket is None:
                self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto("\n".join(lines).encode(), self._address)


def _address(text: str) -> str | None:
    """A path, or an abstract name behind an ``@``; other families are for virtual machines."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _interval(environ: Mapping[str, str]) -> float | None:
    text = environ.get("WATCHDOG_USEC", "")
    if environ.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None  # meant for a parent process
    if not (text.isascii() and text.isdigit()) or int(text) == 0:
        return None
    return min(_PING, int(text) / 2e6)
