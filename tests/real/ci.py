"""A CI that makes identity tokens for its jobs, with the keys to check them: GitHub Actions, as a job sees it."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs, urlsplit

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

from credproxy.adapters.clock import SystemClock


BEARER = "canary-runtime-token"
_KEY = "one"


class Ci:
    """Serves ``/jwks``, and ``/token`` to clients with ``BEARER``. A context manager.

    Attributes:
        life: seconds of a token.
        asked: audiences, in order.
    """

    def __init__(self) -> None:
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.life = 300
        self.asked: list[str] = []
        handler = type("Handler", (_Handler,), {"ci": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), name="ci", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def environ(self) -> dict[str, str]:
        """Of a job that may have tokens."""
        return {
            "GITHUB_ACTIONS": "true",
            "ACTIONS_ID_TOKEN_REQUEST_URL": f"{self.url}/token?api-version=2.0",
            "ACTIONS_ID_TOKEN_REQUEST_TOKEN": BEARER,
        }

    def token(self, audience: str = "vault", subject: str = "repo:o/r:ref:refs/heads/main", life: int = 300) -> str:
        """Make one."""
        now = int(SystemClock().wall())
        claims = {"iss": self.url, "sub": subject, "aud": audience, "iat": now, "nbf": now - 5, "exp": now + life}
        return jwt.encode(claims, self._key, "RS256", headers={"kid": _KEY})

    def jwks(self) -> str:
        """The keys that its tokens are checked with."""
        key = jwt.algorithms.RSAAlgorithm.to_jwk(self._key.public_key(), as_dict=True)
        return json.dumps({"keys": [{**key, "kid": _KEY, "use": "sig", "alg": "RS256"}]})


class _Handler(BaseHTTPRequestHandler):
    ci: Ci

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/jwks":
            self._say(200, self.ci.jwks())
        elif self.headers.get("Authorization") != f"Bearer {BEARER}":
            self._say(401, "{}")
        else:
            (audience,) = parse_qs(parts.query)["audience"]
            self.ci.asked.append(audience)
            self._say(200, json.dumps({"value": self.ci.token(audience, life=self.ci.life)}))

    def _say(self, status: int, body: str) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""
