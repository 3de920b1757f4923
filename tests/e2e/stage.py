"""A real daemon in its own process and home, and the programs that talk to it."""

import base64
import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


BIN = Path(sys.executable).parent
HELPER = BIN / "credproxy-helper"
CREDPROXY = BIN / "credproxy"


@dataclass
class Stage:
    """A home, and the daemon that serves it once it is started."""

    home: Path
    environ: dict[str, str]
    process: subprocess.Popen[bytes] | None = None
    logs: list[Path] = field(default_factory=list)

    @property
    def socket(self) -> Path:
        """Where the daemon listens."""
        return self.home / "run" / "credproxy" / "helper.sock"

    @property
    def config(self) -> Path:
        """The user's configuration file."""
        return self.home / "config" / "credproxy" / "config.toml"

    def configure(self, text: str) -> None:
        """Write the configuration, whole."""
        self.config.parent.mkdir(parents=True, exist_ok=True)
        fresh = self.config.with_suffix(".new")
        fresh.write_text(text)
        fresh.rename(self.config)

    def start(self, *around: str, **environ: str) -> subprocess.Popen[bytes]:
        """Start ``credproxy serve`` and wait until it listens; ``around`` is put before the command."""
        log = self.home / f"daemon-{len(self.logs)}.log"
        self.logs.append(log)
        with log.open("wb") as out:
            self.process = subprocess.Popen(
                [*around, CREDPROXY, "serve", "--log-level", "debug"],
                env=self.environ | environ,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
            )
        self.await_ready()
        return self.process

    def await_ready(self) -> None:
        """Wait until it says that it listens, ten seconds at most."""
        assert self.process is not None
        deadline = time.perf_counter() + 10
        while '"ready"' not in self.log():
            if self.process.poll() is not None or time.perf_counter() > deadline:
                message = f"the daemon did not start:\n{self.log()}"
                raise AssertionError(message)
            time.sleep(0.02)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(10)

    def log(self) -> str:
        """Everything that the last daemon wrote."""
        return self.logs[-1].read_text()

    def events(self, name: str, *, least: int = 1) -> list[dict[str, object]]:
        """Give the log events of that name, as soon as there are so many, or after ten seconds those that there are.

        A thread of the daemon writes the log: an answer may be here before its line.
        """
        deadline = time.perf_counter() + 10
        while True:
            ended = self.process is not None and self.process.poll() is not None
            lines = [json.loads(line) for line in self.log().splitlines() if line.startswith("{")]
            told = [line for line in lines if line["event"] == name]
            if len(told) >= least or ended or time.perf_counter() > deadline:
                return told
            time.sleep(0.02)

    def helper(self, uri: str, **environ: str) -> subprocess.CompletedProcess[str]:
        """Run the helper as Bazel does."""
        return subprocess.run(
            [HELPER, "get"],
            input=json.dumps({"uri": uri}),
            env=self.environ | environ,
            capture_output=True,
            text=True,
            check=False,
            timeout=20,
        )

    def headers(self, uri: str) -> dict[str, list[str]]:
        """Run the helper, which must answer; give the headers."""
        done = self.helper(uri)
        assert done.returncode == 0, done.stderr
        headers: dict[str, list[str]] = json.loads(done.stdout)["headers"]
        return headers

    def credproxy(self, *args: str) -> subprocess.CompletedProcess[str]:
        """Run the command line."""
        return subprocess.run(
            [CREDPROXY, *args], env=self.environ, capture_output=True, text=True, check=False, timeout=20
        )


@contextlib.contextmanager
def stage(home: Path) -> Iterator[Stage]:
    """Set a stage; whatever still runs is ended with it."""
    (home / "run").mkdir(mode=0o700)
    made = Stage(
        home,
        {
            "PATH": os.environ["PATH"],
            "HOME": str(home),
            "XDG_RUNTIME_DIR": str(home / "run"),
            "XDG_CONFIG_HOME": str(home / "config"),
            "CREDPROXY_AUTOSTART": "0",
            "AWS_EC2_METADATA_DISABLED": "true",
            "GCE_METADATA_HOST": "127.0.0.1:1",
        },
    )
    try:
        yield made
    finally:
        if made.process is not None and made.process.poll() is None:
            made.process.kill()
            made.process.wait()


class TokenRegistry:
    """A registry whose token server can be told to be slow, to fail, or to give tokens of another life.

    Hand-written on the standard library's server, in threads, so that it shares nothing with the product.
    """

    def __init__(self, *, password: str = "canary-pass") -> None:
        self.password = password
        self.life = 300
        self.delay = 0.0
        self.status = 200
        self.hanging = ""
        """Part of a scope whose token is held back until this is changed."""
        self.clock = 0.0
        """Seconds by which its clock is ahead of this machine's; its tokens are JWT if that is not 0."""
        self.requests: list[str] = []
        self.count = 0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.requests.append(self.path)
                if self.path.startswith("/token"):
                    outer.token(self)
                else:
                    outer.refuse(self)

            def date_time_string(self, timestamp: float | None = None) -> str:
                return super().date_time_string(outer.now() if timestamp is None else timestamp)

            def log_message(self, *args: object) -> None:
                del args

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.authority = f"127.0.0.1:{self._server.server_port}"
        self.realm = f"http://{self.authority}/token"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True)
        self._thread.start()

    def now(self) -> float:
        """What its own clock shows."""
        return time.time() + self.clock  # noqa: TID251  the daemon's clock is real, too

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._server.server_close()

    def uri(self, path: str) -> str:
        """Give a URI below ``/v2/``."""
        return f"http://{self.authority}/v2/{path}"

    def rule(self) -> str:
        """Give the host rule with the password in the environment."""
        return (
            f'[[host]]\nmatch = "{self.authority}"\nprovider = "oci"\n'
            'credentials = { source = "env", name = "REGISTRY_PASSWORD", username = "canary-user" }\n'
        )

    def exchanges(self) -> int:
        """Count the token requests so far."""
        return sum(path.startswith("/token") for path in self.requests)

    def refuse(self, handler: BaseHTTPRequestHandler) -> None:
        """Send the challenge."""
        handler.send_response(401)
        handler.send_header("WWW-Authenticate", f'Bearer realm="{self.realm}",service="test"')
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    def token(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer a token request, in the way that the test has set."""
        while self.hanging and self.hanging in handler.path:
            time.sleep(0.05)
        time.sleep(self.delay)
        self.count += 1
        token = f"canary-token-{self.count}" if not self.clock else _jwt(self.now(), self.life)
        body = json.dumps({"token": token, "expires_in": self.life}).encode()
        with contextlib.suppress(OSError):
            handler.send_response(self.status)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)


def _jwt(now: float, life: int) -> str:
    """Give a token with times, on the clock of its server."""
    claims = json.dumps({"iat": int(now), "exp": int(now) + life}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c2ln"
