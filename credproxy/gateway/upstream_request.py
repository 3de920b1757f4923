"""One request on its way to a registry: with its credential, repeated if that was refused, following redirects.

A conversation, as exchanges are: a generator that yields what it needs and is sent the result. So deciding and sending
may be done anywhere, and a test reads like a script. ``UpstreamRequests.drive`` is the only driver.

What follows depends on who refused. A 401 of the registry drops the refused credential. A refusal by a storage host
says nothing about that credential: usually the URL from the registry has expired, and a new one is requested.
"""

from collections.abc import Awaitable, Callable
from functools import partial
from http import HTTPStatus

from credproxy.core.ask.github_urls import PUBLIC, ReleaseFile, release_file
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
        authorizer: gives credentials, and is told which of them were refused.
    """

    def __init__(self, authorizer: Authorizer) -> None:
        self._authorizer = authorizer

    async def permit(self, want: Wanted, incoming: Incoming) -> None:
        """Ask whether the caller may get what is already known here. Raises Failed."""
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
        """Run a conversation to its end.

        Args:
            conversation: not begun yet.
            incoming: the request that it is held for.
            patience: seconds for a credential.
            send: sends one request; its result needs no closing unless its status is 200 or 206.
            read: reads the body of an answer, and closes it; None for conversations without Look.

        Raises:
            Failed: there is no credential but there should be one; what the conversation and ``send`` raise.
        """
        try:
            step = next(conversation)
            while True:
                answer: Passage | Looked[H] | H | None
                try:
                    # Not in a method of its own: each request comes through here twice.
                    if isinstance(step, Send):
                        answer = await send(step.request)
                    elif isinstance(step, NeedCredential):
                        answer = await self._authorizer.credential(step.wanted, incoming, patience=patience)
                    elif isinstance(step, Refused):
                        answer = await self._authorizer.refused(step.passage, patience, forbidden=step.forbidden)
                    else:
                        answer = await _looked(step, send, read)
                except Failed as error:
                    step = conversation.throw(error)
                else:
                    step = conversation.send(answer)
        except StopIteration as stop:
            landed: Landed[H] = stop.value
            return landed


async def _looked(
    step: Look, send: Callable[[Request], Awaitable[H]], read: Callable[[H], Awaitable[bytes]] | None
) -> Looked[H]:
    assert read is not None
    answer = await send(step.request)
    return Looked(answer, await read(answer) if answer.status == HTTPStatus.OK else b"")


def pull(wanted: Wanted, headers: Headers) -> Conversation[H]:
    """Ask a registry for something, and follow redirects.

    If the URL that the registry redirected to has expired, the registry is asked for another one, once.

    Args:
        wanted: the operation, a GET or HEAD.
        headers: those of the client that pass.

    Raises:
        Failed: redirect_refused, downgrade; failures of a step.
    """
    return _travel(wanted, partial(_pulled, wanted, headers))


def _pulled(wanted: Wanted, headers: Headers, passage: Passage) -> Conversation[H]:
    file = None if wanted.object is None or not passage.reach.release_api else release_file(wanted.object)
    start = redirect.first(passage.reach, wanted.path, query=wanted.query, upstream=wanted.upstream)
    if file is None or not passage.headers:
        return lasting(wanted, headers, passage=passage, start=start)
    return _released(wanted, headers, passage=passage, start=start, file=file)


def _released(wanted: Wanted, headers: Headers, *, passage: Passage, start: Hop, file: ReleaseFile) -> Conversation[H]:
    """Request a release asset, which may have to be looked up in an API."""
    # On a public host most assets are public; elsewhere the browser URL redirects to a login page.
    if wanted.registry == PUBLIC:
        landed: Landed[H] = yield from lasting(wanted, headers, passage=passage, start=start)
        if not landed.hop.own or landed.answer.status != HTTPStatus.NOT_FOUND:
            return landed
    return (yield from asset(wanted, headers, passage=passage, file=file))


def push(
    wanted: Wanted, headers: Headers, *, start: Callable[[Passage], Hop], repeatable: bool = True
) -> Conversation[H]:
    """Send something to a registry; redirects are not followed.

    Args:
        wanted: the operation.
        headers: those of the client that pass.
        start: gives the URL; raises Failed.
        repeatable: it may be sent twice; False for a streamed body.

    Raises:
        Failed: what ``start`` raises; failures of a step.
    """

    def attempt(passage: Passage) -> Conversation[H]:
        hop = start(passage)
        answer = yield Send(request(wanted.method, hop, headers=headers, passage=passage))
        return Landed(head(answer), hop, passage)

    return _travel(wanted, attempt, repeatable=repeatable)


def _travel(
    wanted: Wanted, attempt: Callable[[Passage], Conversation[H]], *, repeatable: bool = True
) -> Conversation[H]:
    """Send with a credential; if the registry refuses it, try another one, once.

    If there is no other one, the refusal stands: the same login is not sent twice.
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
        return landed  # what the registry said about the login is the better answer
    if newer is None:
        return landed
    if not repeatable:
        message = f"registry {wanted.registry!r} no longer takes its token, and the upload cannot be sent twice"
        raise failed(Code.UPSTREAM_UNAVAILABLE, message, hint="try again: there will be a new one")
    assert isinstance(newer, Passage)
    return (yield from attempt(newer))


def answered(landed: Landed[H]) -> UpstreamAnswer:
    """The head of an answer, and where it came from."""
    answer, hop, passage = landed
    anonymous = not (hop.own and passage.headers)
    return UpstreamAnswer(answer.status, answer.headers, anonymous=anonymous, own=hop.own, subject=hop.subject)
