"""The use case of the gateway: read a request, judge it, send it with a credential that stays here, and answer.

``Gateway.answer`` is where to begin.
"""

from collections.abc import Callable
from http import HTTPStatus

from credproxy.core.ask.names import Authority
from credproxy.core.errors import Code, Failed, failed
from credproxy.gateway.authorizer import Authorizer
from credproxy.gateway.incoming import Incoming, Reply, RequestBody
from credproxy.gateway.oci_errors import API_VERSION, failure_reply, in_api_form, unread
from credproxy.gateway.pagination import Listing, Pages
from credproxy.gateway.reads import Reads, place_of
from credproxy.gateway.request_reader import FETCH, wanted
from credproxy.gateway.uploads import Uploads
from credproxy.gateway.upstream_request import UpstreamRequests
from credproxy.gateway.wanted import Wanted, What
from credproxy.gateway.writes import Writes
from credproxy.ports.clock import Clock
from credproxy.ports.forwarder import Forwarder
from credproxy.ports.transfer import Downloads


class Gateway:
    """Answers requests below ``/v2/``, and those for objects.

    Args:
        authorizer: policy and credentials.
        forwarder: sends everything except downloads of blobs and lists.
        downloads: opens downloads.
        clock: for memory and for pauses.
        token: draws ids of upload sessions.
    """

    def __init__(
        self,
        *,
        authorizer: Authorizer,
        forwarder: Forwarder,
        downloads: Downloads,
        clock: Clock,
        token: Callable[[], str],
    ) -> None:
        self._pages = Pages()
        requests = UpstreamRequests(authorizer)
        self._reads = Reads(requests, forwarder, downloads=downloads, pages=self._pages, clock=clock)
        self._uploads = Uploads(token, clock)
        self._writes = Writes(requests, forwarder, uploads=self._uploads)

    @property
    def uploads(self) -> int:
        """How many uploads were begun and have not ended."""
        return len(self._uploads)

    def forget(self) -> None:
        """Drop what is known about blobs, after a flush or a new configuration."""
        self._reads.known_blobs.clear()

    async def answer(self, incoming: Incoming, upload: RequestBody, *, patience: float) -> Reply:
        """Answer one request; a failure becomes an answer, too.

        Args:
            incoming: without its body.
            upload: its body.
            patience: seconds that it may wait for a credential.
        """
        try:
            if incoming.path in {"/v2", "/v2/"}:
                return _ping(incoming)
            want = wanted(incoming, lambda *listing: self._handed_out(incoming.uid, *listing))
        except Failed as error:
            reply = failure_reply(error.failure)
            return in_api_form(reply) if incoming.path == FETCH else reply
        try:
            reply = await self._answer(want, incoming, upload, patience)
        except Failed as error:
            reply = failure_reply(error.failure)
        reply = unread(want, reply) if want.method == "HEAD" and reply.told else reply
        return reply if want.object is None else in_api_form(reply)

    async def _answer(self, want: Wanted, incoming: Incoming, upload: RequestBody, patience: float) -> Reply:
        if want.reads and want.what is not What.SESSION:
            return await self._reads.answer(want, incoming, patience=patience)
        try:
            return await self._writes.answer(want, incoming, upload=upload, patience=patience)
        finally:
            self._reads.known_blobs.drop(place_of(want, incoming))

    def _handed_out(self, uid: int, registry: Authority, path: str, query: str) -> bool:
        return self._pages.handed_out(Listing(uid, registry, path), query)


def _ping(incoming: Incoming) -> Reply:
    # Answered here: a challenge on this socket would make the client ask for a token on it.
    if incoming.method not in {"GET", "HEAD"}:
        raise failed(Code.METHOD_NOT_ALLOWED, f"this path takes GET, not {incoming.method[:20]!r}")
    return Reply(HTTPStatus.OK, (("Content-Type", "application/json"), API_VERSION), b"{}")
