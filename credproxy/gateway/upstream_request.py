"""One request on its way to a registry: with its credential, once more where that was refused, along redirects.

A conversation, as exchanges are: a generator that yields what it needs and is sent what came of it. So who decides and who
sends may be anywhere, and a test reads as a play. ``UpstreamRequests.drive`` is the one driver.

Who refused decides what follows. A 401 of the registry drops the credential that it does not take. A refusal of a storage
host says nothing about that credential: the place that the registry named has run out mostly, and a new one is asked for.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

from credproxy.core.ask.github_urls import PUBLIC, release_file
from credproxy.core.ask.http import Request
from credproxy.core.errors import Code, Failed, failed
from credproxy.gateway import redirect
from credproxy.gateway.authorizer import Authorizer, Passage
from credproxy.gateway.conversation import (
    Conversation,
    H,
    Landed,
    Look,
    Looked,
    NeedCredential,
    Refused,
    Send,
    Step,
    head,
    lasting,
    request,
)
from credproxy.gateway.incoming import Headers, Incoming, UpstreamAnswer
from credproxy.gateway.redirect import Hop
from credproxy.gateway.release_assets import asset
from credproxy.gateway.wanted import Wanted


_REFUSED = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


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
        read: Callable[[H], Awaitable[bytes]] | None = None,
    ) -> Landed[H]:
        """Hold a conversation to its end.

        Args:
            conversation: not begun yet.
            incoming: the request that it is held for.
            patience: seconds for a credential.
            send: sends one request; what it gives needs no closing where its status is not 200 or 206.
            read: reads the body of what was sent, and closes that; None for who never looks.

        Raises:
            Failed: no credential where there should be one; what the conversation and ``send`` raise.
        """
        try:
            step = next(conversation)
            while True:
                try:
                    answer = await self._answered(step, incoming, patience, send, read)
                except Failed as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(answer)
        except StopIteration as stop:
            landed: Landed[H] = stop.value
            return landed

    async def _answered(
        self,
        step: Step,
        incoming: Incoming,
        patience: float,
        send: Callable[[Request], Awaitable[H]],
        read: Callable[[H], Awaitable[bytes]] | None,
    ) -> Passage | Looked[H] | H | None:
        match step:
            case NeedCredential(wanted):
                return await self._authorizer.credential(wanted, incoming, patience=patience)
            case Refused(passage, forbidden):
                return await self._authorizer.refused(passage, patience, forbidden=forbidden)
            case Send(request):
                return await send(request)
            case Look(request):
                assert read is not None
                answer = await send(request)
                return Looked(answer, await read(answer) if answer.status == HTTPStatus.OK else b"")


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
    file = None if wanted.object is None or not passage.reach.release_api else release_file(wanted.object)
    start = redirect.first(passage.reach, wanted.path, query=wanted.query, upstream=wanted.upstream)
    if file is None or not passage.headers:
        return (yield from lasting(wanted, headers, passage=passage, start=start))
    # Where strangers may look, most assets are for everybody; elsewhere the browser's URL leads to a login.
    if wanted.registry == PUBLIC:
        landed: Landed[H] = yield from lasting(wanted, headers, passage=passage, start=start)
        if not landed.hop.own or landed.answer.status != HTTPStatus.NOT_FOUND:
            return landed
    return (yield from asset(wanted, headers, passage=passage, file=file))


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
        answer = yield Send(request(wanted.method, hop, headers=headers, passage=passage))
        return Landed(head(answer), hop, passage)

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


def answered(landed: Landed[H]) -> UpstreamAnswer:
    """The head of an answer, and who gave it."""
    answer, hop, passage = landed
    anonymous = not (hop.own and passage.headers)
    return UpstreamAnswer(answer.status, answer.headers, anonymous=anonymous, own=hop.own, subject=hop.subject)
