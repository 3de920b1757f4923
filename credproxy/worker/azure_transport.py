"""azure-identity's way to the network: azure-core's seam for a transport, over ``egress``."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self
from urllib.parse import urlencode

from azure.core.rest import HttpRequest

from credproxy.worker.egress import Egress, EgressAnswer


class AzureAnswer:
    """An answer, as the library reads it."""

    def __init__(self, request: HttpRequest, answer: EgressAnswer) -> None:
        self.request = request
        self.status_code = answer.status
        self.headers: Mapping[str, str] = answer.headers
        self.reason = ""
        self.content_type = answer.headers.get("content-type", "")
        self._body = answer.body

    def body(self) -> bytes:
        """Its body."""
        return self._body

    def text(self, encoding: str | None = None) -> str:
        """Its body as text."""
        return self._body.decode(encoding or "utf-8", "replace")


class AzureTransport:
    """Sends what the library wants to be sent."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is open."""

    def open(self) -> None:
        """Nothing has to be closed."""

    def close(self) -> None:
        """As above."""

    def sleep(self, seconds: float) -> None:
        """Between two tries the library may wait; nobody here waits for longer than a call."""
        del seconds

    def send(self, request: HttpRequest, **_: object) -> AzureAnswer:
        """Send a request.

        Raises:
            Failed: not an error of the library's, which would try again for longer than anybody waits.
        """
        headers, body = request.headers, _body(request.content)
        return AzureAnswer(request, self._egress.send(request.method, request.url, headers=headers, body=body))


def _body(content: object) -> bytes | None:
    """What a request has for a body: a form comes as a table."""
    if isinstance(content, Mapping):
        return urlencode(content).encode()
    if isinstance(content, str):
        return content.encode()
    return content if isinstance(content, bytes) else None
