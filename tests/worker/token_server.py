"""A stand-in for Google's token servers and for a machine's metadata server, on loopback; and files of credentials for it."""

import json
import ssl
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import parse_qs, urlsplit

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


KEY = rsa.generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

Reply = tuple[int, dict[str, object]]


class TokenServer:
    """Answers each path with what is set for it.

    Attributes:
        replies: status and JSON by path, or a function of the form that makes them.
        asked: method, path with its query, and form of each request, in order.
        headers: of the last request.

    Args:
        context: for TLS; None for plain http.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.replies: dict[str, Reply | Callable[[dict[str, list[str]]], Reply]] = {}
        self.asked: list[tuple[str, str, dict[str, list[str]]]] = []
        self.headers: dict[str, str] = {}
        self.granting()
        server = self

        class Handler(BaseHTTPRequestHandler):
            """Hands each request to the server."""

            def do_GET(self) -> None:
                """Answer."""
                server.answer(self)

            do_POST = do_GET  # noqa: N815  the library's name

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._scheme = "http" if context is None else "https"
        if context is not None:
            self._http.socket = context.wrap_socket(self._http.socket, server_side=True)

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def place(self) -> str:
        """Host and port."""
        return f"127.0.0.1:{self._http.server_port}"

    @property
    def url(self) -> str:
        """Its origin."""
        return f"{self._scheme}://{self.place}"

    def granting(self, token: str = "canary-google", seconds: int = 3599) -> None:
        """Grant a token at each place."""
        grant: Reply = (200, {"access_token": token, "expires_in": seconds, "token_type": "Bearer"})
        self.replies |= {"/token": grant, "/v1/token": (200, grant[1] | {"issued_token_type": "t"})}

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0)).decode()
        self.headers = {name.lower(): value for name, value in handler.headers.items()}
        status, content = self.reply(handler.path, body, method=handler.command)
        text = json.dumps(content).encode()
        handler.send_response(status)
        for name, value in (
            ("Content-Type", "application/json"),
            ("Metadata-Flavor", "Google"),
            ("Content-Length", str(len(text))),
        ):
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(text)

    def reply(self, path: str, body: str, *, method: str = "POST") -> Reply:
        """What is answered to a request, which is remembered."""
        form = parse_qs(body) if not body.startswith("{") else {"json": [body]}
        self.asked.append((method, path, form))
        found = self.replies.get(urlsplit(path).path, (404, {"error": "not_found"}))
        return found(form) if callable(found) else found

    def service_account(self, folder: Path, **more: object) -> str:
        """Write a key file whose tokens come from here."""
        found = {
            "type": "service_account",
            "client_email": "build@corp.test",
            "private_key": KEY,
            "token_uri": f"{self.url}/token",
        }
        return written(folder, found | more)


def written(folder: Path, content: Mapping[str, object]) -> str:
    """Write credentials, and give their path."""
    path = folder / f"{content.get('type', 'x')}.json"
    path.write_text(json.dumps(content))
    return str(path)
