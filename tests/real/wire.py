"""The tests' own HTTP client: it shares no code with credproxy, so that both cannot have the same mistake."""

import base64
import http.client
import json
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message
from urllib.parse import urlencode, urlsplit


MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


@dataclass(frozen=True)
class Reply:
    """What came back; `headers` looks names up in any case."""

    status: int
    headers: Message
    body: bytes

    def json(self) -> dict[str, object]:
        """The body as a JSON object."""
        value: object = json.loads(self.body)
        assert isinstance(value, dict), value
        return value


class Wire:
    """Sends one request per connection, follows no redirects, keeps no cookies."""

    def __init__(self, trust: ssl.SSLContext) -> None:
        self._trust = trust

    def ask(
        self, url: str, *, method: str = "GET", headers: Mapping[str, str] | None = None, body: bytes = b""
    ) -> Reply:
        """Send `method` to an https `url` and read the whole answer.

        Raises:
            OSError: nothing listens, or TLS fails.
        """
        parts = urlsplit(url)
        assert parts.scheme == "https", url
        connection = http.client.HTTPSConnection(parts.netloc, timeout=30, context=self._trust)
        try:
            target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
            connection.request(method, target, body=body or None, headers=dict(headers or {}))
            answer = connection.getresponse()
            return Reply(answer.status, answer.headers, answer.read())
        finally:
            connection.close()

    def get(self, url: str, authorization: str | None = None) -> Reply:
        """GET anything, manifests included, with an Authorization header or without one."""
        headers = {
            "Accept": f"{MANIFEST_TYPE}, */*"
        }  # docker-registry 2.8 hides an OCI manifest unless its type is accepted
        return self.ask(url, headers=headers | ({"Authorization": authorization} if authorization else {}))

    def post_form(self, url: str, form: Mapping[str, str]) -> Reply:
        """POST a form, as the OAuth2 flow of token servers wants it."""
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return self.ask(url, method="POST", headers=headers, body=urlencode(form).encode())


def basic(user: str, password: str) -> str:
    """The value of an Authorization header, RFC 7617."""
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()
