"""google-auth's way to the network: its seam for a transport, over ``egress``."""

import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from google.auth import transport

from credproxy.core.errors import Code, failed
from credproxy.worker.egress import Egress
from credproxy.worker.http_answer import EgressAnswer


_PAUSE = 0.25
"""Seconds before a server that cannot answer now is asked again."""


class _GoogleAnswer(transport.Response):
    """An answer, as the library reads it."""

    def __init__(self, answer: EgressAnswer) -> None:
        self._answer = answer

    @property
    def status(self) -> int:
        """Its status."""
        return self._answer.status

    @property
    def headers(self) -> Mapping[str, str]:
        """Names in lower case, as the library looks for them."""
        return self._answer.headers

    @property
    def data(self) -> bytes:
        """Its body."""
        return self._answer.body


class GoogleTransport(transport.Request):
    """Sends what the library wants to be sent."""

    def __init__(self, egress: Egress) -> None:
        self._egress = egress

    def __call__(
        self,
        url: str,
        method: str = "GET",
        body: bytes | str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float | None = None,
        **_: object,
    ) -> _GoogleAnswer:
        """Send a request.

        Raises:
            Failed: not an error of the library's, which would try again for longer than anybody waits; a server that cannot
                answer now is asked twice.
        """
        content = body.encode() if isinstance(body, str) else body
        for pause in (_PAUSE, 0.0):
            answer = self._egress.send(method, url, headers=headers or {}, body=content, timeout=timeout)
            if answer.status not in transport.DEFAULT_RETRYABLE_STATUS_CODES:
                return _GoogleAnswer(answer)
            time.sleep(pause)
        message = f"host {urlsplit(url).hostname!r} cannot give a token now: it answers with an error of its own"
        raise failed(Code.UPSTREAM_UNAVAILABLE, message, hint="try again in a minute")
