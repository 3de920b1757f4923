"""How rules_img's ``img`` uses a registry gateway on a Unix socket: its bytes, and its reactions.

It sends exactly what ``img download-blob`` and ``img download-manifest`` send, reacts in the same way, and records each
request and each pause of ``img`` without waiting. It blocks: from a test with an event loop, call it through
``asyncio.to_thread``. One thing is left out: after a Bearer challenge and a 401 it would request a new token.

Versions: ``img`` v0.3.19 with go-containerregistry v0.21.7, whose client was given the same answers as the unit tests
give: the same bytes on the same connections.
Source: docs/design/clients.md#the-gateway and #the-img-client; rules_img ``pkg/gateway``, ``pkg/registryopts``; go-containerregistry ``pkg/v1/remote``.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import responses
from pathlib import Path
from urllib.parse import urlencode, urljoin, urlsplit

from tests.img_wire import Connections, DroppedError, FinalError, Response, Sent


AGENT = "go-containerregistry/v0.21.7"
MANIFEST_TYPES = (
    "application/vnd.docker.distribution.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v1+prettyjws",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.index.v1+json",
)
RETRIED = frozenset({408, 429, 499, 500, 502, 503, 504, 522})
ATTEMPTS = 6

_LONGEST_PAUSE = 60.0
_REDIRECTS = 10
_REDIRECTING = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True)
class Outcome:
    """How one run of ``img`` ends.

    Attributes:
        error: what it prints, without the URL in front; "" if it succeeds.
        content: what is in its output file; after an error perhaps a part.
        response: the last one; None if there was none.
        requests: all that it sent.
        pauses: seconds before each further attempt, without jitter, and those of ``Retry-After``.
    """

    error: str
    content: bytes
    response: Response | None
    requests: tuple[Sent, ...]
    pauses: tuple[float, ...]

    @property
    def exit_status(self) -> int:
        """0 or 1."""
        return 1 if self.error else 0


def download_blob(gateway: Path, registry: str, repository: str, digest: str) -> Outcome:
    """Run ``img download-blob --digest DIGEST --source REPOSITORY@REGISTRY --output FILE`` through a gateway."""
    return _Img(gateway, registry, repository=repository).run(f"blobs/{digest}", digest, {})


def download_manifest(gateway: Path, registry: str, repository: str, reference: str) -> Outcome:
    """Run ``img download-manifest`` for a tag or a digest through a gateway."""
    digest = reference if ":" in reference else ""
    return _Img(gateway, registry, repository=repository).run(
        f"manifests/{reference}", digest, {"Accept": ",".join(MANIFEST_TYPES)}
    )


class _Img:
    """One process."""

    def __init__(self, gateway: Path, registry: str, *, repository: str) -> None:
        is_hub = registry in {"docker.io", "index.docker.io"}
        self._registry = "index.docker.io" if is_hub else registry
        self._repository = f"library/{repository}" if is_hub and "/" not in repository else repository
        self._connections = Connections(gateway)
        self._pauses: list[float] = []
        self._last: Response | None = None

    def run(self, what: str, digest: str, headers: Mapping[str, str]) -> Outcome:
        """Ping, get, verify."""
        error, content = "", b""
        try:
            self._ping()
            response = self._get(f"/v2/{self._repository}/{what}", headers)
            content = response.body
            _verify(response, digest)
        except FinalError as final:
            error = str(final)
        finally:
            self._connections.close()
        return Outcome(error, content, self._last, tuple(self._connections.sent), tuple(self._pauses))

    def _ping(self) -> None:
        response = self._send(self._registry, "/v2/", {}, agent="Go-http-client/1.1")
        challenge = response.headers.get("www-authenticate", "")
        realm = re.match(r'(?i)bearer .*?realm="([^"]*)"', challenge)
        if response.status == 401 and realm is not None:
            service = re.search(r'service="([^"]*)"', challenge)
            asked = {"scope": f"repository:{self._repository}:pull"} | ({"service": service[1]} if service else {})
            url = urlsplit(realm[1])
            _check(self._send(url.netloc, f"{url.path}?{urlencode(asked)}", {}))
        elif response.status != 401:
            _check(response)

    def _get(self, path: str, headers: Mapping[str, str]) -> Response:
        """Follow where it leads; only 200 is a success."""
        url = f"http://{self._registry}{path}"
        response = self._send(self._registry, path, headers)
        for _ in range(_REDIRECTS):
            if response.status not in _REDIRECTING or "location" not in response.headers:
                break
            referer, url = url, urljoin(url, response.headers["location"])
            parts = urlsplit(url)
            target = f"{parts.path}?{parts.query}" if parts.query else parts.path
            response = self._send(parts.netloc, target, {**headers, "Referer": referer})
        _check(response)
        return response

    def _send(self, host: str, target: str, headers: Mapping[str, str], agent: str = AGENT) -> Response:
        """Send a request until its response is not one to try again after, six times at most."""
        # Go writes the alphabet's order, between the two that it always has and what its transport adds.
        fields = {"Host": host, "User-Agent": agent}
        fields |= sorted({**headers, "X-Rules_img-Original-Host": host}.items())
        fields["Accept-Encoding"] = "gzip"
        lines = [f"GET {target} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), "", ""]
        data = "\r\n".join(lines).encode()
        for attempt in range(ATTEMPTS):
            if attempt:
                self._pauses.append(min(2.0 ** (attempt - 1), _LONGEST_PAUSE))
            self._last = self._attempt(host, data)
            if self._last is not None and self._last.status not in RETRIED:
                return self._last
        if self._last is None:
            raise FinalError("EOF")
        return self._last

    def _attempt(self, host: str, data: bytes) -> Response | None:
        try:
            response = self._connections.send(host, data)
        except DroppedError:
            return None
        seconds = response.headers.get("retry-after", "")
        if response.status in {429, 503} and seconds.isdigit() and seconds != "0":
            self._pauses.append(min(float(seconds), _LONGEST_PAUSE))
        return response


def _check(response: Response) -> None:
    """Raise FinalError unless it is a 200, with the registry's own words where it has some."""
    if response.status == 200:
        return
    try:
        document: object = json.loads(response.body)
    except ValueError:
        document = None
    errors = document.get("errors") if isinstance(document, dict) else None
    if not errors:
        reason = f"unexpected status code {response.status} {responses.get(response.status, '')}".rstrip()
        raise FinalError(f"{reason}: {response.body.decode(errors='replace')}" if response.body else reason)
    texts = [f"{error['code']}: {error.get('message', '')}" for error in errors]
    raise FinalError(texts[0] if len(texts) == 1 else f"multiple errors returned: {'; '.join(texts)}")


def _verify(response: Response, digest: str) -> None:
    """Raise FinalError for a body that is cut, or not the one that was asked for: neither is asked for again."""
    if not response.whole:
        raise FinalError("unexpected EOF")
    found = f"sha256:{hashlib.sha256(response.body).hexdigest()}"
    if digest not in {"", found}:
        read = f"after reading {len(response.body)} bytes"
        raise FinalError(f'error verifying sha256 checksum {read}; got "{found}", want "{digest}"')
