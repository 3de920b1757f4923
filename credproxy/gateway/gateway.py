"""The use case of the gateway: a request is read, judged, sent with a credential that stays here, and answered.

``Gateway.answer`` is where to begin.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from http import HTTPStatus

from credproxy.broker.broker import Broker, Carriage
from credproxy.core.endpoint import Endpoint
from credproxy.core.errors import Code, Failed, failed
from credproxy.core.http import Request, Response
from credproxy.gateway import redirect
from credproxy.gateway.asked import Answer, Asked, Headers, Reply, Upload
from credproxy.gateway.blob import Blob
from credproxy.gateway.errors import API_VERSION, failure_reply, refusal_reply
from credproxy.gateway.existence import Existence, Place
from credproxy.gateway.headers import announced, downward, next_page, upward
from credproxy.gateway.resume import promised
from credproxy.gateway.road import Head, Road
from credproxy.gateway.uploads import Uploads
from credproxy.gateway.wanted import Wanted, What, wanted
from credproxy.gateway.writes import MANIFEST_LIMIT, Writes
from credproxy.ports import Carrier, Clock, Downloads, Room, Transfer


_RANGED = frozenset({"range", "if-range"})
_SENT = frozenset({HTTPStatus.OK, HTTPStatus.PARTIAL_CONTENT})
_PAUSES = (0.1, 0.4)
"""Seconds before a download that could not be opened is tried again."""

Permit = Callable[[str, str, str, Endpoint], None]
"""Policy: registry, method, path and what it names; raises Failed(policy_denied)."""


class Gateway:
    """Answers ``/v2/`` requests.

    Args:
        broker: gives credentials.
        carrier: sends everything but downloads of blobs.
        downloads: opens those.
        permit: the policy in force, asked before anything else.
        clock: for what is remembered, and for pauses.
        token: draws ids of upload sessions.
    """

    def __init__(
        self,
        *,
        broker: Broker,
        carrier: Carrier,
        downloads: Downloads,
        permit: Permit,
        clock: Clock,
        token: Callable[[], str],
    ) -> None:
        self._carrier = carrier
        self._downloads = downloads
        self._permit = permit
        self._clock = clock
        self._road = Road(broker)
        self._writes = Writes(self._road, carrier, Uploads(token))
        self._existence = Existence(clock)

    def forget(self) -> None:
        """Drop what is known of blobs: a flush, or another configuration."""
        self._existence.clear()

    async def answer(self, asked: Asked, upload: Upload, patience: float) -> Reply:
        """Answer one request; a failure is an answer, too.

        Args:
            asked: without its body.
            upload: its body.
            patience: seconds that it may wait for a credential.
        """
        try:
            if asked.path in {"/v2", "/v2/"}:
                return _ping(asked)
            want = wanted(asked)
            self._permit(want.registry, want.method, asked.path, want.endpoint)
            return await self._answer(want, asked, upload, patience)
        except Failed as error:
            return failure_reply(error.failure)

    async def _answer(self, want: Wanted, asked: Asked, upload: Upload, patience: float) -> Reply:
        place = Place(asked.uid, want.registry, want.repository, want.reference)
        if not want.reads or want.what is What.SESSION:
            try:
                return await self._writes.answer(want, asked, upload, patience)
            finally:
                self._existence.drop(place)
        if want.what is not What.BLOB:
            return await self._whole(want, asked, patience)
        if want.method == "GET":
            return await self._blob(want, asked, patience, place)
        known = self._existence.get(place)
        if known is not None:
            return Reply(HTTPStatus.OK, known.headers, length=known.length)
        reply = await self._whole(want, asked, patience)
        self._learn(place, reply.status, reply.headers, reply.length)
        return reply

    async def _whole(self, want: Wanted, asked: Asked, patience: float) -> Reply:
        fields = upward(asked, writing=False)

        async def send(carriage: Carriage) -> Response:
            start = redirect.first(carriage.reach, want.path, want.query, want.registry)
            return await self._road.follow(want, carriage, start, fields, partial(self._carry, asked.room))

        response, carriage = await self._road.travel(want, asked.caller, patience, send)
        answer, sent = _answered(response, carriage), (carriage.target, carriage.handout)
        if not _good(answer.status, fields):
            return replace(refusal_reply(want, answer, response.body), sent=sent)
        headers = (*downward(answer.headers), *next_page(answer.headers, want.path))
        length = announced(answer.headers) if want.method == "HEAD" else None
        return Reply(answer.status, headers, response.body, length, sent=sent)

    async def _blob(self, want: Wanted, asked: Asked, patience: float, place: Place) -> Reply:
        fields = upward(asked, writing=False)
        unranged = tuple(field for field in fields if field[0].lower() not in _RANGED)

        async def opened(headers: Headers) -> tuple[Transfer, Carriage]:
            async def send(carriage: Carriage) -> Transfer:
                start = redirect.first(carriage.reach, want.path, "", want.registry)
                return await self._road.follow(want, carriage, start, headers, self._open)

            return await self._road.travel(want, asked.caller, patience, send)

        async def reopen(rest: Headers) -> Transfer:
            transfer, _ = await opened((*unranged, *rest))
            return transfer

        transfer, carriage = await self._persistently(lambda: opened(fields))
        answer, sent = _answered(transfer, carriage), (carriage.target, carriage.handout)
        if not _good(answer.status, fields):
            transfer.close()
            return replace(refusal_reply(want, answer, transfer.whole or b""), sent=sent)
        headers = downward(answer.headers)
        self._learn(place, answer.status, headers, transfer.length)
        if transfer.whole is not None:
            transfer.close()
            return Reply(answer.status, headers, transfer.whole, sent=sent)
        span = promised(answer.status, answer.headers, transfer.length)
        body = Blob(transfer, span, reopen, clock=self._clock, name=want.registry, digest=want.reference)
        return Reply(answer.status, headers, body, sent=sent)

    async def _persistently(
        self, opened: Callable[[], Awaitable[tuple[Transfer, Carriage]]]
    ) -> tuple[Transfer, Carriage]:
        for pause in _PAUSES:
            try:
                return await opened()
            except Failed as error:
                told = error.failure
                if told.code is not Code.UPSTREAM_UNAVAILABLE or told.retry_after is not None or told.unanswered:
                    raise
            await self._clock.sleep(pause)
        return await opened()

    async def _open(self, request: Request) -> Transfer:
        transfer = await self._downloads.open(request)
        if transfer.status not in _SENT:
            transfer.close()  # its status and headers, and a small body, are there already
        return transfer

    async def _carry(self, room: Room | None, request: Request) -> Response:
        return await self._carrier.carry(request, None, MANIFEST_LIMIT, room)

    def _learn(self, place: Place, status: int, headers: Headers, length: int | None) -> None:
        coded = any(name.lower() == "content-encoding" for name, _ in headers)
        if status == HTTPStatus.OK and length is not None and not coded:
            self._existence.put(place, headers, length)


def _ping(asked: Asked) -> Reply:
    # Answered here: a challenge on this socket would begin a token dance on it.
    if asked.method not in {"GET", "HEAD"}:
        raise failed(Code.METHOD_NOT_ALLOWED, f"this path takes GET, not {asked.method[:20]!r}")
    return Reply(HTTPStatus.OK, (("Content-Type", "application/json"), API_VERSION), b"{}")


def _answered(head: Head, carriage: Carriage) -> Answer:
    return Answer(head.status, head.headers, anonymous=not carriage.handout.headers)


def _good(status: int, fields: Headers) -> bool:
    if status == HTTPStatus.PARTIAL_CONTENT:
        return any(name.lower() == "range" for name, _ in fields)
    return status in {HTTPStatus.OK, HTTPStatus.NOT_MODIFIED}
