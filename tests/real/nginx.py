"""Debian's nginx as a process: TLS on a free port of the loopback, files of a folder or a server behind it."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path
from typing import Self

from tests.real.pki import Pki
from tests.real.ports import free_port


_CONFIG = """
{user} daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log info;
events {{ worker_connections 256; }}
http {{
  access_log {folder}/access.log combined; client_max_body_size 0;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} ssl; ssl_certificate {certificate}; ssl_certificate_key {key};
    {body}
  }}
}}
"""


class Nginx:
    """A running nginx. `authority` is where it listens; its logs are in its folder."""

    def __init__(self, program: Path, folder: Path, pki: Pki, body: str) -> None:
        folder.mkdir()
        self._folder = folder
        port = free_port()
        self.authority = f"localhost:{port}"
        config = folder / "nginx.conf"
        pair = pki.loopback
        config.write_text(
            _CONFIG.format(
                # Otherwise its workers would run as a user that may not read the tests' folders.
                user="user root;" if os.geteuid() == 0 else "",
                folder=folder,
                port=port,
                certificate=pair.certificate,
                key=pair.key,
                body=body,
            )
        )
        self._process = subprocess.Popen(
            [program, "-c", config], env={"PATH": os.defpath}, stderr=subprocess.DEVNULL, start_new_session=True
        )
        self._wait(port)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def access(self) -> str:
        """All requests, one per line."""
        return (self._folder / "access.log").read_text()

    def _wait(self, port: int) -> None:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            time.sleep(0.05)
        raise AssertionError(f"nginx did not start:\n{(self._folder / 'error.log').read_text()}")


def files(root: Path) -> str:
    """Serve the files of a folder to everybody."""
    return f"root {root};"


def front(registry: str, pki: Pki) -> str:
    """Run in front of a registry, as an operator would."""
    return (
        f"location / {{ proxy_pass https://{registry}; proxy_ssl_trusted_certificate {pki.bundle}; proxy_ssl_verify on; "
        "proxy_ssl_name localhost; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https; "
        "proxy_request_buffering off; proxy_buffering off; }"
    )
