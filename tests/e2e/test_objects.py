"""An object that needs a login, in a sandbox without a network and without that login."""

import hashlib
import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from tests.e2e.stage import Stage
from tests.e2e.test_actions import actions_socket, ask
from tests.hints import filled


pytestmark = [pytest.mark.e2e, pytest.mark.timeout(60)]

CANARY = "canary-key-4711"
OBJECT = bytes(range(256)) * 4096


class _Files(BaseHTTPRequestHandler):
    """Gives objects to clients with the key, and breaks off the first large answer in the middle."""

    broken = False

    def do_GET(self) -> None:
        """One object."""
        if self.headers.get("X-Api-Key") != CANARY:
            self.send_response(401)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        begin = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        self.send_response(206 if begin else 200)
        self.send_header("Content-Length", str(len(OBJECT) - begin))
        self.send_header("ETag", '"1"')
        if begin:
            self.send_header("Content-Range", f"bytes {begin}-{len(OBJECT) - 1}/{len(OBJECT)}")
        self.end_headers()
        if not type(self).broken:
            type(self).broken = True
            self.wfile.write(OBJECT[: len(OBJECT) // 2])
            self.close_connection = True
            return
        self.wfile.write(OBJECT[begin:])

    def log_message(self, *_: object) -> None:
        """Log nothing."""


@pytest.fixture
def files() -> Iterator[str]:
    """Where the objects are."""
    _Files.broken = False
    with ThreadingHTTPServer(("127.0.0.1", 0), _Files) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def fetch(staged: Stage, url: str, *around: str) -> tuple[int, bytes]:
    """Request a URL as a build action does: with curl, on the actions socket."""
    command = ["curl", "-sS", "-G", "--data-urlencode", f"url={url}", "--unix-socket", str(actions_socket(staged))]
    command += ["-w", "\n%{http_code}", "http://localhost/v1/fetch"]
    done = subprocess.run(
        [*around, *command], capture_output=True, check=False, timeout=20, env={"PATH": staged.environ["PATH"]}
    )
    body, _, status = done.stdout.rpartition(b"\n")
    return int(status), body


def test_an_object_comes_into_a_sandbox_and_its_key_does_not(
    staged: Stage, files: str, sandbox: tuple[str, ...], tmp_path: Path
) -> None:
    """Carried, resumed, judged by a rule; another path of the same host is refused with the command that allows it."""
    key = tmp_path / "key"
    key.write_text(CANARY)
    key.chmod(0o600)
    staged.configure(
        f'[[host]]\nmatch = "{files}"\nprovider = "header"\nname = "X-Api-Key"\ninsecure = true\n'
        f'secret = {{ source = "file", path = "{key}" }}\n'
        f'[[actions.rule]]\naction = "allow"\nurl = "http://{files}/releases/**"\n'
        "[log]\naudit = true\n"
    )
    staged.start()
    status, body = fetch(staged, f"http://{files}/releases/v1/a.tar", *sandbox)
    assert (status, hashlib.sha256(body).hexdigest()) == (200, hashlib.sha256(OBJECT).hexdigest())
    status, body = fetch(staged, f"http://{files}/private?{CANARY}", *sandbox)
    error = json.loads(body)["error"]
    assert (status, error["code"]) == (403, "policy_denied")
    assert f"credproxy actions allow 'http://{files}/private?*'" in error["message"]
    status, answer = ask(staged, f"http://{files}/releases/v1/a.tar", *sandbox)
    error = json.loads(answer)["error"]
    assert (status, error["code"]) == (403, "use_gateway")
    filled(error["hint"], "have the gateway on the same socket fetch it: GET /v1/fetch?url=URL, percent-encoded")
    assert fetch(staged, f"http://{files}/releases/v1/a.tar", *sandbox)[0] == 200
    assert staged.stop() == 0
    assert "handed out" in staged.log()
    assert CANARY not in staged.log()
