"""Pushes through the gateway: uploads and their sessions, manifests, deletions."""

from collections.abc import AsyncIterable
from http import HTTPStatus
from urllib.parse import quote

import structlog
from msgspec.structs import replace

from credproxy.core.ask.http import REDIRECTS, Request, Response
from credproxy.core.errors import Code, failed
from credproxy.gateway import redirect
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.conversation import Conversation
from credproxy.gateway.headers import downward, upward
from credproxy.gateway.incoming import Headers, Incoming, Reply, RequestBody, values
from credproxy.gateway.oci_errors import refusal_reply
from credproxy.gateway.redirect import Hop
from credproxy.gateway.uploads import Owner, Uploads
from credproxy.gateway.upstream_request import UpstreamRequests, answered, push
from credproxy.gateway.wanted import Wanted, What
from credproxy.ports.forwarder import Forwarder


MANIFEST_LIMIT = 4 * 1024 * 1024
"""Bytes of a manifest or a list: what the distribution specification asks registries to accept."""

_SMALL = 64 * 1024
"""Bytes of an upload that are read first, so that they can be sent again after a refused token."""

_NOT_MOUNTED = frozenset({*range(400, 500), 501}) - {408, 429}
"""Statuses of a registry that refuses a mount, for its source or its token or because it has none; it may still accept
an upload."""

_Body = AsyncIterable[bytes] | bytes | None


log = structlog.get_logger("credproxy.gateway")


class Writes:
    """Sends requests that change a registry.

    Args:
        requests: authorises.
        forwarder: sends.
        uploads: open sessions.
    """

    def __init__(self, requests: UpstreamRequests, forwarder: Forwarder, *, uploads: Uploads) -> None:
        self._requests = requests
        self._forwarder = forwarder
        self._uploads = uploads

    async def answer(self, wanted: Wanted, incoming: Incoming, *, upload: RequestBody, patience: float) -> Reply:
        """Send a request that policy has allowed, and give the answer.

        Raises:
            Failed: too_large, bad_request (of the body), not_found (a session), and those of the requests and the
                forwarder.
        """
        await self._requests.permit(wanted, incoming)  # a body that may not be sent is not read
        body = await _body(wanted, upload)
        repeatable = body is None or isinstance(body, bytes)
        reply = await self._sent(wanted, incoming, upload, body, patience)
        plain = wanted.unmounted()
        if plain is None or not repeatable or reply.status not in _NOT_MOUNTED:
            return reply
        log.info("mount left out", registry=wanted.registry, repository=wanted.repository, status=reply.status)
        return await self._sent(plain, incoming, upload, body, patience)

    async def _sent(
        self, wanted: Wanted, incoming: Incoming, upload: RequestBody, body: _Body, patience: float
    ) -> Reply:
        owner = Owner(incoming.uid, incoming.sandbox, wanted.registry, wanted.repository)
        if wanted.what is What.UPLOADS:
            self._uploads.admit(owner)
        session = self._uploads.place(owner, wanted.reference) if wanted.what is What.SESSION else None
        repeatable = body is None or isinstance(body, bytes)
        fields = upward(incoming, writing=True)
        if not repeatable and upload.length is not None:
            fields = (*fields, ("Content-Length", str(upload.length)))

        def start(passage: Passage) -> Hop:
            if session is None:
                return redirect.first(passage.reach, wanted.path, query=wanted.query, upstream=wanted.upstream)
            return _with_digest(redirect.renewed(session, passage.reach), wanted.digest)

        async def send(request: Request) -> Response:
            return await self._forwarder.forward(request, body, limit=MANIFEST_LIMIT, room=incoming.room)

        conversation: Conversation[Response] = push(wanted, fields, start=start, repeatable=repeatable)
        landed = await self._requests.drive(conversation, incoming, patience=patience, send=send)
        response = landed.answer
        if response.status in REDIRECTS:
            message = (
                f"registry {wanted.registry!r} redirects {wanted.operation}, and a write does not follow redirects"
            )
            raise failed(Code.REDIRECT_REFUSED, message, hint="ask its administrator")
        if response.status >= HTTPStatus.MULTIPLE_CHOICES:
            return refusal_reply(wanted, answered(landed), body=response.body)
        place = self._place(wanted, owner, session, response, landed.passage)
        return Reply(response.status, (*downward(response.headers), *place))

    def _place(
        self, wanted: Wanted, owner: Owner, session: Hop | None, response: Response, passage: Passage
    ) -> Headers:
        """The ``Location`` of an answer, always a path of the gateway."""
        if wanted.what is What.MANIFEST:
            return (("Location", wanted.path),)
        if wanted.what is What.BLOB:
            return ()
        if response.status == HTTPStatus.CREATED or wanted.method == "DELETE":
            self._uploads.end(owner, wanted.reference)
            return (("Location", f"/v2/{wanted.repository}/blobs/{wanted.digest}"),) if wanted.digest else ()
        return self._next(wanted, owner, session, response, passage)

    def _next(self, wanted: Wanted, owner: Owner, session: Hop | None, response: Response, passage: Passage) -> Headers:
        found = values(response.headers, "Location")
        before = session or redirect.first(passage.reach, wanted.path, query="", upstream=wanted.upstream)
        if found:
            place = redirect.follow(before, found[0], reach=passage.reach, wanted=wanted)
        elif session is not None:
            place = session
        else:
            message = f"registry {wanted.registry!r} began an upload without saying where it continues"
            raise failed(Code.UPSTREAM_UNAVAILABLE, message, hint="ask its administrator")
        if session is None:
            reference = self._uploads.begin(owner, place)
        else:
            reference = wanted.reference
            self._uploads.move(owner, reference, place=place)
        return (
            ("Location", f"/v2/{wanted.repository}/blobs/uploads/{reference}"),
            ("Docker-Upload-UUID", reference),
        )


async def _body(wanted: Wanted, upload: RequestBody) -> _Body:
    if wanted.what is What.MANIFEST:
        return await upload.whole(MANIFEST_LIMIT) if wanted.method == "PUT" else None
    if upload.length == 0:
        return None
    if upload.length is not None and upload.length <= _SMALL:
        return await upload.whole(_SMALL)
    return upload.pieces()


def _with_digest(place: Hop, digest: str) -> Hop:
    if not digest:
        return place
    joint = "&" if "?" in place.url else "?"
    return replace(place, url=f"{place.url}{joint}digest={quote(digest, safe=':')}")
