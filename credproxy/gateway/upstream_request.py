"""One request on its way to a registry: with its credential, once more where that was refused, along redirects.

A conversation, as exchanges are: a generator that yields what it needs and is sent what came of it. So who decides and who
sends may be anywhere, and a test reads as a play. ``UpstreamRequests.drive`` is the one driver.

Who refused decides what follows. A 401 of the registry drops the credential that it does not take. A refusal of a storage
host says nothing about that credential: the place that the registry named has run out mostly, and a new one is asked for.
"""

from collections.abc import Awaitable, Callable, Generator
from functools import partial
from http import HTTPStatus
from typing import Generic, NamedTuple, Protocol, TypeVar

import structlog

from credproxy.core.ask.http import Method, Request
from credproxy.core.errors import Code, Failed, failed
from credproxy.gateway import redirect
from credproxy.gateway.authorizer import Authorizer, Passage
from credproxy.gateway.incoming import Headers, Incoming, UpstreamAnswer, values
from credproxy.gateway.redirect import Hop
from credproxy.gateway.wanted import Wanted


_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})

_RUN_OUT = frozenset({400, 401, 403, 404, 410})
"""What storage hosts say of a signed URL whose time is over: 403 S3, Google and Azure, 400 and 401 some of their like, 404
and 410 those that forget it."""


log = structlog.get_logger("credproxy.gateway")


class ResponseHead(Protocol):
    """What is looked at of an answer on the way."""

    @property
    def status(self) -> int:
        """Of the response."""
        ...

    @property
    def headers(self) -> Headers:
        """Of the response."""
        ...


H = TypeVar("H", bound=ResponseHead)


class NeedCredential(NamedTuple):
    """Ask for what the request is sent with; sent a Passage."""

    wanted: Wanted


class Refused(NamedTuple):
    """Say that the registry did not take it; sent another Passage, or None where there is none to try."""

    passage: Passage
    forbidden: bool


class Send(NamedTuple):
    """Ask for one request to be sent; sent the answer."""

    request: Request


class Landed(NamedTuple, Generic[H]):
    """An answer, the request that it answers, which is the last one on the way, and what that was sent with."""

    answer: H
    hop: Hop
    passage: Passage


Step = NeedCredential | Refused | Send
Conversation = Generator[Step, Passage | H | None, Landed[H]]
"""A Failed that befalls a step is thrown into it."""


class UpstreamRequests:
    """Drives conversations.

    Args:
        authorizer: gives credentials, and hears which of them were refused.
    """

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def permit(self, want: Wanted, incoming: Incoming) -> None:
        """Ask whether what is known here already may be told. Raises Failed."""
        await self._authorizer.permit(want, incoming)

    async def drive(
        self,
        conversation: Conversation[H],
        incoming: Incoming,
        *,
        patience: float,
        send: Callable[[Request], Awaitable[H]],
    ) -> Landed[H]:
        """Hold a conversation to its end.

        Args:
            conversation: not begun yet.
            incoming: the request that it is held for.
            patience: seconds for a credential.
            send: sends one request; what it gives needs no closing where its status is not 200 or 206.

        Raises:
            Failed: no credential where there should be one; what the conversation and ``send`` raise.
        """
        try:
            step = next(conversation)
            while True:
                try:
                    answer = await self._answered(step, incoming, patience, send)
                except Failed as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(answer)
        except StopIteration as stop:
            landed: Landed[H] = stop.value
            return landed

    async def _answered(
        self, step: Step, incoming: Incoming, patience: float, send: Callable[[Request], Awaitable[H]]
    ) -> Passage | H | None:
        match step:
            case NeedCredential(wanted):
                return await self._authorizer.credential(wanted, incoming, patience=patience)
            case Refused(passage, forbidden):
                return await self._authorizer.refused(passage, patience, forbidden=forbidden)
            case Send(request):
                return await send(request)


def pull(wanted: Wanted, headers: Headers) -> Conversation[H]:
    """Ask a registry for something, and follow where it leads.

    Where the place has run out to which the registry led, the registry is asked for another one, once.

    Args:
        wanted: what is asked: a GET or HEAD.
        headers: the client's, as far as they pass.

    Raises:
        Failed: redirect_refused, downgrade; what befell a step.
    """
    return _travel(wanted, partial(_pulled, wanted, headers))


def _pulled(wanted: Wanted, headers: Headers, passage: Passage) -> Conversation[H]:
    landed: Landed[H] = yield from _along(wanted, headers, passage)
    if landed.hop.own or landed.answer.status not in _RUN_OUT:
        return landed
    log.info("place ran out", registry=wanted.registry, status=landed.answer.status)
    return (yield from _along(wanted, headers, passage))


def push(
    wanted: Wanted, headers: Headers, *, start: Callable[[Passage], Hop], repeatable: bool = True
) -> Conversation[H]:
    """Send a registry something; no redirect is followed.

    Args:
        wanted: what is done.
        headers: the client's, as far as they pass.
        start: where it goes; raises Failed.
        repeatable: it may be sent twice; False for a body that is streamed.

    Raises:
        Failed: what ``start`` raises; what befell a step.
    """

    def attempt(passage: Passage) -> Conversation[H]:
        hop = start(passage)
        answer = yield Send(_request(wanted.method, hop, headers, passage))
        return Landed(_head(answer), hop, passage)

    return _travel(wanted, attempt, repeatable=repeatable)


def _travel(
    wanted: Wanted, attempt: Callable[[Passage], Conversation[H]], *, repeatable: bool = True
) -> Conversation[H]:
    """Send with a credential; where the registry refuses it, try another one, once.

    Where no other one is to be had, the refusal stands: the same login is not sent twice.
    """
    passage = yield NeedCredential(wanted)
    assert isinstance(passage, Passage)
    landed: Landed[H] = yield from attempt(passage)
    status = landed.answer.status
    if not landed.hop.own or status not in _REFUSED:
        return landed
    try:
        newer = yield Refused(passage, forbidden=status == HTTPStatus.FORBIDDEN)
    except Failed:
        if status != HTTPStatus.FORBIDDEN:
            raise
        return landed  # what the registry said of the login is the better answer
    if newer is None:
        return landed
    if not repeatable:
        message = f"registry {wanted.registry!r} no longer takes its token, and the upload cannot be sent twice"
        raise failed(Code.UPSTREAM_UNAVAILABLE, message, hint="try again: there will be a new one")
    assert isinstance(newer, Passage)
    return (yield from attempt(newer))


def _along(wanted: Wanted, headers: Headers, passage: Passage) -> Conversation[H]:
    """The credential goes to the registry alone."""
    hop = redirect.first(passage.reach, wanted.path, query=wanted.query, upstream=wanted.upstream)
    for _ in range(redirect.MOST + 1):
        answer = _head((yield Send(_request(wanted.method, hop, headers, passage))))
        place = values(answer.headers, "Location")
        if answer.status not in redirect.STATUSES or not place:
            return Landed(answer, hop, passage)
        hop = redirect.follow(hop, place[0], reach=passage.reach, wanted=wanted)
    message = f"{wanted.upstream} redirects more than {redirect.MOST} times"
    raise failed(Code.REDIRECT_REFUSED, message, hint="ask its administrator")


def _head(sent: Passage | H | None) -> H:
    assert sent is not None
    assert not isinstance(sent, Passage)
    return sent


def _request(method: Method, hop: Hop, headers: Headers, passage: Passage) -> Request:
    """Build one request; a hop that is not the registry's own gets no credential, which may have more than one field."""
    credential = passage.headers if hop.own else ()
    given = {name.lower() for name, _ in credential}
    asked_with = [field for field in headers if field[0].lower() not in given]
    return Request(method, hop.url, (*asked_with, *credential), dial=hop.dial, subject=hop.subject)


def answered(landed: Landed[H]) -> UpstreamAnswer:
    """The head of an answer, and who gave it."""
    answer, hop, passage = landed
    anonymous = not (hop.own and passage.headers)
    return UpstreamAnswer(answer.status, answer.headers, anonymous=anonymous, own=hop.own, subject=hop.subject)
