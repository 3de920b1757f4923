"""What a gateway request needs on its way, as yielded by a conversation, and how it follows redirects."""

from collections.abc import Generator
from typing import Generic, NamedTuple, Protocol, TypeVar

import structlog

from credproxy.core.ask.credential import Secret
from credproxy.core.ask.http import REDIRECTS, Method, Request
from credproxy.core.errors import Code, Failed, failed
from credproxy.gateway import redirect
from credproxy.gateway.authorizer import Passage
from credproxy.gateway.incoming import Headers, values
from credproxy.gateway.redirect import Hop
from credproxy.gateway.wanted import Wanted


_RUN_OUT = frozenset({400, 401, 403, 404, 410})
"""Statuses of storage hosts for an expired signed URL: 403 from S3, Google and Azure, 400 and 401 from some similar
ones, 404 and 410 from those that forget it."""


log = structlog.get_logger("credproxy.gateway")


class ResponseHead(Protocol):
    """What is read of an answer on the way."""

    @property
    def status(self) -> int:
        """The response's."""
        ...

    @property
    def headers(self) -> Headers:
        """The response's."""
        ...


H = TypeVar("H", bound=ResponseHead)


class NeedCredential(NamedTuple):
    """Ask for what the request is sent with; sent a Passage."""

    wanted: Wanted


class Refused(NamedTuple):
    """Say that the registry refused it; sent another Passage, or None if there is none to try."""

    passage: Passage
    forbidden: bool


class Send(NamedTuple):
    """Ask for one request to be sent; sent the answer."""

    request: Request


class Look(NamedTuple):
    """Ask for a request of our own to be sent and its answer read; sent a Looked."""

    request: Request


class Looked(NamedTuple, Generic[H]):
    """An answer, and its body if it is a 200."""

    answer: H
    body: bytes


class Landed(NamedTuple, Generic[H]):
    """The final answer, the request that it answers, and what that was sent with."""

    answer: H
    hop: Hop
    passage: Passage


Step = NeedCredential | Refused | Send | Look
Conversation = Generator[Step, Passage | Looked[H] | H | None, Landed[H]]
"""A Failed of a step is thrown into it."""


def lasting(wanted: Wanted, headers: Headers, *, passage: Passage, start: Hop) -> Conversation[H]:
    """Follow redirects; start again once if the target's URL has expired."""
    landed: Landed[H] = yield from _along(wanted, headers, passage, start)
    if landed.hop.own or landed.answer.status not in _RUN_OUT:
        return landed
    log.info("place ran out", registry=wanted.registry, status=landed.answer.status)
    return (yield from _along(wanted, headers, passage, start))


def _along(wanted: Wanted, headers: Headers, passage: Passage, hop: Hop) -> Conversation[H]:
    """Follow redirects; the credential goes only to the registry."""
    for _ in range(redirect.MOST + 1):
        answer = head((yield Send(request(wanted.method, hop, headers=headers, passage=passage))))
        place = values(answer.headers, "Location") if answer.status in REDIRECTS else ()
        if not place:
            return Landed(answer, hop, passage)
        hop = redirect.follow(hop, place[0], reach=passage.reach, wanted=wanted)
    raise going_round(wanted)


def going_round(wanted: Wanted) -> Failed:
    """The failure for endless redirects."""
    message = f"{wanted.upstream} redirects more than {redirect.MOST} times"
    return failed(Code.REDIRECT_REFUSED, message, hint="ask its administrator")


def head(sent: Passage | Looked[H] | H | None) -> H:
    """Narrow what a Send was answered with to the head of an answer."""
    assert sent is not None
    assert not isinstance(sent, (Passage, Looked))  # a tuple: a union would be built for each request
    return sent


def request(method: Method, hop: Hop, *, headers: Headers, passage: Passage) -> Request:
    """Build one request; a hop that is not to the registry gets no credential, which may have more than one field."""
    fields: tuple[tuple[str, str | Secret], ...] = headers
    if hop.own and passage.headers:
        given = {name.lower() for name, _ in passage.headers}
        fields = (*[field for field in headers if field[0].lower() not in given], *passage.headers)
    return Request(method, hop.url, fields, dial=hop.dial, subject=hop.subject)
