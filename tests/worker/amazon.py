"""A stand-in for Amazon's STS and single sign-on, for a container's agent and an instance's metadata, on loopback."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from urllib.parse import parse_qs


NAMESPACE = "https://sts.amazonaws.com/doc/2011-06-15/"
END = "2099-01-01T00:00:00Z"


class Amazon:
    """Answers each path, or each action of STS, with what is set for it.

    Attributes:
        replies: status and body by path or action.
        asked: path or action of each request, in order.
        forms: of the requests to STS.
        headers: of the last request.
    """

    def __init__(self) -> None:
        self.replies: dict[str, tuple[int, str]] = {}
        self.asked: list[str] = []
        self.forms: list[dict[str, str]] = []
        self.headers: dict[str, str] = {}
        amazon = self

        class Handler(BaseHTTPRequestHandler):
            """Hands each request over."""

            def do_GET(self) -> None:
                """Answer."""
                amazon.answer(self)

            do_POST = do_GET  # noqa: N815  the library's name
            do_PUT = do_GET  # noqa: N815  the library's name

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    def __enter__(self) -> Self:
        threading.Thread(target=self._http.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._http.server_close()

    @property
    def url(self) -> str:
        """Its origin."""
        return f"http://127.0.0.1:{self._http.server_port}"

    def granting_role(self, action: str = "AssumeRole", key_id: str = "ASIAROLE") -> None:
        """STS gives the keys of a session."""
        keys = f"<AccessKeyId>{key_id}</AccessKeyId><SecretAccessKey>canary-role</SecretAccessKey>"
        keys += f"<SessionToken>canary-session</SessionToken><Expiration>{END}</Expiration>"
        user = "<AssumedRoleUser><Arn>arn:aws:sts::123456789012:assumed-role/r/s</Arn><AssumedRoleId>x</AssumedRoleId></AssumedRoleUser>"
        self.replies[action] = (
            200,
            f'<{action}Response xmlns="{NAMESPACE}"><{action}Result><Credentials>{keys}</Credentials>{user}</{action}Result></{action}Response>',
        )

    def refusing(self, action: str, code: str, status: int = 403) -> None:
        """STS says no, and quotes something."""
        self.replies[action] = (
            status,
            f"<ErrorResponse><Error><Code>{code}</Code><Message>canary-quoted</Message></Error></ErrorResponse>",
        )

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request."""
        body = handler.rfile.read(int(handler.headers.get("Content-Length", 0))).decode()
        form = {name: values[0] for name, values in parse_qs(body).items()}
        name = form.get("Action") or handler.path.partition("?")[0]
        self.asked.append(name)
        self.headers = dict(handler.headers.items())
        if form:
            self.forms.append(form)
        status, text = self.replies.get(name, (404, json.dumps({"message": "canary-unknown"})))
        handler.send_response(status)
        handler.send_header("Content-Type", "text/xml" if text.startswith("<") else "application/json")
        handler.send_header("X-aws-ec2-metadata-token-ttl-seconds", "60")
        handler.send_header("Content-Length", str(len(text.encode())))
        handler.end_headers()
        handler.wfile.write(text.encode())
