"""azure-identity's way to the network: azure-core's seam for a transport, over ``egress``."""

import time
from collections.abc import Mapping
from http import HTTPStatus
from types import TracebackType
from typing import Self
from urllib.parse import urlencode, urlsplit

from azure.core.rest import HttpRequest

from credproxy.core.ask.retry_after import retry_after
from credproxy.core.errors import Code, failed
from credproxy.worker.egress import Egress
from credproxy.worker.http_answer import EgressAnswer


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


_PAUSE = 0.25
"""Seconds before a server that cannot answer now is asked again."""


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
            Failed: not an error of the library's, which would try again for longer than anybody waits, and then call it a
                refusal of the login; a server that cannot answer now is asked twice.
        """
        answer = self._answer(request)
        if _busy(answer):
            time.sleep(_PAUSE)
            answer = self._answer(request)
        if not _busy(answer):
            return AzureAnswer(request, answer)
        host = urlsplit(request.url).hostname
        if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
            pause = retry_after(tuple(answer.headers.items()), None)
            message = f"host {host!r} asks to come back later"
            raise failed(Code.RATE_LIMITED, message, hint="try again in a minute", retry_after=pause)
        message = f"host {host!r} cannot give a token now: it answers {answer.status}"
        raise failed(Code.UPSTREAM_UNAVAILABLE, message, hint="try again in a minute")

    def _answer(self, request: HttpRequest) -> EgressAnswer:
        body = _body(request.content)
        return self._egress.send(request.method, request.url, headers=request.headers, body=body)


def _busy(answer: EgressAnswer) -> bool:
    return answer.status == HTTPStatus.TOO_MANY_REQUESTS or answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR


def _body(content: object) -> bytes | None:
    """What a request has for a body: a form comes as a table."""
    if isinstance(content, Mapping):
        return urlencode(content).encode()
    if isinstance(content, str):
        return content.encode()
    return content if isinstance(content, bytes) else None
