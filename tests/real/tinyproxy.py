"""Debian's tinyproxy as a process: an HTTP proxy with a login on a free port of the loopback."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.real.ports import free_port


_CONFIG = """
Port {port}
Listen 127.0.0.1
Timeout 60
MaxClients 50
LogLevel Connect
LogFile "{folder}/tinyproxy.log"
PidFile "{folder}/pid"
BasicAuth {user} {password}
"""


class Tinyproxy:
    """A running tinyproxy; ``allowed`` are the ports that it connects to, all of them where none is named."""

    def __init__(self, program: Path, folder: Path, user: str, password: str, *, allowed: tuple[int, ...] = ()) -> None:
        folder.mkdir()
        self._folder = folder
        self.port = free_port()
        config = folder / "tinyproxy.conf"
        ports = "".join(f"ConnectPort {port}\n" for port in allowed)
        config.write_text(_CONFIG.format(port=self.port, folder=folder, user=user, password=password) + ports)
        self._process = subprocess.Popen(
            [program, "-d", "-c", config],
            env={"PATH": os.defpath},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            time.sleep(0.05)
        message = "tinyproxy did not start"
        raise AssertionError(message)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    @property
    def log(self) -> str:
        """Everything that it wrote."""
        return (self._folder / "tinyproxy.log").read_text()
