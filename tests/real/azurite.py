"""Microsoft's own stand-in for Azure Storage, as a process: it checks whom a token is for and until when, not its signature."""

import contextlib
import http.client
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.real import clients
from tests.real.oidc import modules
from tests.real.pki import Pki
from tests.real.ports import free_port


ACCOUNT = "devstoreaccount1"
"""The one that it has."""


class Azurite:
    """Runs it between ``with`` and its end.

    Attributes:
        authority: where it listens, with TLS.
    """

    def __init__(self, folder: Path, pki: Pki) -> None:
        port = free_port()
        self.authority = f"127.0.0.1:{port}"
        self._context = pki.client_context()
        folder.mkdir()
        tls = pki.loopback
        self._log = folder / "azurite.log"
        self._argv: list[str | Path] = [
            clients.find("node"),
            modules("azurite") / "azurite" / "dist" / "src" / "blob" / "main.js",
            *("--blobHost", "127.0.0.1", "--blobPort", str(port), "--location", folder),
            *("--oauth", "basic", "--cert", tls.certificate, "--key", tls.key),
            *("--skipApiVersionCheck", "--disableTelemetry", "--silent"),
        ]

    def __enter__(self) -> Self:
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        for _ in range(400):
            with contextlib.suppress(OSError):
                self.ask("GET", "/", {})
                return self
            time.sleep(0.05)
        raise AssertionError(self._log.read_text())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait(10)

    def ask(self, method: str, path: str, headers: Mapping[str, str], body: bytes = b"") -> tuple[int, bytes]:
        """Send a request; give status and body of the answer."""
        connection = http.client.HTTPSConnection(self.authority, timeout=10, context=self._context)
        with contextlib.closing(connection):
            connection.request(method, f"/{ACCOUNT}{path}", body, dict(headers))
            answer = connection.getresponse()
            return answer.status, answer.read()
