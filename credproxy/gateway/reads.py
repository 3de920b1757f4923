"""Pulls through the gateway: blobs and lists as streams, manifests and heads whole."""

from functools import partial
from http import HTTPStatus
from typing import NamedTuple

from credproxy.core.ask.http import Request, Response
from credproxy.core.checksum import is_of
from credproxy.core.errors import Code, Failed, failed
from credproxy.gateway.answer_fit import fits
from credproxy.gateway.blob import Blob
from credproxy.gateway.conversation import Conversation, H, Landed
from credproxy.gateway.headers import announced, downward, upward
from credproxy.gateway.incoming import Headers, Incoming, Reply, values
from credproxy.gateway.known_blobs import BlobKey, KnownBlobs
from credproxy.gateway.link_header import next_query
from credproxy.gateway.listed import listed
from credproxy.gateway.oci_errors import refusal_reply
from credproxy.gateway.pagination import Listing, Pages
from credproxy.gateway.release_assets import LOOK_LIMIT
from credproxy.gateway.resume import promised
from credproxy.gateway.upstream_request import UpstreamRequests, answered, pull
from credproxy.gateway.wanted import LISTS, Wanted, What
from credproxy.gateway.writes import MANIFEST_LIMIT
from credproxy.ports.clock import Clock
from credproxy.ports.forwarder import Forwarder, Room
from credproxy.ports.transfer import Downloads, Transfer


_RANGED = frozenset({"range", "if-range"})
_SENT = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
_PAUSES = (0.1, 0.4)
"""Seconds before a download that could not be opened is tried again."""

_LASTING = frozenset({"accept-ranges", "content-type", "docker-content-digest", "etag", "last-modified"})
"""The fields of an answer that are about the blob, and not about the answer."""


class _Counted(NamedTuple):
    """What a download counts on."""

    registry: str
    account: str | None


class Reads:
    """Sends requests that change nothing, and follows redirects.

    Args:
        requests: authorises.
        forwarder: sends HEAD requests, and those for manifests.
        downloads: opens blobs and lists.
        pages: remembers the next pages that are handed out.
        clock: for memory and for pauses.

    Attributes:
        known_blobs: blobs that are known to exist.
    """

    def __init__(
        self, requests: UpstreamRequests, forwarder: Forwarder, *, downloads: Downloads, pages: Pages, clock: Clock
    ) -> None:
        self._requests = requests
        self._forwarder = forwarder
        self._downloads = downloads
        self._pages = pages
        self._clock = clock
        self.known_blobs = KnownBlobs(clock)

    async def answer(self, want: Wanted, incoming: Incoming, *, patience: float) -> Reply:
        """Send a request that policy has allowed.

        Raises:
            Failed: those of the requests, the forwarder and the downloads; redirect_refused for a list whose next page
                is lost.
        """
        if want.method == "GET" and want.what in {What.BLOB, What.OBJECT}:
            return await self._blob(want, incoming, patience)
        if want.method == "GET" and want.what in LISTS:
            return await self._list(want, incoming, patience)
        known = self.known_blobs.get(place_of(want, incoming)) if want.what is What.BLOB else None
        if known is not None:
            await self._requests.permit(want, incoming)
            return Reply(HTTPStatus.OK, known.headers, length=known.length)
        return await self._whole(want, incoming, patience)

    async def _whole(self, want: Wanted, incoming: Incoming, patience: float) -> Reply:
        fields = upward(incoming, writing=False)
        conversation: Conversation[Response] = pull(want, fields)
        send = partial(self._forward, incoming.room)
        landed = await self._requests.drive(conversation, incoming, patience=patience, send=send, read=_body_of)
        response = landed.answer
        size = None if want.method == "HEAD" else len(response.body)
        if not fits(response.status, response.headers, length=size, asked=fields):
            return refusal_reply(want, answered(landed), body=response.body)
        headers = (*downward(response.headers), *self._next_page(want, incoming, landed))
        length = announced(response.headers) if want.method == "HEAD" else None
        return Reply(response.status, headers, response.body, length)

    async def _list(self, want: Wanted, incoming: Incoming, patience: float) -> Reply:
        fields = upward(incoming, writing=False)
        landed = await self._persistently(want, incoming, patience, fields)
        transfer = landed.answer
        if not fits(transfer.status, transfer.headers, length=transfer.length, asked=fields):
            transfer.close()
            return refusal_reply(want, answered(landed), body=transfer.whole or b"")
        try:
            headers = (*downward(transfer.headers), *self._next_page(want, incoming, landed))
            body = await listed(transfer, self._clock, registry=want.registry)
        except BaseException:  # also when cancelled: the transfer holds a place of the pump
            transfer.close()
            raise
        return Reply(transfer.status, headers, body)

    async def _blob(self, want: Wanted, incoming: Incoming, patience: float) -> Reply:
        fields = upward(incoming, writing=False)
        landed = await self._persistently(want, incoming, patience, fields)
        transfer = landed.answer
        if not fits(transfer.status, transfer.headers, length=transfer.length, asked=fields):
            transfer.close()
            return refusal_reply(want, answered(landed), body=transfer.whole or b"")
        headers = downward(transfer.headers)
        if transfer.whole is not None:
            transfer.close()
            self._learn(place_of(want, incoming), transfer.status, headers, transfer.whole)
            return Reply(transfer.status, headers, transfer.whole)
        unranged = tuple([field for field in fields if field[0].lower() not in _RANGED])

        async def reopen(rest: Headers) -> Transfer:
            return (await self._opened(want, incoming, patience, (*unranged, *rest))).answer

        span = promised(transfer.status, transfer.headers, length=transfer.length)
        body = Blob(transfer, span, reopen=reopen, clock=self._clock, name=want.upstream, digest=want.reference)
        return Reply(transfer.status, headers, body)

    async def _opened(self, want: Wanted, incoming: Incoming, patience: float, headers: Headers) -> Landed[Transfer]:
        send = partial(self._open, _Counted(want.registry, incoming.account))
        read = partial(self._read, incoming.room)
        return await self._requests.drive(pull(want, headers), incoming, patience=patience, send=send, read=read)

    async def _persistently(
        self, want: Wanted, incoming: Incoming, patience: float, headers: Headers
    ) -> Landed[Transfer]:
        for pause in _PAUSES:
            try:
                return await self._opened(want, incoming, patience, headers)
            except Failed as error:
                told = error.failure
                if told.code is not Code.UPSTREAM_UNAVAILABLE or told.retry_after is not None or told.unanswered:
                    raise
            await self._clock.sleep(pause)
        return await self._opened(want, incoming, patience, headers)

    async def _open(self, counted: _Counted, request: Request) -> Transfer:
        transfer = await self._downloads.open(request, counted.registry, account=counted.account)
        if transfer.status not in _SENT:
            transfer.close()  # its status and headers, and a small body, have been read already
        return transfer

    async def _read(self, room: Room | None, transfer: Transfer) -> bytes:
        """Read the body of a request of our own, up to its limit."""
        found = bytearray(transfer.whole or b"")
        try:
            while transfer.whole is None and (piece := await transfer.read()):
                if room is not None:
                    await room.hold(len(piece))
                found += piece
                if len(found) > LOOK_LIMIT:
                    raise failed(Code.ANSWER_TOO_LARGE, f"the answer is larger than {LOOK_LIMIT} bytes")
        finally:
            transfer.close()
        return bytes(found)

    async def _forward(self, room: Room | None, request: Request) -> Response:
        return await self._forwarder.forward(request, None, limit=MANIFEST_LIMIT, room=room)

    def _next_page(self, want: Wanted, incoming: Incoming, landed: Landed[H]) -> Headers:
        """The ``Link`` to the next page: a URL of the gateway, which is accepted when it comes back."""
        if want.what not in LISTS or landed.answer.status != HTTPStatus.OK:
            return ()
        query = next_query(landed.answer.headers, landed.hop, reach=landed.passage.reach, wanted=want)
        if query is None:
            return ()
        self._pages.hand_out(Listing(incoming.uid, want.registry, want.path), query)
        return (("Link", f'<{want.path}{f"?{query}" if query else ""}>; rel="next"'),)

    def _learn(self, place: BlobKey, status: int, headers: Headers, body: bytes) -> None:
        """Remember a blob whose last byte was seen and whose digest is right; for a larger one neither is known here."""
        if status == HTTPStatus.OK and not values(headers, "Content-Encoding") and is_of(body, place.digest):
            lasting = tuple([field for field in headers if field[0].lower() in _LASTING])
            self.known_blobs.put(place, lasting, length=len(body))


async def _body_of(response: Response) -> bytes:
    return response.body


def place_of(want: Wanted, incoming: Incoming) -> BlobKey:
    """The key under which a blob is remembered."""
    return BlobKey(incoming.uid, want.registry, want.repository, want.reference)
