"""OpenBao as a process: TLS on a free port of the loopback, its storage in memory, its root token known."""

import json
import os
import signal
import ssl
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.real.ports import free_port
from tests.real.wire import Reply, Wire


ROOT = "root-of-the-tests"


class Bao:
    """A running server. ``url`` is its address, ``bundle`` what its certificate is signed by."""

    def __init__(self, program: Path, folder: Path) -> None:
        folder.mkdir()
        self.program = program
        self.url = f"https://127.0.0.1:{free_port()}"
        self.bundle = folder / "vault-ca.pem"
        self.environ = {"HOME": str(folder), "BAO_ADDR": self.url, "BAO_CACERT": str(self.bundle)}
        self._log = folder / "log"
        address = self.url.removeprefix("https://")
        with self._log.open("wb") as out:
            self._process = subprocess.Popen(
                [
                    program,
                    "server",
                    "-dev-tls",
                    f"-dev-tls-cert-dir={folder}",
                    f"-dev-root-token-id={ROOT}",
                    f"-dev-listen-address={address}",
                    "-dev-no-store-token",
                ],
                env={"PATH": os.defpath, "HOME": str(folder)},
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
        self._wait()
        self._wire = Wire(ssl.create_default_context(cafile=str(self.bundle)))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._process.pid, signal.SIGKILL)  # its storage is in memory
        self._process.wait(10)

    def api(self, method: str, path: str, body: object = None, *, token: str = ROOT) -> Reply:
        """Make a request with a token."""
        sent = b"" if body is None else json.dumps(body).encode()
        return self._wire.ask(f"{self.url}/v1/{path}", method=method, headers={"X-Vault-Token": token}, body=sent)

    def write(self, path: str, **body: object) -> dict[str, object]:
        """Change something as root; give the answer's data, or its token part."""
        reply = self.api("POST", path, body)
        assert reply.status in {200, 204}, (path, reply)
        if reply.status == 204:
            return {}
        answer = reply.json()
        found = answer.get("auth") or answer.get("data")
        return found if isinstance(found, dict) else {}

    def token(self, *policies: str, ttl: str = "1h") -> str:
        """Make a token that has no more than these policies."""
        made = self.write("auth/token/create", policies=policies, ttl=ttl)
        return str(made["client_token"])

    def run(self, *argv: str, **environ: str) -> str:
        """Run its program as root, or with another ``BAO_TOKEN``; give the output."""
        env = {"PATH": os.defpath, **self.environ, "BAO_TOKEN": ROOT, **environ}
        done = subprocess.run([self.program, *argv], env=env, capture_output=True, text=True, check=False, timeout=20)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def unseal_key(self) -> str:
        """The key that unseals it."""
        return self._log.read_text().partition("Unseal Key: ")[2].split()[0]

    def _wait(self) -> None:
        deadline = time.perf_counter() + 20
        while "Root Token:" not in self._log.read_text():
            if self._process.poll() is not None or time.perf_counter() > deadline:
                message = f"OpenBao did not start:\n{self._log.read_text()[-3000:]}"
                raise AssertionError(message)
            time.sleep(0.05)
